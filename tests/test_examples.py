"""Every script of examples/ is run as it stands, on fewer images."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from pages import have_few, type_line
from PIL import Image
from support import shell

ROOT = Path(__file__).parent.parent
FEW = 210  # for kernel PCA to 200


def run_here(script: str, folder: Path) -> str:
    """What a script prints whose commands this process answers, which has loaded PyTorch already.

    In the place of `aeclust` it finds a program that hands its arguments over, and prints the
    answer.
    """
    asked, answer, program = folder / "asked", folder / "answer", folder / "bin" / "aeclust"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > "{asked}"\nexec cat "{answer}"\n')
    program.chmod(0o755)
    for pipe in (asked, answer):
        os.mkfifo(pipe)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with open(folder / "printed", "w+") as printed:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": path},
            stdout=printed, start_new_session=True,
        )  # fmt: skip
        end = threading.Thread(target=lambda: (process.wait(), asked.write_bytes(b"")))
        end.start()
        try:
            while words := asked.read_bytes().decode():
                answer.write_text(type_line(shlex.join(["aeclust", *words[:-1].split("\0")])))
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            asked.read_bytes()
            raise
        finally:
            end.join(60)
        assert process.returncode == 0
        printed.seek(0)
        return printed.read()


def test_report_script_makes_every_picture_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_few(monkeypatch, FEW, FEW)
    monkeypatch.chdir(tmp_path)
    printed = run_here(f"'{ROOT / 'examples' / 'report.sh'}' --quick out", tmp_path)
    out = tmp_path / "out"
    assert len((out / "baseline.csv").read_text().splitlines()) == FEW + 1
    for picture in ("validation", "reconstruction", "curve"):
        with Image.open(out / f"baseline-{picture}.png") as image:
            assert image.width > 900
    assert (out / "baseline-curve.csv").read_text().count("\n") == 3
    assert "rank correlation with accuracy" in printed


def test_report_script_explains_itself_without_arguments(tmp_path: Path) -> None:
    done = shell(str(ROOT / "examples" / "report.sh"), tmp_path)
    assert done.returncode == 2
    assert "--quick" in done.stderr


def test_report_through_python_scores_all_three_recipes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    have_few(monkeypatch, FEW, FEW)
    monkeypatch.setattr("sys.argv", ["report.py", "--quick"])
    runpy.run_path(str(ROOT / "examples" / "report.py"), run_name="__main__")
    printed = capsys.readouterr().out
    found = re.findall(r"^(\w+): accuracy (0\.\d+), .* drew \(6, 32, 32, 3\)", printed, re.M)
    assert [name for name, _ in found] == ["baseline", "vae", "deep"]
    assert all(0.5 <= float(accuracy) <= 1 for _, accuracy in found)


def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = json.loads((ROOT / "examples" / "tour.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    have_few(monkeypatch, 300, 300)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code:
        exec(compile(cell, "tour.ipynb", "exec"), names)
    said = capsys.readouterr().out
    assert said.startswith("2 clusters, mean confidence 0.")
    assert f"accuracy {names['scores'].accuracy:.3f}" in said
    assert names["scores"].accuracy > 0.7
    assert (names["again"].labels_ == names["model"].labels_).all()
    assert (tmp_path / "tour" / "labels.h5").exists()
