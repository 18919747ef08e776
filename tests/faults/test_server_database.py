"""PostgreSQL goes away under a tracking server, and comes back: nobody loses anything."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_checks import until
from tests import needs
from tests.postgres_server import running
from tracking_server import serving
from tracking_writers import Client, Metrics, check_all, check_at_rest, eight

from mainspring._bootstrap.workspace import open_workspace

AWAY_SECONDS = 60.0
WAIT_SECONDS = 0.5  # what takes longer counts as waiting
BACK_SECONDS = 60.0  # the clients were told to wait for twelve, and machines may be busy
pytestmark = [pytest.mark.services, pytest.mark.slow]


class Training(threading.Thread):
    """A loop that logs with our own library straight to the database, and never waits for it."""

    def __init__(self, folder: Path, database: str) -> None:
        super().__init__(daemon=True)
        self.folder, self.database = folder, database
        self.stop = threading.Event()
        self.steps, self.waited_seconds, self.run_id = 0, 0.0, ""

    def run(self) -> None:
        with (
            open_workspace(self.folder, given={"database": self.database}) as workspace,
            workspace.runs.start("training") as run,
        ):
            self.run_id = run.id
            while not self.stop.wait(0.01):
                began = time.perf_counter()
                run.log({"loss": 0.5}, step=self.steps)
                took = time.perf_counter() - began
                if took > WAIT_SECONDS:
                    self.waited_seconds += took
                self.steps += 1


class Stock(Metrics):
    """MLflow's own client in its environment, with the retries that it comes with."""

    def start(self, python: Path, address: str) -> None:
        self.process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("stock_client.py")), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.run_id = self.process.stdout.readline().strip()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            if line.strip().isdigit():  # at the end it says more, for people
                self.acked.add(int(line))

    def end(self) -> None:
        self.process.stdin.close()
        code = self.process.wait(60)
        self._thread.join(30)
        self.process.stdout.close()
        assert code == 0
        self.sent = len(self.acked)


@pytest.fixture
def stock():
    """The client, gone afterwards."""
    client = Stock()
    yield client
    client.process.kill()
    client.process.wait(30)
    client._thread.join(30)
    client.process.stdin.close()
    client.process.stdout.close()


@contextmanager
def _away(server):
    """The database crashes, and is started again at the end of the context."""
    server.stop("immediate")
    try:
        yield
    finally:
        server.start()


def test_a_minute_without_the_database_loses_nothing(tmp_path, stock):
    """503 with Retry-After meanwhile; MLflow's client waits, our own spools; soon all goes on."""
    python = needs.environment("mlflow")
    with running() as postgres:
        database = postgres.fresh()
        training = Training(tmp_path / "training", database)
        writers = eight()
        with serving(tmp_path / "work", database=database) as server:
            client = Client(server.host)
            for writer in writers:
                writer.prepare(client)
                writer.begin(server.host)
            client.connection.close()
            training.start()
            stock.start(python, server.address)
            everyone = [*writers, stock]
            until(lambda: all(len(writer.acked) > 20 for writer in everyone), BACK_SECONDS)
            until(lambda: training.steps > 20, BACK_SECONDS)
            with _away(postgres):
                training.stop.wait(AWAY_SECONDS)
            before = [len(writer.acked) for writer in everyone]
            gone_on = lambda: all(  # noqa: E731
                len(writer.acked) > count + 20
                for writer, count in zip(everyone, before, strict=True)
            )
            until(gone_on, BACK_SECONDS)
            for writer in everyone:
                writer.end()
            training.stop.set()
            training.join(60)
            for writer in writers:
                assert writer.refused
                assert {refusal.status for refusal in writer.refused} == {503}
                assert all(int(refusal.headers["retry-after"]) > 0 for refusal in writer.refused)
            check_all(server.host, everyone)
            client = Client(server.host)
            assert sorted(client.steps(training.run_id, "loss")) == list(range(training.steps))
            assert client.run(training.run_id)["info"]["status"] == "FINISHED"
            assert client.run(stock.run_id)["info"]["status"] == "FINISHED"
            client.connection.close()
            # A machine that is busy may hold it up as well, but not for a minute.
            assert training.waited_seconds < AWAY_SECONDS / 20
        check_at_rest(tmp_path / "work", writers, database)
