"""A small ``.pt2`` archive made by hand, whole or with something in it that should not be."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np

WEIGHT = np.array([[2.0, 0.5]], np.float32)
BIAS = np.array([1.0], np.float32)


def meta(sizes, dtype=7, **changes):
    """A tensor's description, contiguous; a text among the sizes is an expression."""
    strides = [int(np.prod(list(sizes[at + 1 :]))) for at in range(len(sizes))]
    described = {
        "dtype": dtype,
        "sizes": [size(one) for one in sizes],
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "strides": [{"as_int": one} for one in strides],
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }
    return described | changes


def size(one):
    return {"as_int": one} if isinstance(one, int) else {"as_expr": {"expr_str": one}}


def tensor(name):
    return {"as_tensor": {"name": name}}


def node(target, result, /, **arguments):
    inputs = [{"name": name, "arg": arg, "kind": 1} for name, arg in arguments.items()]
    return {"target": target, "inputs": inputs, "outputs": [tensor(result)], "metadata": {}}


LINEAR = node(
    "torch.ops.aten.linear.default",
    "linear",
    input=tensor("x"),
    weight=tensor("p_weight"),
    bias=tensor("p_bias"),
)


def graph(*, nodes=(LINEAR,), rows="s77", output="linear", **changes):
    """The program ``x @ weight + bias`` on rows of two numbers, as PyTorch writes it."""
    parameters = [
        {"parameter": {"arg": {"name": f"p_{one}"}, "parameter_name": one}}
        for one in ("weight", "bias")
    ]
    return {
        "graph_module": {
            "graph": {
                "inputs": [tensor(one) for one in ("p_weight", "p_bias", "x")],
                "outputs": [tensor(output)],
                "nodes": list(nodes),
                "tensor_values": {"x": meta([rows, 2]), output: meta([rows, 1])},
            },
            "signature": {
                "input_specs": [*parameters, {"user_input": {"arg": tensor("x")}}],
                "output_specs": [{"user_output": {"arg": tensor(output)}}],
            },
        },
        "range_constraints": {"s77": {"min_val": 0, "max_val": None}},
        "schema_version": {"major": 8, "minor": 20},
        "torch_version": "2.13.0+cpu",
        "guards_code": ["__import__('os').abort()"],
    } | changes


def table(**payloads):
    return json.dumps({"config": payloads}).encode()


def payload(name, described, **changes):
    return {
        "path_name": name, "is_param": True, "use_pickle": False, "tensor_meta": described
    } | changes  # fmt: skip


WEIGHTS = {
    "weight": payload("weight_0", meta([1, 2])),
    "bias": payload("weight_1", meta([1])),
}


def members(program=None, **weights):
    """What is in a whole archive, by name; ``weights`` change their table."""
    return {
        "data/weights/weight_0": WEIGHT.tobytes(),
        "data/weights/weight_1": BIAS.tobytes(),
        "data/weights/model_weights_config.json": table(**(WEIGHTS | weights)),
        "data/constants/model_constants_config.json": table(),
        "models/model.json": json.dumps(program or graph()).encode(),
        "archive_format": b"pt2",
        "archive_version": b"0",
        ".data/version": b"6\n",
        "byteorder": b"little",
        ".data/serialization_id": b"1" * 40,
    }


def archive(content=None, *, root="model/", packed=zipfile.ZIP_STORED):
    """The archive's bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", packed) as file:
        for name, value in (content or members()).items():
            file.writestr(root + name, value)
    return data.getvalue()
