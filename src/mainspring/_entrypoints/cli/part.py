"""A command that ends with whoever started it: ``python -m mainspring._entrypoints.cli.part ...``.

Its standard input is a pipe that only the starter holds. When the starter is gone, however it went,
the pipe ends, and the command is told to stop as by SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def stop_with_stdin() -> None:
    """Stops this process when its standard input ends; waits until then."""
    while os.read(0, 4096):  # the descriptor itself: a buffered file would hold its lock at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from mainspring._entrypoints.cli import main

    threading.Thread(target=stop_with_stdin, daemon=True).start()
    sys.exit(main())
