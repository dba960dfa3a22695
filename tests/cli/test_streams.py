"""Results on standard output, everything else on standard error, and quiet ends of pipes."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support import BY_COLOUR, RECIPE, TOP_COMMANDS, TWO_PHASES, Cli, Data, check_error

from aeclust.cli import main
from aeclust.cli.terminal import Terminal
from aeclust.run.folder import RunFolder

HEAVY = ("torch", "sklearn", "scipy", "matplotlib", "h5py", "numpy", "PIL")

LIGHT = f"""
import sys
from aeclust.cli import main
code = main(sys.argv[1:])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
print(code, loaded, file=sys.stderr)
"""


def aeclust(*arguments: object) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "aeclust", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# -- quickly -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["predict", "--help"], ["train", "-h"], ["tran"]]
)
def test_help_and_version_load_nothing_heavy(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=True
    )
    code = 2 if arguments == ["tran"] else 0
    assert done.stderr.splitlines()[-1] == f"{code} []"


def test_a_fresh_predict_loads_no_library_that_it_does_not_use(labelled: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "predict", "--run", str(labelled), "-q"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("id,label\n0,")
    assert done.stderr.splitlines()[-1] == "0 ['h5py', 'numpy', 'PIL']"


def test_help_names_every_command_and_the_first_run(cli: Cli) -> None:
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    assert all(f" {command} " in out for command in TOP_COMMANDS)
    assert "aeclust train && aeclust predict > submission.csv" in out


def test_no_command_at_all_shows_the_help_and_exits_2(cli: Cli) -> None:
    code, out, err = cli()
    assert code == 2
    assert "checkpoint-curve" in out + err
    assert "Traceback" not in out + err


def test_python_m_aeclust_is_the_same_program() -> None:
    out, err = (process := aeclust("--version")).communicate()
    assert (process.returncode, err) == (0, "")
    assert re.fullmatch(r"aeclust \d+\.\d+\.\d+\n", out)


# -- what goes where ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "--force"],
        ["cluster", "--force"],
        ["predict", "{val}"],
        ["reconstruct", "--idx", "1"],
        ["checkpoint-curve"],
        ["plot", "{val}"],
        ["name", "0=sea"],
        ["export", "a.csv", "--force"],
        ["report"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_quiet_leaves_standard_error_empty_and_standard_output_alone(
    cli: Cli, full_run: RunFolder, data: Data, arguments: list[str]
) -> None:
    command = [argument.format(val=data.val_images) for argument in arguments]
    loud, quiet = cli(*command), cli(*command, "-q")
    assert loud.code == 0, loud.err
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out == loud.out != ""


def test_warnings_are_lines_on_standard_error_alone(cli: Cli, full_run: RunFolder) -> None:
    loud, quiet = cli("cluster", "--force"), cli("cluster", "--force", "-q")
    assert f"warning: {BY_COLOUR}" in loud.err.splitlines()
    assert "warning" not in loud.out
    assert (quiet.out, quiet.err) == (loud.out, "")
    answer = cli("cluster", "--force", "--json")
    assert json.loads(answer.out)["warnings"] == [BY_COLOUR]
    assert f"warning: {BY_COLOUR}\n" in answer.err


def test_quiet_training_says_its_result_alone(cli: Cli, data: Data) -> None:
    code, out, err = cli("train", data.images, *RECIPE, "--epochs", 1, "--quiet")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1


# -- progress and colour -----------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal that remembers all it was sent."""

    def isatty(self) -> bool:
        return True


def watched(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[object], **environment: str
) -> str:
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", screen)
    assert main([str(argument) for argument in arguments]) == 0
    return screen.getvalue()


ESCAPES = r"\x1b\[[0-9;?]*[A-Za-z]"
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-7])(;[0-9]+)*m")


def test_only_a_terminal_sees_epoch_loss_speed_and_time_left(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", data.images, *TWO_PHASES]
    seen = watched(monkeypatch, command)
    assert COLOUR.search(seen)
    plain = re.sub(ESCAPES, "", seen)
    assert re.search(r"epoch \d+/4  loss \d\.\d{4}  \d+ images/s .*\d+:\d\d:\d\d", plain)
    assert set(re.findall(r"epoch \d+/(\d+)", plain)) == {"4"}  # of both phases
    grey = watched(monkeypatch, [*command, "--force"], NO_COLOR="1")
    assert "images/s" in grey
    assert not COLOUR.search(grey)
    assert watched(monkeypatch, [*command, "--force", "-q"]) == ""
    _, out, err = cli(*command, "--force")
    assert not re.search(r"\x1b\[|\r|epoch 1/", out + err)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["embed", "--force"], ["embed"]),
        (["cluster", "--force"], ["clustering"]),
        (["cluster", "--clusterer", "consensus"], ["clustering"]),
        (["predict", "{val}"], ["embed"]),
        (["checkpoint-curve"], ["checkpoints"]),
        (["plot"], ["t-SNE"]),
        (["plot", "{val}"], ["embed", "t-SNE"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_every_long_stage_is_followed_on_a_terminal(
    cli: Cli,
    full_run: RunFolder,
    data: Data,
    arguments: list[str],
    shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if arguments == ["plot"]:
        full_run.embedding_file.unlink(missing_ok=True)
        assert cli("cluster", "--reduction", "pca:4").code == 0
    command = [argument.format(val=data.val_images) for argument in arguments]
    seen = re.sub(ESCAPES, "", watched(monkeypatch, command))
    for name in shown:
        assert re.search(rf"{name} ━+ \d:\d\d:\d\d", seen), name


def test_a_clustering_names_its_steps(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []
    monkeypatch.setattr(Terminal, "progress", lambda self, what, done, total: named.append(what))
    flags = ["--clusterer", "consensus", "--reduction", "sphere,pca:4", "-k", "auto"]
    assert cli("cluster", *flags).code == 0
    kinds = ("kmeans", "gmm", "gmm-tied", "spectral")
    members = [f"{kind} in {size} dimensions" for size in (4, 2) for kind in kinds]
    steps = ["sphere", "pca:4", "number of clusters", *members, "consensus"]
    assert named == [*(f"clustering: {step}" for step in steps), "clustering"]


NEXT = "      save the labels       aeclust predict{run} > submission.csv"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["predict", "--names"], "name it with aeclust name{run} 0=NAME"),
        (["embed", "--force"], NEXT),
        (["cluster", "--force"], "      export                aeclust export{run} labels.csv"),
        (["train", "--resume"], NEXT),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "line",
)
def test_what_to_do_is_said_for_the_same_run(
    cli: Cli, full_run: RunFolder, command: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*command).err.endswith(f"{line.format(run='')}\n")
    full_run.path.rename("my run")
    elsewhere = line.format(run=" --run 'my run'")
    assert cli(*command, "--run", "my run").err.endswith(f"{elsewhere}\n")
    monkeypatch.setenv("AECLUST_RUN", "my run")
    assert cli(*command).err.endswith(f"{line.format(run='')}\n")


def test_markup_in_names_is_shown_as_it_stands(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("[red]new.npy", np.load(data.val_images))
    seen = watched(monkeypatch, ["predict", "[red]new.npy"], NO_COLOR="1")
    assert "/[red]new.npy: 24 images, 8 x 8 RGB, uint8" in seen


# -- the end of a pipe -------------------------------------------------------------------------


@pytest.fixture
def many(data: Data) -> Path:
    """More images than a pipe holds lines for."""
    np.save("many.npy", np.tile(np.load(data.val_images), (1000, 1, 1, 1)))
    return Path("many.npy")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_predict_ends_quietly_when_nobody_reads_on(
    cli: Cli, full_run: RunFolder, many: Path
) -> None:
    process = aeclust("predict", many, "-q")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "id,label\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(600) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_device_is_one_line_and_exits_4(cli: Cli, full_run: RunFolder) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "aeclust", "predict"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == (
        "error: standard output: could not be written (No space left on device); "
        "free space or write elsewhere with -o\n"
    )
    assert done.returncode == 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /dev/stdout")
def test_what_standard_output_appends_to_is_spared(cli: Cli, full_run: RunFolder) -> None:
    Path("all.csv").write_text("precious\n")
    with open("all.csv", "a") as held:
        done = subprocess.run(
            [sys.executable, "-m", "aeclust", "predict", "-o", "/dev/stdout"],
            stdout=held,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, Path("all.csv").read_text()) == (2, "precious\n")
    assert done.stderr.startswith("error: /dev/stdout is a device, a pipe or an open file; ")


def test_a_folder_in_the_place_of_the_output_is_refused(cli: Cli, full_run: RunFolder) -> None:
    os.mkdir("folder")
    check_error(cli("predict", "-o", "folder").error, where="folder", what="is a folder")
    assert os.listdir("folder") == []


def test_o_follows_a_link_and_spares_a_device(cli: Cli, full_run: RunFolder) -> None:
    os.symlink("target.csv", "link.csv")
    assert cli("predict", "-o", "link.csv").out == ""
    assert os.readlink("link.csv") == "target.csv"
    assert Path("target.csv").read_text() == cli("predict").out
    os.mkfifo("pipe")
    for command in (("predict",), ("plot",), ("cluster",), ("export", "--force")):
        place = ("pipe.csv",) if command[0] == "export" else ("-o", "pipe")
        if command[0] == "export":
            os.rename("pipe", "pipe.csv")
        check_error(
            cli(*command, *place).error,
            what="is a device, a pipe or an open file",
            expected="a file, or a new name",
            mend="use `output` - and redirect standard output, as in > FILE",
        )
    assert stat.S_ISFIFO(os.stat("pipe.csv").st_mode)
