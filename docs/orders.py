"""Writes orders.csv: 6,000 made-up orders of a small shop, the same on every machine.

The tutorial and the guides begin with this file: ``python orders.py [FILE [UNTIL]]``, where UNTIL
leaves out the orders from that date on.
"""
# ruff: noqa: INP001, S311, DTZ001, PLR2004 - a script with made-up numbers

import csv
import math
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

COUNTRIES = {"DE": 0.0, "ES": 0.2, "FR": 0.1, "IT": 0.8}
HEADER = ("order_id", "ordered_at", "country", "items", "amount", "new_customer", "returned")


def orders() -> Iterator[tuple[object, ...]]:
    """Order after order; large ones, new customers and Italy send more back."""
    chance = random.Random(7)
    moment = datetime(2024, 1, 1)
    for number in range(1, 6001):
        moment += timedelta(minutes=chance.expovariate(1 / 58))
        country = chance.choice(list(COUNTRIES))
        items = 1 + int(chance.expovariate(0.6))
        amount = round(chance.lognormvariate(3.4, 0.7) * items**0.5, 2)
        new = chance.random() < 0.3
        score = -2.6 + COUNTRIES[country] + 0.25 * items + 0.008 * amount + 0.9 * new
        returned = chance.random() < 1 / (1 + math.exp(-score))
        yes = ["no", "yes"]
        yield number, f"{moment:%Y-%m-%d %H:%M:%S}", country, items, amount, yes[new], yes[returned]


if __name__ == "__main__":
    given = sys.argv[1:]
    file = given[0] if given else "orders.csv"
    until = given[1] if len(given) > 1 else "9999"
    with Path(file).open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(HEADER)
        rows.writerows(row for row in orders() if str(row[1]) < until)
