"""A ``.pt2`` file is looked through without PyTorch: what could run is refused, or left behind."""

from __future__ import annotations

import copy
import io
import os
import pickle
import warnings
import zipfile

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.torch_archives import (
    BIAS,
    LINEAR,
    WEIGHT,
    archive,
    graph,
    members,
    meta,
    node,
    payload,
    size,
    tensor,
)

from mainspring._adapters.torch.archive import read_archive
from mainspring._adapters.torch.program import HEAD, Program, read_program
from mainspring._adapters.torch.translate import files_of
from mainspring.core.errors import Invalid
from mainspring.serving.unsafe import refuse_unsafe


class Explosive:
    """Unpickled, it ends the process."""

    def __reduce__(self):
        return (os.abort, ())


BOOM = pickle.dumps(Explosive())


def refused(data, code="serving.package_unsafe"):
    """The message of the refusal."""
    with pytest.raises(Invalid) as raised:
        files_of(data)
    assert raised.value.code == code
    return raised.value.message


def test_a_program_becomes_its_steps_and_its_numbers():
    """Two plain files: nothing of the archive but what answering takes, and no pickle."""
    files = files_of(archive(members() | {"data/sample_inputs/model.pt": BOOM}))
    refuse_unsafe(files)
    assert sorted(files) == ["program.json", "weights.bin"]
    program = read_program(files["program.json"], len(files["weights.bin"]))
    assert [step.operator for step in program.steps] == ["aten.linear.default"]
    weight = program.tensors["p_weight"]
    raw = files["weights.bin"][weight.offset :][: weight.size_bytes]
    assert np.frombuffer(raw, np.float32).tolist() == WEIGHT.ravel().tolist()
    assert b"abort" not in b"".join(files.values())


@pytest.mark.parametrize(
    "place",
    [
        "data/weights/model.pt",
        "data/weights/weight_0.pkl",
        "data/constants/model.pt",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/sample_inputs/other.pt",
        "data/sample_inputs/model.pt/data.pkl",
        "data/aotinductor/model/kernel.so",
        "data/aotinductor/model/weights_config.json",
        "data/xl_model_weights/model_param_config.json",
        "data/mtia/model",
        "data/executorch/model.pte",
        "extra/notes.txt",
        "models/second.json",
        "serialized_state_dict.pt",
        "kernel.so",
        "data.pkl",
        "Archive_Format",
    ],
)
def test_no_other_member_is_let_in(place):
    """Pickles, compiled code, objects, extra files, second programs: each is named and refused."""
    assert repr(place) in refused(archive(members() | {place: BOOM}))


def test_a_tensor_that_says_it_is_a_pickle_is_not_read():
    """PyTorch would unpickle it without restraint."""
    for changed in (
        payload("weight_0", meta([1, 2]), use_pickle=True),
        payload("weight_0", None),
        payload("custom_obj_0", None, use_pickle=True),
    ):
        data = archive(members(weight=changed) | {"data/weights/weight_0": BOOM})
        assert "is a pickle" in refused(data)


def test_bytes_that_look_like_a_pickle_are_numbers_like_others():
    """Numbers begin with any bytes; in the package they lie behind a head of our own."""
    raw = np.frombuffer(b"\x80\x04\x95\x05" + b"\0" * 4, np.float32)
    files = files_of(archive(members() | {"data/weights/weight_0": raw.tobytes()}))
    refuse_unsafe(files)
    assert files["weights.bin"].startswith(HEAD)


@pytest.mark.parametrize("root", ["../", "/", "a/../", "..\\", "C:", ""])
def test_no_path_climbs_out(root):
    """An archive has one folder, with a plain name."""
    refused(archive(root=root))


def test_all_lies_in_one_folder_and_once():
    """Two readers could otherwise take two different members for the same."""
    data = archive()
    for stray in ("other/archive_format", "model/../models/model.json", "model/archive_format"):
        file = io.BytesIO(data)
        with zipfile.ZipFile(file, "a") as more, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there twice
            more.writestr(stray, b"pt2")
        refused(file.getvalue())


def test_a_bomb_is_not_opened():
    """PyTorch packs nothing, so nothing that is packed is unpacked."""
    zeros = members() | {"data/weights/weight_0": bytes(50_000_000)}
    assert "would become 5000" in refused(archive(zeros, packed=zipfile.ZIP_DEFLATED))


def test_members_that_lie_over_each_other_are_a_bomb_too():
    """One stored megabyte, listed fifty times, would be fifty."""
    data = io.BytesIO(archive(members() | {"data/weights/weight_2": bytes(1_000_000)}))
    with zipfile.ZipFile(data, "a") as file:
        for number in range(3, 53):
            again = copy.copy(file.getinfo("model/data/weights/weight_2"))
            again.filename = f"model/data/weights/weight_{number}"
            file.filelist.append(again)
        file.comment = b"the table of contents is written again"
    assert "would become 5100" in refused(data.getvalue())


def test_numbers_repeated_by_a_stride_of_nought_are_not_written_out():
    """Eight bytes may not say that they are a terabyte."""
    described = meta([1 << 20, 1 << 20], strides=[{"as_int": 0}, {"as_int": 0}])
    assert "would become" in refused(archive(members(weight=payload("weight_0", described))))


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": [size(1), size(3)]},
        {"sizes": [size(2**62), size(2**62)]},
        {"sizes": [size(1), size(-2)]},
        {"sizes": [size(1), size("s0")]},
        {"strides": [size(1)]},
        {"strides": [size(-1), size(-1)]},
        {"storage_offset": size(1)},
        {"storage_offset": size(-1)},
        {"storage_offset": size(2**63)},
        {"layout": 1},
        {"dtype": 9},
        {"dtype": 99},
    ],
)
def test_no_tensor_reads_beyond_its_numbers(changes):
    """Shape, stride and offset are checked against the bytes that are there."""
    described = meta([1, 2]) | changes
    data = archive(members(weight=payload("weight_0", described)))
    refused(data, "serving.package_unreadable")


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.load",
        "torch.serialization.pickle.loads",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.empty.memory_format",
        "torch.ops.aten.rand.default",
        "torch.ops.aten.as_strided.default",
        "torch.ops.aten.add_.Tensor",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.aten.linear.__call__",
        "torch.ops.aten.linear.default.__globals__",
        "torch.ops.aten.linear",
        "torch.ops.higher_order.cond",
        "torch.ops.quantized.linear",
        "torch.ops.aten.__loader__.load",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "_operator.pow",
        "math.factorial",
        "#extension:anything",
        "os.system",
        "",
    ],
)
def test_an_operator_that_is_not_reviewed_is_refused(target):
    """PyTorch's loader finds any function below ``torch``; ours knows a list."""
    call = node(target, "linear", command={"as_string": "true"})
    assert "is not reviewed" in refused(archive(members(graph(nodes=[call]))))


@pytest.mark.parametrize(
    "argument",
    [
        {"as_graph": {"name": "inside", "graph": {}}},
        {"as_custom_obj": {"name": "a", "class_fqn": "b"}},
        {"as_operator": "torch.os.system"},
    ],
)
def test_no_argument_is_code(argument):
    """Programs within programs, objects and operators are no values."""
    call = node("torch.ops.aten.relu.default", "linear", self=argument)
    refused(archive(members(graph(nodes=[call]))))


@pytest.mark.parametrize(
    "rows",
    [
        "__import__('os').abort()",
        "Symbol('s77', positive=__import__('os').abort())",
        "2*s77",
        "s77 + 1",
    ],
)
def test_no_text_of_the_graph_is_evaluated(rows):
    """A size is a name or a number; PyTorch's loader evaluates it as Python."""
    data = archive(members(graph(rows=rows)))
    assert "fixed number of rows" in refused(data, "serving.not_packable")


def test_a_program_for_a_fixed_number_of_rows_says_how_to_export_it():
    """The commonest mistake: one sample row, and no word about more."""
    with pytest.raises(Invalid) as raised:
        files_of(archive(members(graph(rows=4))))
    assert raised.value.code == "serving.not_packable"
    assert "torch.export.Dim" in str(raised.value)


def test_a_program_that_learns_while_it_answers_is_refused():
    """Its answers would depend on who asked before."""
    changed = graph()
    spec = {"buffer_mutation": {"arg": {"name": "p_bias"}, "buffer_name": "mean"}}
    changed["graph_module"]["signature"]["output_specs"].append(spec)
    assert "buffer_mutation" in refused(archive(members(changed)), "serving.not_packable")


def test_a_step_uses_what_is_there():
    """Every name was made before it is used, and once."""
    before = node("torch.ops.aten.relu.default", "relu", self=tensor("linear"))
    for nodes in ([before, LINEAR], [LINEAR, LINEAR], [before]):
        refused(archive(members(graph(nodes=nodes))), "serving.package_unreadable")


@given(st.data())
def test_a_damaged_archive_is_an_error_of_ours_or_still_a_program(data):
    """Whatever bytes change, nobody gets a stack trace, and nothing grows."""
    whole = bytearray(archive())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        files = files_of(bytes(whole))
    except Invalid:
        return
    assert sum(map(len, files.values())) < 2 * len(whole)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """The path of every value inside a document."""
    yield path
    inside = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else inside:
        yield from places(inner, (*path, key))


def planted(value, path, other):
    """The document with another value at a path."""
    if not path:
        return other
    changed = value.copy()
    changed[path[0]] = planted(value[path[0]], path[1:], other)
    return changed


GRAPH_PLACES = list(places(graph()))


@given(st.sampled_from(GRAPH_PLACES), VALUES)
def test_a_graph_of_any_other_form_is_an_error_of_ours(path, other):
    """Each value of the graph in turn is something else."""
    try:
        files_of(archive(members(planted(graph(), path, other))))
    except Invalid:
        return


KEPT = files_of(archive())
PROGRAM = msgspec.json.decode(KEPT["program.json"])
PROGRAM_PLACES = list(places(PROGRAM))


@given(st.sampled_from(PROGRAM_PLACES), VALUES)
def test_a_program_of_any_other_form_is_an_error_of_ours(path, other):
    """The same for what a package holds, which a gateway reads."""
    changed = msgspec.json.encode(planted(PROGRAM, path, other))
    try:
        program = read_program(changed, len(KEPT["weights.bin"]))
    except Invalid:
        return
    assert isinstance(program, Program)


@pytest.mark.parametrize(
    ("path", "other", "code"),
    [
        (("steps", 0, "operator"), "aten.from_file.default", "unsafe"),
        (("steps", 0, "operator"), "torch.os.system", "unsafe"),
        (("steps", 0, "operator"), "aten.linear.__class__", "unsafe"),
        (("tensors", "p_bias", "offset"), 0, "unreadable"),
        (("tensors", "p_bias", "offset"), 1 << 40, "unreadable"),
        (("tensors", "p_bias", "shape"), [1 << 62, 1 << 62], "unreadable"),
        (("tensors", "p_bias", "shape"), [-1], "unreadable"),
        (("tensors", "p_bias", "dtype"), "Tensor", "unreadable"),
        (("output",), "nothing", "unreadable"),
        (("version",), 2, "unreadable"),
        (("most_rows",), 0, "unreadable"),
        (("inputs",), [], "unreadable"),
        (("steps", 0, "arguments", "bias"), {"is": "value", "name": "later"}, "unreadable"),
        (("steps", 0, "arguments", "bias"), {"is": "word", "name": "load"}, "unreadable"),
        (("steps", 0, "arguments", "bias"), 1 << 70, "unreadable"),
    ],
)
def test_what_a_package_holds_is_checked_again(path, other, code):
    """A package may have been made by somebody else than our packer."""
    changed = msgspec.json.encode(planted(PROGRAM, path, other))
    with pytest.raises(Invalid) as raised:
        read_program(changed, len(KEPT["weights.bin"]))
    assert raised.value.code == f"serving.package_{code}"


def test_shared_numbers_are_kept_once():
    """Tied weights stay one tensor on the disk."""
    one = read_archive(archive())
    assert set(one) >= {"data/weights/weight_0", "models/model.json"}
    twice = graph()
    spec = {"parameter": {"arg": {"name": "p_again"}, "parameter_name": "bias"}}
    twice["graph_module"]["signature"]["input_specs"].append(spec)
    files = files_of(archive(members(twice)))
    program = read_program(files["program.json"], len(files["weights.bin"]))
    assert program.tensors["p_again"] == program.tensors["p_bias"]
    assert len(files["weights.bin"]) == len(HEAD) + 2 * 64
    assert BIAS.tobytes() in files["weights.bin"]
