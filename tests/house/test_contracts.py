"""The house inspects itself: who imports whom, what a start costs, which door a library has."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mainspring"
FORBIDDEN_AT_START = {
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "duckdb",
    "deltalake",
    "sqlalchemy",
    "sklearn",
    "lightgbm",
    "starlette",
    "fastapi",
    "httptools",
    "uvicorn",
}
# One library, one door: the folders below src/mainspring that may import it. numpy is the language
# of the pure mathematics, msgspec that of values; both are at home everywhere but at the start.
DOORS = {
    "catboost": {"_adapters/catboost"},
    "cryptography": {"_adapters/openssf"},
    "deltalake": {"_adapters/delta"},
    "duckdb": {"_adapters/delta", "_adapters/duckdb"},
    "google": {"_entrypoints/inference"},
    "grpc": {"_entrypoints/inference"},
    "httptools": {"_entrypoints/_http"},
    "jinja2": {"_entrypoints/ui"},
    "lightgbm": {"_adapters/lightgbm"},
    "markupsafe": {"_entrypoints/ui"},
    "onnx": {"_adapters/onnx"},
    "onnxmltools": {"_adapters/onnx"},
    "onnxruntime": {"_adapters/onnx"},
    "opentelemetry": {"_adapters/opentelemetry"},
    "optuna": {"_adapters/optuna"},
    "mlflow": {"_adapters/child"},
    "pandas": {"_adapters/child", "_adapters/skops"},
    "psycopg": {"_adapters/postgres"},
    "ray": {"_adapters/ray"},
    "sklearn": {"_adapters/sklearn", "_adapters/skops"},
    "skl2onnx": {"_adapters/onnx"},
    "skops": {"_adapters/skops"},
    "sqlite3": {"_adapters/sqlite"},
    "torch": {"_adapters/torch"},
    "xgboost": {"_adapters/xgboost"},
}
FREE = {"msgspec", "numpy", "mainspring", "arro3"}


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if "_examples" not in path.parts)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_down_the_list_you_may_import_up_the_list_you_may_only_announce():
    """Layers are exhaustive and siblings do not import in circles, as ARCHITECTURE draws it."""
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_adapters_and_entry_points_do_not_know_each_other():
    """One may be taken away without touching another.

    Two put the others together: the command line starts them, the server mounts them.
    """
    shared = {"sql", "_http"}
    wrong = []
    for layer in ("_adapters", "_entrypoints"):
        for path in (SOURCE / layer).rglob("*.py"):
            own = path.relative_to(SOURCE / layer).parts[0].removesuffix(".py")
            if own in {"cli", "server"}:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                module = node.module if isinstance(node, ast.ImportFrom) else None
                parts = (module or "").split(".")
                if parts[:2] == ["mainspring", layer] and {*parts[2:3]} - {own, *shared}:
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_every_library_has_one_door():
    """A third-party library is imported only in the folders that the table names."""
    wrong = []
    for path in modules():
        place = path.relative_to(SOURCE).as_posix()
        for name in set(imported(ast.parse(path.read_text("utf-8")))):
            if name in FREE or (name in sys.stdlib_module_names and name not in DOORS):
                continue
            if not any(place.startswith(door) for door in DOORS.get(name, ())):
                wrong.append(f"{place} imports {name}")
    assert not wrong, "\n".join(wrong)


def modules_after(code):
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in run.stdout.splitlines() if line}


@pytest.mark.parametrize(
    "code",
    [
        "import mainspring",
        "from mainspring._entrypoints.cli import build_parser; build_parser(None).format_help()",
    ],
)
def test_a_start_loads_nothing_heavy(code):
    """'import mainspring' and '--help' stay under 250 modules and load no heavy library."""
    loaded = modules_after(code)
    assert not FORBIDDEN_AT_START & loaded
    assert len(loaded) < 250


def processor_seconds(command, runs=5):
    """The least that a command needed of the processor: by the clock others would count too."""
    best, before = 60.0, children_seconds()
    for _ in range(runs):
        subprocess.run(command, check=True, capture_output=True)
        after = children_seconds()
        best, before = min(best, after - before), after
    return best


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
def test_help_is_shown_at_once():
    """'--help' costs at most eight bare interpreters (100 ms where a bare one takes 12 ms)."""
    bare = processor_seconds([sys.executable, "-c", "pass"])
    assert processor_seconds([sys.executable, "-m", "mainspring", "--help"]) < 8 * bare


def test_no_text_is_evaluated_and_no_shell_is_started():
    """No eval, exec, pickle, os.system or shell=True anywhere in the product."""
    wrong = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                shell = any(
                    k.arg == "shell" and getattr(k.value, "value", True) for k in node.keywords
                )
                if name in {"eval", "exec", "os.system", "os.popen"} or shell:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                if names & {"pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"}:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {names}")
    assert not wrong, "\n".join(wrong)


def test_the_product_knows_nothing_of_its_examples():
    """The demo is a project like any other: no word of it in the source, but the default's name."""
    words = ("flights", "airline", "nycflights", "departure_delay", "arr_delay", "dep_delay")
    wrong = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in modules()
        for word in words
        if word in path.read_text("utf-8").lower() and path.name != "demo.py"
    ]
    assert not wrong, "\n".join(wrong)


def test_ports_stay_narrow_and_faces_small():
    """A port or store protocol has at most 12 methods, a service at most 15 public ones."""
    wrong = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            protocol = any("Protocol" in ast.unparse(base) for base in node.bases)
            methods = [
                child.name
                for child in node.body
                if isinstance(child, ast.FunctionDef)
                and not child.name.startswith("_")
                and not any("property" in ast.unparse(d) for d in child.decorator_list)
            ]
            if len(methods) > (12 if protocol else 15):
                wrong.append(f"{path.relative_to(ROOT)} {node.name}: {len(methods)}")
    assert not wrong, "\n".join(wrong)


def test_files_and_functions_keep_their_limits():
    """No file over 600 lines and no function over 60."""
    wrong = []
    for path in modules():
        text = path.read_text("utf-8")
        if text.count("\n") > 600:
            wrong.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 60:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length}")
    assert not wrong, "\n".join(wrong)
