import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring._adapters.clock import SystemClock
from mainspring._adapters.files.objects import FileObjects
from mainspring._adapters.sql.pipelines import SqlExecutionStore
from mainspring._adapters.sqlite.database import SqliteDatabase
from mainspring.core.errors import Broken, Invalid
from mainspring.pipelines import codec
from mainspring.pipelines.service import Executions
from mainspring.pipelines.steps import code_digest, pipeline, step

CALLS = []


@step
def double(value: int) -> int:
    CALLS.append(value)
    return 2 * value


@step
def breaks(value: int) -> int:
    raise Invalid("data.column_missing", "The column is missing.", hint="Add it.")


@pipeline
def chain(start: int) -> int:
    return double(double(start))


@pytest.fixture
def executions(tmp_path):
    clock = SystemClock()
    database = SqliteDatabase(":memory:", clock)
    database.migrate()
    CALLS.clear()
    yield Executions(database, FileObjects(tmp_path), SqlExecutionStore(), clock)
    database.close()


def test_a_step_is_a_plain_function_outside_an_execution():
    """Decorated functions can be called and tested without the platform."""
    CALLS.clear()
    assert chain(3) == 12
    assert CALLS == [3, 6]


def test_a_finished_step_is_not_run_again(executions):
    """The same code and arguments find the kept result, in another execution too."""
    assert executions.run("chain", chain, parameters={"start": 3})[1] == 12
    ended, result = executions.run("chain", chain, parameters={"start": 3})
    assert (result, ended.state, CALLS) == (12, "done", [3, 6])
    executions.run("chain", chain, parameters={"start": 6})
    assert CALLS == [3, 6, 12]


def test_an_execution_is_taken_up_where_it_stopped(executions):
    """After a failure the same key finds the same execution; done steps keep their results."""
    first = executions.begin("p", key="today")
    first.step("a", "sha256:a", lambda: CALLS.append("a") or 1)
    with pytest.raises(Invalid):
        first.step("b", "sha256:b", lambda: breaks(1))
    first.end("failed", error="b")
    again = executions.begin("p", key="today")
    assert again.execution.id == first.execution.id
    assert again.step("a", "sha256:a", lambda: CALLS.append("a") or 1) == 1
    assert again.step("b", "sha256:b", lambda: 2) == 2
    execution, steps = executions.show(again.execution.id)
    assert CALLS == ["a"]
    assert [(s.name, s.state) for s in steps] == [("a", "done"), ("b", "failed"), ("b", "done")]
    assert execution.state == "running"
    assert again.end("done").state == "done"


def test_changing_a_helper_changes_the_step_and_a_comment_does_not():
    """A key follows what the code does, through the functions it calls."""
    texts = {
        "plain": "def helper(x):\n    return x + 1\ndef work(x):\n    return helper(x)\n",
        "comment": "def helper(x):\n    # why\n    return x + 1\ndef work(x):\n    return helper(x)\n",
        "changed": "def helper(x):\n    return x + 2\ndef work(x):\n    return helper(x)\n",
    }
    digests = {name: code_digest(_module(name, text).work) for name, text in texts.items()}
    assert digests["plain"] == digests["comment"]
    assert digests["plain"] != digests["changed"]


def _module(name, text):
    import linecache
    import types

    module = types.ModuleType(name)
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    code = compile(text, file, "exec")
    types.FunctionType(code, module.__dict__)()
    return module


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN | st.binary())
def test_a_plain_result_comes_back_as_it_was(value):
    """Whatever plain value a step returns is what the next one gets."""
    assert codec.decode(codec.encode(value)) == value


def test_arrays_come_back_with_type_and_nulls():
    """Numbers keep their bits and type, texts their nulls, times their unit."""
    frame = {
        "x": np.array([1.5, np.nan]),
        "n": np.array([1, 2], dtype=np.int64),
        "t": np.array(["2020-01-01", "NaT"], dtype="datetime64[us]"),
        "s": np.array(["a", None], dtype=object),
    }
    back = codec.decode(codec.encode(frame))
    for name, column in frame.items():
        assert back[name].dtype == column.dtype
        np.testing.assert_array_equal(back[name], column)


def test_live_objects_and_torn_bytes_are_refused():
    """A result that is no data is named; bytes cut off are never half a result."""
    with pytest.raises(Invalid) as caught:
        codec.encode(object())
    assert caught.value.code == "pipelines.result_not_plain"
    whole = codec.encode({"x": np.arange(10)})
    with pytest.raises(Broken):
        codec.decode(whole[:-3])
