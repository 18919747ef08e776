"""Every setting, once: its name, type, default and meaning; and where a value came from.

The environment (``MAINSPRING_*``) wins over ``[settings]`` in ``mainspring.toml``, which wins over
the default. What the command line says wins over all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mainspring.core.errors import Invalid
from mainspring.core.names import did_you_mean

Origin = Literal["command line", "environment", "mainspring.toml", "default"]
Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; the environment calls it ``MAINSPRING_`` and its name in capitals."""

    name: str
    default: Value
    meaning: str
    secret: bool = False

    @property
    def variable(self) -> str:
        return "MAINSPRING_" + self.name.upper()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A setting's value and where it came from."""

    setting: Setting
    value: Value
    origin: Origin

    @property
    def shown(self) -> Value:
        """The value as it may be printed."""
        return "(hidden)" if self.setting.secret and self.value else self.value


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("workspace", "", "The workspace folder; empty: the nearest .mainspring upward."),
    Setting("url", "", "A server to work against instead of a folder."),
    Setting("token", "", "The token that the server asks for.", secret=True),
    Setting("database", "", "sqlite:///FILE or postgresql://...; empty: a file in the workspace."),
    Setting("objects", "", "Folder or s3://... for artifacts; empty: inside the workspace."),
    Setting("tables", "", "Folder or s3://... for tables; empty: inside the workspace."),
    Setting("online", "sqlite", "Online features: sqlite, lmdb or redis://..."),
    Setting(
        "compute", "local", "Where parts of datasets are scored: local, ray, or ray://HOST:PORT."
    ),
    Setting("threads", 0, "Threads for training and queries; 0: the cores the process may use."),
    Setting(
        "query_memory_mb", 1024, "Most memory the query engine takes before it spills to disk."
    ),
    Setting("mode", "online", "Runs of training code: online, or offline until 'runs sync'."),
    Setting("spool", "", "Folder where what runs log waits for the store; empty: a default."),
    Setting(
        "capture",
        "code,environment,machine,system",
        "What runs note by themselves, by commas; also console; empty: nothing but the command.",
    ),
    Setting("grpc_port", 0, "The gateway's port for gRPC; 0: none."),
    Setting(
        "gateway_processes", 1, "Processes behind the gateway's port; 0: one for each usable core."
    ),
    Setting("access_log", "", "File for one line of JSON per request to the gateway; empty: none."),
    Setting("traces", False, "Whether the gateway sends traces, as OTEL_* says (extra otel)."),
    Setting("gateway_names", "", "Host names that the gateway may be asked by, parted by commas."),
    Setting(
        "trusted_types",
        "",
        "Types, with commas between, that scikit-learn models may hold besides the reviewed ones.",
    ),
    Setting(
        "mlflow_python",
        "",
        "The Python of an environment whose process serves MLflow packages; empty: none is served.",
    ),
    Setting(
        "isolate",
        False,
        "Whether champions too run in processes of their own, as canaries and copies always do.",
    ),
    Setting("custom_code", False, "Whether classes of a project's own may serve, in a process."),
    Setting(
        "compiled", False, "Whether LightGBM's trees run in our kernel, made by the C compiler."
    ),
    Setting("actor", "", "Who acts, for the record; empty: the user's login name."),
)
BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def _typed(setting: Setting, value: Value, origin: Origin) -> Value:
    wanted = type(setting.default)
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    text = str(value).strip()
    if wanted is int and text.lstrip("-").isdigit():
        return int(text)
    if wanted is bool and text.lower() in {"1", "true", "yes", "0", "false", "no"}:
        return text.lower() in {"1", "true", "yes"}
    if wanted is str:
        return text
    raise Invalid(
        "settings.bad_value",
        f"The setting {setting.name} from the {origin} is {text[:80]!r}, not {wanted.__name__}.",
        hint=setting.meaning,
        setting=setting.name,
    )


def resolve(
    environment: Mapping[str, str],
    file: Mapping[str, Value] | None = None,
    given: Mapping[str, Value | None] | None = None,
) -> dict[str, Resolved]:
    """Every setting with its value and origin.

    Errors: ``settings.unknown`` with the nearest spelling, for a key of the file and for an
    environment variable that starts with ``MAINSPRING_``; ``settings.bad_value``.
    """
    file = file or {}
    variables = {setting.variable: setting.name for setting in SETTINGS}
    for variable in environment:
        if variable.startswith("MAINSPRING_") and variable not in variables:
            raise _unknown(variable, list(variables))
    for name in file:
        if name not in BY_NAME:
            raise _unknown(name, list(BY_NAME))
    return {setting.name: _one(setting, environment, file, given or {}) for setting in SETTINGS}


def _one(
    setting: Setting,
    environment: Mapping[str, str],
    file: Mapping[str, Value],
    given: Mapping[str, Value | None],
) -> Resolved:
    layers: tuple[tuple[Origin, Value | None], ...] = (
        ("command line", given.get(setting.name)),
        ("environment", environment.get(setting.variable)),
        ("mainspring.toml", file.get(setting.name)),
    )
    for origin, value in layers:
        if value is not None:
            return Resolved(setting, _typed(setting, value, origin), origin)
    return Resolved(setting, setting.default, "default")


def _unknown(name: str, known: list[str]) -> Invalid:
    return Invalid(
        "settings.unknown",
        f"There is no setting {name!r}.",
        hint=did_you_mean(name, known),
        setting=name,
    )
