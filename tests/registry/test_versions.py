"""Versions: registering once, judging, stages, taking away, finding."""

from __future__ import annotations

import pytest
from registry_workspace import Workspace, package, publish

from mainspring.core.errors import Broken, Conflict, Invalid, NotFound
from mainspring.core.events import ref
from mainspring.registry.details import Details
from mainspring.registry.facts import Facts
from mainspring.registry.query import Clause, Order, Query
from mainspring.registry.service import Registry
from mainspring.registry.source import parse_source
from mainspring.registry.types import Because


def test_numbers_grow_from_one_and_never_come_again(registry: Registry):
    """Deleting and purging the newest does not free its number."""
    publish(registry, "late", 2)
    registry.versions.delete("late", 2)
    registry.versions.purge("late", 2)
    assert registry.versions.create("late", *package("third")).number == 3
    assert [v.number for v in registry.versions.search().items] == [3, 1]


def test_a_version_and_its_event_tie_run_data_and_package(ws: Workspace):
    """Lineage walks both ways: used the run and the data, generated the version and the package."""
    ws.registry.models.register("late")
    version = ws.registry.versions.create("late", *package())
    event = ws.events[-1]
    assert event.subject == "model:late/1"
    assert set(event.used) == {ref("dataset", "flights@3"), ref("run", "r1")}
    assert set(event.generated) == {"model:late/1", ref("package", version.package)}
    assert version.run_id == "r1"


def test_the_same_key_registers_once(ws: Workspace):
    """A repeated registration returns the first version, with no second row, byte or event."""
    ws.registry.models.register("late")
    details = Details(key="execution-7", description="first")
    first = ws.registry.versions.create("late", *package(), details=details)
    before, stored = len(ws.events), set(ws.objects.list())
    assert ws.registry.versions.create("late", *package(), details=details) == first
    assert (len(ws.events), set(ws.objects.list())) == (before, stored)
    assert ws.registry.versions.create("late", *package()).number == 2


def test_a_key_does_not_stand_for_two_packages(registry: Registry):
    """Another package under a used key is refused, and so is one whose version was deleted."""
    registry.models.register("late")
    registry.versions.create("late", *package(), details=Details(key="k"))
    with pytest.raises(Conflict) as refused:
        registry.versions.create("late", *package("other"), details=Details(key="k"))
    assert refused.value.code == "registry.key_reused"
    registry.versions.delete("late", 1)
    with pytest.raises(NotFound):
        registry.versions.create("late", *package(), details=Details(key="k"))


def test_a_failed_registration_leaves_no_version(ws: Workspace):
    """Files that do not match the manifest, and a model that is not there, store no row."""
    manifest, files = package()
    with pytest.raises(NotFound):
        ws.registry.versions.create("late", manifest, files)
    ws.registry.models.register("late")
    for wrong in (
        {**files, "model.txt": b"other"},
        {**files, "extra.txt": b""},
        {"model.txt": files["model.txt"], "golden/rows.json": b"[1]"},
    ):
        with pytest.raises(Invalid) as refused:
            ws.registry.versions.create("late", manifest, wrong)
        assert refused.value.code == "registry.package_mismatch"
    assert ws.registry.versions.search().items == ()
    assert ws.kinds() == ["model_registered"]


@pytest.mark.parametrize(
    "path",
    ["../x", "/x", "a/../b", ".git/x", "a//b", "a\\b", "a/", "C:x", "a\x00", "", ".", "x" * 201, "-x",
     "MODEL.txt", "model.txt/x", "a.", "é"],
)  # fmt: skip
def test_paths_that_could_leave_the_package_are_refused(registry: Registry, path: str):
    """Traversal, absolute paths, hidden files, twins in case, and what not every disk can hold."""
    registry.models.register("late")
    manifest, files = package()
    files[path] = b""
    manifest, _ = package(files={**manifest.files, path: manifest.files["model.txt"]})
    with pytest.raises(Invalid) as refused:
        registry.versions.create("late", manifest, files)
    assert refused.value.code == "registry.bad_path"


@pytest.mark.parametrize(
    "changed",
    [
        {"metrics": {"auc": float("nan")}},
        {"metrics": {"auc": float("inf")}},
        {"calibration": {"a": object()}},
        {"calibration": {"a": (1, 2)}},
        {"golden": "nowhere.json"},
        {"files": {"model.txt": "sha256:00"}, "golden": None},
    ],
)
def test_a_manifest_must_read_back_as_it_is(registry: Registry, changed: dict[str, object]):
    """What JSON would lose or change is refused before anything is stored."""
    registry.models.register("late")
    manifest, files = package(**changed)
    with pytest.raises(Invalid) as refused:
        registry.versions.create("late", manifest, files)
    assert refused.value.code == "registry.bad_manifest"


def test_a_judgement_has_a_reason_and_stays(ws: Workspace):
    """Rejecting needs a reason; a rejected version does not come back; the history says it all."""
    publish(ws.registry, "late", 1)
    versions = ws.registry.versions
    versions.judge("late", 1, "approved", Because("all gates", evidence={"auc": 0.75}))
    with pytest.raises(Conflict) as refused:
        versions.judge("late", 1, "rejected")
    assert refused.value.code == "registry.reason_missing"
    versions.judge("late", 1, "rejected", Because("leaks"))
    with pytest.raises(Conflict) as refused:
        versions.judge("late", 1, "approved")
    assert refused.value.code == "registry.bad_transition"
    found = [(c.before, c.after, c.why, c.evidence) for c in versions.changes("late", 1)]
    assert found == [
        ("registered", "approved", "all gates", {"auc": 0.75}),
        ("approved", "rejected", "leaks", {}),
    ]
    assert versions.get("late", 1).reason == "leaks"
    assert ws.kinds().count("version_judged") == 2


def test_stages_as_the_old_wire_moves_them(registry: Registry):
    """Any case in; with ``archive_existing`` the others leave; the newest of each is found."""
    publish(registry, "late", 3)
    registry.versions.transition("late", 1, "production")
    registry.versions.transition("late", 2, "PRODUCTION")
    registry.versions.transition("late", 3, "Production", archive_existing=True)
    stages = {v.number: v.stage for v in registry.versions.search().items}
    assert stages == {1: "Archived", 2: "Archived", 3: "Production"}
    assert [v.number for v in registry.versions.latest("late")] == [3, 2]
    assert [v.number for v in registry.versions.latest("late", ["archived"])] == [2]
    assert [c.after for c in registry.versions.changes("late", 1)] == ["Production", "Archived"]
    with pytest.raises(Invalid) as refused:
        registry.versions.transition("late", 1, "Live")
    assert refused.value.code == "registry.bad_stage"


def test_a_stage_moves_only_from_where_it_is_believed_to_be(registry: Registry):
    """Of two who move a version at once, the second is told, and nobody else is archived."""
    publish(registry, "late", 2)
    versions = registry.versions
    versions.transition("late", 2, "Staging", expected="None")
    versions.transition("late", 1, "Staging", expected="None", because=Because("first"))
    with pytest.raises(Conflict) as refused:
        versions.transition("late", 1, "Production", archive_existing=True, expected="None")
    assert refused.value.code == "registry.stage_moved"
    with pytest.raises(Conflict):
        versions.transition("late", 1, "Staging", archive_existing=True, expected="Production")
    assert [versions.get("late", number).stage for number in (1, 2)] == ["Staging", "Staging"]


def test_the_newest_versions_of_many_models_are_one_search(registry: Registry):
    """Each model's newest in each stage, deleted ones passed over, and none for a model without."""
    for name in ("late", "fare"):
        publish(registry, name, 3)
        registry.versions.transition(name, 1, "Production")
    registry.models.register("bare")
    registry.versions.delete("fare", 3)
    found = registry.versions.latest_of(["late", "fare", "bare"])
    assert {name: sorted(v.number for v in some) for name, some in found.items()} == {
        "late": [1, 3],
        "fare": [1, 2],
        "bare": [],
    }


def test_a_tag_can_be_asked_for_by_its_absence(registry: Registry):
    """What has no such tag is found, and what has it, whatever its value."""
    registry.models.register("prompt", tags={"is_prompt": ""})
    registry.models.register("late", tags={"team": "ops"})

    def names(comparator) -> list[str]:
        clauses = (Clause("tag", comparator, tag="is_prompt"),)
        return [m.name for m in registry.models.search(Query(clauses=clauses)).items]

    assert (names("missing"), names("present")) == (["late"], ["prompt"])


def test_collection_keeps_what_any_version_needs(ws: Workspace):
    """Live and deleted versions hold their objects; a purged one gives up what it alone had."""
    publish(ws.registry, "late", 2)
    details = Details(facts=Facts(learner="x"))
    gone = ws.registry.versions.create("late", *package("gone"), details=details)
    assert set(ws.registry.packages.digests()) == set(ws.objects.list())
    ws.registry.versions.delete("late", 3)
    assert set(ws.registry.packages.digests()) == set(ws.objects.list())
    ws.registry.versions.purge("late", 3)
    freed = set(ws.objects.list()) - set(ws.registry.packages.digests())
    manifest, _ = package("gone")
    assert freed == {gone.package, gone.facts, manifest.files["model.txt"]}


def test_what_was_deleted_comes_back_until_it_is_purged(registry: Registry):
    """Delete hides, restore shows again, purge is for good."""
    publish(registry, "late", 1)
    registry.versions.tag("late", 1, {"a": "1"})
    registry.versions.delete("late", 1)
    with pytest.raises(NotFound):
        registry.versions.get("late", 1)
    assert registry.versions.restore("late", 1).tags == {"a": "1"}
    with pytest.raises(NotFound):
        registry.versions.purge("late", 1)
    registry.versions.delete("late", 1)
    registry.versions.purge("late", 1)
    with pytest.raises(NotFound):
        registry.versions.restore("late", 1)


def test_versions_are_found_by_run_tag_and_number(registry: Registry):
    """Clauses over runs, tags, numbers and names hold together; pages follow any order."""
    publish(registry, "late", 3)
    publish(registry, "fare", 2)
    registry.versions.tag("late", 2, {"best": "yes"})

    def found(*clauses: Clause, **options) -> list[str]:
        query = Query(clauses=clauses, order=(Order("name"), Order("number")), **options)
        return [v.address for v in registry.versions.search(query).items]

    assert found(Clause("run_id", "=", "r1")) == ["fare/1", "fare/2", "late/1", "late/2", "late/3"]
    assert found(Clause("tag", "=", "yes", tag="best")) == ["late/2"]
    assert found(Clause("number", ">=", 2), Clause("name", "=", "late")) == ["late/2", "late/3"]
    assert found(Clause("run_id", "in", ("x",))) == []
    assert found(Clause("run_id", "in", ())) == []
    seen: list[str] = []
    token: str | None = None
    query = Query(order=(Order("name", descending=True), Order("number")), limit=2)
    for _ in range(3):
        page = registry.versions.search(Query(order=query.order, limit=2, token=token))
        seen += [version.address for version in page.items]
        token = page.next_token
    assert token is None
    assert seen == ["late/1", "late/2", "late/3", "fare/1", "fare/2"]


def test_the_cost_of_a_search_does_not_grow_with_what_it_skips(ws: Workspace):
    """Pages, a run's versions and a rare tag are walked by an index, never by reading every row."""
    from mainspring._adapters.sql.registry_search import VERSIONS, tail

    publish(ws.registry, "late", 2)
    for clauses, index in (
        ((Clause("run_id", "=", "x"),), "model_versions_by_run"),
        ((Clause("source", "=", "x"),), "model_versions_by_source"),
        ((Clause("tag", "=", "x", tag="a"),), "version_tags_by_value"),
        ((Clause("name", "=", "late"),), "models_by_name"),
        ((Clause("name", "=", "late"), Clause("stage", "newest")), "model_versions_by_stage"),
        ((), "model_versions_by_update"),
    ):
        where, values = tail(VERSIONS, Query(clauses=clauses), "sqlite")
        plan = ws.database.read(
            lambda reader, where=where, values=values: reader.all(
                "EXPLAIN QUERY PLAN SELECT 1 FROM model_versions v "
                f"JOIN models m ON m.id = v.model_id WHERE {where}",
                values,
            )
        )
        assert any(index in str(row) for row in plan), plan
        assert clauses == () or not any("SCAN v" in str(row) for row in plan), plan


def test_a_version_from_a_source_has_no_package(registry: Registry):
    """It can be listed, staged and aliased, but there is nothing of ours to open."""
    registry.models.register("late")
    details = Details(source="runs:/r1/model", run_id="r1", logged_model_id="m-1", created_by="ada")
    version = registry.versions.create_from_source("late", details)
    assert (version.source, version.readiness, version.created_by) == (
        details.source,
        "READY",
        "ada",
    )
    registry.aliases.move("late", "champion", to=1, expected=None)
    with pytest.raises(NotFound) as refused:
        registry.packages.open("late", 1)
    assert refused.value.code == "registry.no_package"


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "file:///etc/passwd", "local:/etc", "s3://b/../x", "runs:/r/%2e%2e/x", "../x",
     "runs:/r/%252e%252e/x", "https://h/#/../../etc", "https://h/x?y=/..", "runs:/r/..%2f..", "",
     "s3://b/a\\..\\b", "models:/", "runs:/r\n/x", "FILE:/x"],
)  # fmt: skip
def test_a_source_that_could_climb_is_refused(registry: Registry, source: str):
    """Local paths, other schemes, queries, fragments and dots in any encoding; whatever the tags."""
    registry.models.register("late")
    for tags in ({}, {"mlflow.prompt.is_prompt": "true"}):
        with pytest.raises(Invalid) as refused:
            registry.versions.create_from_source("late", Details(source=source, tags=tags))
        assert refused.value.code == "registry.bad_source"


def test_a_source_is_parsed_into_its_parts():
    """Scheme, authority and parts, and no text that is joined again later."""
    found = parse_source("s3://bucket/a/b%20c")
    assert (found.scheme, found.authority, found.parts) == ("s3", "bucket", ("a", "b%20c"))
    assert parse_source("models:/m-12").parts == ("m-12",)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 100_001])
def test_texts_that_cannot_be_stored_are_refused(registry: Registry, text: str):
    """Descriptions and tag values keep within what both databases can hold."""
    publish(registry, "late", 1)
    for change in (
        lambda: registry.versions.describe("late", 1, text),
        lambda: registry.versions.tag("late", 1, {"a": text}),
        lambda: registry.models.tag("late", {"a": text}),
    ):
        with pytest.raises(Invalid) as refused:
            change()
        assert refused.value.code == "registry.bad_text"


def test_facts_must_be_json(registry: Registry):
    """What cannot be read back is refused before anything is stored."""
    registry.models.register("late")
    with pytest.raises(Invalid) as refused:
        registry.versions.create(
            "late", *package(), details=Details(facts=Facts(notes={"a": object()}))
        )
    assert refused.value.code == "registry.bad_facts"
    with pytest.raises(Invalid) as refused:
        registry.models.register("x", because=Because(evidence={"a": object()}))
    assert refused.value.code == "registry.bad_evidence"


def test_a_package_is_opened_with_every_byte_checked(ws: Workspace):
    """A file, a manifest or facts that changed in the store are refused by name, not used."""
    ws.registry.models.register("late")
    details = Details(facts=Facts(learner="lightgbm"))
    version = ws.registry.versions.create("late", *package(), details=details)
    opened = ws.registry.packages.open("late", 1)
    assert opened.files["model.txt"] == b"weights"
    assert (opened.manifest, opened.facts) == (package()[0], details.facts)
    assert ws.registry.packages.verify("late", 1).ok
    for digest, path in (
        (opened.manifest.files["model.txt"], "files/model.txt"),
        (version.package, "manifest.json"),
        (version.facts, "facts.json"),
    ):
        kept = ws.objects._stored[digest]
        ws.objects._stored[digest] = kept + b" "
        with pytest.raises(Broken) as refused:
            dict(ws.registry.packages.open("late", 1).files)
        assert refused.value.code == "registry.tampered"
        assert [f.path for f in ws.registry.packages.verify("late", 1).faults] == [path]
        del ws.objects._stored[digest]
        fault = ws.registry.packages.verify("late", 1).faults[0]
        assert (fault.path, fault.what) == (path, "missing")
        ws.objects._stored[digest] = kept


def test_equal_packages_are_stored_once(ws: Workspace):
    """Two versions of one package share its bytes; each file is kept under its own digest."""
    ws.registry.models.register("late")
    ws.registry.versions.create("late", *package())
    before = set(ws.objects.list())
    manifest, _ = package()
    again = ws.registry.versions.create("late", manifest, {})
    assert set(ws.objects.list()) == before
    assert again.package == ws.registry.versions.get("late", 1).package
