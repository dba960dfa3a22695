"""What pip, type checkers and importing programs see. ``.ci/run`` installs wheel and sdist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, metadata
from pathlib import Path
from typing import Any

import pytest

import aeclust

ROOT = Path(__file__).parent.parent
PACKAGE = Path(aeclust.__file__).parent


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)


def test_metadata_say_what_it_is_and_what_it_needs() -> None:
    known = metadata("aeclust")
    for field in ("Summary", "Requires-Python", "License-Expression", "Keywords", "Description"):
        assert known[field], field
    assert known["Requires-Python"] == ">=3.11"
    assert known["License-Expression"] == "MIT"
    assert "Typing :: Typed" in known.get_all("Classifier", [])


def test_the_command_and_the_module_are_one() -> None:
    (command,) = entry_points(group="console_scripts", name="aeclust")
    assert command.value == "aeclust.cli:main"
    done = subprocess.run(
        [sys.executable, "-m", "aeclust", "--version"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == f"aeclust {aeclust.__version__}\n"
    assert aeclust.__version__ == metadata("aeclust")["Version"]


def test_every_package_and_every_file_beside_the_code_is_packed(project: dict[str, Any]) -> None:
    packed = project["tool"]["setuptools"]
    found = {
        ".".join(file.parent.relative_to(PACKAGE.parent).parts)
        for file in PACKAGE.rglob("__init__.py")
    }
    assert set(packed["packages"]) == found
    beside = {
        file.relative_to(PACKAGE)
        for file in PACKAGE.rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert Path("py.typed") in beside
    assert beside == {
        file.relative_to(PACKAGE)
        for package, patterns in packed["package-data"].items()
        for pattern in patterns
        for file in PACKAGE.parent.joinpath(*package.split(".")).glob(pattern)
    }


def test_every_extra_is_explained(project: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for extra in project["project"]["optional-dependencies"]:
        assert f"| `{extra}` |" in page, extra


def test_importing_leaves_the_process_as_it_was() -> None:
    script = """
import os, signal, sys, threading, warnings
def state():
    return (dict(os.environ), list(warnings.filters), threading.active_count(), sys.excepthook,
            [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
            list(sys.path), os.getcwd())
import torch, sklearn.base, scipy, matplotlib, h5py
threads = torch.get_num_threads()
settings = dict(matplotlib.rcParams)
before = state()
import aeclust, aeclust.cli, aeclust.show.plots
from aeclust import AutoencoderClusterer
import numpy
assert state() == before
assert torch.get_num_threads() == threads
assert torch.get_default_dtype() == torch.float32
assert dict(matplotlib.rcParams) == settings
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_version_is_the_same_wherever_it_stands(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {version}" in cited
    headings = re.findall("^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    released = next(line for line in cited if line.startswith("date-released: "))
    assert headings[0] == f"{version} ({released.split()[1]})"


def test_the_docker_image_is_made_of_all_that_pip_needs(project: dict[str, Any]) -> None:
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    needed = {"pyproject.toml", project["project"]["readme"], "aeclust"}
    needed.update(project["project"]["license-files"])
    assert copied == needed
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in allowed if line.startswith("!")} == needed
