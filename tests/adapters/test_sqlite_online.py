"""Online features in SQLite keep the promises of their port."""

from __future__ import annotations

import pytest

from mainspring._adapters.sqlite.online import SqliteOnline
from mainspring.testing.online_suite import OnlineSuite


class TestSqliteOnline(OnlineSuite):
    """The suite on a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def open_online(self):
        return SqliteOnline(str(self.folder / "online.db"))


def test_a_publication_that_was_cut_off_is_never_seen(tmp_path):
    """What a writer left half done is neither found nor kept for ever."""
    file = str(tmp_path / "online.db")
    online = SqliteOnline(file)
    online.publish("r", "v", [("a", b"1")], as_of_micros=1)

    def half():
        yield from ((str(number), b"x") for number in range(6000))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        online.publish("r", "v", half(), as_of_micros=2)
    other = SqliteOnline(file)
    assert other.find("r", "v", ["a", "1"]).values == (b"1", None)
    other.publish("r", "v", [("a", b"3")], as_of_micros=3)
    rows = other._connection.execute("SELECT count(*) FROM entities").fetchone()
    assert rows == (1,)
    online.close()
    other.close()
