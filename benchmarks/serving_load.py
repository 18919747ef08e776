"""A load generator on raw sockets: CONNECTIONS keep-alive connections, one request in flight each.

Used by serving.py in a process of its own: ``python serving_load.py URL SECONDS CONNECTIONS < body``
prints one JSON document with requests per second, latencies and the number of failures.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from urllib.parse import urlsplit


class Connection:
    """One connection that sends the same request again as soon as it is answered."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self.started = 0.0

    def ask(self) -> None:
        self.started = time.perf_counter()
        self.socket.sendall(self._request)

    def answered(self) -> bool | None:
        """None while the response is not whole, else whether its status is 200."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        if not mark:
            return None
        if len(body) < content_length(head):
            return None
        ok = self._received.startswith(b"HTTP/1.1 200")
        self._received = b""
        return ok


def content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    end = lower.find(b"\r\n", at + 2)
    return int(lower[at + 17 : end if end > 0 else None])


def run(url: str, seconds: float, connections: int, body: bytes, headers: list[str]) -> dict:
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    poll = selectors.DefaultSelector()
    for _ in range(connections):
        connection = Connection(parts.hostname, parts.port, request)
        poll.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask()
    latencies, failures = [], 0
    warm, end = time.perf_counter() + seconds / 3, time.perf_counter() + seconds * 4 / 3
    while (now := time.perf_counter()) < end:
        for key, _ in poll.select(0.1):
            connection = key.data
            ok = connection.answered()
            if ok is None:
                continue
            done = time.perf_counter()
            if done > warm:
                latencies.append(done - connection.started)
                failures += not ok
            connection.ask()
    latencies.sort()
    return {
        "requests_per_second": len(latencies) / (now - warm),
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "failures": failures,
    }


if __name__ == "__main__":
    url, seconds, connections, *headers = sys.argv[1:]
    print(json.dumps(run(url, float(seconds), int(connections), sys.stdin.buffer.read(), headers)))
