"""The facts that governance announces."""

from __future__ import annotations

from mainspring.core.events import kind

PURGED = kind("governance.purged", "A deleted run or logged model was removed for good.")
COLLECTED = kind("governance.garbage_collected", "Bytes that nothing needed were freed.")
