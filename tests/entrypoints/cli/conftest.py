"""A small project on disk, and the command line to work on it in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_orders import orders

from mainspring._bootstrap.workspace import open_workspace
from mainspring._entrypoints.cli import main
from mainspring.core.digest import sha256
from mainspring.core.schema import InputColumn, Signature
from mainspring.registry.details import Details
from mainspring.registry.facts import Facts, Measured
from mainspring.registry.manifest import Decision, Manifest


@dataclass
class Answer:
    """What a command said: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Runs a command as if typed in ``tmp_path``; ``cli.folder`` is another place to type in."""
    for name in ("WORKSPACE", "URL", "TOKEN", "DATABASE"):
        monkeypatch.delenv(f"MAINSPRING_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Answer:
        capsys.readouterr()
        code = main(list(words))
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def project(cli, tmp_path, monkeypatch) -> Path:
    """A project made by ``init`` from a CSV file; commands are typed in its folder."""
    (tmp_path / "orders.csv").write_text(orders())
    assert cli("init", "shop", "--csv", "orders.csv", "--yes").code == 0
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def ingested(project, cli) -> Path:
    assert cli("data", "ingest").code == 0
    return project


@pytest.fixture
def registered(project) -> Path:
    """The project with two versions of the model ``shop``."""
    with open_workspace(project) as workspace:
        registry = workspace.registry
        registry.models.register("shop", description="Returned orders.")
        for number, auc in ((1, 0.7), (2, 0.4)):
            files = {"model.txt": f"weights {number}".encode(), "golden/rows.json": b"[]"}
            manifest = Manifest(
                name="shop",
                task="binary",
                runtime="linear",
                signature=Signature((InputColumn("amount", "number"),), "probability"),
                files={path: sha256(data) for path, data in files.items()},
                golden="golden/rows.json",
                decision=Decision(threshold=0.25),
                metrics={"auc": auc},
                seed=number,
            )
            facts = Facts(learner="logistic", metrics=(Measured(metric="auc", value=auc),))
            registry.versions.create("shop", manifest, files, details=Details(facts=facts))
    return project
