"""Entities in, decisions out: looked up, predicted, decided, explained, and how fresh."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from mainspring._adapters.linear.runtime import ConstantRuntime, LinearRuntime
from mainspring._entrypoints._http.doors import Doors
from mainspring._entrypoints.inference import choosing
from mainspring._entrypoints.inference.answering import Answering
from mainspring._entrypoints.inference.decisions import Decisions
from mainspring._entrypoints.inference.fleet import Fleet
from mainspring._entrypoints.inference.metrics import Metrics
from mainspring.core.actor import Actor
from mainspring.core.digest import canonical_json
from mainspring.core.errors import Conflict, Denied, Invalid, NotFound
from mainspring.core.schema import InputColumn, Signature
from mainspring.features.lookup import LookedUp
from mainspring.registry.manifest import Decision, Manifest
from mainspring.serving import Route, Variant
from mainspring.serving.isolation import Places
from mainspring.serving.policy import POLICY_FILE, Capacity, CostPerRow
from mainspring.serving.recorder import Recorder
from mainspring.serving.segments import read_segment, sealed_segments
from mainspring.testing.objects import MemoryObjects

SIGNATURE = Signature((InputColumn("wind", "number"),), "value")
LINEAR = {
    "version": 1, "link": "identity", "intercept": 0.25, "categories": {},
    "numbers": {"wind": {"weight": 0.5, "missing_weight": 0.25}},
}  # fmt: skip


@dataclass
class Winds:
    """Wind by place; the features of recipe "gusts" differ from those of "winds"."""

    def features(self, recipe, rows):
        known = {"A": 0.5, "B": 1.0}
        add = {"winds": 0.0, "gusts": 1.0}[recipe]
        winds = np.array([known.get(row["place"], np.nan) + add for row in rows])
        return LookedUp({"wind": winds}, {"weather": 12.5})


class Desk:
    """An endpoint in this process, asked as over the wire."""

    def __init__(self, folder):
        self.objects = MemoryObjects()
        runtimes = {"linear": LinearRuntime(), "constant": ConstantRuntime()}
        (folder / "serving").mkdir()
        self.fleet = Fleet(folder / "serving", self.objects, Places(runtimes))
        self.records = folder / "records"
        self.recorder = Recorder(self.records)
        self.answering = Answering(self.fleet, self.recorder, Metrics())
        self.lookup = Winds()

    def package(self, *, policy=None, recipe="winds", runtime="linear", content=None):
        files = {f"{runtime}.json": self.objects.put(msgspec.json.encode(content or LINEAR))}
        if policy is not None:
            files[POLICY_FILE] = self.objects.put(canonical_json(policy))
        manifest = Manifest(
            name="late", task="regression", runtime=runtime, signature=SIGNATURE, files=files,
            decision=Decision(threshold=0.6), feature_digest=recipe,
        )  # fmt: skip
        return self.objects.put(canonical_json(manifest))

    def deploy(self, *models, **more):
        roles = ("champion", "reference", "shadow")
        variants = tuple(
            Variant(name=role, model=model, version=str(n + 1), role=role)
            for n, (role, model) in enumerate(zip(roles, models, strict=False))
        )
        self.fleet.deploy("late", Route(variants=variants, **more))

    def ask(self, rows, **more):
        body = json.dumps({"rows": rows, **more}).encode()
        asked = Decisions(self.lookup, self.answering).answer(self.fleet.endpoint("late"), body)
        return json.loads(asyncio.run(asked).body)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.recorder.close()


def decisions(answer):
    return [row["decision"] for row in answer["predictions"]]


def test_a_key_becomes_a_decision_with_its_reasons(desk):
    """Score, decision, version, what each feature added, and the age of what was looked up."""
    desk.deploy(desk.package())
    answer = desk.ask(
        [{"place": "A"}, {"place": "B"}, {"place": "C"}], explain=True, ids=list("abc")
    )
    assert [row["score"] for row in answer["predictions"]] == [0.5, 0.75, 0.5]
    assert decisions(answer) == [False, True, False]
    first = answer["predictions"][0]
    assert (first["id"], first["version"], first["variant"]) == ("a", "1", "champion")
    assert first["explanation"] == {"base": 0.25, "contributions": {"wind": 0.25}}
    assert answer["freshness_seconds"] == {"weather": 12.5}
    desk.recorder.seal()
    (batch,) = [b for path in sealed_segments(desk.records) for b in read_segment(path)]
    assert batch.inputs()["wind"].tolist()[:2] == [0.5, 1.0]


def test_the_cost_of_each_miss_decides(desk):
    """A column of the request that no model takes turns the same score into two decisions."""
    desk.deploy(desk.package(policy=CostPerRow(column="amount", false_positive=10.0)))
    rows = [{"place": "A", "amount": amount} for amount in (9.0, 11.0)]
    assert decisions(desk.ask(rows)) == [False, True]
    with pytest.raises(Invalid):
        desk.ask([{"place": "A"}])


def test_capacity_is_counted_over_requests(desk):
    """Two of a day, whoever asks; the copies that nobody acts on take none."""
    policy = Capacity(threshold=0.4, most=2, window_micros=10**18)
    model = desk.package(policy=policy)
    desk.deploy(model, model)
    got = [decisions(desk.ask([{"place": "A"}, {"place": "B"}])) for _ in range(2)]
    assert got == [[True, True], [False, False]]


def test_variants_of_other_features_are_refused_where_they_differ(desk):
    """A copy with another meaning of a column never silently gets the champion's value."""
    desk.deploy(desk.package(), desk.package(recipe="gusts"))
    with pytest.raises(Conflict) as raised:
        desk.ask([{"place": "A"}])
    assert raised.value.code == "serving.features_differ"


def test_what_cannot_be_looked_up_or_explained_is_said(desk):
    """No store, no recipe, no native explanation, a wrong number of ids: each has its error."""
    desk.deploy(desk.package(runtime="constant", content={"value": 0.5}))
    with pytest.raises(Conflict, match="cannot explain"):
        desk.ask([{"place": "A"}], explain=True)
    with pytest.raises(Invalid):
        desk.ask([{"place": "A"}], ids=["a", "b"])
    desk.deploy(desk.package(recipe=""))
    with pytest.raises(NotFound) as raised:
        desk.ask([{"place": "A"}])
    assert raised.value.code == "serving.no_features"


class Clerk:
    """May ask, may not choose."""

    def identify(self, secret):
        return Actor("clerk") if secret == "x" * 16 else None

    def allows(self, _actor, permission):
        return permission != choosing.CHOOSE


def test_choosing_a_variant_is_a_right_of_its_own():
    """Without it the header is refused, and everything else is answered."""
    doors = Doors(authenticator=Clerk())
    headers = {"authorization": "Bearer " + "x" * 16}
    choosing.admit(doors, headers)
    with pytest.raises(Denied) as raised:
        choosing.admit(doors, {**headers, "x-mainspring-variant": "next"})
    assert raised.value.code == "http.not_allowed"
    choosing.admit(Doors(), {"x-mainspring-variant": "next"})
