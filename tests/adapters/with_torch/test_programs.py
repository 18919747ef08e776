"""Programs of PyTorch are kept without a pickle, and answer as they do in PyTorch."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

import mainspring as ms
from mainspring._adapters.torch.packer import TorchPacker
from mainspring._adapters.torch.runtime import TorchRuntime
from mainspring._bootstrap.runtimes import known_runtimes
from mainspring.core.errors import Invalid
from mainspring.core.schema import InputColumn, Signature
from mainspring.serving.model import load_model
from mainspring.serving.unsafe import refuse_unsafe

# PyTorch's, of itself while it exports.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attribute"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]
NUMBERS = Signature(tuple(InputColumn(one, "number") for one in "abcd"), "value")
ROWS = np.random.default_rng(3).normal(size=(120, 4))
FRAME = {one: ROWS[:, place] for place, one in enumerate("abcd")}
ROW = torch.export.Dim("rows")


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 1)
        )
        self.register_buffer("scale", torch.arange(1.0, 5.0))

    def forward(self, x):
        with torch.no_grad():
            x = x * self.scale
        return torch.sigmoid(self.layers(x)).squeeze(-1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.into = nn.Linear(1, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.out = nn.Linear(8, 1)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, x):
        words = torch.cat([self.first.expand(x.shape[0], -1, -1), self.into(x.unsqueeze(-1))], 1)
        return self.out(self.encoder(words)[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells = kind(1, 6, 2, batch_first=True, dropout=0.1)
        self.out = nn.Linear(6, 1)

    def forward(self, x):
        return self.out(self.cells(x.unsqueeze(-1))[0][:, -1])


class Waves(nn.Module):
    def __init__(self):
        super().__init__()
        self.wave = nn.Conv1d(1, 4, 2)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(12, 1)

    def forward(self, x):
        found = nn.functional.gelu(self.wave(x.reshape(x.shape[0], 1, 4)))
        found = self.norm(found.transpose(1, 2)).reshape(x.size(0), -1)
        mark = torch.zeros(x.shape[0], 12, dtype=x.dtype)
        mark[:, 0] = 1
        found = torch.where(found > 0, found, torch.full_like(found, float("-inf"))).exp()
        return self.out(found + mark)[:, 0] * x.std(1) + torch.softmax(x, 1).amax(1)


class Doubles(nn.Module):
    def forward(self, x):
        return (x.double() * 0.1).sum(1)


MODULES = [Perceptron(), Attention(), Recurrent(nn.LSTM), Recurrent(nn.GRU), Waves(), Doubles()]


def exported(module, *arguments, rows=ROW, **how):
    """The module's program for any number of rows of four numbers."""
    arguments = arguments or (torch.zeros(3, 4),)
    shapes = tuple({0: rows} for _ in arguments) if rows is not None else None
    return torch.export.export(module.eval(), arguments, dynamic_shapes=shapes, **how)


def packed(model, signature=NUMBERS, frame=FRAME):
    """The model's own answers, and its files as they were loaded again."""
    packer = TorchPacker()
    answers = packer.answers(model, frame, signature)
    files = packer.forms(model, signature)[0].files()
    refuse_unsafe(files)
    return answers, TorchRuntime().load(files, signature), files


def archived(program):
    data = io.BytesIO()
    torch.export.save(program, data)
    return data.getvalue()


def refusal(model, signature=NUMBERS, frame=FRAME):
    with pytest.raises(Invalid) as raised:
        packed(model, signature, frame)
    assert raised.value.code == "serving.not_packable"
    return str(raised.value)


@pytest.mark.parametrize("module", MODULES, ids=lambda one: type(one).__name__)
def test_a_program_answers_as_its_module(module):
    """Layers of all common kinds, one row and many, to the last digits of 32 bits."""
    answers, loaded, _ = packed(exported(module))
    with torch.inference_mode():
        own = module(torch.tensor(ROWS, dtype=torch.float32)).double().reshape(-1).numpy()
    for found in (answers, loaded.predict(ROWS)):
        assert found == pytest.approx(own, rel=1e-5, abs=1e-6)
    assert loaded.predict(ROWS[:1]) == pytest.approx(own[:1], rel=1e-5, abs=1e-6)
    assert loaded.predict(ROWS[:0]).shape == (0,)


@pytest.mark.parametrize("module", MODULES, ids=lambda one: type(one).__name__)
def test_the_bytes_of_a_file_are_enough(module):
    """A ``.pt2`` file that another machine wrote is kept without being opened by PyTorch."""
    program = exported(module).run_decompositions({})
    answers, loaded, files = packed(archived(program))
    assert answers.tolist() == loaded.predict(ROWS).tolist()
    assert answers == pytest.approx(packed(program)[0], rel=1e-5, abs=1e-6)
    assert b"File" not in files["program.json"], "where it was written is nobody's business"


def test_a_module_is_exported_on_the_way_and_left_as_it_was():
    """It answers in evaluation mode, and goes on learning afterwards."""
    module = Perceptron().train()
    module.layers[2].eval()
    answers, loaded, _ = packed(module)
    assert loaded.predict(ROWS) == pytest.approx(answers, abs=1e-6)
    assert module.training
    assert module.layers[3].training
    assert not module.layers[2].training


class Columns(nn.Module):
    def __init__(self):
        super().__init__()
        self.places = nn.Embedding(4, 3)
        self.out = nn.Linear(5, 1)

    def forward(self, age, place, amount):
        numbers = torch.nan_to_num(torch.stack([age, amount], 1).float(), 0.0)
        return self.out(torch.cat([numbers, self.places(place + 1)], 1))


class Kinds(Columns):
    def forward(self, codes, numbers):
        return self.out(torch.cat([numbers, self.places(codes[:, 0] + 1)], 1))


MIXED = Signature(
    (
        InputColumn("amount", "number"),
        InputColumn("place", "category", ("x", "y", "z")),
        InputColumn("age", "number"),
    ),
    "value",
)
MIXED_FRAME = {
    "amount": ROWS[:, 0],
    "place": np.array(["x", "y", None, "w"] * 30, object),
    "age": ROWS[:, 1],
}


def test_inputs_are_fed_by_name_or_by_kind():
    """One tensor per input in any order and number type; or numbers and codes."""
    by_name = Columns()
    three = (torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.int64), torch.zeros(3))
    answers, loaded, _ = packed(exported(by_name, *three), MIXED, MIXED_FRAME)
    rows = np.column_stack([ROWS[:, 0], [0.0, 1.0, -1.0, -1.0] * 30, ROWS[:, 1]])
    assert loaded.predict(rows) == pytest.approx(answers, abs=1e-6)
    with torch.inference_mode():
        own = by_name(
            torch.tensor(ROWS[:, 1]),
            torch.tensor(rows[:, 1]).long(),
            torch.tensor(ROWS[:, 0]).float(),
        )
    assert answers == pytest.approx(own.double().reshape(-1).numpy(), abs=1e-6)
    by_kind = Kinds()
    by_kind.load_state_dict(by_name.state_dict())
    two = (torch.zeros(3, 1, dtype=torch.int64), torch.zeros(3, 2))
    answers, loaded, _ = packed(exported(by_kind, *two), MIXED, MIXED_FRAME)
    assert loaded.predict(rows) == pytest.approx(answers, abs=1e-6)


def test_a_row_that_a_program_cannot_take_is_that_requests_error():
    """An unknown category without a place for it; the program goes on."""
    module = nn.Embedding(2, 1)
    signature = Signature((InputColumn("input", "category", ("x", "y")),), "value")
    program = exported(module, torch.zeros(3, dtype=torch.int64))
    _, loaded, _ = packed(program, signature, {"input": np.array(["x", "y"], object)})
    with pytest.raises(Invalid) as raised:
        loaded.predict(np.array([[-1.0]]))
    assert raised.value.code == "serving.prediction_failed"
    with pytest.raises(Invalid):
        loaded.predict(np.array([[np.nan]]))
    assert loaded.predict(np.array([[1.0]])).shape == (1,)


def test_what_is_not_one_number_per_row_is_said_at_once():
    """A fixed number of rows, two answers, other inputs, answers that are no probabilities."""
    assert "fixed number of rows (3)" in refusal(exported(Perceptron(), rows=None))
    assert "one number per row" in refusal(exported(nn.Linear(4, 3)))
    assert "2 answers" in refusal(exported(Recurrent2()))
    probability = Signature(NUMBERS.inputs, "probability")
    assert "sigmoid" in refusal(exported(nn.Linear(4, 1).requires_grad_(False)), probability)
    two, program = Signature(NUMBERS.inputs[:2], "value"), exported(Perceptron())
    with pytest.raises(Invalid, match="not the 2 inputs"):
        packed(program, two, {one: FRAME[one] for one in "ab"})


class Recurrent2(nn.Module):
    def forward(self, x):
        return x.sum(1), x.mean(1)


class Neighbours(nn.Module):
    def forward(self, x):
        return (x - x.mean(0)).sum(1)


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen.add_(1)
        return x.sum(1) + self.seen


class Branch(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda y: y.sum(1), lambda y: y.mean(1), (x,))


class Noise(nn.Module):
    def forward(self, x):
        return x.sum(1) + torch.randn_like(x).sum(1)


def test_an_answer_depends_on_its_row_alone():
    """Means over the rows, counters, dice and training mode would answer every time otherwise."""
    assert "rows beside it" in refusal(exported(Neighbours()))
    assert "buffer_mutation" in refusal(exported(Learner()))
    learning = Perceptron().train()
    shapes = ({0: ROW},)
    program = torch.export.export(learning, (torch.zeros(3, 4),), dynamic_shapes=shapes)
    assert "buffer_mutation" in refusal(program)
    for module in (Branch(), Noise()):
        with pytest.raises(Invalid) as raised:
            packed(exported(module))
        assert raised.value.code == "serving.package_unsafe"
    dropout = torch.export.export(
        nn.Dropout(0.5).train(), (torch.zeros(3, 1),), dynamic_shapes=shapes
    )
    one = Signature(NUMBERS.inputs[:1], "value")
    with pytest.raises(Invalid):
        packed(archived(dropout), one, {"a": FRAME["a"]})


def test_a_bound_on_the_rows_is_kept():
    """A program for at most eight rows is asked eight at a time."""
    program = exported(Perceptron(), rows=torch.export.Dim("few", max=8))
    _, loaded, _ = packed(archived(program.run_decompositions({})))
    assert loaded.predict(ROWS).shape == (120,)
    assert loaded._most_rows == 8


def test_it_takes_one_thread_and_gives_the_others_back():
    """A gateway has as many threads as models; training in the process has its own."""
    _, loaded, _ = packed(exported(Perceptron()))
    seen = []
    run = loaded._bound.run
    loaded._bound = type(
        "Watched", (), {"run": lambda _, v: seen.append(torch.get_num_threads()) or run(v)}
    )()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        loaded.predict(ROWS)
        thread = threading.Thread(target=loaded.predict, args=(ROWS,))
        thread.start()
        thread.join()
        assert torch.get_num_threads() == 2
        assert seen == [1, 1]
    finally:
        torch.set_num_threads(before)


def test_a_saved_version_is_served_from_its_package(tmp_path):
    """Plan, golden sample and digests like any other version; nothing in it is a pickle."""
    torch.manual_seed(1)
    module = Perceptron()
    sample = dict(FRAME)
    sample["a"] = sample["a"].copy()
    sample["a"][:3] = np.nan
    with ms.open(tmp_path / "ws") as ws:
        version = ws.models.save("late", exported(module), sample=sample)
        opened = ws.registry.packages.open("late", version.number)
        plan = opened.manifest.plan
        assert (plan.way, plan.tried[0].runtime) == ("native", "torch")
        assert set(opened.manifest.files) == {"program.json", "weights.bin", "golden.json"}
        objects = tmp_path / "ws" / "objects"
        for file in objects.rglob("*"):
            assert not file.is_file() or file.read_bytes()[:2] not in {b"PK", b"\x80\x02"}
        model = load_model(version.package, ws.objects.get, known_runtimes())
        assert model.predict(FRAME).score == pytest.approx(packed(exported(module))[0], abs=1e-6)


UNLOADED = """
import sys
import mainspring._entrypoints.inference.server
from mainspring._bootstrap.runtimes import known_runtimes, packers
from mainspring.core.schema import InputColumn, Signature

runtimes = known_runtimes()
assert [packer.takes(object()) for packer in packers()] == [False] * len(packers())
runtimes["constant"].load({"constant.json": b'{"value": 1}'}, Signature((), "value"))
assert "torch" not in sys.modules, "loaded"
"""


def test_a_process_without_such_a_model_does_not_load_pytorch():
    """A fifth of a gigabyte and a second of every start."""
    done = subprocess.run(
        [sys.executable, "-c", UNLOADED], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


EXPORTERS = """
import sys
from pathlib import Path
from mainspring._adapters.torch.runtime import TorchRuntime
from mainspring.core.schema import InputColumn, Signature
import numpy as np

folder = Path(sys.argv[1])
files = {one.name: one.read_bytes() for one in folder.iterdir()}
signature = Signature(tuple(InputColumn(one, "number") for one in "abcd"), "value")
assert TorchRuntime().load(files, signature).predict(np.zeros((2, 4))).shape == (2,)
print(*[name for name in sys.modules if name.startswith(("torch._export.serde", "torch.export.pt2"))])
"""


def test_a_server_loads_nothing_that_reads_programs(tmp_path):
    """PyTorch's own loader is not even imported to answer."""
    for name, data in packed(exported(Perceptron()))[2].items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", EXPORTERS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "pt2_archive._package" not in done.stdout
