"""The facts that a project's own work announces."""

from __future__ import annotations

from mainspring.core.events import kind

OPENED = kind("projects.opened", "A project's definition was read for the first time, or changed.")
TRAINED = kind("projects.trained", "A training run ended with a report; its gates said yes or no.")
DEPLOYED = kind("projects.deployed", "An endpoint's route was changed; who answers is told.")
SHIPPED = kind("projects.shipped", "Prediction records became rows of the prediction table.")
SCORED = kind("projects.scored", "A whole dataset was scored by one model version.")
OUTCOMES = kind("projects.outcomes", "Outcomes of predictions became known.")
COMPLETED = kind("projects.completed", "A replay reached its end.")
