from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mainspring._adapters.sql.garbage import SqlGarbage
from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.governance.garbage import Garbage
from mainspring.testing.clock import FakeClock
from mainspring.tracking import Tracking

NOW = timedelta(0)


def sent(tracking: Tracking, *parts: bytes, path: str = "0/r/big.bin") -> tuple[str, list]:
    upload = tracking.uploads.begin(path, len(parts))
    found = [tracking.uploads.put(upload.id, n, [data]) for n, data in enumerate(parts, start=1)]
    return upload.id, [(part.number, part.digest) for part in found]


def content(tracking: Tracking, path: str = "0/r/big.bin") -> bytes:
    with tracking.artifacts.open(path)[1] as stream:
        return stream.read()


def test_parts_become_one_file(tracking: Tracking) -> None:
    """Parts in any order of arrival, some twice, make the file; the same call again changes nothing."""
    upload = tracking.uploads.begin("0/r/big.bin", 3)
    named = {}
    for number, data in ((3, b"c"), (1, b"wrong"), (2, b"bb"), (1, b"aaa")):
        named[number] = tracking.uploads.put(upload.id, number, iter([data])).digest
    pairs = sorted(named.items())
    made = tracking.uploads.complete(upload.id, "0/r/big.bin", pairs)
    assert (made.name, made.size_bytes, content(tracking)) == ("big.bin", 6, b"aaabbc")
    again = tracking.uploads.complete(upload.id, "0/r/big.bin", pairs)
    assert again.digest == made.digest
    with pytest.raises(Conflict):
        tracking.uploads.complete(upload.id, "0/r/big.bin", pairs[:2])
    with pytest.raises(NotFound):
        tracking.uploads.put(upload.id, 1, [b"late"])


def test_wrong_parts_are_refused(tracking: Tracking) -> None:
    """Missing, repeated, swapped, foreign or altered parts complete nothing."""
    upload, named = sent(tracking, b"a", b"b")
    one, two = named
    for wrong in (
        [],
        [one],
        [one, one],
        [two, one],
        [one, two, (3, two[1])],
        [one, (2, one[1])],
        [one, (2, "")],
        [(0, one[1]), one],
    ):
        with pytest.raises(Invalid):
            tracking.uploads.complete(upload, "0/r/big.bin", wrong)
    for number in (0, 3, -1):
        with pytest.raises(Invalid):
            tracking.uploads.put(upload, number, [b"x"])
    with pytest.raises(NotFound):
        tracking.uploads.complete(upload, "0/r/other.bin", named)
    with pytest.raises(NotFound):
        tracking.uploads.complete("none", "0/r/big.bin", named)
    assert tracking.artifacts.entries("0/r") == []
    late = tracking.uploads.begin("0/r/x", 2)
    with pytest.raises(Invalid):
        tracking.uploads.complete(late.id, "0/r/x", named)


def test_a_torn_part_is_not_a_part(tracking: Tracking) -> None:
    """A sender that goes away in the middle of a part leaves the part as it was."""
    upload = tracking.uploads.begin("0/r/big.bin", 1)

    def torn() -> Iterator[bytes]:
        yield b"half"
        raise Invalid("http.torn_body", "The body ended before it was whole.")

    with pytest.raises(Invalid, match="whole"):
        tracking.uploads.put(upload.id, 1, torn())
    assert (
        tracking.uploads.database.read(lambda db: tracking.uploads.store.parts(db, upload.id)) == []
    )


def test_a_damaged_part_completes_nothing(tracking: Tracking) -> None:
    """What is stored of a part is checked against its digest when the file is put together."""
    upload, named = sent(tracking, b"a", b"b")
    tracking.uploads.objects.delete(named[1][1])
    with pytest.raises(NotFound):
        tracking.uploads.complete(upload, "0/r/big.bin", named)
    assert tracking.artifacts.entries("0/r") == []


def test_bad_uploads_are_refused(tracking: Tracking) -> None:
    """Paths that climb and odd numbers of parts begin nothing."""
    for path, parts in (("../x", 1), ("a//b", 1), ("a", 0), ("a", 10_001)):
        with pytest.raises(Invalid):
            tracking.uploads.begin(path, parts)


def test_parts_are_garbage_once_nobody_needs_them(tracking: Tracking, clock: FakeClock) -> None:
    """Parts of a completed, aborted or abandoned upload are freed; those under way are kept."""
    garbage = Garbage(
        tracking.artifacts.database, tracking.artifacts.objects, SqlGarbage(), clock, list
    )
    done, named = sent(tracking, b"part one", b"part two")
    tracking.uploads.complete(done, "0/r/big.bin", named)
    aborted, _ = sent(tracking, b"aborted")
    tracking.uploads.abort(aborted, "0/r/big.bin")
    with pytest.raises(NotFound):
        tracking.uploads.abort(aborted, "0/r/big.bin")
    waiting, later = sent(tracking, b"waiting", path="0/r/late.bin")
    assert garbage.look(grace=NOW).objects == 3
    assert garbage.collect(grace=NOW).objects == 3
    clock.advance(timedelta(hours=23).total_seconds())
    assert garbage.collect(grace=NOW).objects == 0
    clock.advance(timedelta(hours=2).total_seconds())
    assert garbage.look(grace=NOW).objects == 1
    assert garbage.collect(grace=NOW).objects == 1
    with pytest.raises(NotFound):
        tracking.uploads.complete(waiting, "0/r/late.bin", later)
    assert content(tracking) == b"part onepart two"
