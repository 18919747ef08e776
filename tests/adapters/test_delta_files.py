"""Files from outside become rows, or an error that a newcomer can act on."""

from __future__ import annotations

import gzip
import json
import zipfile

import numpy as np
import pytest

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.core.errors import MainspringError
from mainspring.ports.tables import File, TableVersion

ALL = "SELECT * FROM f"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    store = DeltaTables(tmp_path_factory.mktemp("store") / "tables", durable=False)
    yield store
    store.close()


def _file(path, data, **options):
    if isinstance(data, str):
        data = data.encode()
    path.write_bytes(data)
    return File(str(path), options=options)


def _error(tables, file):
    with pytest.raises(MainspringError) as caught:
        tables.query(ALL, {"f": file})
    return caught.value


def test_csv_types_come_from_all_rows(tables, tmp_path):
    """A column that is a number for a hundred thousand rows and a text once is a text."""
    lines = "\n".join(str(number) for number in range(100_000))
    file = _file(tmp_path / "a.csv", f"a\n{lines}\nx\n")
    found = tables.query("SELECT count(*) AS n, max(a) AS a FROM f", {"f": file})
    assert (found["n"].tolist(), found["a"].tolist()) == ([100_001], ["x"])


def test_csv_of_windows_lines_loses_no_row(tables, tmp_path):
    """Lines that end in CR LF, as spreadsheets write them, are read like any others."""
    lines = ["a,b", *(f'{n},"x\r\ny"' if n % 100 == 7 else f"{n},word" for n in range(5000))]
    file = _file(tmp_path / "windows.csv", "\r\n".join(lines) + "\r\n")
    found = tables.query("SELECT count(*) AS n, sum(a) AS s FROM f", {"f": file})
    assert found["n"][0] == 5000
    assert found["s"][0] == sum(range(5000))


def test_csv_options(tables, tmp_path):
    """Delimiter, null texts, time zone and given types mean what they say."""
    text = "when;n;code\n2013-07-01 12:00:00;NA;007\n2013-01-01 12:00:00;2;\n"
    file = _file(
        tmp_path / "a.csv",
        text,
        delimiter=";",
        null_values=["", "NA"],
        timezone="America/New_York",
        types={"code": "string"},
    )
    found = tables.query(ALL, {"f": file})
    wanted = np.array(["2013-07-01T16:00", "2013-01-01T17:00"], dtype="datetime64[us]")
    assert (found["when"] == wanted).all()
    assert np.isnan(found["n"][0])
    assert found["n"][1] == 2
    assert found["code"].tolist() == ["007", None]


def test_csv_moments_with_an_offset_need_no_zone(tables, tmp_path):
    """A moment that carries its offset is that instant, whatever the time zone option."""
    text = "t\n2013-07-01T12:00:00+02:00\n2013-07-01T12:00:00Z\n"
    file = _file(tmp_path / "a.csv", text, timezone="America/New_York")
    wanted = np.array(["2013-07-01T10:00", "2013-07-01T12:00"], dtype="datetime64[us]")
    assert (tables.query(ALL, {"f": file})["t"] == wanted).all()


def test_csv_date_formats_are_read_off_all_rows(tables, tmp_path):
    """Day and month are told apart by the one row that can, wherever it stands."""
    lines = "02/01/2013\n" * 30_000
    file = _file(tmp_path / "a.csv", f"d\n{lines}25/01/2013\n")
    found = tables.query("SELECT max(d) AS late, min(d) AS early FROM f", {"f": file})
    assert found["late"][0] == np.datetime64("2013-01-25")
    assert found["early"][0] == np.datetime64("2013-01-02")


def test_csv_files_of_several_types_widen(tables, tmp_path):
    """Two files whose columns differ in type are read in the wider one; other names are refused."""
    (tmp_path / "p1.csv").write_text("a,b\n1,1\n")
    (tmp_path / "p2.csv").write_text("b,a\n2,0.5\n")
    file = File(str(tmp_path / "p*.csv"))
    found = tables.query("SELECT a, b FROM f ORDER BY b", {"f": file})
    assert (found["a"].tolist(), found["b"].tolist()) == ([1.0, 0.5], [1, 2])
    (tmp_path / "p3.csv").write_text("a,c\n2,0.5\n")
    assert "b, c" in _error(tables, file).hint


def test_csv_inside_gzip_and_zip(tables, tmp_path):
    """A packed file reads as what it holds."""
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n2\n"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil.csv", "a\n3\n")
    for name, wanted in (("a.csv.gz", [1, 2]), ("a.zip", [3])):
        found = tables.query(ALL, {"f": File(str(tmp_path / name))})
        assert found["a"].tolist() == wanted
    assert not (tmp_path.parent.parent / "evil.csv").exists()
    assert not list(tables._engine._spill.glob("*/*"))


def test_a_zip_of_several_asks_which(tables, tmp_path):
    """Which file of a zip is meant must be said, and is then read."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.csv", "a\n1\n")
        archive.writestr("two.csv", "a\n2\n")
    error = _error(tables, File(str(path)))
    assert error.code == "tables.bad_file"
    assert "one.csv, two.csv" in error.hint
    found = tables.query(ALL, {"f": File(str(path), options={"member": "two.csv"})})
    assert found["a"].tolist() == [2]


def test_a_zip_bomb_is_refused(tables, tmp_path):
    """A zip that unpacks to hundreds of times its size is not unpacked."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 300_000_000)
    error = _error(tables, File(str(path)))
    assert error.code == "tables.bad_file"
    assert "300,000,000" in error.message


def test_json_parquet_and_globs(tables, tmp_path):
    """JSON Lines, Parquet and several files at once are relations too."""
    rows = [{"a": 1, "s": "x"}, {"a": 2, "s": None}]
    (tmp_path / "a.json").write_text("\n".join(json.dumps(row) for row in rows))
    found = tables.query(ALL, {"f": File(str(tmp_path / "a.json"), "json")})
    assert (found["a"].tolist(), found["s"].tolist()) == ([1, 2], ["x", None])
    for name in ("part-1", "part-2"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    assert len(tables.query(ALL, {"f": File(str(tmp_path / "part-*.csv"))})["a"]) == 2
    tables.append("parquet", {"a": np.array([5])})
    stored = next((tables._root / "parquet.delta").glob("*.parquet"))
    assert tables.query(ALL, {"f": File(str(stored), "parquet")})["a"].tolist() == [5]


@pytest.mark.parametrize(
    ("data", "said", "line"),
    [
        (b"", "is empty", None),
        (b"a,b\n1,2\n3\n", "as many values", 3),
        (b"a,b\n1,2\n3,4,5\n", "as many values", 3),
        (b"a,b\n1,2\n3,caf\xe9\n", "not UTF-8", 3),
        (b"a,b\n1,2\n" * 1 + b"3,x\n", None, None),
    ],
    ids=["empty", "short", "long", "latin1", "sound"],
)
def test_what_is_wrong_with_a_csv_is_said(tables, tmp_path, data, said, line):
    """Empty, ragged and wrongly encoded files name the trouble, the line and the next step."""
    file = _file(tmp_path / "a.csv", data)
    if said is None:
        assert len(tables.query(ALL, {"f": file})["a"]) == 2
        return
    for act in (lambda: tables.query(ALL, {"f": file}), lambda: tables.append("bad", file)):
        with pytest.raises(MainspringError) as caught:
            act()
        error = caught.value
        assert error.code == "tables.bad_file"
        assert said in error.message
        assert error.hint
        assert error.facts["path"] == file.path
        assert error.facts.get("line") == line
    assert not tables.exists("bad")


def test_a_value_that_is_not_of_the_given_type_is_said(tables, tmp_path):
    """A text in a column that was declared a number names line and options."""
    file = _file(tmp_path / "a.csv", "a\n1\nNA\n", types={"a": "integer"})
    error = _error(tables, file)
    assert (error.code, error.facts["line"]) == ("tables.bad_file", 3)
    assert "null_values" in error.hint


def test_a_missing_file_and_a_wrong_option_are_said(tables, tmp_path):
    """A path that is not there and a misspelt option have their own errors."""
    assert _error(tables, File(str(tmp_path / "none.csv"))).code == "tables.bad_file"
    file = _file(tmp_path / "a.csv", "a\n1\n", delimeter=";")
    error = _error(tables, file)
    assert error.code == "tables.bad_option"
    assert "delimiter" in error.hint
    assert _error(tables, File(str(tmp_path / "a.csv"), "xml")).code == "tables.bad_file"


def test_broken_json_and_parquet_are_bad_files(tables, tmp_path):
    """Bytes that are not of the stated format are the file's fault, not the query's."""
    (tmp_path / "a.json").write_text('{"a": 1}\n{"a": ')
    (tmp_path / "a.parquet").write_bytes(b"not parquet at all")
    (tmp_path / "a.csv.gz").write_bytes(b"not gzip at all, but long enough to be one")
    for name, format_ in (("a.json", "json"), ("a.parquet", "parquet"), ("a.csv.gz", "csv")):
        assert _error(tables, File(str(tmp_path / name), format_)).code == "tables.bad_file"


def test_a_mistake_in_the_query_is_not_blamed_on_the_file(tables, tmp_path):
    """A wrong column name over a sound file is ``tables.bad_query``."""
    file = _file(tmp_path / "a.csv", "a\n1\n")
    with pytest.raises(MainspringError) as caught:
        tables.query("SELECT b FROM f", {"f": file})
    assert caught.value.code == "tables.bad_query"


def test_a_large_csv_streams_into_a_table(tables, tmp_path):
    """Rows of a file go into a table in one commit, without the file's columns in Python."""
    lines = "\n".join(f"{n},{n / 7},name-{n % 100}" for n in range(200_000))
    file = _file(tmp_path / "a.csv", f"i,f,s\n{lines}\n")
    version = tables.append("large", file, token="once")
    assert tables.append("large", file, token="once") == version
    sql = "SELECT count(*) AS n, sum(i) AS s FROM t"
    found = tables.query(sql, {"t": TableVersion("large")})
    assert (found["n"].tolist(), found["s"].tolist()) == ([200_000], [200_000 * 199_999 // 2])
