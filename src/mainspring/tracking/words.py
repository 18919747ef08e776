"""Names for runs that nobody named: easy to say, to remember and to tell apart."""

from __future__ import annotations

import secrets
from typing import Final

_HOW: Final = ["able", "bold", "brave", "bright", "calm", "clever", "crisp", "eager", "fair", "fast", "fine", "firm", "fond", "free", "fresh", "gentle", "glad", "grand", "happy", "honest", "jolly", "keen", "kind", "light", "lively", "lucky", "merry", "mild", "neat", "noble", "open", "patient", "proud", "quick", "quiet", "rapid", "ready", "sharp", "shy", "silent", "sleek", "smart", "snug", "solid", "spry", "steady", "sunny", "swift", "tidy", "trusty", "upbeat", "vivid", "warm", "wise", "witty", "zesty"]
_WHO: Final = ["ant", "auk", "bat", "bear", "bee", "bison", "boar", "crab", "crane", "crow", "deer", "dove", "duck", "eagle", "eel", "elk", "falcon", "finch", "fox", "frog", "gnat", "goat", "goose", "hare", "hawk", "heron", "horse", "ibex", "jay", "kite", "koala", "lark", "lion", "lynx", "mole", "moose", "moth", "mouse", "newt", "otter", "owl", "panda", "perch", "pike", "quail", "ram", "raven", "robin", "seal", "shrew", "skunk", "sloth", "snail", "squid", "stag", "stork", "swan", "tern", "toad", "trout", "vole", "wasp", "whale", "wolf", "wren", "yak", "zebra"]


def run_name() -> str:
    """A fresh name like ``calm-otter-417``."""
    return f"{secrets.choice(_HOW)}-{secrets.choice(_WHO)}-{secrets.randbelow(1000)}"
