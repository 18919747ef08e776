"""The parts of PyTorch's own JSON that are read; what is not named here is not looked at.

Source: torch/_export/serde/schema.py of PyTorch 2.13 (schema version 8.20).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

SCHEMA_MAJOR: Final = 8
STRIDED: Final = 7
# A union is an object with one key, the kind; a few of them are read by hand.
Union = dict[str, Any]

NUMBERS: Final = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool", 13: "bfloat16",
}  # fmt: skip
MEMORY: Final = {
    1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format"
}  # fmt: skip


class Device(msgspec.Struct, frozen=True):
    """Where a tensor lay when the program was exported."""

    type: str


class TensorMeta(msgspec.Struct, frozen=True):
    """The shape of a tensor; a size that is free is an expression."""

    dtype: int
    sizes: list[Union]
    device: Device
    strides: list[Union]
    storage_offset: Union
    layout: int


class NamedArgument(msgspec.Struct, frozen=True):
    """An argument by its name in the operator's schema."""

    name: str
    arg: Union


class Node(msgspec.Struct, frozen=True):
    """One call of an operator."""

    target: str
    inputs: list[NamedArgument]
    outputs: list[Union]


class Graph(msgspec.Struct, frozen=True):
    """Nodes in the order they run."""

    inputs: list[Union]
    outputs: list[Union]
    nodes: list[Node]
    tensor_values: dict[str, TensorMeta]


class GraphSignature(msgspec.Struct, frozen=True):
    """What each input and each output of the graph is."""

    input_specs: list[Union]
    output_specs: list[Union]


class GraphModule(msgspec.Struct, frozen=True):
    """The graph with its signature."""

    graph: Graph
    signature: GraphSignature


class RangeConstraint(msgspec.Struct, frozen=True):
    """The bounds of a free size."""

    min_val: int | None = None
    max_val: int | None = None


class SchemaVersion(msgspec.Struct, frozen=True):
    """A change of the first number breaks readers."""

    major: int
    minor: int


class ExportedProgram(msgspec.Struct, frozen=True):
    """``models/model.json``."""

    graph_module: GraphModule
    range_constraints: dict[str, RangeConstraint]
    schema_version: SchemaVersion
    torch_version: str = ""


class Payload(msgspec.Struct, frozen=True):
    """Where the numbers of a tensor are."""

    path_name: str
    use_pickle: bool
    tensor_meta: TensorMeta | None


class PayloadTable(msgspec.Struct, frozen=True):
    """``model_weights_config.json`` and ``model_constants_config.json``."""

    config: dict[str, Payload]
