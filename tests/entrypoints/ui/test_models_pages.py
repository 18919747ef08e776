"""Models, versions, aliases and cards."""

from __future__ import annotations

import re

from pages_workspace import Site, add_model, add_run

from mainspring._entrypoints.cli import build_parser
from mainspring._entrypoints.ui.models import ROWS
from mainspring.registry import Details
from mainspring.registry.types import Because


def test_models_are_listed_with_their_aliases(empty: Site) -> None:
    """The list shows where each alias points, and pages by name."""
    for at in range(ROWS + 2):
        empty.registry.models.register(f"m{at:03}")
    run_id = add_run(empty.tracking, "r", 0.5)
    add_model(empty.registry, run_id, "a-model")
    text = empty.get("/models").text
    assert 'href="/models/a-model/3">champion → 3</a>' in text
    following = re.search(r'rel="next" href="([^"]*)"', text)
    assert following
    assert "m051" in empty.get(following[1].replace("&amp;", "&")).text
    assert empty.get("/models?after=x").status == 400


def test_a_model_shows_versions_and_moves(empty: Site) -> None:
    """Versions newest first, and every move of an alias: when, from, to, who and why."""
    add_model(empty.registry, add_run(empty.tracking, "r", 0.5), "late")
    text = empty.get("/models/late").text
    versions = re.findall(r'<th scope="row"><a href="/models/late/(\d)">', text)
    assert versions == ["3", "2", "1"]
    history = text.split('id="history"')[1]
    assert history.count('<th scope="row">champion</th>') == 3
    assert "No alias was ever moved here" in empty.get("/models/late?alias=other").text
    assert empty.get("/models/late?alias=%3Cb%3E").status == 400


def test_a_removed_alias_keeps_its_history(empty: Site) -> None:
    """What was in production once stands on the model's page, also when the alias is no more."""
    add_model(empty.registry, add_run(empty.tracking, "r", 0.5), "late")
    empty.registry.aliases.remove("late", "champion", expected=3)
    assert "removed" in empty.get("/models/late").text
    assert "removed" in empty.get("/models/late?alias=champion").text


def test_a_move_shows_what_it_rests_on(empty: Site) -> None:
    """The evidence of a move stands beside its reason."""
    add_model(empty.registry, add_run(empty.tracking, "r", 0.5), "late")
    because = Because("better in March", evidence={"auc": 0.71})
    empty.registry.aliases.move("late", "trial", to=3, expected=None, because=because)
    text = empty.get("/models/late").text.split('id="history"')[1]
    assert "better in March" in text
    assert "auc: 0.71" in text


def test_a_version_shows_its_card(empty: Site) -> None:
    """Purpose, metrics with intervals, gates, data and lineage are on the version's page."""
    run_id = add_run(empty.tracking, "r", 0.5)
    add_model(empty.registry, run_id, "late")
    text = empty.get("/models/late/3").text
    for part in ("Model card", "0.7 to 0.8", "better than nothing", "passed", "dataset:orders@3"):
        assert part in text, part
    assert f'href="/runs/{run_id}"' in text.split('id="lineage"')[1]
    assert "rejected" in empty.get("/models/late/1").text


def test_a_version_without_a_package_has_no_card(empty: Site) -> None:
    """A version that a client registered by its source says so instead."""
    empty.registry.models.register("late")
    empty.registry.versions.create_from_source("late", Details(source="mlflow-artifacts:/0/x"))
    answer = empty.get("/models/late/1")
    assert answer.status == 200
    assert "there is no card" in answer.text


def test_a_model_tells_what_was_in_production_then(empty: Site) -> None:
    """A past moment is answered by the alias's version at that time; nonsense is a clear 400."""
    add_model(empty.registry, add_run(empty.tracking, "r", 0.5), "late")
    moves = empty.registry.aliases.history("late", "champion")
    then = moves[0].time.isoformat().replace("+", "%2B")
    told = empty.get(f"/models/late?at={then}").text.split('id="then"')[1]
    assert "version 3" in told.split("</div>")[0]
    before = empty.get("/models/late?alias=champion&at=2001-01-01T00:00").text
    assert "no version" in before.split('id="then"')[1]
    assert empty.get("/models/late?at=yesterday").status == 400


def test_a_training_without_a_page_is_no_link(empty: Site) -> None:
    """The run of a project's training is named by its version, and leads nowhere but to itself."""
    elsewhere = "e3166a9b36d22c8d1574a77321db93f5"
    add_model(empty.registry, elsewhere, "late")
    for page in ("/models/late", "/models/late/3"):
        text = empty.get(page).text
        assert elsewhere[:9] in text
        assert f'href="/runs/{elsewhere}' not in text
    assert "<dt>Training</dt>" in empty.get("/models/late/3").text


def test_a_card_shows_moments_and_counts_like_every_page(empty: Site) -> None:
    """Moments are UTC to the second, and thousands stand apart."""
    add_model(empty.registry, add_run(empty.tracking, "r", 0.5), "late")
    text = empty.get("/models/late/3").text
    assert ">1,000<" in text
    assert "2013-05-01 00:00:00" in text
    assert "2013-05-01T" not in text


def test_what_an_empty_page_tells_to_type_can_be_typed(empty: Site) -> None:
    """Every command on an empty page is one that the command line takes."""
    empty.registry.models.register("bare")
    told = [
        command
        for page in ("/", "/models", "/models/bare", "/traces", "/components")
        for command in re.findall(r"<code>mainspring ([^<]+)</code>", empty.get(page).text)
    ]
    assert "run train" in told
    for command in told:
        words = command.split()
        assert build_parser(words[0]).parse_args(words).run


def test_a_column_that_nothing_fills_is_not_there(empty: Site) -> None:
    """MLflow's stages have a column only where a version has one; heads and cells stay level."""
    add_model(empty.registry, add_run(empty.tracking, "r", 0.5), "late")
    table = empty.get("/models/late").text.split("<caption", 1)[1].split("</table>")[0]
    assert ">Stage<" not in table
    heads = table.split("</thead>")[0].count("<th ")
    first = table.split("<tbody>")[1].split("</tr>")[0]
    assert heads == first.count("<th ") + first.count("<td")


def test_a_long_lineage_is_folded(empty: Site) -> None:
    """The nearest are in sight, the others one press away; none is left out."""
    run_id = add_run(empty.tracking, "r", 0.5)
    for at in range(5):
        add_model(empty.registry, run_id, f"m{at}")
    lineage = empty.get(f"/runs/{run_id}").text.split('id="lineage"')[1]
    below = lineage.split("Led to")[1]
    seen, folded = below.split("<details>")
    assert seen.count('class="steps"') == 12
    more = folded.count('class="steps"')
    assert f"<summary>{more} more, further away</summary>" in folded
