"""Every script of examples/ is run as it stands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import shell

ROOT = Path(__file__).parent.parent


def test_report_script_makes_every_picture_and_table(tmp_path: Path) -> None:
    done = shell(f"{ROOT / 'examples' / 'report.sh'} --quick out", tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert len((out / "baseline.csv").read_text().splitlines()) == 501
    for picture in ("validation", "reconstruction", "curve"):
        with Image.open(out / f"baseline-{picture}.png") as image:
            assert image.width > 900
    assert (out / "baseline-curve.csv").read_text().count("\n") == 3
    assert "Spearman" in done.stdout


def test_report_script_explains_itself_without_arguments(tmp_path: Path) -> None:
    done = shell(str(ROOT / "examples" / "report.sh"), tmp_path)
    assert done.returncode == 2
    assert "--quick" in done.stderr


def test_report_through_python_scores_all_three_recipes(tmp_path: Path) -> None:
    done = shell(f"'{sys.executable}' '{ROOT / 'examples' / 'report.py'}' --quick", tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\w+): accuracy (0\.\d+), .* drew \(6, 32, 32, 3\)", done.stdout, re.M)
    assert [name for name, _ in found] == ["baseline", "vae", "deep"]
    assert all(0.5 <= float(accuracy) <= 1 for _, accuracy in found)


def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = json.loads((ROOT / "examples" / "tour.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code:
        exec(compile(cell, "tour.ipynb", "exec"), names)
    said = capsys.readouterr().out
    assert said.startswith("2 clusters, agreement of the members 0.")
    assert f"accuracy {names['scores'].accuracy:.3f}" in said
    assert names["scores"].accuracy > 0.7
    assert (names["again"].labels_ == names["model"].labels_).all()
    assert (tmp_path / "tour" / "labels.h5").exists()
