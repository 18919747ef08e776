"""The facts that watching announces."""

from __future__ import annotations

from mainspring.core.events import kind

WINDOW_CLOSED = kind("monitoring.window_closed", "A window of live rows was measured.")
WINDOW_REMEASURED = kind(
    "monitoring.window_remeasured", "A closed window was measured again: labels came late."
)
ALERT_OPENED = kind("monitoring.alert_opened", "A monitor's rule was broken.")
ALERT_CLOSED = kind("monitoring.alert_closed", "A monitor's rule holds again.")
ALERT_ACKNOWLEDGED = kind("monitoring.alert_acknowledged", "A person has seen an alert.")
OUTCOMES_RECEIVED = kind("monitoring.outcomes_received", "Outcomes of predictions arrived.")
