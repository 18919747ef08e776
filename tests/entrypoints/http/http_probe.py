from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).with_name("small_server.py")
TOKEN = "a-token-of-some-length"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The small server in a process of its own, once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "0", *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "ready at" in line, line + process.stderr.read()
        yield int(line.strip().rpartition(":")[2].strip("/")), process
    finally:
        process.kill()
        process.communicate()


def raw(port: int, text: str | bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to bytes sent as they are."""
    data = text.encode("latin-1") if isinstance(text, str) else text
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        reply = b""
        while b"\r\n\r\n" not in reply:
            part = connection.recv(65536)
            if not part:
                break
            reply += part
        head, _, body = reply.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
    return int(lines[0].split()[1]), headers, body
