"""What a packaged model must have installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mainspring import __version__
from mainspring.registry.manifest import Manifest

_EXTRAS: Final[Mapping[str, str]] = {"lightgbm": "lightgbm", "onnx": "onnx", "skops": "sklearn"}


def needs(manifest: Manifest) -> str:
    """The requirement that brings the model's runtime, pinned to this version of Mainspring."""
    extra = _EXTRAS.get(manifest.runtime)
    return f"mainspring{f'[{extra}]' if extra else ''}=={__version__}"
