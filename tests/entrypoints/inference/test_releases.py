"""Deploying, splitting, copying and rolling back under a running gateway; and its death."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest
from disk_syncs import Syncs

from mainspring.core.errors import Broken, Conflict, Invalid, MainspringError, NotFound
from mainspring.core.ids import new_id
from mainspring.serving import GatewayClient, GatewayControl, Route, Variant
from mainspring.serving.segments import read_segment, seal_abandoned, sealed_segments
from mainspring.serving.traffic import Groups


def rows(count: int) -> dict[str, np.ndarray]:
    carrier = np.empty(count, object)
    carrier[:] = "AA"
    return {"miles": np.full(count, 2.0), "wind": np.zeros(count), "carrier": carrier}


def champion(model, version="1"):
    return Variant(name="champion", model=model, version=version)


def records(folder):
    return [
        (name, batch.layout.role, batch.layout.version)
        for path in sealed_segments(folder / "records")
        for batch in read_segment(path)
        for name in batch.rows.ids
    ]


def test_a_canary_splits_rows_and_says_who_answered(own_gateway):
    """Rows of one request go to their entity's variant, come back in order, and say by whom."""
    old, new = own_gateway.constant(0.25), own_gateway.constant(0.75)
    canary = Variant(name="next", model=new, version="2", role="canary", share=0.3)
    own_gateway.deploy("late", champion(old), canary)
    entities = [f"plane-{n % 50}" for n in range(500)]
    answer = own_gateway.client.predict("late", rows(500), entity=entities)
    by_canary = answer["variant"] == "next"
    assert 0.1 < by_canary.mean() < 0.5
    assert answer["score"][by_canary].tolist() == [0.75] * by_canary.sum()
    assert answer["score"][~by_canary].tolist() == [0.25] * (~by_canary).sum()
    assert (answer["decision"] == by_canary).all()
    assert (answer["version"] == np.where(by_canary, "2", "1")).all()
    again = own_gateway.client.predict("late", rows(500), entity=entities)
    assert (again["variant"] == answer["variant"]).all()


def test_mlflows_wire_says_row_by_row_who_answered(own_gateway):
    """Where several answered one request, one version for all would be wrong."""
    old, new = own_gateway.constant(0.25), own_gateway.constant(0.75)
    group = Variant(name="west", model=new, version="2", role="group")
    groups = Groups(column="carrier", variants={"UA": "west"})
    own_gateway.control.deploy("late", Route(variants=(champion(old), group), groups=groups))
    asked = {"instances": [[1.0, 0.0, "AA"], [1.0, 0.0, "UA"], [1.0, 0.0, None]]}
    said = own_gateway.http.post("/invocations", json=asked).json()
    assert said["predictions"] == [0.25, 0.75, 0.25]
    assert said["model_versions"] == ["1", "2", "1"]
    assert said["variants"] == ["champion", "west", "champion"]


def test_every_copy_is_on_record_and_none_is_in_the_answer(own_gateway):
    """References and shadows see every row; the caller sees the champion."""
    one, two, three = (own_gateway.constant(value) for value in (0.1, 0.2, 0.3))
    own_gateway.deploy(
        "late",
        champion(one),
        Variant(name="frozen", model=two, version="0", role="reference"),
        Variant(name="next", model=three, version="2", role="shadow"),
    )
    ids = [f"p{n}" for n in range(20)]
    answer = own_gateway.client.predict("late", rows(20), ids=ids, durable=True)
    assert answer["score"].tolist() == [0.1] * 20
    assert set(answer["role"]) == {"champion"}
    deadline = time.monotonic() + 10
    while 'predicted_rows_total{endpoint="late",variant="next"' not in (
        own_gateway.http.get("/metrics").text
    ):
        assert time.monotonic() < deadline
    own_gateway.control.seal_records()
    expected = [
        (i, r, v) for r, v in (("champion", "1"), ("reference", "0"), ("shadow", "2")) for i in ids
    ]
    assert sorted(records(own_gateway.folder)) == sorted(expected)


def test_a_variant_can_be_asked_for_by_name(own_gateway):
    """The header picks the variant for the whole request."""
    one, two = own_gateway.constant(0.1), own_gateway.constant(0.2)
    off = Variant(name="next", model=two, version="2", role="canary", share=0.0)
    own_gateway.deploy("late", champion(one), off)
    assert own_gateway.client.predict("late", rows(2))["score"].tolist() == [0.1, 0.1]
    asked = own_gateway.client.predict("late", rows(2), variant="next")
    assert asked["score"].tolist() == [0.2, 0.2]
    assert set(asked["variant"]) == {"next"}
    with pytest.raises(NotFound):
        own_gateway.client.predict("late", rows(2), variant="nobody")


def test_a_package_that_is_not_whole_changes_nothing(own_gateway):
    """A failed deployment leaves the old version serving, now and after a restart."""
    good = own_gateway.constant(0.1)
    own_gateway.deploy("late", champion(good))
    before = own_gateway.control.routes()
    for model, error in (
        ("sha256:" + "0" * 64, NotFound),
        (own_gateway.objects.put(b"not a manifest"), Broken),
    ):
        with pytest.raises(error):
            own_gateway.deploy("late", champion(model, "2"))
    with pytest.raises(Invalid):
        own_gateway.deploy("late", Variant(name="x", model=good, version="1", role="shadow"))
    assert own_gateway.control.routes() == before
    assert own_gateway.client.predict("late", rows(1))["score"].tolist() == [0.1]


def test_a_stale_revision_is_a_conflict(own_gateway):
    """Two who deploy at once do not undo each other unseen; the same route twice is no change."""
    route = Route(variants=(champion(own_gateway.constant(0.1)),))
    first = own_gateway.control.deploy("late", route, revision=0)
    assert own_gateway.control.deploy("late", route).revision == first.revision == 1
    with pytest.raises(Conflict):
        own_gateway.control.deploy("late", route, revision=0)


def test_a_restart_serves_the_same(own_gateway):
    """Routes and records survive both SIGTERM and SIGKILL."""
    own_gateway.deploy("late", champion(own_gateway.constant(0.1), "7"))
    for number in (signal.SIGTERM, signal.SIGKILL):
        table = own_gateway.control.routes()
        own_gateway.client.predict("late", rows(1), ids=[f"before-{number}"], durable=True)
        own_gateway.stop(number)
        own_gateway.start()
        assert own_gateway.control.routes() == table
        assert own_gateway.client.predict("late", rows(1))["version"].tolist() == ["7"]
        assert f"before-{number}" in [name for name, _, _ in records(own_gateway.folder)]


def test_removed_endpoints_are_gone(own_gateway):
    """An endpoint that was removed answers 404, and the others go on."""
    model = own_gateway.constant(0.1)
    own_gateway.deploy("late", champion(model))
    own_gateway.deploy("eta", champion(model))
    own_gateway.control.remove("late")
    with pytest.raises(NotFound):
        own_gateway.client.predict("late", rows(1))
    assert own_gateway.client.predict("eta", rows(1))["score"].tolist() == [0.1]
    with pytest.raises(NotFound):
        own_gateway.control.remove("late")


class Load(threading.Thread):
    """Asks until told to stop; every answer must be one model's whole answer."""

    def __init__(self, url: str, allowed: set[float], *, durable: bool = False) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._allowed = allowed
        self._durable = durable
        self.stopping = threading.Event()
        self.answered: list[str] = []
        self.wrong: list[object] = []

    def run(self) -> None:
        client = GatewayClient(self._url)
        while not self.stopping.is_set():
            ids = [new_id()]
            try:
                answer = client.predict("late", rows(1), ids=ids, durable=self._durable)
            except MainspringError as error:
                self.wrong.append(error)
                return
            if answer["score"][0] not in self._allowed:
                self.wrong.append(answer["score"][0])
            if float(answer["version"][0]) != answer["score"][0]:
                self.wrong.append((answer["version"][0], answer["score"][0]))
            self.answered += ids
        client.close()


def test_a_hundred_swaps_under_load(own_gateway):
    """While versions are swapped a hundred times, no request fails and no answer is mixed."""
    values = [n / 128 for n in range(1, 101)]
    models = [own_gateway.constant(value) for value in values]
    own_gateway.deploy("late", champion(models[0], str(values[0])))
    loads = [Load(own_gateway.url, set(values)) for _ in range(2)]
    for load in loads:
        load.start()
    seconds = []
    for value, model in zip(values, models, strict=True):
        started = time.perf_counter()
        own_gateway.deploy("late", champion(model, str(value)))
        seconds.append(time.perf_counter() - started)
    for load in loads:
        load.stopping.set()
        load.join(20)
    assert [load.wrong for load in loads] == [[], []]
    assert sum(len(load.answered) for load in loads) > 100


def test_a_killed_gateway_keeps_what_it_said_was_durable(own_gateway):
    """A kill -9 under load: every prediction whose durable answer arrived is on record, once."""
    own_gateway.deploy("late", champion(own_gateway.constant(0.5), "0.5"))
    load = Load(own_gateway.url, {0.5}, durable=True)
    load.start()
    deadline = time.monotonic() + 20
    while len(load.answered) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    own_gateway.process.send_signal(signal.SIGKILL)
    load.join(20)
    assert len(load.wrong) == 1
    seal_abandoned(own_gateway.folder / "records")
    kept = [name for name, _, _ in records(own_gateway.folder)]
    assert set(load.answered) <= set(kept)
    assert len(kept) == len(set(kept))


def test_a_killed_gateway_loses_at_most_the_stated_window(own_gateway, tmp_path):
    """Without waiting for the disk, only the last moments before a kill -9 may be missing.

    They are what gathers for a flush, the flush under way (as long as a sync takes on this disk
    now), and a second for a machine that is busy.
    """
    own_gateway.deploy("late", champion(own_gateway.constant(0.5), "0.5"))
    syncs = Syncs(tmp_path)
    syncs.start()
    answered: list[tuple[float, str]] = []
    started = now = time.monotonic()

    def window_seconds(now: float) -> float:
        return 0.05 + 1.0 + 2 * syncs.longest_seconds(now)

    while now - started < window_seconds(now) + 0.3:
        name = new_id()
        own_gateway.client.predict("late", rows(1), ids=[name])
        now = time.monotonic()
        answered.append((now, name))
    window = window_seconds(now)
    killed = time.monotonic()
    own_gateway.stop(signal.SIGKILL)
    syncs.stop()
    seal_abandoned(own_gateway.folder / "records")
    kept = [name for name, _, _ in records(own_gateway.folder)]
    due = [name for moment, name in answered if moment < killed - window]
    assert due
    assert set(due) <= set(kept)
    assert len(kept) == len(set(kept))


def test_a_client_survives_a_restart(own_gateway):
    """A request with ids is asked again on a new connection; the caller notices nothing."""
    own_gateway.deploy("late", champion(own_gateway.constant(0.1)))
    client = GatewayClient(own_gateway.url)
    client.predict("late", rows(1), ids=["a"])
    assert own_gateway.stop() == 0
    with pytest.raises(ConnectionError):
        client.predict("late", rows(1), ids=["b"])
    with pytest.raises(ConnectionError):
        GatewayControl(own_gateway.folder)
    own_gateway.start()
    client.close()
