"""What every serving runtime promises, as tests that its own test inherits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mainspring.core.errors import MainspringError
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.plan import Plan
from mainspring.serving.unsafe import refuse_unsafe
from mainspring.testing.promises import ensure, refused

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mainspring.serving.ports import Runtime

_KINDS = (
    "serving.package_unreadable",
    "serving.package_unsafe",
    "serving.untrusted_types",
    "serving.prediction_failed",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A model's files, the rows it is asked, and what its own library answers.

    ``model`` names the file that holds the model. Shapes: ``rows`` (n, inputs) with n at least 40.
    """

    files: Mapping[str, bytes]
    signature: Signature
    rows: NDArray[np.float64]
    answers: NDArray[np.float64]
    model: str
    tolerance: float = 0.0
    plan: Plan | None = None


class RuntimeSuite:
    """A runtime's test inherits this and gives the fixtures ``runtime`` and ``sample``."""

    def test_it_answers_as_the_library_does(self, runtime: Runtime, sample: Sample) -> None:
        """One number per row, float64, within the tolerance that the sample states."""
        answers = _load(runtime, sample).predict(sample.rows)
        ensure(answers.dtype == np.float64)
        ensure(answers.shape == (len(sample.rows),))
        gap = float(np.max(np.abs(answers - sample.answers)))
        ensure(gap <= sample.tolerance, f"{gap} off")

    def test_a_row_is_answered_alike_in_any_company(self, runtime: Runtime, sample: Sample) -> None:
        """Alone, in a small batch, in a large one and in another order: to the bit."""
        loaded = _load(runtime, sample)
        whole = loaded.predict(sample.rows)
        for rows in (1, 2, 3, 17):
            few = loaded.predict(np.ascontiguousarray(sample.rows[:rows]))
            ensure(few.tolist() == whole[:rows].tolist())
        turned = loaded.predict(np.ascontiguousarray(sample.rows[::-1]))
        ensure(turned.tolist() == whole[::-1].tolist())

    def test_rows_are_left_as_they_are(self, runtime: Runtime, sample: Sample) -> None:
        """Other variants get the same matrix: nobody writes into it or keeps a view of it."""
        rows = sample.rows.copy()
        rows.setflags(write=False)
        loaded = _load(runtime, sample)
        first = loaded.predict(rows)
        again = first.copy()
        loaded.predict(np.ascontiguousarray(rows[::-1]))
        ensure(np.array_equal(rows, sample.rows, equal_nan=True))
        ensure(np.array_equal(first, again), "an answer changed after the next question")

    def test_what_is_not_known_is_answered_or_refused(
        self, runtime: Runtime, sample: Sample
    ) -> None:
        """Nulls, unknown categories and extremes give numbers, or an error of ours."""
        loaded = _load(runtime, sample)
        kinds = [column.type for column in sample.signature.inputs]
        for value in (np.nan, 1e300, -1e300, 1e-300):
            row = np.array([[value if kind == "number" else -1.0 for kind in kinds]])
            try:
                answers = loaded.predict(row)
            except MainspringError as error:
                ensure(error.code in _KINDS, error.code)
            else:
                ensure(answers.shape == (1,))

    def test_two_copies_do_not_know_each_other(self, runtime: Runtime, sample: Sample) -> None:
        """While one is swapped for another, both answer; one that goes takes nothing along."""
        first, second = _load(runtime, sample), _load(runtime, sample)
        before = second.predict(sample.rows)
        del first
        ensure(second.predict(sample.rows).tolist() == before.tolist())

    def test_a_spoilt_file_is_refused(self, runtime: Runtime, sample: Sample) -> None:
        """Missing, empty, shortened or something else: an error with a code, no crash.

        A file that lost only what no answer needs may be read; it then answers as before.
        """
        whole = sample.files[sample.model]
        others = {path: data for path, data in sample.files.items() if path != sample.model}
        ensure(refused(runtime.load, others, sample.signature, sample.plan) in _KINDS)
        cuts = [whole[: len(whole) * part // 16] for part in range(16)]
        for data in (*cuts, whole[:-1], b"PK\x03\x04" + whole[:100], b"{}", b"\x00" * 64):
            spoilt = {**others, sample.model: data}
            code = _code(runtime, sample, spoilt)
            same = code is None and _same(runtime, sample, spoilt)
            ensure(code in _KINDS or same, f"{len(data)} of {len(whole)} bytes: {code}")

    def test_it_must_fit_the_signature(self, runtime: Runtime, sample: Sample) -> None:
        """A model is not served with inputs that are not its own."""
        more = (*sample.signature.inputs, InputColumn("one_more", "number"))
        signature = Signature(more, sample.signature.output)
        code = _code(runtime, sample, sample.files, signature)
        ensure(code in _KINDS, str(code))

    def test_a_pickle_is_never_opened(
        self, runtime: Runtime, sample: Sample, tmp_path: Path
    ) -> None:
        """Bytes that would write a file if they were unpickled write none, whatever they are called."""
        mark = tmp_path / "opened"
        for planted in (_pickle(str(mark)), _pickle(str(mark)) + sample.files[sample.model]):
            spoilt = {**sample.files, sample.model: planted}
            ensure(refused(refuse_unsafe, spoilt) == "serving.package_unsafe")
            ensure(_code(runtime, sample, spoilt) in {None, *_KINDS})
        ensure(not mark.exists(), "the pickle ran")


def _load(runtime: Runtime, sample: Sample) -> Any:
    return runtime.load(sample.files, sample.signature, sample.plan)


def _code(
    runtime: Runtime,
    sample: Sample,
    files: Mapping[str, bytes],
    signature: Signature | None = None,
) -> str | None:
    """With which code loading, or else the first question, is refused."""
    kinds = signature or sample.signature
    try:
        loaded = runtime.load(files, kinds, sample.plan)
        loaded.predict(np.zeros((2, len(kinds.inputs))))
    except MainspringError as error:
        return error.code
    return None


def _same(runtime: Runtime, sample: Sample, files: Mapping[str, bytes]) -> bool:
    answers = runtime.load(files, sample.signature, sample.plan).predict(sample.rows)
    return bool(np.max(np.abs(answers - sample.answers)) <= sample.tolerance)


def _pickle(path: str) -> bytes:
    """A pickle (protocol 2) that writes a file when it is opened, spelled by hand."""
    call = b"cbuiltins\nopen\n(X" + len(path).to_bytes(4, "little") + path.encode()
    return b"\x80\x02" + call + b"X\x01\x00\x00\x00wtR."
