"""One line or two to copy for every command that does not tell its own.

They are told of the project of the tutorial: dataset ``rows``, model and endpoint ``returns``. A
test holds each against the parser.
"""

from __future__ import annotations

import argparse
from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "demo": ("demo", "demo --dir ./demo"),
    "status": ("status", "--workspace returns status --json"),
    "doctor": ("doctor",),
    "server": ("server", "--workspace returns server --port 5001"),
    "lineage": ("lineage model:returns/1", "lineage dataset:rows@1 --down"),
    "gc": ("gc --dry-run", "gc --older-than 30d"),
    "config": ("config show",),
    "config show": ("config show", "config show threads"),
    "problem": ("problem show", "problem check"),
    "data": ("data check", "data ingest", "data show rows"),
    "data show": ("data show rows", "data show rows@2 --rows 20"),
    "data ingest": ("data ingest", "data ingest rows --period 2013-04"),
    "data check": ("data check", "data check rows"),
    "data diff": ("data diff rows 1 2",),
    "data log": ("data log rows",),
    "data quarantine": ("data quarantine rows@2 --limit 50",),
    "features": ("features build", "features show", "features check"),
    "features build": ("features build", "features build --start 2024-01-01 --end 2024-07-01"),
    "features get": ("features get 17 18", "features get 17 --as-of 2024-03-01"),
    "features check": ("features check", "features check --sample 200"),
    "runs": ("runs ls", "runs show 01a1fdb20a", "runs compare 01a1fdb20a 01a1fdb22a"),
    "runs ls": (
        "runs ls --experiment shop",
        "runs ls --filter \"metrics.auc > 0.7 AND params.depth = '6'\"",
        'runs ls --columns metrics.auc,params.depth --order-by "metrics.auc DESC" --trend auc',
    ),
    "runs show": ("runs show 01a1fdb20a",),
    "runs compare": (
        "runs compare 01a1fdb20a 01a1fdb22a",
        "runs compare 01a1fdb20a 01a1fdb22a --all",
    ),
    "runs watch": ("runs watch", "runs watch 01a1fdb20a --every 10"),
    "runs delete": ("runs delete 01a1fdb20a",),
    "runs restore": ("runs restore 01a1fdb20a",),
    "runs tag": ("runs tag 01a1fdb20a team=search note='The first with the new features.'",),
    "runs sync": ("--url http://127.0.0.1:5000 runs sync",),
    "runs export": ("runs export 01a1fdb20a --output run.zip",),
    "runs import": ("runs import run.zip", "runs import http://127.0.0.1:5001"),
    "experiments": ("experiments ls", "experiments show shop"),
    "experiments ls": ("experiments ls", "experiments ls --filter \"name LIKE 'shop%'\""),
    "experiments show": ("experiments show shop",),
    "experiments create": ("experiments create shop",),
    "experiments rename": ("experiments rename shop 'old shop'",),
    "experiments tag": ("experiments tag shop team=search note='Which orders come back.'",),
    "experiments delete": ("experiments delete shop",),
    "experiments restore": ("experiments restore shop",),
    "executions": ("executions ls", "executions show 01a1fdad30"),
    "executions ls": ("executions ls", "executions ls train"),
    "executions show": ("executions show 01a1fdad30",),
    "models": ("models ls", "models show returns@champion", "models promote returns@candidate"),
    "models ls": ("models ls", "models ls returns"),
    "models show": ("models show returns@champion", "models show returns/1"),
    "models diff": ("models diff returns@champion returns@candidate",),
    "models history": (
        "models history returns@champion",
        "models history returns@champion --at 2024-05-01T12:00",
    ),
    "models card": ("models card returns@champion",),
    "models verify": ("models verify returns/1",),
    "models approve": ("models approve returns/2 --why 'Read the card, tried the orders of May.'",),
    "models reject": ("models reject returns/2 --why 'It knows the refund.'",),
    "models promote": (
        "models promote returns@candidate",
        "models promote returns/2 --expect 1 --why 'Better in every country.'",
    ),
    "models rollback": ("models rollback returns@champion --why 'Too many calls.'",),
    "models package": (
        "models package returns@champion --as wheel",
        "models package returns@champion --as container --into ./image",
    ),
    "models export": ("models export returns/1 --output returns-1.zip",),
    "models import": ("models import returns-1.zip --name returns",),
    "endpoints": ("endpoints ls", "endpoints show returns"),
    "endpoints show": ("endpoints show returns",),
    "endpoints deploy": (
        "endpoints deploy returns@champion",
        "endpoints deploy returns/2 --endpoint trial",
    ),
    "endpoints stop": ("endpoints stop returns",),
    "outcomes import": (
        "outcomes import returns --file outcomes.jsonl",
        "outcomes import returns --dataset rows@2 --prediction order_id --outcome returned",
    ),
    "monitor": ("monitor run", "monitor ls", "monitor show"),
    "monitor run": ("monitor run", "monitor run --until-now"),
    "monitor ls": ("monitor ls", "monitor ls returns --limit 8"),
    "monitor show": ("monitor show", "monitor show returns --start 2024-07-01"),
    "alerts": ("alerts ls", "alerts ack 1"),
    "alerts ls": ("alerts ls", "alerts ls returns --all"),
    "alerts ack": ("alerts ack 1",),
    "loop": ("loop show", "loop replay"),
    "audit": ("audit log", "audit verify", "audit export --output record.jsonl"),
    "audit log": ("audit log", "audit log --kind registry.alias_moved --limit 5"),
    "audit verify": ("audit verify", "audit verify --noted 14:sha256:0516aa6a"),
    "audit export": ("audit export --output record.jsonl",),
}


def tell(parser: argparse.ArgumentParser, words: str) -> None:
    """Puts the examples of a command behind its description."""
    told = (parser.description or "").rstrip()
    if "\n  mainspring " not in told:  # a command whose own examples stand in its file
        lines = [f"\n  mainspring {line}" for line in EXAMPLES.get(words, (words,))]
        parser.description = f"{told}\n{''.join(lines)}"
