"""A runtime's models in processes of their own answer, and explain, as in this one."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from mainspring._bootstrap.apart import places
from mainspring.core.errors import Broken
from mainspring.core.schema import InputColumn, Signature
from mainspring.core.settings import resolve

SIGNATURE = Signature(
    (InputColumn("miles", "number"), InputColumn("carrier", "category", ("AA", "UA"))),
    "probability",
)
FILES = {
    "linear.json": msgspec.json.encode(
        {
            "version": 1,
            "link": "logit",
            "intercept": 0.25,
            "numbers": {"miles": {"weight": 0.125, "missing_weight": 0.5}},
            "categories": {"carrier": {"weights": [0.0, 0.0625], "unknown": 0.03125}},
        }
    )
}
ROWS = np.array([[1.5, 0.0], [np.nan, 1.0], [-3.0, -1.0]])


@pytest.mark.parametrize("place", ["apart", "behind"])
def test_the_same_answers_and_explanations(place):
    """To the bit, on every row; an explanation has one number per input and one beside."""
    known = places(resolve({}))
    here = known.runtimes("here")["linear"].load(FILES, SIGNATURE)
    there = known.runtimes(place)["linear"].load(FILES, SIGNATURE)
    assert there.predict(ROWS).tobytes() == here.predict(ROWS).tobytes()
    told = there.explain(ROWS)
    assert told.shape == (3, 3)
    assert told.tobytes() == here.explain(ROWS).tobytes()


def test_what_cannot_explain_says_so():
    """A model without explanations has none from its process either."""
    there = places(resolve({})).runtimes("apart")["constant"]
    signature = Signature((InputColumn("miles", "number"),), "value")
    model = there.load({"constant.json": b'{"value": 2.5}'}, signature)
    assert model.predict(np.zeros((2, 1))).tolist() == [2.5, 2.5]
    assert model.explain is None


def test_a_question_that_fails_leaves_the_pipe_in_order():
    """After rows of a wrong width the next question is answered as ever."""
    there = places(resolve({})).runtimes("apart")["linear"].load(FILES, SIGNATURE)
    with pytest.raises(Broken):
        there.predict(np.zeros((2, 1)))
    assert there.predict(ROWS).shape == (3,)


@pytest.mark.parametrize(
    ("everyone", "expected"),
    [
        ("false", ["here", "apart", "here", "here", "behind", "apart"]),
        ("true", ["apart", "apart", "apart", "apart", "behind", "apart"]),
    ],
)
def test_who_is_where(everyone, expected):
    """The setting moves who has proved itself; what has not is never in the gateway's process."""
    known = places(resolve({"MAINSPRING_ISOLATE": everyone}))
    roles = ("champion", "canary", "arm", "group", "shadow", "reference")
    assert [known.place(role) for role in roles] == expected
