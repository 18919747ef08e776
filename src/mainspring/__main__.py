"""``python -m mainspring`` is the command line."""

from mainspring._entrypoints.cli import main

raise SystemExit(main())
