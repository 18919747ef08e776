"""What must hold between keys: each rule is broken once, by the smallest change of a sound file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.projects import ProjectInvalid, parse_project
from mainspring.projects.flaws import Flaw
from mainspring.projects.rules import RULES
from mainspring.projects.rules.pipelines import check_schedule

FULL, REGRESSION, SMALL = (
    Path(__file__).with_name(f"{name}.toml").read_text() for name in ("full", "regression", "small")
)
EXPECT = "[[datasets.rows.expect]]\n"

# A sound file, what is replaced in it, by what; then the key with the flaw and its code.
REPLACED = [
    (FULL, 'dataset = "flights"', 'dataset = "flihgts"', "problem.dataset", "unknown_name"),
    (FULL, 'source = "flights"', 'source = "flight"', "datasets.flights.source", "unknown_name"),
    (FULL, 'airports = "airports"', 'airports = "x"', "datasets.flights.lookup.airports", "unknown_name"),
    (FULL, 'airports = "airports"', 'source = "airports"', "datasets.flights.lookup.source", "contradiction"),
    (FULL, '["carrier", "scheduled"]', '["carrier", "late"]', "datasets.flights.known_ahead[1]", "contradiction"),
    (FULL, '["carrier", "scheduled"]', '["landed_at"]', "datasets.flights.known_ahead[0]", "contradiction"),
    (FULL, '["carrier", "scheduled"]', '["arr_delay"]', "problem.target_sql", "contradiction"),
    (FULL, '["carrier", "scheduled"]', '["a", "a"]', "datasets.flights.known_ahead[1]", "duplicate"),
    (FULL, 'predict_before = "2h"', 'label_delay = "2h"', "problem.label_known_at", "contradiction"),
    (FULL, 'label_known_at = "landed_at"', "", "problem", "missing_key"),
    (FULL, '"cost_per_1000" }', '"rmse" }', "problem.metrics[1].name", "contradiction"),
    (FULL, '"cost_per_1000" }', '"auc" }', "problem.metrics[1]", "duplicate"),
    (FULL, '"cost_per_1000" }', '"brier", at_least = 0.1 }', "problem.metrics[1].at_least", "wrong_direction"),
    (FULL, '"cost_per_1000" }', '"brier", at_most = 1.1 }', "problem.metrics[1].at_most", "out_of_range"),
    (FULL, "at_least = 0.7 }", "at_least = 0.7, at_most = 0.9 }", "problem.metrics[0].at_least", "contradiction"),
    (FULL, "at_most = 0.3\n", "", "problem.guardrails[0]", "missing_key"),
    (FULL, 'group = "carrier"', 'group = "late"', "problem.guardrails[0].group", "contradiction"),
    (FULL, 'groups = ["carrier"]', 'groups = ["late"]', "problem.groups[0]", "contradiction"),
    (FULL, 'slices = ["origin"]', 'slices = ["o", "o"]', "training.slices[1]", "duplicate"),
    (FULL, "false_negative = 5", "false_negative = 0.5", "problem.costs.false_negative", "contradiction"),
    (FULL, "false_positive = 1", "false_positive = 0", "problem.costs.false_positive", "contradiction"),
    (FULL, "America/New_York", "America/NewYork", "sources.flights.timezone", "bad_value"),
    (FULL, "America/New_York", "../../etc/passwd", "sources.flights.timezone", "bad_value"),
    (FULL, "airports.parquet", "airports.dat", "sources.airports.path", "missing_key"),
    (FULL, "data/flights.csv.gz", "../flights.csv.gz", "sources.flights.path", "contradiction"),
    (FULL, "data/flights.csv.gz", "flights.json", "sources.flights.delimiter", "contradiction"),
    (FULL, 'why = "One moment', '[[datasets.flights.clean]]\nwhy = "One moment', "datasets.flights.clean[1]", "missing_key"),
    (FULL, "lookup =", 'select = "SELECT 1"\nlookup =', "datasets.flights.clean[0].set", "contradiction"),
    (FULL, "min = 0\n", "min = 7000\n", "datasets.flights.expect[0].min", "contradiction"),
    (FULL, "min = 0\n", 'min = "a"\n', "datasets.flights.expect[0].min", "contradiction"),
    (FULL, "'^[A-Z0-9]{2}$'", "'(A'", "datasets.flights.expect[2].pattern", "bad_pattern"),
    (FULL, "'^[A-Z0-9]{2}$'", "'(?=A)'", "datasets.flights.expect[2].pattern", "bad_pattern"),
    (FULL, 'learner = "gradient_boosting"', 'learner = "linear"', "training.learner", "contradiction"),
    (FULL, 'learner = "gradient_boosting"', 'learner = "gradient_bosting"', "training.learner", "unknown_name"),
    (FULL, "models/mine.py:baseline", "../mine.py:baseline", "training.baseline", "unknown_name"),
    (FULL, 'method = "time"\nvalidation = "14d"\ntest', 'method = "hash"\nvalidation', "training.split.validation", "contradiction"),
    (FULL, 'validation = "14d"', 'validation = "0d"', "training.split.validation", "out_of_range"),
    (FULL, 'metric = "auc"\nspace', 'metric = "mae"\nspace', "training.search.metric", "contradiction"),
    (FULL, "space = { depth = [2, 4], rate = [0.1] }", "", "training.search.trials", "contradiction"),
    (FULL, "depth = [2, 4]", "depth = []", "training.search.space.depth", "out_of_range"),
    (FULL, 'name = "better-than-simple"', 'name = "good-enough"', "gates[1].name", "duplicate"),
    (FULL, 'beats = "baseline"', 'beats = "baseline"\nmetric = "auc"\nat_least = 0.5', "gates[1].beats", "contradiction"),
    (FULL, 'beats = "baseline"', "", "gates[1]", "missing_key"),
    (FULL, "at_least = 0.65\n", "", "gates[0]", "missing_key"),
    (FULL, '"30 4 * * mon-fri"', '"30 4 * *"', "pipelines.train.schedule", "bad_schedule"),
    (FULL, 'run = "ingest"', 'run = "in gest"', "pipelines.train.steps.load.run", "bad_value"),
    (FULL, 'needs = ["load"]', 'needs = ["laod"]', "pipelines.train.steps.fit.needs[0]", "unknown_name"),
    (FULL, 'run = "ingest"', 'run = "ingest"\nneeds = ["fit"]', "pipelines.train.steps.load.needs", "contradiction"),
    (FULL, 'entity = ["id"]', 'entity = ["id", "id"]', "endpoint.entity[1]", "duplicate"),
    (FULL, "drop = 0.05", "", "monitoring.monitors.auc", "missing_key"),
    (FULL, "drop = 0.05", "at_most = 0.5", "monitoring.monitors.auc.at_most", "wrong_direction"),
    (FULL, 'metric = "auc"\ndrop', 'metric = "r2"\ndrop', "monitoring.monitors.auc.metric", "contradiction"),
    (FULL, 'metric = "auc"\ndrop', "drop", "monitoring.monitors.auc.metric", "missing_key"),
    (FULL, 'watch = "drift"', 'watch = "drift"\nat_most = 0.5', "monitoring.monitors.features.at_most", "contradiction"),
    (FULL, "at_most = 1e6", "at_most = 1", "monitoring.monitors.volume.at_least", "contradiction"),
    (FULL, 'on_alerts = ["auc"]', 'on_alerts = ["acu"]', "retraining.on_alerts[0]", "unknown_name"),
    (FULL, 'every = "month"', 'every = "month"\ncooldown = "30d"', "retraining.every", "contradiction"),
    (FULL, 'window = "90d"', 'window = "28d"', "retraining.window", "contradiction"),
    (FULL, '[comparison]\nmetric = "auc"', '[comparison]\nmetric = "mae"', "comparison.metric", "contradiction"),
    (FULL, "share = 1.0", "share = 0.25", "release.canary[1].share", "contradiction"),
    (FULL, 'share = 1.0\nhold = "1d"', 'share = 1.0\nhold = "0s"', "release.canary[1].hold", "out_of_range"),
    (FULL, "2013-05-01\nuntil", "2015-05-01\nuntil", "replay.history_until", "contradiction"),
    (FULL, "2014-01-01T", "2014-02-30T", "replay.until", "bad_value"),
    (REGRESSION, "[retraining]", '[training]\ncalibration = "sigmoid"\n[retraining]', "training.calibration", "contradiction"),
    (REGRESSION, "[sources.sales]", "[problem.costs]\nunder = 0\nover = 0\n[sources.sales]", "problem.costs.under", "contradiction"),
    (SMALL, 'target = "y"', 'target = "y"\npredict_before = "2h"', "problem.predict_before", "contradiction"),
    (SMALL, 'key = ["id"]', 'key = ["id"]\nperiod = "day"', "datasets.rows.period", "contradiction"),
    (SMALL, 'key = ["id"]', 'key = ["id"]\nknown_at = "t"', "datasets.rows.known_at", "contradiction"),
]  # fmt: skip
# What is added at the end of the small file.
ADDED = [
    ('[training.split]\nmethod = "time"', "training.split.method", "contradiction"),
    ('[training]\nresample = "week"', "training.resample", "contradiction"),
    ('[training]\nfeatures = "/f.py:x"', "training.features", "bad_value"),
    ("[training.split]\ntest_share = 0.8", "training.split.validation_share", "contradiction"),
    ('[replay]\nhistory_until = "2013-01-01"\n[problem.kpi]\nname = "k"', "replay", "contradiction"),
    ('[monitoring]\nwindow = "0d"', "monitoring.window", "out_of_range"),
    ('[comparison]\nholdout = "0d"', "comparison.holdout", "out_of_range"),
    ("[settings]\nthraeds = 2", "settings.thraeds", "unknown_name"),
    ('[settings]\nthreads = "many"', "settings.threads", "bad_value"),
    ("[pipelines.empty]", "pipelines.empty", "missing_key"),
    (EXPECT + 'check = "in_range"\ncolumn = "a"', "datasets.rows.expect[0]", "missing_key"),
    (EXPECT + 'check = "in_range"\nmin = 1', "datasets.rows.expect[0]", "missing_key"),
    (EXPECT + 'check = "in_set"\ncolumn = "a"', "datasets.rows.expect[0]", "missing_key"),
    (EXPECT + 'check = "not_null"', "datasets.rows.expect[0]", "missing_key"),
    (EXPECT + 'check = "sql"', "datasets.rows.expect[0]", "missing_key"),
    (EXPECT + 'check = "sql"\nsql = "a; drop b"', "datasets.rows.expect[0].sql", "bad_value"),
    (EXPECT + 'check = "row_count"\nmin = "many"', "datasets.rows.expect[0].min", "wrong_type"),
    (EXPECT + 'check = "row_count"\nmin = 1\nseverity = "quarantine"', "datasets.rows.expect[0].severity", "contradiction"),
    (EXPECT + 'check = "unique"\ncolumn = "a"\ncolumns = ["b"]', "datasets.rows.expect[0].column", "contradiction"),
    (EXPECT + 'check = "unique"\ncolumn = "a"\nvalues = [1]', "datasets.rows.expect[0].values", "contradiction"),
]  # fmt: skip


def problems_of(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ProjectInvalid) as caught:
        parse_project(text)
    assert all(problem.message.endswith((".", "?", ")")) for problem in caught.value.problems)
    return [(p.key, p.code.removeprefix("project.")) for p in caught.value.problems]


@pytest.mark.parametrize(("text", "old", "new", "key", "code"), REPLACED)
def test_a_broken_rule_is_told_at_its_key(
    text: str, old: str, new: str, key: str, code: str
) -> None:
    """One change that breaks one rule gives that one problem, at that key."""
    assert old in text
    assert problems_of(text.replace(old, new)) == [(key, code)]


@pytest.mark.parametrize(("ending", "key", "code"), ADDED)
def test_a_broken_rule_of_an_added_section_is_told(ending: str, key: str, code: str) -> None:
    """The same for sections that the small file does not have."""
    assert (key, code) in problems_of(f"{SMALL}{ending}\n")


@pytest.mark.parametrize("text", [FULL, REGRESSION, SMALL])
def test_a_sound_file_breaks_no_rule(text: str) -> None:
    """The files that these tests break hold together before."""
    spec, _ = parse_project(text)
    assert [flaw for rule in RULES for flaw in rule(spec)] == []


def test_a_contradiction_names_both_keys_and_where_they_stand() -> None:
    """Key and line of the other side are in the message; a default is called one."""
    text = FULL.replace('predict_before = "2h"', 'label_delay = "2h"')
    with pytest.raises(ProjectInvalid, match=r"problem\.label_delay, line 12"):
        parse_project(text)
    text = SMALL + "[training.split]\ntest_share = 0.9\n"
    with pytest.raises(ProjectInvalid) as caught:
        parse_project(text)
    assert "(and training.split.test_share, line 16)" in caught.value.message
    text = REGRESSION.replace("[retraining]", '[retraining]\nwindow = "10d"')
    with pytest.raises(ProjectInvalid, match=r"comparison\.holdout, by default"):
        parse_project(text)


SOUND_SCHEDULES = ["* * * * *", "0 4 * * 7", "*/15 8-18/2 1,15 jan-mar MON-FRI", "5/10 0 29 2 *"]
BAD_SCHEDULES = [
    "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
    "*/0 * * * *", "5-1 * * * *", "a * * * *", "* * * * mon-", "1,,2 * * * *", "@daily",
    "* * 31 2,4 *", "-1 * * * *", "* * * foo *", "٣ * * * *",
]  # fmt: skip


def flaws_of(schedule: str) -> list[Flaw]:
    return list(check_schedule(("pipelines", "p", "schedule"), schedule))


@pytest.mark.parametrize("schedule", SOUND_SCHEDULES)
def test_cron_expressions_are_understood(schedule: str) -> None:
    """Lists, ranges, steps, names of months and days, 7 for Sunday, the 29th of February."""
    assert flaws_of(schedule) == []


@pytest.mark.parametrize("schedule", BAD_SCHEDULES)
def test_what_never_comes_round_is_no_schedule(schedule: str) -> None:
    """Each wrong field is refused, and so is a day that no month has."""
    assert [flaw.code for flaw in flaws_of(schedule)] == ["project.bad_schedule"]


@given(st.text(st.sampled_from("0123456789*/,- aefj"), max_size=20))
def test_any_text_is_judged_as_a_schedule(schedule: str) -> None:
    """No text raises anything."""
    assert len(flaws_of(schedule)) <= 1


def test_a_circle_of_steps_is_named_whole() -> None:
    """The message shows the way round."""
    steps = "".join(
        f'[pipelines.p.steps.{a}]\nrun = "fit"\nneeds = ["{b}"]\n'
        for a, b in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    with pytest.raises(ProjectInvalid, match=r"needs .* needs .* needs"):
        parse_project(SMALL + steps)
