"""What every online store keeps its word on."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from mainspring.ports.online import Online
from mainspring.testing.promises import ensure


class OnlineSuite(ABC):
    """Inherit it with an ``open_online`` that gives an empty store."""

    @abstractmethod
    def open_online(self) -> Online:
        """A fresh store."""

    def test_what_was_published_is_found(self) -> None:
        """Values come in the order asked for; None for an entity that has none."""
        online = self.open_online()
        ensure(online.find("r", "v", ["a"]) is None, "a view that was never published is None")
        ensure(online.publish("r", "v", [("a", b"1"), ("b", b"2")], as_of_micros=5), "published")
        found = online.find("r", "v", ["b", "x", "a", "b"])
        ensure(found is not None and found.values == (b"2", None, b"1", b"2"), "in order")
        ensure(found is not None and found.as_of_micros == 5, "with its moment")  # noqa: PLR2004
        ensure(online.find("other", "v", ["a"]) is None, "recipes are apart")
        online.close()

    def test_a_publication_replaces_the_one_before(self) -> None:
        """As a whole: an entity that is no longer there is gone; an older one changes nothing."""
        online = self.open_online()
        online.publish("r", "v", [("a", b"1"), ("b", b"2")], as_of_micros=5)
        online.publish("r", "v", [("b", b"3")], as_of_micros=6)
        ensure(not online.publish("r", "v", [("b", b"old")], as_of_micros=4), "older is refused")
        found = online.find("r", "v", ["a", "b"])
        ensure(found is not None and found.values == (None, b"3"), "the newest, whole")
        views = [(one.view, one.as_of_micros, one.entities) for one in online.views("r")]
        ensure(views == [("v", 6, 1)], "one publication is told of")
        online.close()

    def test_the_plan_is_kept(self) -> None:
        """The last one described is read back; None before."""
        online = self.open_online()
        ensure(online.plan("r") is None, "nothing was described")
        online.describe("r", b"one")
        online.describe("r", b"two")
        ensure(online.plan("r") == b"two", "the last one counts")
        online.close()

    def test_a_reader_never_sees_half_a_publication(self) -> None:
        """While views are replaced, every answer is of one publication."""
        online = self.open_online()
        keys = [str(number) for number in range(40)]
        online.publish("r", "v", [(key, b"0") for key in keys], as_of_micros=0)
        mixed: list[object] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                found = online.find("r", "v", keys)
                if found is None or len({*found.values, str(found.as_of_micros).encode()}) != 1:
                    mixed.append(found)

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(1, 30):
            said = str(number).encode()
            online.publish("r", "v", [(key, said) for key in keys], as_of_micros=number)
        done.set()
        reader.join()
        ensure(not mixed, "every answer is whole")
        online.close()
