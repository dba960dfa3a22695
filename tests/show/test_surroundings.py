"""Figures are the same whatever a user has set for other ones, and nothing else is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import Cli

from aeclust.run.folder import RunFolder

DRAW = (
    "plot -o embedding.svg",
    "plot --gallery",
    "reconstruct --idx 1,2,3",
    "report",
)
EACH = """
import sys
from aeclust.cli import main
for line in {lines!r}:
    sys.argv = ["aeclust", *line.split(), "-q"]
    if code := main():
        sys.exit(code)
"""
SETTINGS = """
font.family: serif
font.weight: bold
font.size: 30
text.usetex: True
savefig.dpi: 30
savefig.transparent: True
figure.facecolor: red
lines.linewidth: much
axes.prop_cycle: cycler('color', ['r'])
no.such.key: 3
"""


def drawn(folder: Path) -> dict[str, bytes]:
    files = [*folder.glob("embedding.*"), *folder.glob("aeclust-run/*")]
    return {f.name: f.read_bytes() for f in files if f.suffix in (".png", ".svg", ".pdf", ".html")}


def by_process(lines: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    """Commands one after another, as the process of each would be."""
    return subprocess.run(
        [sys.executable, "-c", EACH.format(lines=lines)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_figures_are_the_same_in_any_surroundings(cli: Cli, full_run: RunFolder) -> None:
    for line in DRAW:
        assert cli(*line.split()).code == 0
    before = drawn(Path())
    assert len(before) == 4
    for name in before:
        next(Path().rglob(name)).unlink()
    Path("matplotlibrc").write_text(SETTINGS)
    nowhere = str(Path("matplotlibrc").absolute() / "below a file")
    done = by_process(
        DRAW,
        MPLBACKEND="module://of_a_notebook.that_is_not_installed",
        HOME=nowhere,
        XDG_CONFIG_HOME=nowhere,
        XDG_CACHE_HOME=nowhere,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert drawn(Path()) == before


@pytest.mark.parametrize("backend", ["svg", "module://matplotlib.backends.backend_pdf"])
def test_a_backend_stays_with_whoever_else_draws_in_the_process(backend: str) -> None:
    code = "import os, aeclust.show, matplotlib as m; print(m.get_backend(), os.environ[B])"
    done = subprocess.run(
        [sys.executable, "-c", code.replace("B]", "'MPLBACKEND']")],
        env={**os.environ, "MPLBACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{backend} {backend}\n"


def test_settings_that_matplotlib_cannot_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    code = (
        "from aeclust.errors import InputError\n"
        "try: import aeclust.show\n"
        "except InputError as error: print(error.line())\n"
    )
    python = [sys.executable, "-c", code]
    done = subprocess.run(python, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert re.fullmatch(
        r"matplotlib: cannot start \('utf-8' codec .*\); expected a matplotlibrc that can be read,"
        r" if any, and a folder for temporary files; correct or remove that file, or set"
        r" MPLCONFIGDIR to another folder\n",
        done.stdout,
    )


@pytest.mark.parametrize("flags", [[], ["-W", "always"]])
def test_warnings_of_libraries_are_printed_for_who_asks_alone(flags: list[str]) -> None:
    code = (
        "import logging, sys, warnings; from aeclust.cli import main\n"
        "sys.argv[1:] = ['--version']; main()\n"
        "warnings.warn('a warning')\n"
        "logging.getLogger('library').warning('a line'); logging.warning('another')\n"
    )
    python = [sys.executable, *flags, "-c", code]
    done = subprocess.run(python, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[:1] == (["<string>:3: UserWarning: a warning"] if flags else [])
    assert " line" not in done.stderr
    assert "another" not in done.stderr
