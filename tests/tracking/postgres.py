"""A PostgreSQL of our own for the tests of this folder, when its programs are installed."""

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


def binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = str(found[-1]) if found else shutil.which("initdb")
    return Path(program).resolve().parent if program else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """The address of a fresh server, without a database's name."""
    folder = Path(tempfile.mkdtemp(prefix="mainspring-postgres-"))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    drop: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, user)
        drop = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]

    def run(program: str, *arguments: object) -> None:
        command = [*drop, str(programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd="/")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    # Not the C locale, so that a missing collation in our statements is found.
    run("initdb", "-D", data, "-U", "mainspring", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start")
    try:
        yield f"postgresql://mainspring@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)
