"""Two servers on one PostgreSQL: what one acknowledged the other knows, and of two one is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import pytest
from tests.postgres_server import running

import mainspring as ms
from mainspring.core.errors import Conflict, MainspringError
from mainspring.core.ids import RunId
from mainspring.registry import Because, Clause, Details, Query
from mainspring.tracking import Batch
from serving import served

pytestmark = pytest.mark.services
WRITERS = 8
STEPS = 400
ROUNDS = 15


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two real ``mainspring server`` processes, each with a folder of its own."""
    folder = tmp_path_factory.mktemp("two")
    with running(fsync=False) as postgres, ExitStack() as stack:
        settings = {
            "MAINSPRING_DATABASE": postgres.fresh(),
            "MAINSPRING_OBJECTS": str(folder / "objects"),
        }
        found = [stack.enter_context(served(folder / name, **settings)) for name in ("a", "b")]
        yield found[0].url, found[1].url


@pytest.fixture
def both(urls: tuple[str, str]) -> Iterator[tuple[ms.Workspace, ms.Workspace]]:
    with ms.open(urls[0]) as one, ms.open(urls[1]) as other:
        yield one, other


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """What ``work`` gives for each number, begun at one moment; an error is a result."""
    gate = threading.Barrier(count)

    def begun(number: int) -> object:
        gate.wait(30)
        try:
            return work(number)
        except MainspringError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begun, range(count)))


def test_writers_on_both_and_every_point_on_both(
    both: tuple[ms.Workspace, ms.Workspace],
) -> None:
    """Eight runs at once over both, new names among them: each server has all of all."""

    def train(number: int) -> str:
        ws = both[number % 2]
        with ws.runs.start(f"r{number}", experiment="shared", params={"n": number}) as run:
            for step in range(STEPS):
                run.log({"loss": float(step), f"own_{number}": 1.0}, step=step)
            run.artifact("a.txt", f"{number}")
        return run.id

    ids = together(WRITERS, train)
    for ws in both:
        found = ws.runs.search("metrics.loss >= 0", experiment="shared", order_by=["params.n"])
        assert found["params.n"] == [str(number) for number in range(WRITERS)]
        assert found["status"] == ["FINISHED"] * WRITERS
        for number, run_id in enumerate(ids):
            points = ws.tracking.runs.history(str(run_id), "loss").items
            assert [point.value for point in points] == [float(step) for step in range(STEPS)]
            own = ws.runs.search(ms.metric(f"own_{number}") == 1, experiment="shared")
            assert own["run_id"] == [run_id]
            root = ws.runs.get(str(run_id)).artifact_uri.partition(":")[2].strip("/")
            with ws.tracking.artifacts.open(f"{root}/a.txt")[1] as stream:
                assert stream.read() == str(number).encode()
    assert len({ws.tracking.experiments.named("shared").id for ws in both}) == 1


def test_a_page_begun_on_one_goes_on_at_the_other(
    both: tuple[ms.Workspace, ms.Workspace],
) -> None:
    """Tokens are the database's, not the server's."""
    for number in range(5):
        both[0].runs.start(f"p{number}", experiment="pages").end()
    ids = [both[0].tracking.experiments.named("pages").id]
    first = both[0].tracking.runs.search(ids, limit=3)
    rest = both[1].tracking.runs.search(ids, limit=3, token=first.next_token)
    assert sorted(run.name for run in (*first.items, *rest.items)) == [f"p{n}" for n in range(5)]


def test_a_parameter_is_written_once_by_whoever_is_first(
    both: tuple[ms.Workspace, ms.Workspace],
) -> None:
    """Of many that log another value to both servers one wins, and both servers name it."""
    for _ in range(ROUNDS):
        run = both[0].tracking.runs.create("0", run_id=None)

        def log(number: int, run_id: RunId = run.id) -> object:
            batch = Batch(params=(("p", str(number)),))
            return both[number % 2].tracking.runs.log(run_id, batch).result()

        results = together(4, log)
        won = [number for number, result in enumerate(results) if result is None]
        assert len(won) == 1
        assert [getattr(e, "code", "") for e in results if e is not None] == [
            "tracking.param_changed"
        ] * 3
        for ws in both:
            assert ws.tracking.runs.get(run.id).params == {"p": str(won[0])}


def test_an_alias_is_moved_by_one_of_many(both: tuple[ms.Workspace, ms.Workspace]) -> None:
    """Compare-and-set over both servers: one winner a round, one unbroken history for both."""
    registry = both[0].registry
    registry.models.register("late")
    for number in range(4):
        version = registry.versions.create_from_source("late", Details(source="s3://b/x"))
        assert version.number == number + 1
    for _ in range(ROUNDS):
        seen = [ws.registry.aliases.get("late", "champion") for ws in both]
        assert seen[0] == seen[1]

        def move(number: int, seen: list[object] = seen) -> object:
            aliases = both[number % 2].registry.aliases
            to = [n for n in (1, 2, 3, 4) if n != seen[0].version][number % 3]
            why = Because(why=str(number))
            return aliases.move("late", "champion", to=to, expected=seen[number % 2], because=why)

        results = together(6, move)
        assert sum(not isinstance(result, Conflict) for result in results) >= 1
        moves = [result for result in results if not isinstance(result, MainspringError)]
        assert len({one.revision for one in moves}) == 1
        assert all(isinstance(r, Conflict) for r in results if r not in moves)
    histories = [ws.registry.aliases.history("late", "champion") for ws in both]
    assert histories[0] == histories[1]
    assert len(histories[0]) == ROUNDS
    path = [(move.before, move.after) for move in reversed(histories[0])]
    assert all(before[1] == after[0] for before, after in pairwise(path))


def test_versions_get_numbers_without_gaps_or_doubles(
    both: tuple[ms.Workspace, ms.Workspace],
) -> None:
    """Registered at once over both, the versions are 1 to n."""
    both[0].registry.models.register("many")

    def add(number: int) -> object:
        details = Details(source=f"s3://b/{number}")
        return both[number % 2].registry.versions.create_from_source("many", details).number

    assert sorted(together(WRITERS, add)) == list(range(1, WRITERS + 1))
    query = Query(clauses=(Clause("name", "=", "many"),))
    for ws in both:
        assert len(ws.registry.versions.search(query).items) == WRITERS


def test_a_run_begun_on_one_goes_on_at_the_other(
    both: tuple[ms.Workspace, ms.Workspace],
) -> None:
    """A run begun on one is read, resumed and ended on the other."""
    run = both[0].runs.start("moves", experiment="shared")
    run.log({"m": 1.0}, step=0)
    run.flush()
    with both[1].runs.resume(run.id) as again:
        again.log({"m": 2.0})
    found = both[0].runs.get(run.id)
    assert (found.status, found.metrics[0].value, found.metrics[0].step) == ("FINISHED", 2.0, 1)
