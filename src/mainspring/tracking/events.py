"""The facts that tracking announces. Points of metrics are not among them: there are too many."""

from __future__ import annotations

from mainspring.core.events import kind

EXPERIMENT_CREATED = kind("tracking.experiment_created", "A place for runs was made.")
EXPERIMENT_CHANGED = kind("tracking.experiment_changed", "An experiment was renamed or tagged.")
EXPERIMENT_DELETED = kind("tracking.experiment_deleted", "An experiment went out of sight.")
EXPERIMENT_RESTORED = kind("tracking.experiment_restored", "A deleted experiment came back.")
RUN_STARTED = kind("tracking.run_started", "A run began.")
RUN_ENDED = kind("tracking.run_ended", "A run finished, failed, was killed or was lost.")
RUN_DELETED = kind("tracking.run_deleted", "A run went out of sight.")
RUN_RESTORED = kind("tracking.run_restored", "A deleted run came back.")
INPUTS_LOGGED = kind("tracking.inputs_logged", "A run named datasets or models that it read.")
MODEL_LOGGED = kind("tracking.model_logged", "A run logged a model.")
MODEL_DELETED = kind("tracking.model_deleted", "A logged model went out of sight.")
TRACES_DELETED = kind("tracking.traces_deleted", "Traces of an experiment were removed for good.")
