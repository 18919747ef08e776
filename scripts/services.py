"""Installs the services that 'make check-all' tests against, or says which are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = {
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
    "chromium": lambda: shutil.which("chromium") is not None,
    "strace": lambda: shutil.which("strace") is not None,
}


def main() -> int:
    """0 when everything is there; 1, with the names, when something is missing."""
    missing = [name for name, there in NEEDED.items() if not there()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["apt-get", "install", "-qy", *missing], check=True)
        missing = [name for name, there in NEEDED.items() if not there()]
    if missing:
        print(f"Missing: {', '.join(missing)}. Install them and run this again.", file=sys.stderr)
        return 1
    print(f"Here: {', '.join(NEEDED)}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
