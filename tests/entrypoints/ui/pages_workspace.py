"""A server over a workspace in memory whose every text is one that attackers would store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import unquote

from mainspring._adapters.sql.event_log import SqlEventLog
from mainspring._adapters.sql.registry import SqlRegistry
from mainspring._bootstrap.tracking import open_tracking
from mainspring._entrypoints._http import Application, Doors, serve
from mainspring._entrypoints.ui import pages_mount
from mainspring.core.digest import sha256
from mainspring.core.events import ref
from mainspring.core.schema import InputColumn, Signature
from mainspring.governance.service import Record
from mainspring.registry import Details, Facts, Manifest, Registry, open_registry
from mainspring.registry.facts import DataUsed, Measured, Purpose, Verdict
from mainspring.registry.types import ANYTHING, Because
from mainspring.testing.workspace import memory_ports
from mainspring.tracking import Batch, DatasetInput, Point, Tracking
from mainspring.tracking.traces_types import Assessment, Event, Incoming, Span
from mainspring.tracking.types import Dataset

# OWASP's filter evasion list, shortened to what differs in where a browser would run it.
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "</title><script>alert(1)</script>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    '" autofocus onfocus=alert(1) x="',
    "</textarea><script>alert(1)</script>",
    "<a href=javascript:alert(1)>x</a>",
    "<style>@import 'http://127.0.0.1:1/x';</style>",
    "`-alert(1)-`",
    "--><script>alert(1)</script><!--",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "__proto__",
    "constructor",
    "<div hx-get=/models hx-trigger=load>",
)
HIDDEN = "a\u202eb\u2066c"
MARKUP = ATTACKS[0] + ATTACKS[1]


@dataclass(frozen=True)
class Site:
    """An application and what is stored behind it."""

    application: Application
    tracking: Tracking
    registry: Registry

    def get(self, target: str, method: str = "GET") -> SimpleNamespace:
        """Status, headers and body of the answer to a raw request target."""
        path, _, query = target.partition("?")
        scope = SimpleNamespace(
            proto="http",
            method=method,
            path=unquote(path, errors="replace"),
            query_string=query,
            authority=None,
            headers={"host": "127.0.0.1:5000"},
        )
        protocol = _Protocol()
        asyncio.run(self.application.__rsgi__(scope, protocol))
        return SimpleNamespace(
            status=protocol.status,
            headers=dict(protocol.headers),
            text=protocol.body.decode(),
        )


class _Protocol:
    def response_bytes(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def response_empty(self, status, headers):
        self.status, self.headers, self.body = status, headers, b""


@contextmanager
def site() -> Iterator[Site]:
    """An empty server."""
    with memory_ports() as ports:
        tracking = open_tracking(ports.database, ports.objects, ports.clock)
        store = SqlRegistry(dialect="sqlite")
        registry = open_registry(ports.database, store, ports.clock, ports.objects)
        record = Record(ports.database, SqlEventLog)
        application = Application([pages_mount(tracking, registry, record)], Doors())
        try:
            yield Site(application, tracking, registry)
        finally:
            application.close()


def add_run(tracking: Tracking, name: str, rate: float, experiment: str = "0") -> str:
    """A finished run with a curve, parameters, tags and files."""
    run = tracking.runs.create(experiment, name=name, user="ada", start_ms=int(rate * 1000))
    points = tuple(
        Point(key, rate + 1 / (1 + step), step, 1000 + step)
        for key in ("loss", "accuracy", MARKUP_KEY)
        for step in range(30)
    )
    params = (("rate", str(rate)), ("depth", "7"), (MARKUP_KEY, MARKUP), ("hidden", HIDDEN))
    tags = (("note", MARKUP), ("mlflow.note.content", MARKUP))
    tracking.runs.log(run.id, Batch(points=points, params=params, tags=tags)).result()
    tracking.runs.link(
        run.id,
        datasets=[DatasetInput(Dataset(name=MARKUP, digest="d1"), {"mlflow.data.context": MARKUP})],
    )
    root = run.artifact_uri.removeprefix("mlflow-artifacts:").lstrip("/")
    tracking.artifacts.put(f"{root}/report.html", MARKUP.encode())
    tracking.artifacts.put(f"{root}/plots/<img src=x onerror=alert(1)>.txt", b"1")
    tracking.runs.update(run.id, status="FINISHED", end_ms=int(rate * 1000) + 3_723_000).result()
    return run.id


MARKUP_KEY = "onerror alert: 1/x"
MODEL = "<script>alert(1)<%2fscript> \"x' & 100%"


def add_model(registry: Registry, run_id: str, name: str = MODEL) -> None:
    """A model with three versions, aliases that moved, and a card."""
    registry.models.register(name, description=MARKUP, tags={"team": MARKUP})
    files = {"model.txt": b"w"}
    manifest = Manifest(
        name="late",
        task="binary",
        runtime="linear",
        signature=Signature(inputs=(InputColumn("distance", "number"),), output="probability"),
        files={path: sha256(data) for path, data in files.items()},
        used=(ref("dataset", "orders@3"),),
        run_id=run_id,
        trained_until="2013-05-01T02:00:00+02:00",
        metrics={"auc": 0.75},
    )
    facts = Facts(
        purpose=Purpose(objective=MARKUP, questions=(MARKUP,), target="late", kpi=MARKUP),
        data=(DataUsed(ref=ref("dataset", "orders@3"), rows=1000, licence=MARKUP),),
        learner="logistic",
        parameters={"C": 1.0, MARKUP: MARKUP},
        metrics=(Measured(metric="auc", value=0.75, low=0.7, high=0.8, rows=500),),
        gates=(Verdict(gate="better than nothing", passed=True, why=MARKUP, value=0.75),),
        limits=(MARKUP,),
    )
    for number in (1, 2, 3):
        details = Details(description=MARKUP, facts=facts, run_id=run_id, tags={"t": MARKUP})
        registry.versions.create(name, manifest, files, details=details)
        why = Because(why=f"{number} {MARKUP}")
        registry.aliases.move(name, "champion", to=number, expected=ANYTHING, because=why)
    registry.versions.judge(name, 1, "rejected", Because(why=MARKUP))


def add_trace(tracking: Tracking, experiment: str, number: int = 1) -> str:
    """A trace whose every text is markup: a root, a child that failed, and one without a parent."""
    trace_id = f"tr-{number:032x}"
    told = {
        "mlflow.spanInputs": {MARKUP_KEY: MARKUP},
        "mlflow.spanOutputs": MARKUP,
        "mlflow.spanType": MARKUP,
        MARKUP_KEY: HIDDEN,
    }
    event = Event(name=MARKUP, time_ns=2_000_000, attributes={MARKUP_KEY: MARKUP})
    spans = [
        Span(id="a" * 16, name=MARKUP, start_ns=1_000_000, end_ns=9_000_000, attributes=told),
        Span(
            id="b" * 16, name=ATTACKS[1], parent="a" * 16, start_ns=2_000_000, end_ns=3_000_000,
            status="ERROR", message=MARKUP, attributes=told, events=(event,),
        ),
        Span(id="c" * 16, name="open", parent="f" * 16, start_ns=4_000_000, attributes=told),
    ]  # fmt: skip
    tracking.traces.record(experiment, [Incoming(trace_id, span) for span in spans])
    tracking.traces.tag(trace_id, {"team": MARKUP, "mlflow.traceName": MARKUP})
    tracking.assessments.create(
        trace_id,
        Assessment(
            id=f"a-{number}", name=MARKUP_KEY, kind="feedback", value=MARKUP, rationale=MARKUP,
            created_ms=5, updated_ms=5,
        ),
    )  # fmt: skip
    return trace_id


def fill(found: Site) -> list[str]:
    """Stores one of everything; the addresses of the pages that show it."""
    from mainspring._entrypoints.ui.rendering import address

    for attack in ATTACKS:
        found.tracking.experiments.create(attack)
    experiment = found.tracking.experiments.create(MARKUP).id
    run_ids = [
        add_run(found.tracking, attack, 0.1 + at, experiment) for at, attack in enumerate(ATTACKS)
    ]
    running = found.tracking.runs.create(experiment, name="running", start_ms=99_000).id
    add_model(found.registry, run_ids[0])
    trace = add_trace(found.tracking, experiment)
    return [
        address("", experiment=experiment),
        address("", experiment=experiment, filter=MARKUP),
        address(
            "",
            experiment=experiment,
            sort=f"m:{MARKUP_KEY}",
            column=[f"m:{MARKUP_KEY}", f"p:{MARKUP_KEY}"],
        ),
        "/",
        address("runs", run_ids[1]),
        address("runs", running),
        address("runs", run_ids[0], "metric", key=MARKUP_KEY),
        address("runs", run_ids[0], "metric", key=MARKUP),
        address("runs", run_ids[0], "files"),
        address("runs", run_ids[0], "files", path="plots"),
        address("compare", run=run_ids[:4]),
        "/compare",
        "/models",
        address("models", MODEL),
        address("models", MODEL, alias=MARKUP_ALIAS),
        address("models", MODEL, 1),
        address("models", MODEL, 3),
        "/traces",
        address("traces", experiment=experiment),
        address("traces", experiment=experiment, filter=MARKUP),
        address("traces", trace),
        address("traces", trace, span="c" * 16),
        "/components",
        "/no/such/page/<script>alert(1)</script>",
    ]


MARKUP_ALIAS = "none"


def main() -> None:
    """The filled server on a free port: writes the addresses of its pages, then its own."""
    with site() as found:
        print("\n".join(fill(found)), flush=True)
        serve(found.application, "127.0.0.1", 0, ready=announce)


def announce(address: str) -> None:
    print(f"ready at {address}", flush=True)


if __name__ == "__main__":
    main()
