"""The arrows between the rooms, and what each room leaves to others."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import aeclust

PACKAGE = Path(aeclust.__file__).parent

# Every file and folder of the package is a room, which may import from these.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "seeds": set(),
    "recipe": {"errors"},
    "disk": {"errors"},
    "memory": {"errors"},
    "artifact": {"disk", "memory", "errors"},
    "images": {"artifact", "disk", "memory", "errors"},
    "clusters": {"seeds", "recipe", "memory", "errors"},
    "network": {"seeds", "clusters", "recipe", "disk", "errors"},
    "show": {"seeds", "clusters", "recipe", "errors"},
    "run": {
        *("show", "network", "clusters", "images"),
        *("artifact", "recipe", "seeds", "disk", "memory", "errors"),
    },
    "estimator": {"seeds", "run", "network", "clusters", "images", "recipe", "errors"},
    "cli": {"run", "network", "clusters", "images", "recipe", "disk", "errors"},
    "__init__": {"estimator"},
    "__main__": {"cli"},
}
# Libraries that one room keeps to itself. Names for type checkers are free, but not of these two.
KEEPERS = {
    "h5py": {"artifact"},
    "matplotlib": {"show"},
    "jinja2": {"show"},
    "PIL": {"images", "show"},
    "typer": {"cli"},
    "rich": {"cli"},
    "filelock": {"run"},
    "safetensors": {"network", "images"},
    "onnx": {"network"},
    "onnxruntime": {"network"},
    "timm": {"network"},
    "efficientnet_lite_pytorch": {"network"},
}
# Rooms that compute and nothing else: they print nothing and open no file ...
SILENT = ("errors", "seeds", "recipe", "memory", "clusters", "network", "show")
# ... but for these: the TOML of --config is read where its fields are known, and the system keeps
# some facts in files.
READS_A_FILE = {"recipe.toml", "memory"}
# matplotlib takes a backend from the environment where it is imported, whether it is there or not
READS_THE_ENVIRONMENT = {"show"}
# Where the failure of a decoder, whatever it is, becomes an error of ours.
EDGES = {"artifact.gate", "network.interchange"}
EDGES |= {"network.onnx_gate", "network.onnx_encoder", "network.timm_encoder"}
EDGES |= {"images.archives", "images.arrays", "images.decoding", "images.reading"}
EDGES |= {"images.features"}
EDGES |= {"run.folder", "run.names"}


@dataclass(frozen=True)
class Import:
    """One imported module, by its full name."""

    name: str
    line: int
    typing_only: bool


def module_name(file: Path) -> str:
    """``run.folder`` for aeclust/run/folder.py, ``run`` for its __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(file.read_text("utf-8"), str(file)) for name, file in FILES.items()}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports_of(node: ast.AST, typing_only: bool = False) -> Iterator[Import]:
    """Imports anywhere below a node, those within functions included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, typing_only)
        elif isinstance(child, ast.ImportFrom):
            module = "." * child.level + (child.module or "")
            for alias in child.names:
                below = f"{module}.{alias.name}"
                is_module = below.removeprefix("aeclust.") in FILES
                yield Import(below if is_module else module, child.lineno, typing_only)
        elif is_typing_block(child) and isinstance(child, ast.If):
            for part in child.body:
                yield from imports_of(ast.Module([part], []), typing_only=True)
            for part in child.orelse:
                yield from imports_of(ast.Module([part], []), typing_only)
        else:
            yield from imports_of(child, typing_only)


IMPORTS = {name: list(imports_of(tree)) for name, tree in TREES.items()}


def ours(imported: Import) -> str:
    """The module of aeclust that an import names, or an empty text."""
    if imported.name == "aeclust":
        return "__init__"
    return imported.name.removeprefix("aeclust.") if imported.name.startswith("aeclust.") else ""


def in_rooms(*rooms: str) -> list[str]:
    return [name for name in FILES if room_of(name) in rooms]


def test_every_module_stands_in_a_room() -> None:
    assert {"artifact", "show.plots", "run.folder", "cli", "__init__"} <= FILES.keys()
    assert {room_of(name) for name in FILES} == ARROWS.keys()


def test_the_parser_of_imports_sees_all_kinds() -> None:
    text = """
import a.b, c
from aeclust import errors
from aeclust import nothing
if TYPE_CHECKING:
    import d
else:
    import e
def f():
    try:
        from aeclust.run import folder
    except ImportError:
        from . import g
"""
    parsed = [(entry.name, entry.typing_only) for entry in imports_of(ast.parse(text))]
    assert parsed == [
        ("a.b", False), ("c", False), ("aeclust.errors", False), ("aeclust", False), ("d", True),
        ("e", False), ("aeclust.run.folder", False), (".", False),
    ]  # fmt: skip


@pytest.mark.parametrize("module", FILES)
def test_arrows_point_down_only(module: str) -> None:
    allowed = {room_of(module), *ARROWS[room_of(module)]}
    wrong = [
        f"{module}:{imported.line} imports {imported.name}"
        for imported in IMPORTS[module]
        if imported.name.startswith(".")
        or (ours(imported) and room_of(ours(imported)) not in allowed)
    ]
    assert wrong == []


def test_no_module_imports_itself_by_a_detour() -> None:
    ahead = {
        name: {
            ours(imported) for imported in imports if ours(imported) and not imported.typing_only
        }
        for name, imports in IMPORTS.items()
    }
    # a package's __init__ only gathers what its modules offer
    packages = {name for name, file in FILES.items() if file.name == "__init__.py"}
    waiting = {name: targets - packages for name, targets in ahead.items() if name not in packages}
    while waiting:
        free = [name for name, targets in waiting.items() if not targets & waiting.keys()]
        assert free, f"a circle among {sorted(waiting)}"
        for name in free:
            del waiting[name]


@pytest.mark.parametrize("library", KEEPERS)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    users = {
        room_of(module)
        for module, imports in IMPORTS.items()
        for imported in imports
        if imported.name.partition(".")[0] == library
        and (library in ("h5py", "matplotlib") or not imported.typing_only)
    }
    assert users <= KEEPERS[library]


@pytest.mark.parametrize("module", in_rooms("artifact", "disk", "images", "show"))
def test_files_and_figures_need_no_torch(module: str) -> None:
    names = {imported.name.partition(".")[0] for imported in IMPORTS[module]}
    assert "torch" not in names


def calls_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What is called, as it is written, and where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


OPENERS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir"}


@pytest.mark.parametrize("module", in_rooms(*SILENT))
def test_stages_and_pure_rooms_only_compute(module: str) -> None:
    wrong = []
    for name, line in calls_of(TREES[module]):
        last = name.rpartition(".")[2]
        if name in ("print", "input", "exit", "quit", "sys.exit", "os._exit", "os.getenv"):
            wrong.append(f"{module}:{line} calls {name}")
        if last in OPENERS and module not in READS_A_FILE:
            wrong.append(f"{module}:{line} calls {name}")
    wrong += [
        f"{module}:{node.lineno} uses {ast.unparse(node)}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("os.environ", "sys.stdout", "sys.stderr", "sys.argv")
        and not (module in READS_THE_ENVIRONMENT and node.attr == "environ")
    ]
    assert wrong == []


@pytest.mark.parametrize("module", [m for m in FILES if room_of(m) not in ("cli", "__main__")])
def test_only_the_command_prints_and_exits(module: str) -> None:
    names = {name for name, _ in calls_of(TREES[module])}
    assert names.isdisjoint({"print", "typer.echo", "sys.exit", "exit", "quit", "os._exit"})


@pytest.mark.parametrize("module", FILES)
def test_nothing_is_caught_wholesale_or_asserted(module: str) -> None:
    wrong = []
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Assert):
            wrong.append(f"{module}:{node.lineno} asserts")
        if isinstance(node, ast.ExceptHandler):
            caught = "" if node.type is None else ast.unparse(node.type).strip("()")
            everything = {"", "Exception"} & {name.strip() for name in caught.split(",")}
            if everything and module not in EDGES:
                wrong.append(f"{module}:{node.lineno} catches everything")
    assert wrong == []


@pytest.mark.parametrize("module", FILES)
def test_imports_stand_where_this_test_sees_them(module: str) -> None:
    names = {name.rpartition(".")[2] for name, _ in calls_of(TREES[module])}
    assert names.isdisjoint({"__import__", "import_module", "exec"})


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = ("torch", "sklearn", "scipy", "matplotlib", "h5py", "numpy", "PIL")
    script = f"import aeclust.cli, sys; print(*sorted(set({heavy}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []
