"""Models that fail, hang or drag: the others never notice."""

from __future__ import annotations

import statistics
import threading
import time

import httpx
import numpy as np
import pytest
from test_shadows import dropped
from tests.timing import shortest

from mainspring.core.errors import MainspringError, TimedOut, Unavailable
from mainspring.serving import GatewayClient, Variant


def rows(count: int, miles: float = 2.0) -> dict[str, np.ndarray]:
    carrier = np.empty(count, object)
    carrier[:] = "AA"
    return {"miles": np.full(count, miles), "wind": np.zeros(count), "carrier": carrier}


def variant(model, name, role="champion", **more):
    return Variant(name=name, model=model, version=name, role=role, **more)


@pytest.mark.parametrize("how", ["nan", "raise", "shape"])
def test_a_failing_canary_is_answered_for_by_the_champion(own_gateway, how):
    """Whoever is drawn to a broken canary gets the champion's answer, and is told so."""
    canary = variant(own_gateway.trouble(how), "next", "canary", share=0.5)
    own_gateway.deploy("late", variant(own_gateway.constant(0.1), "old"), canary)
    for number in range(12):
        keys = [f"{number}-{n}" for n in range(40)]
        answer = own_gateway.client.predict("late", rows(40), entity=keys)
        assert answer["score"].tolist() == [0.1] * 40
        assert set(answer["variant"]) == {"old"}
    assert 'fallbacks_total{endpoint="late",variant="next"' in own_gateway.http.get("/metrics").text


@pytest.mark.parametrize("how", ["nan", "raise", "shape"])
def test_a_failing_champion_fails_its_requests_only(own_gateway, how):
    """Its own requests get a 5xx with a reason; another endpoint answers as always."""
    own_gateway.deploy("bad", variant(own_gateway.trouble(how), "one"))
    own_gateway.deploy("good", variant(own_gateway.constant(0.1), "one"))
    for _ in range(8):
        with pytest.raises(MainspringError) as raised:
            own_gateway.client.predict("bad", rows(3))
        assert raised.value.code in {"serving.bad_output", "serving.prediction_failed"}
        assert own_gateway.client.predict("good", rows(1))["score"].tolist() == [0.1]


@pytest.mark.parametrize("role", ["shadow", "reference"])
def test_a_failing_copy_is_not_noticed(own_gateway, role):
    """The caller's answer never depends on a copy."""
    copy = variant(own_gateway.trouble("raise"), "copy", role)
    own_gateway.deploy("late", variant(own_gateway.constant(0.1), "old"), copy)
    for _ in range(10):
        assert own_gateway.client.predict("late", rows(2), durable=True)["score"][0] == 0.1


def test_a_hanging_champion_is_given_up(own_gateway):
    """Who waits for a model that hangs is told in time, the next at once; others are served."""
    own_gateway.deploy("bad", variant(own_gateway.trouble("sleep", seconds=30.0), "one"))
    own_gateway.deploy("good", variant(own_gateway.constant(0.1), "one"))
    told: list[str] = []

    def wait() -> None:
        client = GatewayClient(own_gateway.url)
        with pytest.raises(TimedOut) as raised:
            client.predict("bad", rows(1))
        told.append(raised.value.code)
        client.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while waiting.is_alive():
        assert own_gateway.client.predict("good", rows(1))["score"][0] == 0.1
    assert told == ["serving.timed_out"]

    def refused() -> None:
        with pytest.raises(Unavailable):
            own_gateway.client.predict("bad", rows(1))

    _, seconds = shortest(refused, 0.4)
    assert seconds < 0.4
    assert own_gateway.stop() == 0  # the hanging thread does not keep the process


def test_a_slow_shadow_does_not_slow_the_primary(own_gateway):
    """Copies that cannot keep up are dropped and counted, while every answer comes at once."""
    shadow = variant(own_gateway.trouble("sleep", seconds=0.3), "next", "shadow")
    own_gateway.deploy("late", variant(own_gateway.constant(0.1), "old"), shadow)
    took, end = [], time.monotonic() + 60
    while dropped(own_gateway) == 0:  # on a busy machine we may be slow enough for the shadow
        assert time.monotonic() < end
        for _ in range(30):
            started = time.monotonic()
            assert own_gateway.client.predict("late", rows(900))["score"][0] == 0.1
            took.append(time.monotonic() - started)
    assert statistics.median(took) < 0.3 / 2


def test_bad_rows_do_not_shut_a_champion(own_gateway):
    """However often somebody sends rows that the model cannot take, the rest is served."""
    own_gateway.deploy("late", variant(own_gateway.trouble("odd"), "one"))
    for _ in range(10):
        with pytest.raises(MainspringError):
            own_gateway.client.predict("late", rows(1, 500.0))
    assert own_gateway.client.predict("late", rows(1, 1.0))["score"][0] == 0.5


def test_a_bad_row_fails_its_own_request_only(own_gateway):
    """Requests that share a batch with a row the model cannot take are answered all the same."""
    own_gateway.deploy("late", variant(own_gateway.trouble("odd"), "one"))
    results: list[object] = []

    def ask(miles: float) -> None:
        client = GatewayClient(own_gateway.url)
        try:
            results.append((miles, float(client.predict("late", rows(1, miles))["score"][0])))
        except MainspringError as error:
            results.append((miles, error.code))
        client.close()

    threads = [threading.Thread(target=ask, args=(500.0 if n == 5 else 1.0,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == sorted(
        map(str, [(1.0, 0.5)] * 15 + [(500.0, "serving.bad_output")])
    )


def test_too_much_is_refused_with_a_hint_when_to_return(own_gateway):
    """A full queue answers 503 with Retry-After at once; afterwards everything is served again."""
    own_gateway.deploy("late", variant(own_gateway.trouble("sleep", seconds=0.2), "one"))
    body = {"instances": [[1.0, 0.0, "AA"]] * 900}
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(f"{own_gateway.url}/invocations", json=body, timeout=30))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert all(answer.headers["retry-after"] for answer in refused)
    assert any(answer.status_code == 200 for answer in answers)
    assert own_gateway.client.predict("late", rows(1))["score"][0] == 0.5
