"""Arms, groups and going back: the rest of the route table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.errors import Conflict, Invalid, NotFound
from mainspring.serving.live import Question, divide, live_endpoint
from mainspring.serving.model import load_model
from mainspring.serving.traffic import Groups, Route, RouteTable, Variant, assign, check_route

CHAMPION = Variant(name="champion", model="sha256:a", version="1")


def arm(share: float, name: str = "arm-2") -> Variant:
    return Variant(name=name, model="sha256:b", version="2", role="arm", share=share)


def experiment(name: str, share: float = 0.5) -> Route:
    return Route(variants=(CHAMPION, arm(share)), experiment=name)


def test_an_experiment_draws_anew_and_stays_as_begun():
    """Two tests split independently; the split of one that is under way cannot be moved."""
    entities = [f"plane-{n}" for n in range(4000)]
    first, second = experiment("spring"), experiment("summer")
    sides = [assign(r.salt("late"), r.answering, entities) for r in (first, second)]
    agree = np.mean(sides[0] == sides[1])
    assert agree == pytest.approx(0.5, abs=4 * 0.008)
    table = RouteTable().with_route("late", first)
    with pytest.raises(Conflict) as raised:
        table.with_route("late", experiment("spring", 0.6))
    assert raised.value.code == "serving.split_is_fixed"
    assert table.with_route("late", experiment("autumn", 0.6)).route("late").experiment == "autumn"


@pytest.mark.parametrize(
    "route",
    [
        Route(variants=(CHAMPION, arm(0.5))),
        Route(variants=(CHAMPION,), experiment="spring"),
        Route(
            variants=(
                CHAMPION,
                arm(0.5),
                Variant(name="c", model="sha256:b", version="3", role="canary", share=0.1),
            ),
            experiment="spring",
        ),
        Route(variants=(CHAMPION, Variant(name="g", model="sha256:b", version="2", role="group"))),
        Route(variants=(CHAMPION,), groups=Groups(column="carrier", variants={"UA": "nobody"})),
        Route(
            variants=(CHAMPION, Variant(name="s", model="sha256:b", version="2", role="shadow")),
            groups=Groups(column="carrier", variants={"UA": "s"}),
        ),
    ],
)
def test_splits_that_make_no_sense_are_refused(route):
    """Arms go with an experiment, a group with a variant that answers, nothing with both draws."""
    with pytest.raises(Invalid) as raised:
        check_route("late", route)
    assert raised.value.code == "serving.bad_route"


def grouped(package, objects, runtimes, share: float = 0.0):
    digests = [package(constant=value) for value in (0.1, 0.2, 0.3)]
    route = Route(
        variants=(
            Variant(name="champion", model=digests[0], version="1"),
            Variant(name="united", model=digests[1], version="2", role="group"),
            Variant(name="next", model=digests[2], version="3", role="canary", share=share),
        ),
        groups=Groups(column="region", variants={"west": "united", "7": "next"}),
    )
    models = {v.name: load_model(v.model, objects.get, runtimes) for v in route.variants}
    return live_endpoint("late", check_route("late", route), models)


def who(endpoint, regions: list[object] | None) -> list[str]:
    count = 3 if regions is None else len(regions)
    columns = {"miles": np.zeros(count), "carrier": np.array(["AA"] * count, object)}
    if regions is not None:
        columns["region"] = np.array(regions, object)
    answered = [""] * count
    keys = [str(n) for n in range(count)]
    for group in divide(endpoint, Question(columns, count), keys):
        for row in range(count) if group.rows is None else group.rows.tolist():
            answered[row] = group.by.variant.name
    return answered


def test_rows_of_a_group_go_to_its_variant(package, objects, runtimes):
    """A declared column routes by value; rows of no group, or without the column, as ever."""
    endpoint = grouped(package, objects, runtimes)
    assert endpoint.inputs["region"] == "category"
    assert "region" not in endpoint.required
    regions = ["west", "east", None, 7.0, "west"]
    assert who(endpoint, regions) == ["united", "champion", "champion", "next", "united"]
    assert who(endpoint, None) == ["champion"] * 3


@given(st.lists(st.sampled_from(["east", "north", None, "WEST", "7.5"]), min_size=1))
def test_a_group_that_nobody_is_in_gets_no_request(regions):
    """Not one row reaches a variant of role group unless its group was named."""
    united = Variant(name="united", model="sha256:b", version="2", role="group")
    places = assign("late", [united, CHAMPION], [str(one) for one in regions])
    assert not np.any(places == 0)


def test_going_back_and_forth():
    """Rolling back gives the route before the last change; twice is forward again."""
    one, two = Route(variants=(CHAMPION,)), experiment("spring")
    table = RouteTable().with_route("late", one).with_route("late", two).with_route("eta", one)
    back = table.rolled_back("late")
    assert (back.route("late"), back.revision) == (one, 4)
    assert back.rolled_back("late").route("late") == two
    with pytest.raises(NotFound) as raised:
        table.rolled_back("eta")
    assert raised.value.code == "serving.nothing_before"
