# ruff: noqa: PLR2004 - the numbers of a test case are its own names
"""What every implementation of the objects port must keep."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

from mainspring.core.digest import Digest
from mainspring.ports.objects import Objects
from mainspring.testing.promises import ensure, refused

ABSENT = Digest("sha256:" + "0" * 64)
BAD_DIGESTS = (
    "",
    "sha256:",
    "0" * 64,
    "md5:" + "0" * 64,
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 64 + "\n",
    "sha256:" + "A" * 64,
    "sha256:../../../etc/passwd",
    "sha256:" + "../" * 21 + "0",
)


class ObjectsSuite:
    """Inherit, and give ``objects``: an empty store for each test (a pytest fixture's value)."""

    def test_the_address_is_the_digest_of_the_bytes(self, objects: Objects) -> None:
        """The same bytes have the same address everywhere: their SHA-256."""
        data = os.urandom(10_000)
        digest = objects.put(data)
        ensure(digest == "sha256:" + hashlib.sha256(data).hexdigest())
        ensure(objects.get(digest) == data)
        ensure(objects.size_bytes(digest) == len(data))

    def test_the_empty_object_is_an_object(self, objects: Objects) -> None:
        """No bytes are bytes too."""
        ensure(objects.get(objects.put(b"")) == b"")
        ensure(objects.put([]) == objects.put(b""))

    def test_chunks_make_the_same_object_as_the_whole(self, objects: Objects) -> None:
        """How the bytes arrive does not matter."""
        data = os.urandom(300_000)
        streamed = objects.put(data[at : at + 65_536] for at in range(0, len(data), 65_536))
        ensure(streamed == objects.put(data))
        ensure(list(objects.list()) == [streamed])

    def test_a_stream_seeks(self, objects: Objects) -> None:
        """An object opens as a file that can be read in any order."""
        digest = objects.put(bytes(range(256)) * 100)
        with objects.open(digest) as stream:
            stream.seek(1_000)
            ensure(stream.read(3) == bytes([232, 233, 234]))
            stream.seek(0)
            ensure(stream.read() == bytes(range(256)) * 100)
            stream.seek(-1, os.SEEK_END)
            ensure(stream.read() == b"\xff")

    def test_what_is_absent_is_said_to_be(self, objects: Objects) -> None:
        """Reading what was never stored is ``objects.not_found``; asking and deleting is False."""
        ensure(not objects.exists(ABSENT))
        ensure(not objects.delete(ABSENT))
        for act in (objects.get, objects.open, objects.size_bytes, objects.verify):
            ensure(refused(act, ABSENT) == "objects.not_found")

    def test_a_bad_address_is_refused(self, objects: Objects) -> None:
        """Only an address in its one spelling reaches the store."""
        acts = (objects.get, objects.open, objects.exists, objects.size_bytes, objects.delete)
        for text in BAD_DIGESTS:
            for act in (*acts, objects.verify):
                ensure(refused(act, Digest(text)) == "objects.bad_digest")

    def test_deleting_frees_one_object(self, objects: Objects) -> None:
        """What is deleted is gone, the others stay, and it can be stored again."""
        gone, kept = objects.put(b"gone"), objects.put(b"kept")
        ensure(objects.delete(gone))
        ensure(set(objects.list()) == {kept})
        ensure(objects.put(b"gone") == gone)
        ensure(objects.get(gone) == b"gone")

    def test_what_was_put_or_claimed_lately_is_not_freed(self, objects: Objects) -> None:
        """Putting the same bytes again, and claiming them, begin their age anew."""
        digest = objects.put(b"young")
        ensure(0.0 <= objects.age_seconds(digest) < 60.0)
        ensure(objects.claim(digest))
        ensure(not objects.claim(ABSENT))
        ensure(not objects.delete(digest, idle_seconds=60.0))
        ensure(objects.get(digest) == b"young")
        ensure(objects.delete(digest))
        ensure(refused(objects.age_seconds, digest) == "objects.not_found")

    def test_putting_wins_over_freeing(self, objects: Objects) -> None:
        """While one frees what is idle, whoever puts the same bytes finds them there afterwards."""
        with ThreadPoolExecutor(4) as pool:
            for round_ in range(30):
                digest = objects.put(str(round_).encode())
                puts = [pool.submit(objects.put, str(round_).encode()) for _ in range(3)]
                while not all(future.done() for future in puts):
                    objects.delete(digest, idle_seconds=3600.0)
                ensure(objects.get(digest) == str(round_).encode())

    def test_a_source_that_fails_leaves_nothing(self, objects: Objects) -> None:
        """When the bytes stop coming, no part of them is an object."""

        def source() -> object:
            yield b"half"
            raise ConnectionResetError

        try:
            objects.put(source())  # type: ignore[arg-type]
        except ConnectionResetError:
            ensure(list(objects.list()) == [])
        else:
            raise AssertionError("a broken source was stored")

    def test_many_put_the_same_at_once(self, objects: Objects) -> None:
        """Storing the same bytes from many threads is one whole object."""
        data = os.urandom(200_000)
        with ThreadPoolExecutor(8) as pool:
            digests = set(pool.map(objects.put, [data] * 32))
        ensure(len(digests) == 1)
        ensure(list(objects.list()) == list(digests))
        ensure(objects.verify(digests.pop()))

    def test_a_name_never_half_exists(self, objects: Objects) -> None:
        """Whoever sees an address in the list can read the object whole."""

        def write(seed: int) -> None:
            objects.put(seed.to_bytes(4, "big") * 50_000)

        with ThreadPoolExecutor(4) as pool:
            writing = [pool.submit(write, seed) for seed in range(40)]
            while not all(future.done() for future in writing):
                for digest in objects.list():
                    ensure(len(objects.get(digest)) == 200_000)
        ensure(len(list(objects.list())) == 40)
