"""The reference page of settings, from the table in ``mainspring.core.settings``."""

from __future__ import annotations

from reference_errors import cell

from mainspring.core.settings import SETTINGS


def settings_page() -> str:
    """Every setting: its name, variable, type, default and meaning."""
    lines = [
        "# Settings",
        "",
        (
            "A setting is taken from the first of these places that names it: the command line, the "
            "environment (`MAINSPRING_` and its name in capitals), the table `[settings]` of "
            "`mainspring.toml`, its default. An unknown name is refused, with the nearest spelling. "
            "`mainspring config show` prints every value and where it came from."
        ),
        "",
        "| setting | variable | type | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for one in SETTINGS:
        default = f"`{one.default}`" if one.default != "" else "(empty)"
        kind = "secret text" if one.secret else _TYPES[type(one.default)]
        lines.append(
            f"| `{one.name}` | `{one.variable}` | {kind} | {default} | {cell(one.meaning)} |"
        )
    return "\n".join(lines) + "\n"


_TYPES = {str: "text", int: "whole number", bool: "true or false"}
