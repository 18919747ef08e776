"""A runtime whose models go wrong on purpose, as soon as they are in service."""

from __future__ import annotations

import ctypes
import json
import time

import numpy as np


class TroubleRuntime:
    """Reads ``trouble.json``: {"how": "nan" | "raise" | "shape" | "sleep" | ..., "value", "seconds"}."""

    name = "trouble"
    steady = False

    def load(self, files, signature, plan=None):
        return Trouble(**json.loads(files["trouble.json"]))


class Trouble:
    def __init__(self, how, value=0.5, seconds=0.0):
        self.how, self.value, self.seconds, self.calls = how, value, seconds, 0
        self.kept = []

    def predict(self, inputs):
        self.calls += 1
        good = np.full(len(inputs), self.value)
        if self.calls <= 2:  # the two of the load, which must go well
            return good
        if self.how == "sleep":
            time.sleep(self.seconds)
        if self.how == "spin":  # holds Python's lock all the time
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:
                pass
        if self.how == "leak":
            self.kept.append(np.ones(1_000_000))
        if self.how == "crash":  # in native code: the process gets SIGSEGV
            ctypes.string_at(0)
        if self.how == "raise":
            raise KeyError("no such thing")
        if self.how == "nan":
            return good * np.nan
        if self.how == "odd":  # fails for a row with more than 100 miles
            return np.where(inputs[:, 0] > 100, np.nan, good)
        return good[:, None] if self.how == "shape" else good
