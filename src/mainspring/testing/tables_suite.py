"""What every implementation of the tables port must keep."""
# ruff: noqa: PLR2004 - the numbers of a test case are its own names

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.ports.tables import File, Frame, Tables, TableVersion
from mainspring.testing.promises import ensure, refused

MOMENTS = ["2020-01-01T00:00:00.000001", "NaT", "1969-12-31T23:59:59.999999"]


def rows_of(*numbers: int) -> dict[str, np.ndarray[Any, Any]]:
    """A frame of one integer column."""
    return {"a": np.array(numbers, dtype=np.int64)}


def column(frame: Frame, name: str = "a") -> list[Any]:
    """One column as a list."""
    return list(frame[name].tolist())


def read(tables: Tables, name: str, version: int | None = None) -> list[Any]:
    """The integers of a table, sorted."""
    query = "SELECT a FROM t ORDER BY a"
    return column(tables.query(query, {"t": TableVersion(name, version)}))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal or both missing (NaN, NaT)."""
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - only NaN does so


class TypesSuite:
    """Values through the store and back. Give ``tables``: an empty store for each test."""

    def test_every_type_comes_back_as_documented(self, tables: Tables) -> None:
        """Integers, numbers, booleans, texts and moments keep value and type; nulls stay nulls."""
        frame = {
            "i": np.array([1, -(2**62), 3]),
            "f": np.array([0.1, np.nan, -np.inf]),
            "b": np.array([True, False, True]),
            "s": np.array(["é", None, ""], dtype=object),
            "t": np.array(MOMENTS, dtype="datetime64[us]"),
        }
        tables.append("t", frame)
        found = tables.query("SELECT * FROM t", {"t": TableVersion("t")})
        types = {name: str(values.dtype) for name, values in found.items()}
        wanted = {"i": "int64", "f": "float64", "b": "bool", "s": "object", "t": "datetime64[us]"}
        ensure(types == wanted, types)
        for name, values in frame.items():
            equal = [same(x, y) for x, y in zip(values, found[name], strict=True)]
            ensure(all(equal), name)
        schema = [(column.name, column.type) for column in tables.schema(TableVersion("t")).columns]
        kinds = ["integer", "number", "boolean", "string", "timestamp"]
        ensure(schema == list(zip("ifbst", kinds, strict=True)), schema)

    def test_an_integer_with_nulls_is_a_float_and_may_go_back(self, tables: Tables) -> None:
        """A column of integers or booleans with nulls travels as floats, both ways."""
        sql = "SELECT * FROM (VALUES (1, true), (NULL, NULL)) AS v(a, b) ORDER BY a NULLS LAST"
        tables.append_query("t", sql, {})
        found = tables.query("SELECT * FROM t", {"t": TableVersion("t")})
        ensure({str(values.dtype) for values in found.values()} == {"float64"})
        tables.append("t", found)
        again = tables.query("SELECT sum(a) AS a, count(*) AS n FROM t", {"t": TableVersion("t")})
        ensure((column(again), column(again, "n")) == ([2], [4]))
        types = [column.type for column in tables.schema(TableVersion("t")).columns]
        ensure(types == ["integer", "boolean"])
        fraction = {"a": np.array([1.5]), "b": np.array([1.0])}
        ensure(refused(tables.append, "t", fraction).startswith("tables."))

    def test_sums_of_integers_are_integers(self, tables: Tables) -> None:
        """Whatever the engine computes in, an integer result arrives as int64 without rounding."""
        big = 2**53 + 1
        found = tables.query("SELECT sum(a) AS a FROM t", {"t": rows_of(big, 0)})
        ensure(found["a"].dtype == np.int64 and column(found) == [big])

    def test_values_are_bound_not_pasted(self, tables: Tables) -> None:
        """A value is a value, whatever it says; moments may be in any time zone."""
        nasty = "'; DROP TABLE t; --"
        found = tables.query("SELECT $v AS v, $v = 'x' AS same", {}, {"v": nasty})
        ensure((column(found, "v"), column(found, "same")) == ([nasty], [False]))
        tables.append("t", {"t": np.array(["2020-01-01T12:00"], dtype="datetime64[us]")})
        east = datetime(2020, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))
        for moment in (east, east.astimezone(UTC), np.datetime64("2020-01-01T12:00")):
            sql = "SELECT count(*) AS n FROM t WHERE t = $t"
            ensure(column(tables.query(sql, {"t": TableVersion("t")}, {"t": moment}), "n") == [1])

    def test_rows_that_do_not_fit_are_refused(self, tables: Tables) -> None:
        """Other columns or other types than the table's change nothing."""
        tables.append("t", rows_of(1))
        text = {"a": np.array(["x"], dtype=object)}
        more = {**rows_of(2), "b": rows_of(2)["a"]}
        uneven = {"a": np.array([1]), "b": np.array([1, 2])}
        for bad in (text, more, {"b": np.array([1])}, uneven, {}, {"a": np.array([[1]])}):
            ensure(refused(tables.append, "t", bad) == "tables.schema_mismatch", bad)
        ensure((tables.version("t"), read(tables, "t")) == (0, [1]))

    def test_columns_are_matched_by_name(self, tables: Tables) -> None:
        """The order in which columns arrive does not matter."""
        tables.append("t", {"a": np.array([1]), "b": np.array([2])})
        tables.append("t", {"b": np.array([4]), "a": np.array([3])})
        ensure(read(tables, "t") == [1, 3])

    def test_order_by_is_kept_and_ties_stay(self, tables: Tables) -> None:
        """The same query over the same version gives the same rows in the same order."""
        tables.append("t", {"a": np.arange(50_000) % 7, "b": np.arange(50_000)})
        sql = "SELECT b FROM t WHERE a = 3"
        first = column(tables.query(sql, {"t": TableVersion("t")}), "b")
        ensure(first == sorted(first))
        for _ in range(3):
            ensure(column(tables.query(sql, {"t": TableVersion("t")}), "b") == first)


class VersionsSuite:
    """Versions, tokens, replacement. Give ``tables``: an empty store for each test."""

    def test_a_table_is_made_by_its_first_append(self, tables: Tables) -> None:
        """Before it there is none, after it there is one at version 0."""
        ensure(not tables.exists("t"))
        acts = (tables.version, tables.history, tables.compact, tables.drop)
        for act in acts:
            ensure(refused(act, "t") == "tables.not_found")
        ensure(refused(tables.query, "SELECT 1", {"t": TableVersion("t")}) == "tables.not_found")
        ensure(tables.append("t", rows_of(1)) == 0)
        ensure(tables.exists("t") and tables.version("t") == 0)

    def test_every_version_stays_readable(self, tables: Tables) -> None:
        """Time travel: what a version held, it holds after appends, deletes and compaction."""
        for number in range(15):
            ensure(tables.append("t", rows_of(number)) == number)
        deleted = tables.delete_where("t", "a >= 5 AND a < 10")
        ensure(read(tables, "t") == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14])
        compacted = tables.compact("t")
        ensure(compacted > deleted > 14)
        ensure(read(tables, "t") == read(tables, "t", deleted))
        for number in range(15):
            ensure(read(tables, "t", number) == list(range(number + 1)))
        ensure(refused(read, tables, "t", 99) == "tables.version_gone")

    def test_history_tells_every_commit(self, tables: Tables) -> None:
        """Oldest first, with rows, token and operation, past the log's checkpoints."""
        for number in range(12):
            tables.append("t", rows_of(number, number), token=f"token {number}")
        commits = tables.history("t")
        ensure([commit.version for commit in commits] == list(range(12)))
        ensure([commit.token for commit in commits] == [f"token {n}" for n in range(12)])
        ensure({commit.rows for commit in commits} == {2})
        times = [commit.time_micros for commit in commits]
        ensure(times == sorted(times) and times[0] > 1_500_000_000_000_000)

    def test_a_token_writes_once(self, tables: Tables) -> None:
        """A token that was seen changes nothing and gives the version of the first write."""
        for number in range(25):
            tables.append("t", rows_of(number), token=f"{number}")
        tables.delete_where("t", "a = 3")
        tables.compact("t")
        for number in range(25):
            ensure(tables.append("t", rows_of(99), token=f"{number}") == number)
        ensure(99 not in read(tables, "t"))

    def test_one_token_from_many_threads_writes_once(self, tables: Tables) -> None:
        """Of writers with the same token one writes, and all learn the same version."""
        with ThreadPoolExecutor(6) as pool:
            act = lambda n: tables.append("t", rows_of(n), token="same")  # noqa: E731, S106
            versions = set(pool.map(act, range(12)))
        ensure(len(versions) == 1 and len(read(tables, "t")) == 1)

    def test_concurrent_appends_all_arrive(self, tables: Tables) -> None:
        """Each append is one version of its own; none is lost."""
        with ThreadPoolExecutor(6) as pool:
            versions = list(pool.map(lambda n: tables.append("t", rows_of(n)), range(24)))
        ensure(sorted(versions) == list(range(24)))
        ensure(read(tables, "t") == list(range(24)))

    def test_replace_where_swaps_rows_at_once(self, tables: Tables) -> None:
        """Matching rows go and new ones come in one version; rows outside are refused."""
        tables.append("t", rows_of(1, 2, 3, 4))
        ensure(tables.append("t", rows_of(4, 4), replace_where="a >= 3") == 1)
        ensure((read(tables, "t"), read(tables, "t", 0)) == ([1, 2, 4, 4], [1, 2, 3, 4]))
        act = lambda: tables.append("t", rows_of(1), replace_where="a >= 3")  # noqa: E731
        ensure(refused(act) == "tables.schema_mismatch")
        ensure(read(tables, "t") == [1, 2, 4, 4])
        ensure(tables.append("t", rows_of(3), replace_where="a >= 3", token="r") == 2)  # noqa: S106
        ensure(tables.append("t", rows_of(9), replace_where="a >= 3", token="r") == 2)  # noqa: S106
        ensure(read(tables, "t") == [1, 2, 3])

    def test_conditions_compare_moments(self, tables: Tables) -> None:
        """A condition may name a moment, with or without the word TIMESTAMP."""
        days = np.arange("2020-01-01", "2020-01-11", dtype="datetime64[D]")
        tables.append("t", {"a": np.arange(10), "t": days.astype("datetime64[us]")})
        tables.delete_where("t", "t < TIMESTAMP '2020-01-03'")
        tables.delete_where("t", "t >= '2020-01-09T00:00:00Z'")
        ensure(read(tables, "t") == [2, 3, 4, 5, 6, 7])

    def test_an_empty_append_is_a_version(self, tables: Tables) -> None:
        """No rows are rows too, also as a table's first."""
        empty = {"a": np.array([], dtype=np.int64), "s": np.array([], dtype=object)}
        ensure(tables.append("t", empty, token="e") == 0)  # noqa: S106
        ensure(read(tables, "t") == [])
        ensure(tables.append("t", empty) == 1)

    def test_vacuum_keeps_what_is_to_be_kept(self, tables: Tables) -> None:
        """The newest and the kept versions stay whole; another says that it is gone."""
        for number in range(6):
            tables.append("t", rows_of(number))
        tables.delete_where("t", "a = 0")
        newest = tables.compact("t")
        ensure(tables.vacuum("t", frozenset({1, 3})) > 0)
        ensure(tables.version("t") == newest)
        ensure(read(tables, "t") == [1, 2, 3, 4, 5])
        ensure(read(tables, "t", 1) == [0, 1] and read(tables, "t", 3) == [0, 1, 2, 3])
        ensure(refused(read, tables, "t", 5) == "tables.version_gone")
        ensure(tables.vacuum("t", frozenset({1, 3})) == 0)
        ensure(tables.vacuum("t", frozenset()) > 0)
        ensure(read(tables, "t") == [1, 2, 3, 4, 5])

    def test_dropping_removes_one_table(self, tables: Tables) -> None:
        """The table is gone, its neighbours in the same folder stay, and it can be made again."""
        for name in ("t", "t/late", "t-late"):
            tables.append(name, rows_of(1))
        tables.drop("t")
        ensure(not tables.exists("t"))
        ensure(read(tables, "t/late") == [1] and read(tables, "t-late") == [1])
        ensure(tables.append("t", rows_of(2)) == 0)

    def test_names_stay_below_the_store(self, tables: Tables) -> None:
        """A name that is no plain word is refused everywhere."""
        for name in ("", "../t", "/t", "t/", "T", "a..b", "a b", "t\n", "a/../b", "x" * 200):
            ensure(refused(tables.append, name, rows_of(1)) == "tables.bad_name", name)
            ensure(refused(tables.exists, name) == "tables.bad_name", name)

    def test_rows_go_from_table_to_table(self, tables: Tables) -> None:
        """A query over versions of tables and frames is appended without passing through Python."""
        tables.append("left", rows_of(1, 2, 3))
        tables.append("left", rows_of(4))
        sql = "SELECT l.a * 10 AS a FROM l JOIN r ON l.a = r.a"
        tables.append_query("t", sql, {"l": TableVersion("left", 0), "r": rows_of(2, 3, 4)})
        ensure(read(tables, "t") == [20, 30])
        tables.append("copy", TableVersion("left"))
        ensure(read(tables, "copy") == [1, 2, 3, 4])


class SecuritySuite:
    """What a query may see. Give ``tables`` (empty) and ``tmp_path`` (a folder outside)."""

    def test_a_query_sees_nothing_else(self, tables: Tables, tmp_path: Path) -> None:
        """No file, network, other table, setting, catalog or second statement."""
        secret = tmp_path / "secret.csv"
        secret.write_text("a\n42\n")
        tables.append("t", rows_of(1))
        tables.append("other", rows_of(2))
        outside_rows = rows_of(7)
        ensure(column(outside_rows) == [7])
        for sql in (
            f"SELECT * FROM '{secret}'",
            f"SELECT * FROM read_csv('{secret}')",
            f"SELECT * FROM read_text('{secret}')",
            f"SELECT a FROM t WHERE a IN (SELECT a FROM read_csv('{secret}'))",
            f"WITH q AS (SELECT * FROM read_text('{secret}')) SELECT * FROM q",
            f"SELECT * FROM glob('{tmp_path}/*')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/db'",
            f"EXPORT DATABASE '{tmp_path}/db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SELECT * FROM 'https://example.com/x.csv'",
            "SET enable_external_access = true",
            "SET memory_limit = '1TB'",
            "PRAGMA database_list",
            "CALL enable_logging()",
            "SELECT * FROM duckdb_settings()",
            "SELECT * FROM duckdb_views()",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM sqlite_master",
            "SELECT * FROM pg_catalog.pg_views",
            "SHOW TABLES",
            "SELECT * FROM other",
            "SELECT * FROM outside_rows",
            "SELECT * FROM query('SELECT 1')",
            "SELECT * FROM query_table('other')",
            "CREATE TABLE x (a INT)",
            "DROP VIEW t",
            "SELECT 1; SELECT 2",
            "",
            "SELECT",
        ):
            code = refused(tables.query, sql, {"t": TableVersion("t")})
            ensure(code == "tables.bad_query", f"{sql}: {code}")
            code = refused(tables.append_query, "u", sql, {"t": TableVersion("t")})
            ensure(code == "tables.bad_query", f"{sql}: {code}")
        ensure(sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["secret.csv"])
        ensure(read(tables, "t") == [1])

    def test_a_file_relation_opens_that_file_only(self, tables: Tables, tmp_path: Path) -> None:
        """Being given one file does not open its neighbours."""
        for name in ("given", "secret"):
            (tmp_path / f"{name}.csv").write_text("a\n1\n")
        file = File(str(tmp_path / "given.csv"))
        sql = f"SELECT a FROM f UNION ALL SELECT a FROM read_csv('{tmp_path / 'secret.csv'}')"
        ensure(refused(tables.query, sql, {"f": file}) == "tables.bad_query")
        ensure(column(tables.query("SELECT a FROM f", {"f": file})) == [1])

    def test_what_analysts_write_is_allowed(self, tables: Tables) -> None:
        """Common tables, windows, as-of joins, generators, pivots and sub-queries run."""
        given = {"t": rows_of(1, 2, 3)}
        for sql, wanted in (
            ("WITH q AS (SELECT a + 1 AS a FROM t) SELECT max(a) AS a FROM q", [4]),
            ("SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a DESC) = 1", [3]),
            ("SELECT x.a FROM t x ASOF JOIN t y ON x.a > y.a ORDER BY 1", [2, 3]),
            ("SELECT sum(range) AS a FROM range(5)", [10]),
            ("SELECT unnest([3, 4]) AS a", [3, 4]),
            ("FROM t SELECT a WHERE a IN (SELECT max(a) FROM t)", [3]),
            ("SELECT * FROM (VALUES (5), (6)) AS v(a)", [5, 6]),
            (
                "WITH RECURSIVE r(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM r WHERE a < 3) FROM r",
                [1, 2, 3],
            ),
            ("SELECT a FROM T WHERE a = 1", [1]),
        ):
            found = tables.query(sql, given)
            ensure(column(found) == wanted, (sql, found))

    def test_mistakes_come_with_the_engines_words(self, tables: Tables) -> None:
        """A wrong name, type, parameter or value at run time says so, as ``tables.bad_query``."""
        for sql in (
            "SELECT nope FROM t",
            "SELECT a FROM tt",
            "SELECT error('boo') FROM t",
            "SELECT 'x'::INT AS a FROM t",
            "SELECT $missing AS a",
            "SELECT a, a FROM t",
            "SELEC a FROM t",
        ):
            code = refused(tables.query, sql, {"t": rows_of(1)})
            ensure(code == "tables.bad_query", f"{sql}: {code}")


class TablesSuite(TypesSuite, VersionsSuite, SecuritySuite):
    """The whole port. Give ``tables`` (an empty store) and ``tmp_path`` (a folder outside it)."""
