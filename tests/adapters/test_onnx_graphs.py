"""An ONNX file is looked through before ONNX Runtime sees it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mainspring._adapters.onnx.graph import check_graph
from mainspring._adapters.onnx.runtime import OnnxRuntime
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature

SIGNATURE = Signature((InputColumn("a", "number"), InputColumn("b", "number")), "value")


def graph(*, nodes=None, weights=None, domains=(("", 18),), functions=()):
    weights = weights or numpy_helper.from_array(np.array([[2.0], [0.5]], np.float32), "weights")
    nodes = nodes or [helper.make_node("MatMul", ["inputs", "weights"], ["answer"])]
    made = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    opsets = [helper.make_opsetid(*one) for one in domains]
    model = helper.make_model(made, opset_imports=opsets, functions=functions, ir_version=8)
    return model.SerializeToString()


def test_a_plain_graph_answers():
    """A graph that somebody exported, from PyTorch say, is served as it is."""
    loaded = OnnxRuntime().load({"model.onnx": graph()}, SIGNATURE)
    assert loaded.predict(np.array([[1.0, 2.0], [0.0, -1.0]])).tolist() == [3.0, -0.5]


def outside():
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/hostname")
    return tensor


def hidden():
    """A constant inside a node's attribute keeps its tensor outside."""
    constant = helper.make_node("Constant", [], ["weights2"])
    constant.attribute.append(onnx.AttributeProto(name="value", type=4, t=outside()))
    return [
        constant,
        helper.make_node("Add", ["weights", "weights2"], ["both"]),
        helper.make_node("MatMul", ["inputs", "both"], ["answer"]),
    ]


def of_their_own(domain):
    return [helper.make_node("MatMul", ["inputs", "weights"], ["answer"], domain=domain)]


def function():
    node = helper.make_node("Identity", ["x"], ["y"])
    return helper.make_function(
        "local", "Mine", ["x"], ["y"], [node], [helper.make_opsetid("", 18)]
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (graph(weights=outside()), "outside of it"),
        (graph(nodes=hidden()), "outside of it"),
        (graph(nodes=of_their_own("com.example"), domains=(("", 18),)), "com.example"),
        (graph(domains=(("", 18), ("com.microsoft", 1))), "com.microsoft"),
        (graph(functions=[function()]), "operators of its own"),
    ],
)
def test_what_leads_out_of_a_graph_is_refused(data, what):
    """External data, operators of other libraries and functions: before anything is loaded."""
    with pytest.raises(Invalid, match=what) as raised:
        OnnxRuntime().load({"model.onnx": data}, SIGNATURE)
    assert raised.value.code == "serving.package_unsafe"


def test_every_shortened_graph_is_refused():
    """Cut at any byte, a graph is an error of the package, found by us or by ONNX Runtime."""
    whole = graph()
    for length in range(len(whole) - 20):
        with pytest.raises(Invalid):
            OnnxRuntime().load({"model.onnx": whole[:length]}, SIGNATURE)


def test_graphs_within_graphs_have_an_end():
    """Nesting without end does not exhaust the reader."""
    inner = b""
    for _ in range(60):
        attribute = b"\x32" + varint(len(inner)) + inner  # AttributeProto.g
        node = b"\x2a" + varint(len(attribute)) + attribute  # NodeProto.attribute
        inner = b"\x0a" + varint(len(node)) + node  # GraphProto.node
    with pytest.raises(Invalid, match="nested too deep"):
        check_graph(b"\x3a" + varint(len(inner)) + inner)


def varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])
