"""One thread per model in a gateway process: the requests keep the cores busy, not each prediction."""

from __future__ import annotations

import os
from typing import Final

# Read by each library when it is loaded, so they must be said before numpy is.
VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def pin_threads() -> None:
    """Keeps native libraries that are loaded from now on at one thread, unless somebody chose."""
    for name in VARIABLES:
        os.environ.setdefault(name, "1")
