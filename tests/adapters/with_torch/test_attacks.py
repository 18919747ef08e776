"""What PyTorch's own loader runs, ours refuses or leaves behind: each attack is shown to work.

An attack writes a file. It is first handed to ``torch.export.load`` in a process of its own, where the
file appears; then to our packer, where it does not.
"""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mainspring._adapters.torch import recurrent
from mainspring._adapters.torch.packer import TorchPacker
from mainspring._adapters.torch.runtime import TorchRuntime
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature

SIGNATURE = Signature((InputColumn("a", "number"), InputColumn("b", "number")), "value")
FRAME = {"a": np.arange(6.0), "b": np.ones(6)}
VICTIM = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
program = torch.export.load(sys.argv[1])
if len(sys.argv) > 2:
    program.module()(torch.ones(3, 2))
"""


class Note:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def members():
    """The members of a file that torch.export.save wrote, by name."""
    linear = torch.nn.Linear(2, 1).eval()
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(linear, (torch.zeros(3, 2),), dynamic_shapes=shapes)
    data = io.BytesIO()
    torch.export.save(program, data)
    with zipfile.ZipFile(data) as file:
        return {name: file.read(name) for name in file.namelist()}


def archive(content):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, value in content.items():
            file.writestr(name, value)
    return data.getvalue()


def named(content, end):
    return next(name for name in content if name.endswith(end))


def changed(content, end, change):
    """The members with one JSON document changed."""
    name = named(content, end)
    document = json.loads(content[name])
    change(document)
    return content | {name: json.dumps(document).encode()}


def saved(thing):
    data = io.BytesIO()
    torch.save(thing, data)
    return data.getvalue()


def in_the_sample_inputs(content, mark):
    return content | {named(content, "sample_inputs/model.pt"): saved(Note(mark))}


def in_the_weights(content, mark):
    table = "weights/model_weights_config.json"
    content = changed(content, table, lambda d: d["config"]["weight"].update(use_pickle=True))
    return content | {named(content, "weights/weight_0"): saved(Note(mark))}


def beside_the_weights(content, mark):
    place = named(content, "weights/weight_0").replace("weight_0", "model.pt")
    return content | {place: saved(Note(mark))}


def in_a_constant(content, mark, name="tensor_0", data=saved):
    entry = {"path_name": name, "is_param": False, "use_pickle": True, "tensor_meta": None}
    table = "constants/model_constants_config.json"
    content = changed(content, table, lambda d: d["config"].update(extra=entry))
    place = named(content, table).replace("model_constants_config.json", name)
    return content | {place: data(Note(mark))}


def in_an_object_of_python(content, mark):
    return in_a_constant(content, mark, "opaque_obj_0", pickle.dumps)


def as_an_operator(content, mark):
    def call(document):
        inputs = [
            {"name": "filename", "arg": {"as_string": str(mark)}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
            {"name": "size", "arg": {"as_int": 1}, "kind": 1},
        ]
        target = "torch.ops.aten.from_file.default"
        document["graph_module"]["graph"]["nodes"][0].update(target=target, inputs=inputs)

    return changed(content, "models/model.json", call)


def as_a_size(content, mark):
    def name(document):
        size = document["graph_module"]["graph"]["tensor_values"]["input"]["sizes"][0]
        size["as_expr"]["expr_str"] = f"__import__('os').system('touch {mark}')"

    return changed(content, "models/model.json", name)


def as_a_guard(content, mark):
    def guard(document):
        document["guards_code"] = [f"__import__('os').system('touch {mark}') == 0"]

    return changed(content, "models/model.json", guard)


LEFT_BEHIND = (in_the_sample_inputs, as_a_guard)
REFUSED = (
    in_the_weights, beside_the_weights, in_a_constant, in_an_object_of_python, as_an_operator, as_a_size
)  # fmt: skip


@pytest.mark.parametrize("attack", [*LEFT_BEHIND, *REFUSED], ids=lambda one: one.__name__)
def test_what_pytorch_would_run_is_not_run(attack, tmp_path):
    """Pickles in every place, operators that open files, and texts evaluated as Python."""
    mark, file = tmp_path / "ran", tmp_path / "model.pt2"
    data = archive(attack(members(), mark))
    file.write_bytes(data)
    asked = [str(file), "asked"] if attack in {as_an_operator, as_a_guard} else [str(file)]
    subprocess.run(
        [sys.executable, "-c", VICTIM, *asked], check=False, capture_output=True, timeout=120
    )
    assert mark.exists(), "PyTorch itself is not attacked any more; is the attack out of date?"
    mark.unlink()
    packer = TorchPacker()
    assert packer.takes(data)
    if attack in REFUSED:
        with pytest.raises(Invalid) as raised:
            packer.answers(data, FRAME, SIGNATURE)
        assert raised.value.code in {"serving.package_unsafe", "serving.not_packable"}
    else:
        packer.answers(data, FRAME, SIGNATURE)
        files = packer.forms(data, SIGNATURE)[0].files()
        TorchRuntime().load(files, SIGNATURE).predict(np.ones((2, 2)))
        assert str(mark).encode() not in b"".join(files.values())
    assert not mark.exists()


def test_a_library_of_machine_code_is_not_loaded(tmp_path):
    """What AOTInductor compiles is loaded into the process by PyTorch; here it is refused."""
    content = members()
    root = named(content, "archive_format").partition("/")[0]
    data = archive(content | {f"{root}/data/aotinductor/model/kernel.so": b"\x7fELF"})
    with pytest.raises(Invalid, match="compiled code"):
        TorchPacker().answers(data, FRAME, SIGNATURE)


@pytest.mark.parametrize(
    "step",
    [
        ("aten.add_.Tensor", {"self": "x", "other": 1.0}),
        ("aten.dropout.default", {"input": "x", "p": 0.5, "train": True}),
        ("aten.linear.out", {"input": "x", "weight": "x", "out": "x"}),
        ("aten.zeros.names", {"size": [1], "names": ["a"], "pin_memory": True, "no": 1}),
        ("aten.relu.nothing", {"self": "x"}),
        ("aten.relu.default", {"self": "x", "unknown": 1}),
        ("aten.zeros.default", {"size": [1], "dtype": -1}),
        ("aten.to.prim_dtype", {"self": "x"}),
        ("aten.remainder.int", {"a": 5, "b": 0}),
        ("aten.lstm.data", {"data": "x"}),
    ],
    ids=lambda one: one[0],
)
def test_a_crafted_package_is_refused_when_it_is_loaded(step):
    """What our packer would not write, a gateway does not run."""
    operator, arguments = step
    values = {
        name: {"is": "value", "name": one} if one == "x" else one for name, one in arguments.items()
    }
    program = {
        "torch": "",
        "inputs": [{"name": "x", "dtype": "float32", "width": 2}],
        "tensors": {},
        "steps": [{"operator": operator, "arguments": values, "results": ["y"]}],
        "output": "y",
    }
    weights = b"mainspring tensors 1\n".ljust(64, b"\0")
    files = {"program.json": json.dumps(program).encode(), "weights.bin": weights}
    with pytest.raises(Invalid) as raised:
        TorchRuntime().load(files, SIGNATURE)
    assert raised.value.code in {"serving.package_unsafe", "serving.package_unreadable"}


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn_relu", "rnn_tanh"])
def test_recurrent_layers_that_do_not_fit_are_not_handed_to_their_kernels(name):
    """One state too few, or a matrix too small, would end the process."""
    function = recurrent.checked(name, getattr(torch.ops.aten, name).input)
    gates = recurrent.GATES[name] * 3
    rows, state = torch.ones(2, 5, 4), torch.zeros(1, 2, 3)
    states = [state, state] if name == "lstm" else state
    weights = [torch.ones(gates, 4), torch.ones(gates, 3), torch.ones(gates), torch.ones(gates)]
    how = (True, 1, 0.0, False, False, True)
    with torch.inference_mode():
        assert function(rows, states, weights, *how)[0].shape == (2, 5, 3)
        for given in (
            (rows, states, weights[:3], *how),
            (rows, states, [*weights[:2], torch.ones(1), torch.ones(1)], *how),
            (rows, [state] if name == "lstm" else state[0], weights, *how),
            (rows, states, [one.double() for one in weights], *how),
            (rows[0], states, weights, *how),
            (rows, states, weights, True, 2, 0.0, False, False, True),
            (rows, states, weights, True, 1, 0.0, False, True, True),
            (rows, states, weights, True, 10**9, 0.0, False, False, True),
        ):
            with pytest.raises(ValueError, match="do not fit"):
                function(*given)


def test_sizes_do_not_grow_without_end():
    """A number multiplied by itself sixty times would fill the memory."""
    steps = [
        {"operator": "_operator.mul", "arguments": {"a": 9, "b": 9}, "results": ["n0"]},
        *(
            {
                "operator": "_operator.mul",
                "arguments": {one: {"is": "value", "name": f"n{at}"} for one in "ab"},
                "results": [f"n{at + 1}"],
            }
            for at in range(60)
        ),
    ]
    program = {
        "torch": "",
        "inputs": [{"name": "x", "dtype": "float32", "width": 2}],
        "tensors": {},
        "steps": steps,
        "output": "n60",
    }
    weights = b"mainspring tensors 1\n".ljust(64, b"\0")
    files = {"program.json": json.dumps(program).encode(), "weights.bin": weights}
    loaded = TorchRuntime().load(files, SIGNATURE)
    with pytest.raises(Invalid, match="too large"):
        loaded.predict(np.ones((1, 2)))
