"""The facts that the registry announces, each in the transaction of its change."""

from __future__ import annotations

from mainspring.core.events import kind

MODEL_REGISTERED = kind("registry.model_registered", "A model got a name.")
MODEL_UPDATED = kind("registry.model_updated", "A model's description or tags changed.")
MODEL_RENAMED = kind("registry.model_renamed", "A model and its versions go by another name.")
MODEL_DELETED = kind("registry.model_deleted", "A model was taken out of sight; it can come back.")
MODEL_RESTORED = kind("registry.model_restored", "A deleted model came back.")
MODEL_PURGED = kind("registry.model_purged", "A deleted model gave up its versions for good.")
VERSION_REGISTERED = kind("registry.version_registered", "A package became a model version.")
VERSION_UPDATED = kind("registry.version_updated", "A version's description or tags changed.")
VERSION_JUDGED = kind("registry.version_judged", "A version was approved, rejected or archived.")
VERSION_STAGED = kind("registry.version_staged", "A version went to another stage.")
VERSION_SIGNED = kind("registry.version_signed", "A version's package was signed.")
VERSION_DELETED = kind("registry.version_deleted", "A version was taken out of sight.")
VERSION_RESTORED = kind("registry.version_restored", "A deleted version came back.")
VERSION_PURGED = kind("registry.version_purged", "A deleted version gave up its bytes for good.")
VERSION_EXPORTED = kind("registry.version_exported", "A version left: as a file or packaged.")
ALIAS_MOVED = kind("registry.alias_moved", "An alias points at another version.")
ALIAS_REMOVED = kind("registry.alias_removed", "An alias points at nothing any more.")
