"""Ships the records of a gateway as a worker does, again and again: RECORDS TABLES.

Says a line before each pass. It ends when its standard input does, or when it is killed.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

from mainspring._adapters.delta.tables import DeltaTables
from mainspring.serving.shipping import ship

tables = DeltaTables(Path(sys.argv[2]))
while not select.select([sys.stdin], [], [], 0)[0]:
    print("ships", flush=True)
    print(ship(Path(sys.argv[1]), tables).rows, flush=True)
