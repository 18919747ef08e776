"""Features of a flight two hours before its scheduled departure.

Everything is as of that moment T: the schedule (published long before), the weather observed at
least three hours before departure, and the state of delays, counting only departures and landings
that had happened by T.
"""

from __future__ import annotations

from mainspring.features import (
    count,
    derived,
    feature_set,
    latest,
    lowest,
    mean,
    pending,
    planned,
    rolling,
    row,
    share,
    total,
)

LOCAL = "scheduled_departure AT TIME ZONE 'America/New_York'"  # all three origins
ROUTE = ["origin", "dest"]
FLIGHT = ["carrier", "flight", "origin", "dest"]

departures = {"dep": mean("dep_delay")}
landings = {"arr": mean("arr_delay")}
late_landings = {"late": share("arr_delay > 15")}
cancellations = {"cancelled": share("cancelled")}


def delays(name: str, keys: list[str], windows: list[str]) -> tuple:
    """Mean departure and arrival delay by some key, over what was known in each window."""
    known = {"dataset": "flights", "keys": keys, "windows": windows}
    return (
        rolling(name, **known, measures=departures, known_at="departed_at"),
        rolling(f"{name}_in", **known, measures=landings, known_at="landed_at"),
    )


features = feature_set(
    row(
        "schedule",
        {
            "carrier": "carrier",
            "origin": "origin",
            "minute_of_day": f"hour({LOCAL}) * 60 + minute({LOCAL})",
            "weekday": f"isodow({LOCAL})",
            "arrival_hour": "arrival_hour",
            "distance": "distance",
            "scheduled_minutes": "date_diff('minute', scheduled_departure, scheduled_arrival)",
        },
    ),
    planned(
        "hour_at_origin", keys=["origin"], measures={"flights": count()}, before="30m", after="30m"
    ),
    planned("until_departure", keys=["origin"], measures={"flights": count()}, before="2h"),
    latest("plane", dataset="planes", keys=["tailnum"], columns=["year", "seats"]),
    derived("age", {"plane_age": f"year({LOCAL}) - plane_year"}, drop=["plane_year"]),
    latest(
        "weather",
        dataset="weather",
        keys=["origin"],
        columns=["wind_dir", "wind_speed", "wind_gust", "precip", "visib", "pressure_change"],
        before_event="3h",
        max_age="7h",
    ),
    rolling(
        "recent_weather",
        dataset="weather",
        keys=["origin"],
        measures={"precip": total("precip"), "visib": lowest("visib")},
        windows=["6h"],
        before_event="3h",
    ),
    *delays("all", [], ["3h", "24h"]),
    *delays("by_origin", ["origin"], ["1h", "3h", "24h"]),
    *delays("by_carrier", ["carrier"], ["3h", "24h"]),
    *delays("by_dest", ["dest"], ["3h", "24h"]),
    *delays("by_route", ROUTE, ["24h", "28d"]),
    *delays("by_plane", ["tailnum"], ["24h"]),
    *delays("by_flight", FLIGHT, ["28d"]),
    rolling(
        "by_flight_late",
        dataset="flights",
        keys=FLIGHT,
        measures=late_landings,
        windows=["28d"],
        known_at="landed_at",
    ),
    rolling(
        "at_origin",
        dataset="flights",
        keys=["origin"],
        measures=cancellations,
        windows=["3h", "24h"],
        known_at="fate_known_at",
    ),
    pending(
        "overdue_at_origin",
        dataset="flights",
        keys=["origin"],
        since="scheduled_departure",
        until="fate_known_at",
        measures=["count", "minutes"],
    ),
    pending(
        "overdue_of_carrier",
        dataset="flights",
        keys=["carrier"],
        since="scheduled_departure",
        until="fate_known_at",
        measures=["count", "minutes"],
    ),
    pending(
        "overdue",
        dataset="flights",
        keys=[],
        since="scheduled_departure",
        until="fate_known_at",
    ),
    categories=["carrier", "origin"],
    name="late",
)
