"""aeclust train: what it writes, what it refuses, how it resumes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import threadpoolctl
import torch
from support import RECIPE, TWO_PHASES, Cli, Data, bytes_of, files_of, one_error, run_quietly

from aeclust import artifact as artifacts
from aeclust.cli.terminal import Terminal
from aeclust.images import Source, load
from aeclust.network import training
from aeclust.network.training import Moment
from aeclust.run.folder import RunFolder

ALL_EPOCHS = list(range(12))


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


# -- what it writes ----------------------------------------------------------------------------


def test_it_keeps_twelve_checkpoints_with_the_untrained_and_the_last(run: RunFolder) -> None:
    names = sorted(file.name for file in (run.path / "weights").iterdir())
    assert names == [f"epoch-{epoch:04d}.h5" for epoch in ALL_EPOCHS]
    for epoch in ALL_EPOCHS:
        weights = artifacts.read(run.weights_file(epoch), "weights")
        assert weights.details == {"epoch": epoch, "image_channels": 3}


def test_a_finished_run_holds_nothing_but_its_files(run: RunFolder) -> None:
    names = sorted(file.name for file in run.path.iterdir())
    assert names == [".lock", "metrics.jsonl", "run.json", "weights"]


def test_metrics_have_one_line_an_epoch(run: RunFolder) -> None:
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 12))
    names = ["epoch", "loss", "reconstruction", "kl", "contrast", "labels"]
    names += ["seconds", "images_per_second"]
    assert all(list(line) == names for line in lines)
    assert all(line["images_per_second"] > 0 for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert run.metrics_file.read_text().endswith("\n")


def test_the_manifest_says_data_digest_recipe_and_seed(run: RunFolder, data: Data) -> None:
    manifest = read_json(run.manifest_file)
    assert manifest["format"] == 1
    assert manifest["data"] == {
        "location": str(data.images),
        "layout": None,
        "range": None,
        "size": None,
        "skip_bad": False,
        "sha256": load(Source(location=str(data.images))).digest(),
        "shape": [60, 8, 8, 3],
    }
    assert manifest["recipe"]["name"] == "baseline"
    assert manifest["recipe"]["channels"] == [4, 8]
    assert manifest["recipe"]["lr"] == 1e-3
    assert manifest["recipe"]["reduction"] == ["pca:2"]
    assert manifest["seed"] == 0
    assert manifest["validation"] == {"images": None, "labels": None}


def test_images_that_are_few_are_named_as_they_are(cli: Cli, data: Data) -> None:
    np.save("few.npy", np.load(data.images)[:3])
    result = cli("train", "few.npy", *RECIPE, "--epochs", 1)
    assert result.err.endswith("or aeclust reconstruct --idx 1,2\n")
    assert cli("reconstruct", "--idx", "1,2").code == 0


def test_it_says_the_data_and_the_disk_first_and_the_result_on_stdout(cli: Cli, data: Data) -> None:
    code, out, err = cli("train", data.images, *RECIPE, "--epochs", 2)
    assert code == 0
    metrics = json.loads(Path("aeclust-run/metrics.jsonl").read_text().splitlines()[-1])
    assert out == f"aeclust-run: baseline, 2 epochs, loss {metrics['loss']:.4f}, 3 checkpoints\n"
    lines = err.splitlines()
    assert lines[0] == f"{data.images}: 60 images, 8 x 8 RGB, uint8"
    assert lines[1].startswith("3 checkpoints of 0.0 MB and the state to resume will take up to")
    assert lines[2] == (
        "next: aeclust predict > submission.csv, or aeclust reconstruct --idx 1,2,3"
    )
    assert len(lines) == 3


def test_json_names_the_checkpoints_and_the_last_metrics(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *RECIPE, "--epochs", 2, "--json")
    answer = json.loads(result.out)
    assert list(answer) == ["run", "recipe", "epochs", "checkpoints", "trained", "metrics"]
    assert answer["run"] == "aeclust-run"
    assert answer["recipe"] == "baseline"
    assert answer["epochs"] == 2
    assert answer["checkpoints"] == [0, 1, 2]
    assert answer["trained"] is True
    assert answer["metrics"]["epoch"] == 2


def test_resizing_is_said_aloud(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *RECIPE, "--set", "image_size=16", "--epochs", 1)
    assert result.code == 0
    assert "images are resized to 16 x 16 for recipe baseline\n" in result.err


def test_equal_commands_give_equal_bytes(cli: Cli, data: Data, trained: Path) -> None:
    for name in ("one", "two"):
        assert cli("train", data.images, *RECIPE, "--run", name).code == 0
        assert cli("predict", "--run", name).code == 0
    one, two = Path("one"), Path("two")
    assert bytes_of(one, "weights/*.h5") == bytes_of(two, "weights/*.h5")
    assert bytes_of(one, "weights/*.h5") == bytes_of(trained, "weights/*.h5")
    assert len(bytes_of(one, "*.h5")) == 2
    assert bytes_of(one, "*.h5") == bytes_of(two, "*.h5")


def test_the_seed_decides_the_weights(cli: Cli, data: Data, trained: Path) -> None:
    assert cli("train", data.images, *RECIPE, "--epochs", 1, "--seed", 5).code == 0
    ours = artifacts.read(Path("aeclust-run/weights/epoch-0000.h5"))
    theirs = artifacts.read(trained / "weights/epoch-0000.h5")
    assert ours.seed == 5
    name = "state_dict/encoder.0.weight"
    assert not np.array_equal(ours.arrays[name], theirs.arrays[name])


def test_a_toml_file_is_a_recipe_and_flags_go_before_it(cli: Cli, data: Data) -> None:
    Path("own.toml").write_text(
        'recipe = "baseline"\nchannels = [4, 8]\nimage_size = 8\nlr = 0.5\nepochs = 3\nk = 4\n'
    )
    arguments = ["--config", "own.toml", "--set", "epochs=2", "--lr", "1e-3"]
    assert cli("train", data.images, *arguments).code == 0
    recipe = read_json(Path("aeclust-run/run.json"))["recipe"]
    assert recipe["name"] == "baseline"
    assert recipe["channels"] == [4, 8]
    assert recipe["epochs"] == 2
    assert recipe["lr"] == 1e-3
    assert recipe["k"] == 4


def test_a_config_that_was_written_is_the_recipe_of_its_flags(cli: Cli, data: Data) -> None:
    flags = [*RECIPE, "--epochs", 1, "-k", "auto", "--set", "beta=0.25"]
    code, out, err = cli("train", "nowhere.npy", *flags, "--write-config")
    assert (code, err) == (0, "")
    assert os.listdir() == []  # nothing was looked for, nothing trained
    Path("run.toml").write_text(out)
    assert cli("train", "--config", "run.toml", "--write-config").out == out
    assert cli("train", data.images, "--config", "run.toml", "--run", "by-file").code == 0
    assert cli("train", data.images, *flags, "--run", "by-flags").code == 0
    recipe = read_json(Path("by-file/run.json"))["recipe"]
    assert recipe == read_json(Path("by-flags/run.json"))["recipe"]
    assert (recipe["k"], recipe["beta"]) == (0, 0.25)


def test_every_flag_of_its_own_reaches_the_recipe(cli: Cli, data: Data) -> None:
    arguments = [*RECIPE, "--recipe", "vae", "--set", "latent_size=4", "--epochs", 1, "-k", 3]
    arguments += ["--optimizer", "sgd", "--set", "momentum=0.9", "--loss", "elbo", "--lr", 1e-4]
    assert cli("train", data.images, *arguments).code == 0
    recipe = read_json(Path("aeclust-run/run.json"))["recipe"]
    wanted = {"name": "vae", "latent_size": 4, "epochs": 1, "k": 3, "optimizer": "sgd"}
    wanted |= {"momentum": 0.9, "loss": "elbo", "lr": 1e-4, "batch_size": 16}
    assert {name: recipe[name] for name in wanted} == wanted


def test_the_environment_names_the_run(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AECLUST_RUN", "elsewhere")
    assert cli("train", data.images, *RECIPE, "--epochs", 1).code == 0
    assert Path("elsewhere/run.json").exists()
    assert not Path("aeclust-run").exists()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_those_of_all_libraries_for_the_time_of_a_command(
    cli: Cli, data: Data, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    real = training.train

    def watched(*given: Any, **more: Any) -> Any:
        libraries = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
        seen.append({torch.get_num_threads()} | libraries)
        return real(*given, **more)

    monkeypatch.setattr(training, "train", watched)
    before = threadpoolctl.threadpool_info()
    assert cli("train", data.images, *RECIPE, "--epochs", 1, "--threads", threads).code == 0
    assert seen == [{threads}]
    after = threadpoolctl.threadpool_info()
    assert [library for library in after if library in before] == before


# -- two phases --------------------------------------------------------------------------------


def weights_of(file: Path) -> dict[str, np.ndarray]:
    """The state of a network, but for what tells clusters apart."""
    arrays = artifacts.read(file, "weights").arrays
    return {name: value for name, value in arrays.items() if "/head." not in name}


def test_the_default_recipe_has_two_phases(cli: Cli, data: Data, self_labelled: Path) -> None:
    code, out, err = cli("train", data.images, *TWO_PHASES, "--json")
    assert code == 0
    assert "self-labelling" not in err
    answer = json.loads(out)
    assert (answer["recipe"], answer["epochs"]) == ("hybrid", 4)
    assert answer["checkpoints"] == [0, 1, 2, 3, 4]
    assert answer["metrics"]["epoch"] == 4
    run = RunFolder(Path("aeclust-run"))
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["labels"] > 0 for line in lines] == [False, False, True, True]
    assert all(line["contrast"] > 0 and line["reconstruction"] > 0 for line in lines)
    for line in lines:
        parts = 10 * line["reconstruction"] + line["contrast"] + line["labels"]
        assert line["loss"] == pytest.approx(parts, rel=1e-4)
    recipe = read_json(run.manifest_file)["recipe"]
    wanted = {"name": "hybrid", "epochs": 2, "label_epochs": 2, "k": 2, "optimizer": "muon"}
    wanted |= {"precision": "auto", "clusterer": "consensus", "reduction": ["sphere", "pca:20"]}
    assert {name: recipe[name] for name in wanted} == wanted
    # and equal commands give equal bytes in both
    assert bytes_of(run.path, "weights/*") == bytes_of(self_labelled, "weights/*")


def test_its_line_counts_the_epochs_of_both(cli: Cli, data: Data) -> None:
    code, out, _ = cli("train", data.other, *TWO_PHASES)
    assert code == 0
    last = json.loads(Path("aeclust-run/metrics.jsonl").read_text().splitlines()[-1])
    assert out == f"aeclust-run: hybrid, 4 epochs, loss {last['loss']:.4f}, 5 checkpoints\n"


def test_the_end_of_the_first_phase_is_kept_among_the_dozen(cli: Cli, data: Data) -> None:
    longer = ["--epochs", 14, "--set", "label_epochs=9", "--batch-size", 30]
    answer = json.loads(cli("train", data.other, *TWO_PHASES, *longer, "--json").out)
    assert answer["checkpoints"] == [0, 2, 4, 6, 8, 10, 13, 14, 15, 17, 19, 21, 23]


@pytest.mark.parametrize("k", ["auto", "3"])
def test_the_first_phase_knows_no_k(cli: Cli, data: Data, self_labelled: Path, k: str) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", k).code == 0
    for epoch in (0, 1, 2):
        name = f"weights/epoch-{epoch:04d}.h5"
        ours, theirs = weights_of(Path("aeclust-run") / name), weights_of(self_labelled / name)
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_an_estimated_k_leaves_out_the_second_phase_and_says_so(cli: Cli, data: Data) -> None:
    code, out, err = cli("train", data.images, *TWO_PHASES, "-k", "auto")
    assert code == 0
    assert err.splitlines() == [
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "3 checkpoints of 0.0 MB and the state to resume will take up to 0 MB",
        "k is left to an estimate: no self-labelling, which needs a number of clusters",
        "next: aeclust predict > submission.csv, or aeclust reconstruct --idx 1,2,3",
    ]
    run = RunFolder(Path("aeclust-run"))
    last = json.loads(run.metrics_file.read_text().splitlines()[-1])
    assert last["labels"] == 0
    assert out == f"aeclust-run: hybrid, 2 epochs, loss {last['loss']:.4f}, 3 checkpoints\n"
    assert run.checkpoints() == [0, 1, 2]
    assert read_json(run.manifest_file)["recipe"]["k"] == 0
    names = artifacts.read(run.weights_file(2), "weights").arrays
    assert not [name for name in names if "head" in name]
    result = cli("train", data.images, *TWO_PHASES, "-k", "auto", "--resume")
    assert "aeclust-run: finished already, nothing to do\n" in result.err
    assert result.out == out


def test_an_estimated_k_is_no_news_for_a_recipe_of_one_phase(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *RECIPE, "-k", "auto", "--epochs", 1)
    assert result.code == 0
    assert "estimate" not in result.err
    assert read_json(Path("aeclust-run/run.json"))["recipe"]["k"] == 0


def test_no_self_labelling_can_be_asked_for(cli: Cli, data: Data, self_labelled: Path) -> None:
    result = cli("train", data.images, *TWO_PHASES, "--set", "label_epochs=0")
    assert result.out.startswith("aeclust-run: hybrid, 2 epochs, loss ")
    name = "weights/epoch-0002.h5"
    ours, theirs = weights_of(Path("aeclust-run") / name), weights_of(self_labelled / name)
    assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_muon_and_precision_are_fields_like_others(cli: Cli, data: Data, precision: str) -> None:
    flags = ["--optimizer", "muon", "--lr", 0.05, "--set", "momentum=0.6", "--epochs", 3]
    flags += ["--set", f"precision={precision}", "--set", "batch_norm=true"]
    assert cli("train", data.images, *RECIPE, *flags).code == 0
    recipe = read_json(Path("aeclust-run/run.json"))["recipe"]
    assert (recipe["optimizer"], recipe["precision"]) == ("muon", precision)
    lines = Path("aeclust-run/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[2] < losses[0]
    weights = artifacts.read(Path("aeclust-run/weights/epoch-0003.h5")).group("state_dict/")
    assert {str(v.dtype) for name, v in weights.items() if "num_batches" not in name} == {"float32"}


# -- refused and forced ------------------------------------------------------------------------


def test_a_run_is_not_replaced_without_force(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    result = cli("train", data.images, *RECIPE, "-q")
    assert one_error(result) == (
        "aeclust-run: a run is here already; expected an empty or new folder; "
        "continue it with --resume, replace it with --force, or change --run"
    )
    assert files_of(full_run.path) == before


def test_force_replaces_all_of_a_run(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = bytes_of(full_run.path, "weights/*")
    assert cli("train", data.other, *RECIPE, "--epochs", 2, "--force", "-q").code == 0
    assert full_run.checkpoints() == [0, 1, 2]
    assert full_run.manifest().shape == (30, 8, 8, 3)
    assert len(full_run.metrics_file.read_text().splitlines()) == 2
    assert bytes_of(full_run.path, "weights/*")["epoch-0002.h5"] != before["epoch-0002.h5"]
    result = cli("predict")
    assert result.out.count("\n") == 31
    assert "they are of other images" in result.err


def test_force_on_a_damaged_manifest_starts_anew(cli: Cli, run: RunFolder, data: Data) -> None:
    run.manifest_file.write_text("{")
    assert cli("train", data.images, *RECIPE, "--epochs", 1, "--force").code == 0
    assert run.manifest().recipe.epochs == 1


def test_too_full_a_disk_harms_nothing(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(full_run.path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    result = cli("train", data.images, *RECIPE, "--set", "channels=64,128", "--force", "-q")
    assert one_error(result, 4) == (
        "aeclust-run: 0 MB are free and 9 MB will be needed; "
        "free space or choose another place with --run"
    )
    assert files_of(full_run.path) == before


def test_a_place_that_cannot_be_written_exits_4(cli: Cli, data: Data) -> None:
    Path("file").write_text("in the way")
    result = cli("train", data.images, *RECIPE, "--run", "file/run", "-q")
    assert one_error(result, 4) == (
        "file/run: cannot be written to (Not a directory); choose another folder with --run"
    )


def test_what_cannot_be_removed_exits_4(cli: Cli, run: RunFolder, data: Data) -> None:
    run.weights_file(3).unlink()
    run.weights_file(3).mkdir()
    text = one_error(cli("train", data.images, *RECIPE, "--force", "-q"), 4)
    assert text.startswith("aeclust-run: the former run cannot be replaced (")
    assert text.endswith("; check permissions and space, and repeat")


def test_divergence_exits_3_and_keeps_what_was_good(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *RECIPE, "--optimizer", "sgd", "--lr", "1e30", "-q")
    text = one_error(result, 3)
    assert text.startswith("training diverged: the loss is not finite in epoch 1, step ")
    assert text.endswith("lower the learning rate (1e+30) with --lr; earlier checkpoints are kept")
    run = RunFolder(Path("aeclust-run"))
    assert run.checkpoints() == [0]
    assert artifacts.read(run.weights_file(0), "weights").details["epoch"] == 0


# -- resume ------------------------------------------------------------------------------------


def test_resume_starts_a_run_that_is_not_there(cli: Cli, data: Data, trained: Path) -> None:
    assert cli("train", data.images, *RECIPE, "--resume").code == 0
    assert bytes_of(Path("aeclust-run"), "weights/*") == bytes_of(trained, "weights/*")


def test_resume_leaves_a_finished_run_alone(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("train", data.images, *RECIPE, "--resume")
    assert code == 0
    assert "aeclust-run: finished already, nothing to do\n" in err
    assert out.endswith("12 checkpoints\n")
    assert files_of(full_run.path) == before


def test_json_of_a_finished_run_says_that_nothing_was_trained(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    answer = json.loads(cli("train", data.images, *RECIPE, "--resume", "--json").out)
    assert answer["trained"] is False
    assert answer["checkpoints"] == ALL_EPOCHS
    assert answer["metrics"]["epoch"] == 11


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (["--lr", "0.5"], "lr was 0.001 and is 0.5"),
        (["--epochs", "12"], "epochs was 11 and is 12"),
        (["--seed", "1"], "seed was 0 and is 1"),
        (["-k", "3"], "k was 2 and is 3"),
    ],
)
def test_resume_refuses_another_request(
    cli: Cli, run: RunFolder, data: Data, arguments: list[str], change: str
) -> None:
    before = files_of(run.path)
    result = cli("train", data.images, *RECIPE, *arguments, "--resume", "-q")
    assert one_error(result) == (
        f"aeclust-run: this run was started otherwise: {change}; "
        "expected the flags of its start; repeat those, or replace the run with --force"
    )
    assert files_of(run.path) == before


def test_resume_refuses_other_images(cli: Cli, run: RunFolder, data: Data) -> None:
    result = cli("train", data.other, *RECIPE, "--resume", "-q")
    assert "this run was started otherwise: the images are others" in one_error(result)


def test_resume_refuses_other_validation_data(cli: Cli, run: RunFolder, data: Data) -> None:
    validation = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    result = cli("train", data.images, *RECIPE, *validation, "--resume", "-q")
    assert "the validation data are others" in one_error(result)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Ctrl-C, as if pressed after so many steps."""
    observe = Terminal.observe

    def pressing(terminal: Terminal, moment: Moment) -> None:
        observe(terminal, moment)
        if moment.epoch * moment.steps + moment.step == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Terminal, "observe", pressing)


@pytest.mark.parametrize("steps", [0, 1, 6, 8, 42])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    cli: Cli, data: Data, trained: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        code, out, err = cli("train", data.images, *RECIPE, "-q")
    epoch = (steps + 1) // 4 + 1
    assert (code, out) == (130, "")
    assert err == (
        f"interrupted in epoch {epoch} of 11; the state is saved; "
        "continue with aeclust train --resume\n"
    )
    run = RunFolder(Path("aeclust-run"))
    assert artifacts.read(run.resume_file, "resume").arrays["progress"][:2].tolist() == [
        epoch - 1,
        (steps + 1) % 4,
    ]
    assert cli("train", data.images, *RECIPE, "--resume").code == 0
    assert not run.resume_file.exists()
    assert bytes_of(run.path, "weights/*") == bytes_of(trained, "weights/*")
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    wanted = [json.loads(x) for x in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 12))
    assert [line["loss"] for line in lines] == [line["loss"] for line in wanted]


@pytest.mark.parametrize("steps", [6, 7, 8, 12])
def test_a_second_phase_goes_on_as_if_it_had_not_been_interrupted(
    cli: Cli, data: Data, self_labelled: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        code, out, err = cli("train", data.images, *TWO_PHASES, "-q")
    # between the phases nothing waits for another step
    epoch, step = divmod(steps if steps == 8 else steps + 1, 4)
    assert (code, out) == (130, "")
    assert err == (
        f"interrupted in epoch {epoch + 1} of 4; the state is saved; "
        "continue with aeclust train --resume\n"
    )
    run = RunFolder(Path("aeclust-run"))
    state = artifacts.read(run.resume_file, "resume").arrays
    assert state["progress"][:2].tolist() == [epoch, step]
    # what the second phase learns is kept from its first step on
    begun = (epoch, step) > (2, 0)
    assert ("targets" in state) is begun
    if begun:
        assert state["targets"].shape == (60, 2)
        assert np.allclose(state["targets"].sum(1), 1)
    assert cli("train", "--resume").code == 0
    assert not run.resume_file.exists()
    assert bytes_of(run.path, "weights/*") == bytes_of(self_labelled, "weights/*")
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    wanted = [json.loads(x) for x in (self_labelled / "metrics.jsonl").read_text().splitlines()]
    for name in ("epoch", "loss", "labels"):
        assert [line[name] for line in lines] == [line[name] for line in wanted]


@pytest.mark.parametrize("shape", [(60, 3), (59, 2), None])
def test_a_state_whose_targets_do_not_fit_is_refused(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int] | None
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, 9)
        assert cli("train", data.images, *TWO_PHASES, "-q").code == 130
    run = RunFolder(Path("aeclust-run"))
    state = artifacts.read(run.resume_file, "resume")
    arrays = {name: value for name, value in state.arrays.items() if name != "targets"}
    if shape is not None:
        arrays["targets"] = np.full(shape, 0.5, np.float32)
    artifacts.write(run.resume_file, dataclasses.replace(state, arrays=arrays))
    before = bytes_of(run.path, "*.*"), bytes_of(run.path, "weights/*")
    text = one_error(cli("train", "--resume", "-q"))
    assert f"the state to resume does not fit this run: targets of shape {shape}" in text
    assert (bytes_of(run.path, "*.*"), bytes_of(run.path, "weights/*")) == before


@pytest.mark.parametrize("seconds", [1, 7, 25])
def test_the_state_is_never_older_than_a_minute(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    module = import_module("aeclust.run.train")
    now, saved = [0], [0]

    def observe(terminal: Terminal, moment: Moment) -> None:  # every step takes so long
        now.append(now[-1] + seconds)

    def save(*arguments: object) -> None:
        assert now[-1] - saved[-1] <= 60
        saved.append(now[-1])

    monkeypatch.setattr(Terminal, "observe", observe)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(now[-1])))
    monkeypatch.setattr(module, "_write_snapshot", save)
    assert cli("train", data.images, *RECIPE).code == 0
    assert len(saved) > 1
    assert now[-2] - saved[-1] <= 60  # at the last step, whose checkpoint replaces the state


def test_resume_starts_over_where_nothing_had_been_saved(
    cli: Cli, run: RunFolder, data: Data, trained: Path
) -> None:
    for epoch in range(3, 12):
        run.weights_file(epoch).unlink()
    assert cli("train", data.images, *RECIPE, "--resume").code == 0
    assert bytes_of(run.path, "weights/*") == bytes_of(trained, "weights/*")


def interrupted(cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        assert cli("train", data.images, *RECIPE, "-q").code == 130
    return RunFolder(Path("aeclust-run"))


def test_damaged_metrics_can_be_deleted_as_they_say(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(cli, data, monkeypatch)
    before = [json.loads(line)["epoch"] for line in run.metrics_file.read_text().splitlines()]
    whole = run.metrics_file.read_text()
    run.metrics_file.write_text(whole + '{"epo')  # beyond what the snapshot knows
    shutil.copytree(run.path, "torn")
    assert cli("train", "--resume", "--run", "torn").code == 0
    run.metrics_file.write_text("{")
    assert "delete it" in one_error(cli("train", "--resume", "-q"))
    run.metrics_file.unlink()
    assert cli("train", "--resume").code == 0
    epochs = [json.loads(line)["epoch"] for line in run.metrics_file.read_text().splitlines()]
    assert epochs == list(range(before[-1] + 1, 12))
    run.metrics_file.unlink()
    assert cli("train", "--resume").out == "aeclust-run: baseline, 11 epochs, 12 checkpoints\n"
    assert cli("report").code == 0


def test_a_run_is_not_replaced_because_it_was_interrupted(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(cli, data, monkeypatch)
    before = files_of(run.path)
    assert "a run is here already" in one_error(cli("train", data.images, *RECIPE, "-q"))
    assert files_of(run.path) == before


def test_a_damaged_state_is_named_and_kept(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(cli, data, monkeypatch)
    run.resume_file.write_bytes(run.resume_file.read_bytes()[:-1])
    before = files_of(run.path)
    result = cli("train", data.images, *RECIPE, "--resume", "-q")
    assert one_error(result).startswith("aeclust-run/resume.h5: damaged or not from aeclust: ")
    assert files_of(run.path) == before


def test_the_state_of_another_run_is_refused(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(cli, data, monkeypatch)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        cli("train", data.images, *RECIPE, "--seed", 9, "--run", "other", "-q")
    shutil.copy("other/resume.h5", run.resume_file)
    before = files_of(run.path)
    result = cli("train", data.images, *RECIPE, "--resume", "-q")
    assert one_error(result) == (
        "aeclust-run/resume.h5: it is of another run; expected the state of this one; "
        "restore the run's own file, or train again with --force"
    )
    assert files_of(run.path) == before


def test_an_interrupted_run_can_be_used(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(cli, data, monkeypatch)
    assert json.loads(cli("embed", "--json").out)["epoch"] == 1
    assert cli("train", data.images, *RECIPE, "--resume").code == 0
    result = cli("cluster")
    assert "latents are made anew: there is a later checkpoint\n" in result.err
    assert artifacts.read(run.latents_file).details["epoch"] == 11


# -- signals to a process of its own -----------------------------------------------------------

PATIENCE = 600  # seconds; a busy machine may need minutes to load PyTorch
LONG = [*RECIPE, "--epochs", "120", "--threads", "1"]


@pytest.fixture(scope="module")
def uninterrupted(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("long") / "run"
    assert run_quietly("train", data.images, *LONG, "--run", run).code == 0
    return run


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_the_state_and_resume_ends_with_the_same_bytes(
    cli: Cli, data: Data, uninterrupted: Path, number: signal.Signals, code: int
) -> None:
    arguments = ["train", str(data.images), *LONG, "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "aeclust", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = RunFolder(Path("aeclust-run"))
    deadline = time.monotonic() + PATIENCE
    try:
        while not run.metrics_file.exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, number)
        asked = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - asked < 10
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (code, "")
    assert err.startswith("interrupted in epoch ")
    assert err.endswith("; continue with aeclust train --resume\n")
    assert run.resume_file.exists()
    assert 120 not in run.checkpoints()
    assert cli(*arguments, "--resume").code == 0
    assert run.checkpoints()[-1] == 120
    assert bytes_of(run.path, "weights/*") == bytes_of(uninterrupted, "weights/*")


def test_precision_is_a_flag_and_remembered(cli: Cli, data: Data) -> None:
    flags = ["--precision", "bfloat16", "--epochs", 1]
    assert cli("train", data.images, *RECIPE, *flags).code == 0
    assert RunFolder(Path("aeclust-run")).manifest().recipe.precision == "bfloat16"
    assert "precision is 'half'; expected one of float32, bfloat16, auto" in one_error(
        cli("train", data.images, *RECIPE, "--precision", "half", "--force")
    )
