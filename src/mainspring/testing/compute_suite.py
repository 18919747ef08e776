"""What every adapter of the compute port keeps."""
# ruff: noqa: PLR2004 - the numbers of a test case are its own names

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mainspring.core.errors import MainspringError
from mainspring.ports.compute import Compute
from mainspring.testing.promises import ensure, refused

WORK = "mainspring.testing.compute_work"


class ComputeSuite:
    """Inherit, and give ``compute`` with two workers; whoever made it closes it."""

    def test_every_piece_comes_back_once(self, compute: Compute) -> None:
        """Many more pieces than workers, whatever their size."""
        pieces = [b"x" * (n * 997) for n in range(60)]
        found = list(compute.run(f"{WORK}:mirrored", pieces))
        ensure(sorted(found) == sorted(bytes(reversed(one)) + b"!" for one in pieces))
        ensure(list(compute.run(f"{WORK}:mirrored", [])) == [])

    def test_pieces_are_taken_as_workers_become_free(self, compute: Compute) -> None:
        """A thousand are not read ahead of their turn."""
        taken = 0

        def pieces() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(1000):
                taken += 1
                yield b"1"

        run = compute.run(f"{WORK}:mirrored", pieces())
        next(run)
        ensure(taken <= 8 * compute.workers)
        del run

    def test_work_is_done_elsewhere_by_as_many_as_said(self, compute: Compute) -> None:
        """Two workers are two processes, neither of them this one, that work at the same time."""
        folder = os.urandom(8).hex()
        found = {int(one) for one in compute.run(f"{WORK}:met", [folder.encode()] * 2)}
        ensure(len(found) == compute.workers == 2)
        ensure(os.getpid() not in found)

    def test_errors_come_back_as_they_were(self, compute: Compute) -> None:
        """With kind, code, hint and facts."""
        try:
            list(compute.run(f"{WORK}:missing", [b"it"]))
        except MainspringError as error:
            ensure((error.kind, error.code) == ("not_found", "compute.test"))
            ensure((error.hint, error.facts) == ("Look again.", {"what": "it"}))
        else:
            raise AssertionError

    def test_a_bug_is_told(self, compute: Compute) -> None:
        """Its kind and words, whatever it is."""
        ensure(refused(self.all, compute, "bug") == "compute.failed")

    def all(self, compute: Compute, work: str) -> list[bytes]:
        """What one piece of a work comes to."""
        return list(compute.run(f"{WORK}:{work}", [b"1"]))

    def test_a_piece_whose_process_dies_is_tried_again(
        self, compute: Compute, tmp_path: Path
    ) -> None:
        """Once: what kills every process ends the run, and says so."""
        mark = tmp_path / "mark"
        ensure(list(compute.run(f"{WORK}:dies_once", [bytes(mark)])) == [b"alive"])
        ensure(refused(self.all, compute, "dies") == "compute.worker_lost")
