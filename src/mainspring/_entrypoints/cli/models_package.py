"""``mainspring models package``: a version as something that others build on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring._entrypoints.cli.opening import opened
from mainspring._entrypoints.cli.output import Output
from mainspring._entrypoints.cli.parser import verb
from mainspring.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from mainspring._bootstrap.taking_out import TakenOut
    from mainspring._bootstrap.workspace import Workspace

_FORMS = ("wheel", "container", "kubernetes", "onnx")


def add(among: Any) -> None:
    """The verb ``package``."""
    package = verb(
        among,
        "package",
        run,
        "a version as a wheel, a container, manifests or an ONNX graph",
        more="A name alone means its champion.\n\n"
        "  wheel       pip installs it anywhere; it needs no Mainspring\n"
        "  container   a folder to run 'docker build' in; a gateway with the model inside\n"
        "  kubernetes  manifests that run that image, and a KServe service (takes --image)\n"
        "  onnx        the graph it was registered with, and how far its answers are off",
    )
    package.add_argument("address", metavar="NAME/VERSION|NAME@alias", help="the version")
    package.add_argument("--as", dest="form", choices=_FORMS, required=True, help="what it becomes")
    package.add_argument(
        "--into", metavar="DIR", help="where to; a wheel: here, else NAME-VERSION-FORM, made new"
    )
    package.add_argument("--endpoint", metavar="NAME", help="its endpoint; named as the model")
    package.add_argument("--lock", metavar="FILE", help="container: take hashes from this lock")
    package.add_argument("--image", metavar="REF", help="kubernetes: the image that was built")
    package.add_argument("--namespace", metavar="NAME", help="kubernetes: where it is to run")
    package.add_argument(
        "--token-secret", metavar="NAME", help="kubernetes: the Secret that holds 'token'"
    )
    package.add_argument(
        "--model-uri", metavar="URI", help="kubernetes: KServe fetches the folder 'model' from here"
    )


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Takes a version out."""
    with opened(arguments) as workspace:
        taken = _taken(workspace, arguments)
    if output.as_json:
        output.document({"version": taken.address, "as": taken.form, "path": str(taken.path)})
        return 0
    output.line(f"{taken.address} -> {taken.path}")
    output.note(_next(taken))
    return 0


def _taken(workspace: Workspace, arguments: argparse.Namespace) -> TakenOut:
    from mainspring._bootstrap import taking_out
    from mainspring.projects.scoring import chosen_version

    address, form = arguments.address, arguments.form
    if form == "wheel":
        return taking_out.take_wheel(workspace, address, Path(arguments.into or "."))
    version = chosen_version(workspace.registry, address)
    into = Path(arguments.into or f"{version.name}-{version.number}-{form}")
    if form == "container":
        lock = _lock(arguments.lock)
        return taking_out.take_container(workspace, address, into, arguments.endpoint, lock)
    if form == "onnx":
        return taking_out.take_onnx(workspace, address, into)
    return taking_out.take_kubernetes(workspace, address, into, _wanted(arguments, version.name))


def _wanted(arguments: argparse.Namespace, model: str) -> Any:
    from mainspring.serving.packaging.kubernetes import Wanted

    if not arguments.image:
        raise Invalid(
            "cli.wrong_use",
            "Manifests need the image that they run.",
            hint="Build one from --as container, push it, and name it with --image.",
        )
    return Wanted(
        endpoint=arguments.endpoint or model,
        image=arguments.image,
        namespace=arguments.namespace,
        token_secret=arguments.token_secret,
        model_uri=arguments.model_uri,
    )


def _lock(name: str | None) -> str | None:
    if name is None:
        return None
    if not Path(name).is_file():
        raise NotFound(
            "cli.no_such_file",
            f"There is no file {name!r}.",
            hint="Make one with 'pip-compile --generate-hashes', or leave out --lock.",
        )
    return Path(name).read_text("utf-8")


def _next(taken: TakenOut) -> str:
    return {
        "wheel": f"Install it with: pip install {taken.path}",
        "container": f"Build it with: docker build -t NAME {taken.path}",
        "kubernetes": f"Apply it with: kubectl apply -f {taken.path}",
        "onnx": f"How far its answers are off stands in {taken.path}/check.json.",
    }[taken.form]
