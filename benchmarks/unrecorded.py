"""``mainspring`` without prediction records: what they cost is the difference to the program itself.

SIGUSR1 turns them on and SIGUSR2 off again, for a comparison in one process.
"""

from __future__ import annotations

import signal
import sys

from mainspring._entrypoints.cli import main
from mainspring.serving.recorder import Recorder

append = Recorder.append


def drop(_self, _answered, _when_stored=None) -> bool:
    return True


def switch(number: int, _frame: object) -> None:
    Recorder.append = append if number == signal.SIGUSR1 else drop  # type: ignore[method-assign]


if __name__ == "__main__":
    Recorder.append = drop  # type: ignore[method-assign]
    for one in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(one, switch)
    sys.exit(main())
