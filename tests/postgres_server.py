"""A PostgreSQL of our own in a temporary folder, on a free port of the loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mainspring.core.ids import new_id
from tests import needs


class PostgresServer:
    """A server that can be stopped and started again on the same port.

    ``fsync`` off where nothing is killed: it is several times faster.
    """

    def __init__(self, folder: Path, *, fsync: bool = True) -> None:
        self.binaries = needs.postgres()
        self.folder, self.log, self.fsync = folder / "data", folder / "log", fsync
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.drop: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, self.user)
            ids = ["--reuid", self.user, "--regid", self.user, "--clear-groups"]
            self.drop = [needs.program("setpriv"), *ids]
        # Not the C locale, so that a missing collation in our statements is found.
        locale = ("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.run("initdb", "-D", self.folder, "-U", "mainspring", *locale)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def run(self, program: str, *arguments: object) -> None:
        command = [*self.drop, str(self.binaries / program), *map(str, arguments)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=120, cwd="/"
        )
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        if not self.fsync:
            options += " -c fsync=off"
        self.run("pg_ctl", "-D", self.folder, "-l", self.log, "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", self.folder, "-w", "-m", mode, "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://mainspring@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The address of a new, empty database."""
        psycopg = needs.module("psycopg")
        name = f"test_{new_id()}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextmanager
def running(*, fsync: bool = True) -> Iterator[PostgresServer]:
    """A fresh server, gone afterwards."""
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="mainspring-postgres-"))
    try:
        server = PostgresServer(folder, fsync=fsync)
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)
