"""What those who run the server look at."""

from __future__ import annotations

import httpx
from wire import Wire


def test_a_server_is_ready_once_its_database_takes_a_transaction(address: str) -> None:
    """/ready answers 200 while writing works."""
    answer = httpx.get(f"{address}/ready")
    assert (answer.status_code, answer.text) == (200, "ready")


def test_metrics_count_routes_by_pattern(wire: Wire, address: str) -> None:
    """Every answer is counted under its route's pattern; made-up paths share one label."""
    for number in range(3):
        httpx.get(f"{address}/api/2.0/mlflow/no-such-thing-{number}")
    httpx.get(f"{address}/version")
    answer = httpx.get(f"{address}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    version = 'mainspring_http_responses_total{method="GET",route="/version",status="200"}'
    unknown = 'mainspring_http_responses_total{method="other",route="unknown",status="404"}'
    assert int(found[version]) >= 1
    assert int(found[unknown]) >= 3
    assert "no-such-thing" not in answer.text
    count = 'mainspring_http_duration_seconds_count{method="GET",route="/version"}'
    endless = 'mainspring_http_duration_seconds_bucket{method="GET",route="/version",le="+Inf"}'
    assert found[count] == found[endless]
