"""Sources become versions: period by period, checked, exactly once."""

from __future__ import annotations

import gzip
import zipfile

import pytest

from mainspring.core.errors import Invalid, MainspringError, NotFound
from mainspring.data import Cleaning, Dataset, Expectation, Source

MONTHS = """id,at,x
a,2024-01-05T00:00:00Z,1
b,2024-01-20T00:00:00Z,2
c,2024-02-01T00:00:00Z,3
d,2024-03-31T23:59:59Z,4
"""
MONTHLY = {"time": "at", "period": "month"}


def test_each_period_is_one_more_version(desk):
    """Three months give three versions; each holds all months up to it; each told in the record."""
    made = desk.ingest(MONTHS, **MONTHLY)
    assert [(one.name, one.period, one.rows) for one in made] == [
        ("rows@1", "2024-01", 2),
        ("rows@2", "2024-02", 3),
        ("rows@3", "2024-03", 4),
    ]
    assert desk.rows("SELECT count(*) AS n FROM rows", version=2) == [(3,)]
    assert desk.events() == ["data.ingested"] * 3


def test_the_same_source_again_changes_nothing(desk):
    """A second ingestion of the same bytes makes no version, no table version and no event."""
    first = desk.ingest(MONTHS, **MONTHLY)
    table = desk.ports.tables.version(first[-1].table)
    assert desk.ingest(MONTHS, **MONTHLY) == ()
    assert desk.ports.tables.version(first[-1].table) == table
    assert desk.events() == ["data.ingested"] * 3


def test_a_grown_source_adds_only_what_is_new(desk):
    """A file with one month more gives one version more; a corrected row replaces its month."""
    desk.ingest(MONTHS, **MONTHLY)
    grown = desk.ingest(MONTHS + "e,2024-04-02T00:00:00Z,5\n", **MONTHLY)
    assert [one.period for one in grown] == ["2024-04"]
    corrected = desk.ingest(MONTHS.replace(",2\n", ",7\n"), **MONTHLY)
    assert [(one.period, one.rows) for one in corrected] == [("2024-01", 5)]
    assert desk.rows("SELECT sum(x) AS x FROM rows") == [(1 + 7 + 3 + 4 + 5,)]
    assert desk.rows("SELECT sum(x) AS x FROM rows", version=3) == [(10,)]


def test_a_correction_can_be_taken_back(desk):
    """Going back to the earlier bytes makes a version with the earlier digest, not a stale one."""
    first = desk.ingest(MONTHS, **MONTHLY)[-1]
    desk.ingest(MONTHS.replace(",2\n", ",7\n"), **MONTHLY)
    back = desk.ingest(MONTHS, **MONTHLY)[-1]
    assert back.digest == first.digest
    assert desk.rows("SELECT sum(x) AS x FROM rows") == [(10,)]


def test_the_digest_is_of_the_content(desk):
    """The order of rows and of ingestion does not change it; a changed value does."""
    shuffled = "\n".join([MONTHS.splitlines()[0], *reversed(MONTHS.splitlines()[1:])]) + "\n"
    one = desk.ingest(MONTHS, name="one", **MONTHLY)[-1]
    desk.ingest(shuffled, name="two", periods=["2024-02"], **MONTHLY)
    two = desk.ingest(shuffled, name="two", **MONTHLY)[-1]
    other = desk.ingest(MONTHS.replace(",4\n", ",5\n"), name="other", **MONTHLY)[-1]
    assert one.digest == two.digest != other.digest


def test_periods_can_be_asked_for(desk):
    """Only the named month is stored; a month that is not there is refused with what there is."""
    made = desk.ingest(MONTHS, periods=["2024-02"], **MONTHLY)
    assert [(one.period, one.rows) for one in made] == [("2024-02", 1)]
    with pytest.raises(NotFound, match=r"2024-09") as caught:
        desk.ingest(MONTHS, periods=["2024-09"], **MONTHLY)
    assert caught.value.code == "data.no_such_period"
    assert "2024-01 to 2024-03" in caught.value.hint


def test_months_begin_in_the_zone_of_the_dataset(desk):
    """The last second of March in UTC is April in Berlin."""
    made = desk.ingest(MONTHS, timezone="Europe/Berlin", **MONTHLY)
    assert [one.period for one in made] == ["2024-01", "2024-02", "2024-04"]


def test_a_cut_off_ingestion_is_completed_by_the_next(desk):
    """Rows committed without their record (a crash between the two) are found, not doubled."""
    database = desk.datasets.database

    class Dies:
        def write(self, _work):
            raise ConnectionError

        def read(self, work):
            return database.read(work)

    ingest = desk.datasets
    desk.ingest(MONTHS, periods=["2024-01"], **MONTHLY)
    desk.datasets = type(ingest)(Dies(), ingest.tables, ingest.store, ingest.clock)
    with pytest.raises(ConnectionError):
        desk.ingest(MONTHS, **MONTHLY)
    desk.datasets = ingest
    assert [one.rows for one in desk.ingest(MONTHS, **MONTHLY)] == [3, 4]
    assert desk.rows("SELECT count(*) AS n FROM rows") == [(4,)]


def test_cleaning_is_one_pass_in_order(desk):
    """Steps set, drop, filter and deduplicate; a step sees what the one before left."""
    steps = (
        Cleaning(set={"x": "x * 10", "y": "x + 1"}),
        Cleaning(where="x < 100", drop=("note",)),
        Cleaning(deduplicate=("id",)),
    )
    text = "id,x,note\na,1,n\na,2,n\nb,3,n\nc,11,n\n"
    made = desk.ingest(text, clean=steps)[0]
    assert desk.rows("SELECT id, x, y FROM rows ORDER BY id") == [("a", 10, 2), ("b", 30, 4)]
    assert (made.report.source_rows, made.report.removed_rows) == (4, 2)
    assert made.schema.names == ("id", "x", "y")


def test_a_select_may_join_lookups(desk):
    """``select`` reads {source} and the named lookups; naive times are in the source's zone."""
    (desk.folder / "names.csv").write_text("code,label\nA,one\n")
    (desk.folder / "rows.csv").write_text(
        "id,code,noted\n1,A,2024-07-01 12:00:00\n2,B,2024-07-01 13:00:00\n"
    )
    spec = Dataset(
        source="raw",
        lookup={"names": "names"},
        key=("id",),
        time="noted",
        select="SELECT r.id, n.label, r.noted FROM {source} r LEFT JOIN names n ON n.code = r.code",
    )
    sources = {
        "raw": Source(path="rows.csv", timezone="America/New_York"),
        "names": Source(path="names.csv"),
    }
    desk.datasets.ingest("rows", spec, sources=sources, folder=desk.folder)
    found = desk.rows("SELECT id, label, hour(noted) AS h FROM rows ORDER BY id")
    assert found == [(1, "one", 16), (2, None, 17)]


def test_a_change_of_columns_starts_a_new_table(desk):
    """Another recipe with other columns keeps the older versions readable as they were."""
    desk.ingest(MONTHS, **MONTHLY)
    made = desk.ingest(MONTHS, clean=(Cleaning(set={"z": "x + 1"}),), **MONTHLY)
    assert [one.version for one in made] == [4, 5, 6]
    assert desk.rows("SELECT sum(z) AS z FROM rows") == [(14,)]
    assert desk.datasets.show("rows", 3).schema.names == ("id", "at", "x")
    assert desk.rows("SELECT count(*) AS n FROM rows", version=3) == [(4,)]


# -- expectations -----------------------------------------------------------------------------


def results(version):
    return {check.name: check for check in version.report.checks}


def test_rows_that_break_a_promise_are_set_aside_with_the_reason(desk):
    """Quarantine keeps them out of the dataset, and where they can be looked at."""
    expect = (
        Expectation(check="in_range", column="x", min=0, max=10, severity="quarantine"),
        Expectation(check="not_null", column="x", severity="quarantine"),
    )
    made = desk.ingest("id,x\na,1\nb,99\nc,\nd,-1\n", expect=expect)[0]
    assert (made.rows, made.report.rows_quarantined) == (1, 3)
    aside = desk.datasets.quarantined("rows")
    assert dict(zip(aside["id"], aside["_reasons"], strict=True)) == {
        "b": "in_range(x)",
        "c": "not_null(x)",
        "d": "in_range(x)",
    }
    assert results(made)["in_range(x)"].examples == ("-1", "99")


def test_a_broken_fail_check_stops_before_anything_is_written(desk):
    """No version, no rows; the refusal is in the record; the month before it is not stored either."""
    expect = (Expectation(check="in_set", column="x", values=(1, 2, 3), severity="fail"),)
    with pytest.raises(Invalid) as caught:
        desk.ingest(MONTHS, expect=expect, **MONTHLY)
    assert caught.value.code == "data.expectation_failed"
    assert caught.value.facts["examples"] == ["4"]
    assert desk.datasets.versions("rows") == []
    assert desk.events() == ["data.refused"]


@pytest.mark.parametrize(
    ("expectation", "verdict", "failed"),
    [
        (Expectation(check="not_null", column="x", at_most=0.25), "held", 1),
        (Expectation(check="not_null", column="x", at_most=0.24), "warned", 1),
        (Expectation(check="in_range", column="x", max=2), "warned", 1),
        (Expectation(check="matches", column="id", pattern="[a-c]"), "warned", 1),
        (Expectation(check="in_set", column="id", values=("a", "b", "c", "d")), "held", 0),
        (Expectation(check="increasing", column="x"), "warned", 1),
        (Expectation(check="unique", column="g"), "warned", 2),
        (Expectation(check="sql", sql="x < 3"), "warned", 1),
        (Expectation(check="row_count", min=5), "warned", 1),
        (Expectation(check="row_count", max=4, severity="fail"), "held", 0),
    ],
)
def test_every_kind_of_expectation(desk, expectation, verdict, failed):
    """Counts are of rows; nulls break only not_null; at_most is a share that may break it."""
    text = "id,x,g\na,1,p\nb,3,p\nc,2,q\nd,,r\n"
    found = results(desk.ingest(text, expect=(expectation,))[0])
    result = next(
        one
        for name, one in found.items()
        if name.startswith(expectation.check + "(") or name == expectation.check
    )
    if expectation.check in {"not_null", "unique"}:
        result = found[f"{expectation.check}({expectation.column})"]
    assert (result.verdict, result.failed) == (verdict, failed)


def test_check_reports_without_storing(desk):
    """A dry run tells what would happen, period by period."""
    (desk.folder / "rows.csv").write_text(MONTHS)
    spec = Dataset(source="raw", key=("id",), time="at", period="month")
    reports = desk.datasets.check(
        "rows", spec, sources={"raw": Source(path="rows.csv")}, folder=desk.folder
    )
    assert {period: report.rows_in for period, report in reports.items()} == {
        "2024-01": 2,
        "2024-02": 1,
        "2024-03": 1,
    }
    assert desk.datasets.names() == []


# -- bad input: each error says what to do, and nothing is half-written ------------------------


@pytest.mark.parametrize(
    ("text", "keys", "code", "says"),
    [
        ("", {}, "data.source_empty", "holds no rows"),
        ("\n\n", {}, "data.source_empty", "holds no rows"),
        ("id,x\n", {}, "data.source_empty", "holds no rows"),
        ("id,x,id\n1,2,3\n", {}, "data.bad_header", "'id' stands twice"),
        ("idd,x\n1,2\n", {}, "data.unknown_column", "Did you mean 'idd'?"),
        ("id,x\n1,2\n1,3\n", {}, "data.duplicate_keys", "id = 1"),
        ("id,x\n1,2\n2,3,4\n3,4\n", {}, "data.bad_line", "Line 3"),
        ("id,x\n1,2\n2\n3,4\n", {}, "data.bad_line", "Line 3"),
        (b"id,x\n1,a\n2,b\xe4r\n", {}, "data.not_utf8", "line 3, byte 12"),
        ("id,x\n1,2\n".encode("utf-16"), {}, "data.not_utf8", "UTF-16"),
        ("id,at\n1,2024-01-01\n2,yesterday\n", {"time": "at"}, "data.bad_time", "'yesterday'"),
        ("id,at\n1,2024-02-30T00:00:00Z\n", {"time": "at"}, "data.bad_time", "'2024-02-30"),
        ("id,at\n1,5\n", {"time": "at"}, "data.bad_time", "integer"),
        ("id,at\n1,03/04/2024\n2,3/3/2024\n", {"time": "at"}, "data.ambiguous_date", "day first"),
        ("id,x\n1,2\n", {"clean": (Cleaning(set={"y": "xx + 1"}),)}, "data.unknown_column", "'x'"),
        ("id,x\n1,2\n", {"clean": (Cleaning(drop=("z",)),)}, "data.unknown_column", "'z'"),
        ("id,x\n1,2\n", {"clean": (Cleaning(where="x >"),)}, "data.bad_sql", "rows"),
        (
            "id,x\n1,2\n",
            {"expect": (Expectation(check="in_range", column="y", min=1),)},
            "data.unknown_column",
            "'y'",
        ),
        (
            "id,x\n1,2\n",
            {"expect": (Expectation(check="in_range", column="x"),)},
            "data.bad_expectation",
            "no limits",
        ),
    ],
)
def test_bad_input_is_told_in_words_to_act_on(desk, text, keys, code, says):
    """Each names the place and the next step, and leaves no version, no table and no rows."""
    with pytest.raises(MainspringError) as caught:
        desk.ingest(text, **keys)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert caught.value.hint
    assert desk.datasets.versions("rows") == []
    assert not desk.ports.tables.exists("datasets/rows/g1")


def test_a_missing_file_names_the_nearest(desk):
    """The hint is the file that was most likely meant."""
    (desk.folder / "flights.csv").write_text("id\n1\n")
    with pytest.raises(NotFound) as caught:
        desk.ingest(None, source=Source(path="flight.csv"))
    assert caught.value.code == "data.source_missing"
    assert "flights.csv" in caught.value.hint


def test_a_missing_package_says_how_to_install_it(desk):
    """It is found without being imported; when it is not there, pip is the next step."""
    source = Source(path="x.csv", package="no-such-package-here")
    with pytest.raises(NotFound) as caught:
        desk.ingest(None, source=source)
    assert caught.value.code == "data.package_missing"
    assert "pip install" in caught.value.hint


def test_an_unknown_zone_is_named(desk):
    """A misspelt zone is no silent UTC."""
    source = Source(path="rows.csv", timezone="America/New_Yrok")
    with pytest.raises(MainspringError, match="New_Yrok"):
        desk.ingest("id,at\n1,2024-01-01 00:00:00\n", source=source, time="at")


@pytest.mark.parametrize(
    ("text", "how", "months"),
    [
        ("1,03/04/2024\n2,05/06/2024\n", "%d/%m/%Y", [4, 6]),
        ("1,03/04/2024\n2,05/06/2024\n", "%m/%d/%Y", [3, 5]),
        ("1,03/04/2024\n2,13/06/2024\n", None, [4, 6]),
    ],
)
def test_dates_are_read_as_they_are_meant(desk, text, how, months):
    """The format is what the source says, or what the one date says that fits no other."""
    source = Source(path="rows.csv", timestamp_format=how)
    desk.ingest("id,seen\n" + text, source=source, time="seen")
    assert desk.rows("SELECT month(seen) AS m FROM rows ORDER BY id") == [(m,) for m in months]


def test_a_cut_archive_is_refused(desk):
    """Half a zip or gzip file is no empty dataset."""
    (desk.folder / "rows.csv.gz").write_bytes(gzip.compress(b"id,x\n" + b"1,2\n" * 1000)[:-20])
    with pytest.raises(Invalid) as caught:
        desk.ingest(None, source=Source(path="rows.csv.gz"))
    assert caught.value.code == "data.bad_archive"


def test_archives_and_globs_are_read_whole(desk):
    """A zip, a gzip file and a glob of files are the same rows as a plain file."""
    with zipfile.ZipFile(desk.folder / "a.zip", "w") as archive:
        archive.writestr("a.csv", "id,x\n1,2\n")
    (desk.folder / "b.csv.gz").write_bytes(gzip.compress(b"id,x\n1,2\n"))
    for number in (1, 2):
        (desk.folder / f"part-{number}.csv").write_text(f"id,x\n{number},2\n")
    zipped = Source(path="a.zip", format="csv")
    assert desk.ingest(None, name="a", source=zipped)[0].rows == 1
    assert desk.ingest(None, name="b", source=Source(path="b.csv.gz"))[0].rows == 1
    assert desk.ingest(None, name="c", source=Source(path="part-*.csv"))[0].rows == 2
