"""What --help shows, what shells complete, and the page of the documentation that says the same."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import COMMANDS, TOP_COMMANDS, Cli, command_of, one_error

from aeclust.cli import main
from aeclust.cli.app import COMMAND_PANELS, all_commands, top_commands
from aeclust.cli.hints import _ELSEWHERE, flags_of, meant
from aeclust.recipe import RECIPES, choices

DOCS = Path(__file__).parents[2] / "docs"
ALL = all_commands()
EXAMPLES = [
    (name, line)
    for name, command in ALL.items()
    for line in inspect.cleandoc(command.help).split("\n")
    if line.startswith("aeclust ")
]


# -- help --------------------------------------------------------------------------------------


def test_every_command_stands_in_a_panel_and_these_in_order() -> None:
    panels = [command.rich_help_panel for command in top_commands().values()]
    assert set(panels) <= set(COMMAND_PANELS)
    assert panels == sorted(panels, key=COMMAND_PANELS.index)
    assert set(ALL) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_stands_in_a_panel_and_is_explained(name: str) -> None:
    command = ALL[name]
    for param in command.get_params(command.make_context(name, [], resilient_parsing=True)):
        assert param.help, param.name
        assert param.help.rstrip().endswith("."), param.name
        if param.param_type_name == "option":
            assert param.rich_help_panel, param.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_begins_with_examples(name: str) -> None:
    assert 1 <= len([line for command, line in EXAMPLES if command == name]) <= 3


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_every_example_is_a_request_that_the_commands_take(name: str, line: str) -> None:
    asked = []
    for part in re.split(r"[|<>]", line):
        words = shlex.split(part)
        if words[0] == "aeclust":
            asked.append(command_of(words[1:]))
            # a resilient parser would take anything
            arguments = words[1 + len(asked[-1].split()) :]
            arguments = ["x" if word == "-" else word for word in arguments]
            ALL[asked[-1]].make_context(asked[-1], arguments)
    assert name in asked


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", ["", *TOP_COMMANDS, *(name for name in COMMANDS if " " in name)])
def test_help_fits_the_screen(
    cli: Cli, name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = cli(*name.split(), "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= columns
    assert "\x1b" not in out
    assert "…" not in out


def test_help_groups_flags_and_shows_defaults(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    out = cli("train", "--help").out
    panels = re.findall(r"^╭─ ([\w ]+) ─", out, flags=re.MULTILINE)
    assert panels == [
        "Arguments", "Training", "Clustering", "Known labels", "Images", "Output", "Computing",
    ]  # fmt: skip
    assert out.index("aeclust train photos/") < out.index("Training")
    for default in ("demo:scenes", "hybrid", "the recipe's", "aeclust-run", "auto", "0"):
        assert f"[default: {default}]" in out
    assert "<bool>" not in out
    assert "<list" not in out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts no time of children")
def test_help_is_quick() -> None:
    def seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "aeclust", "--help"], check=True, capture_output=True)
        after = os.times()
        return after.children_user - before.children_user

    # 0.22 s of a processor; the least of a few, because others may work here
    assert min(seconds() for _ in range(3)) < 0.6


def test_the_page_of_commands_is_current() -> None:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    current = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert current == reference.main(), "run: python docs/reference.py > docs/cli.md"


# -- what was probably meant -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("tran", "No such command 'tran'; did you mean train?"),
        ("xyz", "No such command 'xyz'; see aeclust --help"),
        ("train --epoch 3", "No such option: --epoch; did you mean --epochs?"),
        ("train --qqq", "No such option: --qqq; see aeclust train --help"),
        # what other tools call it
        ("train --gpu", "No such option: --gpu; did you mean --device cuda?"),
        ("embed --use_cuda", "did you mean --device cuda?"),
        ("train --k 3", "No such option: --k; did you mean -k?"),
        ("cluster --n_clusters=3", "did you mean -k?"),
        ("train --num-clusters 3", "did you mean -k?"),
        ("predict --proba", "No such option: --proba; did you mean --confidence?"),
        ("evaluate a b --proba", "see aeclust predict --confidence"),
        ("train --output-dir x", "did you mean --run?"),
        ("predict --output_dir x", "did you mean --run?"),
        ("train -o x", "did you mean --run?"),
        ("predict --out x", "did you mean --output?"),
        ("train --learning-rate 3", "did you mean --lr?"),
        ("train --workers=3", "did you mean --threads?"),
        ("train -j 3", "did you mean --threads?"),
        ("train --verbose", "every command prints what it does, unless -q"),
        ("train --data photos", "give DATA without a flag"),
        # what is written otherwise here
        ("train --sed=3", "No such option: --sed; did you mean --seed?"),
        ("train --sede 3", "did you mean --seed?"),
        ("train --Batch_Size 3", "did you mean --batch-size?"),
        ("train -epochs 3", "did you mean --epochs?"),
        ("train -gpu", "did you mean --device cuda?"),
        ("train --weight-decay 0", "did you mean --set weight_decay=VALUE?"),
        ("train --weight_decay=0", "did you mean --set weight_decay=VALUE?"),
        # what is a flag of another command, or stands before it
        ("predict --epochs 3", "No such option: --epochs; it is a flag of aeclust train"),
        ("plot --clusters 3", "it is a flag of aeclust train, aeclust cluster"),
        ("plot --latent-dim 3", "--set latent_size=N is a flag of aeclust train"),
        ("--gpu train", "flags stand behind the command: aeclust train --device cuda"),
        ("evaluate a.csv", "Missing argument 'TRUTH'; see aeclust evaluate --help"),
        ("train --recipe hybird", "deep, hybrid, pretrained; did you mean hybrid?"),
        ("train --set epoch=3", "did you mean epochs?"),
        ("train --set clusterer=kmean", "hdbscan; did you mean kmeans?"),
        ("train --optimizer adm", "muon; did you mean adam?"),
        ("train --set reduction=kcpa:20", "kpca, tsne; did you mean kpca:20?"),
        ("train demo:scene", "or demo:digits; did you mean demo:scenes?"),
        ("train imagse.npy", "did you mean {cwd}/images.npy?"),
        ("train --config rum.toml", "there is no such file; did you mean run.toml?"),
        (
            "evaluate nown.csv images.npy",
            "nown.csv: there is no such file; did you mean known.csv?",
        ),
        ("info label.h5", "there is no such file; did you mean labels.h5?"),
        ("train nowhere/x.npy", "or demo:scenes; check the path"),
    ],
)
def test_a_near_miss_is_answered_with_what_was_meant(
    cli: Cli, request_: str, text: str, tmp_path: Path
) -> None:
    for name in ("images.npy", "run.toml", "known.csv", "labels.h5"):
        Path(name).touch()
    assert text.format(cwd=tmp_path) in one_error(cli(*request_.split()))


def test_what_other_tools_call_it_is_a_flag_here() -> None:
    flags = flags_of(ALL)
    known = {flag for some in flags.values() for flag in some}
    for ours, names in _ELSEWHERE.items():
        first, _, rest = ours.partition(" ")
        if first in flags:
            assert rest in flags[first]
        else:
            assert first in known or not first.startswith("-")
        for name in names.split():
            assert name == name.lower().strip("-")
            assert meant(f"--{name}", [], "train", flags)


# -- completion --------------------------------------------------------------------------------


FISH = {"_AECLUST_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("aeclust pre", ["predict"]),
        ("aeclust train --recipe ", [n for n, r in RECIPES.items() if r.network != "none"]),
        ("aeclust train --recipe h", ["hybrid"]),
        ("aeclust train --optimizer ad", ["adam", "adamw"]),
        ("aeclust train --loss ", ["mse", "elbo"]),
        ("aeclust train --set mom", ["momentum="]),
        ("aeclust train --set schedule=", ["schedule=constant", "schedule=one-cycle"]),
        ("aeclust train --set batch_norm=t", ["batch_norm=true"]),
        ("aeclust train --device c", ["cpu", "cuda"]),
        ("aeclust cluster --clusterer ", list(choices("clusterer"))),
        ("aeclust train demo:", ["demo:scenes", "demo:scenes-val", "demo:digits"]),
        ("aeclust plot --labels demo:d", ["demo:digits"]),
        ("aeclust predict im", ["images.npy", "imported/"]),
        ("aeclust evaluate kn", ["known.csv"]),
        ("aeclust train --config r", ["run.toml"]),
        ("aeclust predict --run im", ["images.npy", "imported/"]),
    ],
)
def test_a_value_half_typed_is_completed(
    cli: Cli,
    line: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("images.npy", "known.csv", "run.toml", "known.txt"):
        Path(name).touch()
    Path("imported").mkdir()
    for name, value in {**FISH, "_TYPER_COMPLETE_ARGS": line}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):  # the protocol's own end
        main([])
    offered = [word.partition("\t")[0] for word in capsys.readouterr().out.split("\n") if word]
    assert offered == words


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_is_given_its_script(
    cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_AECLUST_COMPLETE", f"source_{name}")
    with pytest.raises(SystemExit):
        main([])
    assert f"_AECLUST_COMPLETE=complete_{name}" in capsys.readouterr().out
