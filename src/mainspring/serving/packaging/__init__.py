"""A model version taken out of the house: as a wheel to install, as a container to build."""

from __future__ import annotations
