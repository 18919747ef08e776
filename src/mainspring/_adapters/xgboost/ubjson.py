"""Universal Binary JSON, as XGBoost writes it, read into plain values.

Source: Universal Binary JSON specification, draft 12 (ubjson.org): value types, and containers
optimised by type (``$``) and count (``#``).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_NUMBERS: Final[dict[bytes | None, np.dtype[Any]]] = {
    b"i": np.dtype(">i1"),
    b"U": np.dtype(">u1"),
    b"I": np.dtype(">i2"),
    b"l": np.dtype(">i4"),
    b"L": np.dtype(">i8"),
    b"d": np.dtype(">f4"),
    b"D": np.dtype(">f8"),
}
_WORDS: Final = {b"T": True, b"F": False, b"Z": None}
_DEEPEST: Final = 64


def decode(data: bytes) -> Any:
    """The value that the bytes hold.

    Errors: ``ValueError`` when they hold none, end early or go on after it.
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(data):
        raise ValueError("bytes follow the document")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0 or count > len(self.data) - self.at:
            raise ValueError("it ends before it should")
        self.at += count
        return self.data[self.at - count : self.at]

    def value(self, kind: bytes, depth: int) -> Any:
        """The value of this kind that comes next."""
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        if kind in _NUMBERS:
            return np.frombuffer(self.take(_NUMBERS[kind].itemsize), _NUMBERS[kind])[0].item()
        if kind in _WORDS:
            return _WORDS[kind]
        if kind == b"C":
            return self.take(1).decode("ascii")
        if kind == b"S":
            return self.text()
        if kind == b"[":
            return self.array(depth)
        if kind == b"{":
            return self.object(depth)
        raise ValueError(f"it holds the unknown type {kind!r}")

    def count(self) -> int:
        """A length: any whole number type."""
        found = self.value(self.take(1), 0)
        if not isinstance(found, int) or isinstance(found, bool):
            raise TypeError("a length is no whole number")
        return found

    def text(self) -> str:
        """A length and as many bytes of UTF-8."""
        return self.take(self.count()).decode("utf-8")

    def head(self) -> tuple[bytes | None, int | None]:
        """The type and the count that a container says beforehand, if it does."""
        kind = None
        if self.data[self.at : self.at + 1] == b"$":
            self.take(1)
            kind = self.take(1)
        if self.data[self.at : self.at + 1] == b"#":
            self.take(1)
            return kind, self.count()
        if kind is not None:
            raise ValueError("a typed container says no count")
        return None, None

    def array(self, depth: int) -> list[Any]:
        """The items of an array."""
        kind, count = self.head()
        if kind in _NUMBERS and count is not None:
            number = _NUMBERS[kind]
            return list(np.frombuffer(self.take(number.itemsize * count), number).tolist())
        items: list[Any] = []
        while count is None or len(items) < count:
            mark = kind or self.take(1)
            if count is None and mark == b"]":
                break
            items.append(self.value(mark, depth + 1))
        return items

    def object(self, depth: int) -> dict[str, Any]:
        """The entries of an object."""
        kind, count = self.head()
        entries: dict[str, Any] = {}
        while count is None or len(entries) < count:
            if count is None and self.data[self.at : self.at + 1] == b"}":
                self.take(1)
                break
            key = self.text()
            entries[key] = self.value(kind or self.take(1), depth + 1)
        return entries
