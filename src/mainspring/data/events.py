"""The facts that the data stage announces."""

from __future__ import annotations

from mainspring.core.events import kind

INGESTED = kind("data.ingested", "Rows of a source became a version of a dataset.")
REFUSED = kind("data.refused", "An expectation stopped an ingestion before anything was written.")
