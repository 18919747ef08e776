from __future__ import annotations

import pytest
from wire import Wire

from mainspring.core.ids import new_id


@pytest.fixture
def name(wire: Wire) -> str:
    name = f"m{new_id()}"
    wire.post("registered-models/create", name=name, tags=[{"key": "a", "value": "b"}])
    for source in ("s3://bucket/1", "s3://bucket/2", "s3://bucket/3"):
        wire.post("model-versions/create", name=name, source=source, run_id="r1")
    return name


def test_versions_are_strings_and_aliases_lists(wire: Wire, name: str) -> None:
    """The wire's types: version "1", a version's aliases as names, a model's as pairs."""
    wire.post("registered-models/alias", name=name, alias="champion", version="2")
    version = wire.get("model-versions/get", name=name, version="2")["model_version"]
    assert (version["version"], version["aliases"], version["status"]) == (
        "2",
        ["champion"],
        "READY",
    )
    model = wire.get("registered-models/get", name=name)["registered_model"]
    assert model["aliases"] == [{"alias": "champion", "version": "2"}]
    assert [v["version"] for v in model["latest_versions"]] == ["3"]
    found = wire.get("registered-models/alias", name=name, alias="champion")
    assert found["model_version"]["version"] == "2"
    wire.call("DELETE", "registered-models/alias", name=name, alias="champion")
    asked = f"registered-models/alias?name={name}&alias=champion"
    assert wire.refused(asked, method="GET") == (400, "INVALID_PARAMETER_VALUE")


def test_a_version_takes_its_alias_along(wire: Wire, name: str) -> None:
    """Deleting a version deletes the aliases that point at it."""
    wire.post("registered-models/alias", name=name, alias="live", version="1")
    wire.call("DELETE", "model-versions/delete", name=name, version="1")
    assert "aliases" not in wire.get("registered-models/get", name=name)["registered_model"]
    asked = f"model-versions/get?name={name}&version=1"
    assert wire.refused(asked, method="GET") == (404, "RESOURCE_DOES_NOT_EXIST")


def test_stages_in_any_case(wire: Wire, name: str) -> None:
    """Stages as the old wire has them; archiving the others on request."""
    stage = {"name": name, "stage": "pRODUCTION"}
    wire.post("model-versions/transition-stage", version="1", **stage)
    moved = wire.post(
        "model-versions/transition-stage", version="2", archive_existing_versions=True, **stage
    )
    assert moved["model_version"]["current_stage"] == "Production"
    latest = wire.post("registered-models/get-latest-versions", name=name)["model_versions"]
    assert {(v["version"], v["current_stage"]) for v in latest} == {
        ("3", "None"),
        ("2", "Production"),
        ("1", "Archived"),
    }
    assert wire.get("registered-models/get-latest-versions", name=name, stages=["Production"])[
        "model_versions"
    ] == [v for v in latest if v["version"] == "2"]
    bad = {"name": name, "version": "1", "stage": "Live"}
    assert wire.refused("model-versions/transition-stage", bad)[0] == 400


def test_searches_and_pages(wire: Wire, name: str) -> None:
    """Filters, orders and pages of versions and models; prompts stay apart."""
    wire.post("model-versions/set-tag", name=name, version="2", key="k", value="v")
    text = f"name = '{name}'"
    found = wire.get("model-versions/search", filter=text, order_by="version_number ASC")
    assert [v["version"] for v in found["model_versions"]] == ["1", "2", "3"]
    page = wire.get("model-versions/search", filter=text, max_results=2)
    rest = wire.get(
        "model-versions/search", filter=text, max_results=2, page_token=page["next_page_token"]
    )
    assert len(page["model_versions"]) + len(rest["model_versions"]) == 3
    tagged = wire.get("model-versions/search", filter=f"{text} and tags.k = 'v'")["model_versions"]
    assert [v["version"] for v in tagged] == ["2"]
    prompt = f"p{new_id()}"
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    wire.post("registered-models/create", name=prompt, tags=tags)
    models = wire.get("registered-models/search", filter="name LIKE 'p%'")
    assert prompt not in [m["name"] for m in models.get("registered_models", [])]
    wanted = "tags.`mlflow.prompt.is_prompt` = 'true'"
    models = wire.get("registered-models/search", filter=wanted)["registered_models"]
    assert prompt in [m["name"] for m in models]
    for bad in ("nothing = 'x'", "name > 'x'", "metrics.a > 1", "tags.a IS NULL"):
        asked = f"registered-models/search?filter={bad}"
        assert wire.refused(asked, method="GET") == (400, "INVALID_PARAMETER_VALUE")


def test_where_a_version_lies(wire: Wire, name: str) -> None:
    """Sources through logged models, runs and other versions end at files."""
    asked = wire.get("model-versions/get-download-uri", name=name, version="1")
    assert asked == {"artifact_uri": "s3://bucket/1"}
    run_id = wire.new_run()
    model = wire.post("logged-models", experiment_id="0", source_run_id=run_id)["model"]["info"]
    for source, place in (
        (f"models:/{model['model_id']}", model["artifact_uri"]),
        (f"runs:/{run_id}/net", f"mlflow-artifacts:/0/{run_id}/artifacts/net"),
        (f"models:/{name}/1", "s3://bucket/1"),
    ):
        made = wire.post("model-versions/create", name=name, source=source)["model_version"]
        number = made["version"]
        found = wire.get("model-versions/get-download-uri", name=name, version=number)
        assert found["artifact_uri"] == place
    loop = int(number) + 1
    wire.post("model-versions/create", name=name, source=f"models:/{name}/{loop}")
    asked = f"model-versions/get-download-uri?name={name}&version={loop}"
    assert wire.refused(asked, method="GET")[0] == 400


def test_a_model_id_comes_back(wire: Wire, name: str) -> None:
    """The logged model named at registration is on the version, and the version on its tags."""
    model = wire.post("logged-models", experiment_id="0")["model"]["info"]
    made = wire.post(
        "model-versions/create", name=name, source="s3://b/x", model_id=model["model_id"]
    )["model_version"]
    found = wire.get("model-versions/get", name=name, version=made["version"])["model_version"]
    assert found["model_id"] == model["model_id"]
    tags = wire.get(f"logged-models/{model['model_id']}")["model"]["info"]["tags"]
    assert name in tags[0]["value"]


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "file:///etc", "s3://a/../b", "runs:/x/%2e%2e/y"]
)
def test_sources_that_climb_are_refused(wire: Wire, name: str, source: str) -> None:
    """A source is an address of ours or of an object store, whatever tags come with it."""
    assert wire.refused("model-versions/create", {"name": name, "source": source})[0] == 400


def test_names_come_once(wire: Wire, name: str) -> None:
    """A second model of the name is 400, as clients expect it."""
    assert wire.refused("registered-models/create", {"name": name}) == (
        400,
        "RESOURCE_ALREADY_EXISTS",
    )


def test_the_alias_latest_is_the_newest_version(wire: Wire) -> None:
    """Clients load ``NAME@latest``, prompts above all; nobody can set that alias."""
    name = new_id()
    wire.post("registered-models/create", name=name)
    asked = f"registered-models/alias?name={name}&alias=latest"
    assert wire.refused(asked, method="GET") == (404, "RESOURCE_DOES_NOT_EXIST")
    for _ in range(2):
        wire.post("model-versions/create", name=name, source="s3://b/m")
    for alias in ("latest", "Latest"):
        found = wire.get("registered-models/alias", name=name, alias=alias)["model_version"]
        assert found["version"] == "2"
    fields = {"name": name, "alias": "latest", "version": "1"}
    assert wire.refused("registered-models/alias", fields) == (400, "INVALID_PARAMETER_VALUE")
