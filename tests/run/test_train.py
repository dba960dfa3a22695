"""aeclust train: what it writes, in one phase and in two, and what it replaces."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from support import RECIPE, TWO_PHASES, Cli, Data, bytes_of, check_error, files_of

from aeclust import artifact as artifacts
from aeclust.errors import to_install
from aeclust.images import Source, load
from aeclust.network import training
from aeclust.network.losses import Loss, objective
from aeclust.recipe import named
from aeclust.run import encoders
from aeclust.run.folder import RunFolder

RUN = RunFolder(Path("aeclust-run"))


def recipe_of(run: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))["recipe"]
    return recipe


def metrics_of(run: RunFolder) -> list[dict[str, float]]:
    return [json.loads(line) for line in run.metrics_file.read_text().splitlines()]


def epochs_of(run: Path = RUN.path) -> tuple[int, int]:
    recipe = recipe_of(run)
    return recipe["epochs"], recipe["label_epochs"]


# -- what it writes ----------------------------------------------------------------------------


def test_a_finished_run_holds_nothing_but_its_files(run: RunFolder) -> None:
    names = sorted(file.name for file in run.path.iterdir())
    assert names == [".lock", "images.h5", "metrics.jsonl", "run.json", "weights"]
    # twelve checkpoints, the untrained and the last included
    names = sorted(file.name for file in (run.path / "weights").iterdir())
    assert names == [f"epoch-{epoch:04d}.h5" for epoch in range(12)]
    for epoch in range(12):
        weights = artifacts.read(run.weights_file(epoch), "weights")
        assert weights.details == {"epoch": epoch, "image_channels": 3}


def test_metrics_have_one_line_an_epoch(run: RunFolder) -> None:
    lines = metrics_of(run)
    assert [line["epoch"] for line in lines] == list(range(1, 12))
    names = ["epoch", "loss", "reconstruction", "kl", "contrast", "labels"]
    names += ["seconds", "images_per_second"]
    assert all(list(line) == names for line in lines)
    assert all(line["images_per_second"] > 0 for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert run.metrics_file.read_text().endswith("\n")


def test_the_manifest_has_data_digest_recipe_and_seed(run: RunFolder, data: Data) -> None:
    manifest = json.loads(run.manifest_file.read_text())
    assert manifest["format"] == 1
    assert manifest["data"] == {
        "location": str(data.images),
        "layout": None,
        "range": None,
        "size": None,
        "fit": "crop",
        "files": [],
        "skip_bad": False,
        "sha256": load(Source(location=str(data.images))).digest(),
        "shape": [60, 8, 8, 3],
    }
    wanted = {"name": "baseline", "channels": [4, 8], "lr": 1e-3, "reduction": ["pca:2"]}
    assert manifest["recipe"].items() >= wanted.items()
    assert manifest["seed"] == 0
    assert manifest["validation"] == {"images": None, "labels": None}


def test_it_says_the_data_and_the_disk_first_and_the_result_on_stdout(cli: Cli, data: Data) -> None:
    code, out, err = cli("train", data.images, *RECIPE, "--epochs", 2)
    assert code == 0
    loss = metrics_of(RUN)[-1]["loss"]
    trained = f"trained by recipe baseline for 2 epochs, last loss {loss:.4f}; 3 checkpoints"
    assert out == f"aeclust-run: {trained}\n"
    lines = err.splitlines()
    assert lines[0] == f"{data.images}: 60 images, 8 x 8 RGB, uint8"
    assert lines[1].startswith(
        "3 checkpoints of 0.0 MB, and the state to resume from, will take up to"
    )
    assert [line.split("  ")[0] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
    assert lines[4:] == [
        "next: look at the clusters  aeclust report",
        "      save the labels       aeclust predict > submission.csv",
    ]


def test_json_names_the_checkpoints_and_the_last_metrics(cli: Cli, data: Data) -> None:
    answer = json.loads(cli("train", data.images, *RECIPE, "--epochs", 2, "--json").out)
    metrics = answer.pop("metrics")
    assert metrics["epoch"] == 2
    wanted = {"run": "aeclust-run", "recipe": "baseline", "epochs": 2, "checkpoints": [0, 1, 2]}
    assert answer == {**wanted, "trained": True}
    again = json.loads(cli("train", "--resume", "--json").out)
    assert again == {**wanted, "trained": False, "metrics": metrics}


def test_resizing_is_said_aloud(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *RECIPE, "--set", "image_size=16", "--epochs", 1)
    assert result.code == 0
    assert "images are resized to 16 x 16 for recipe baseline\n" in result.err


ADVICE = "these look like photographs in colour: recipe pretrained is likely to group them better"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of squares of scikit-learn's photographs."""
    (folder := tmp_path / "photos").mkdir()
    for kind, photo in enumerate(load_sample_images().images):
        for i, (y, x) in enumerate(itertools.product(range(0, 320, 60), range(0, 540, 60))):
            Image.fromarray(photo[y : y + 96, x : x + 96]).save(folder / f"{kind}-{i:02d}.png")
    return folder


def test_photographs_are_said_to_suit_another_recipe(
    cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--recipe", "baseline", "--set", "channels=4,8", "--epochs", 1]
    monkeypatch.setattr(encoders, "_PACKAGES", ("aeclust", "numpy"))
    assert ADVICE in cli("train", photos, *small).err.splitlines()
    assert ADVICE not in cli("train", "--resume").err
    monkeypatch.setattr(encoders, "_PACKAGES", ("aeclust", "no_package_is_called_so"))
    line = f"{ADVICE}; for it, {to_install('pretrained')}"
    assert line in cli("train", photos, *small, "--force").err.splitlines()


@pytest.mark.parametrize("name", ["demo:scenes", "demo:digits"])
def test_drawings_and_glyphs_are_not_said_to_suit_another_recipe(name: str) -> None:
    assert encoders.advice(named("hybrid"), load(Source(location=name))) is None


def test_recipes_that_train_no_encoder_get_no_advice(photos: Path) -> None:
    images = load(Source(location=str(photos), size=32))
    assert encoders.advice(named("hybrid"), images) is not None
    assert encoders.advice(named("pretrained"), images) is None


def test_equal_commands_give_equal_bytes_and_another_seed_others(
    cli: Cli, data: Data, trained: Path
) -> None:
    assert cli("train", data.images, *RECIPE).code == 0
    assert bytes_of(RUN.path, "weights/*.h5") == bytes_of(trained, "weights/*.h5")
    assert cli("train", data.images, *RECIPE, "--epochs", 1, "--seed", 5, "--force").code == 0
    ours = artifacts.read(RUN.weights_file(0))
    theirs = artifacts.read(trained / "weights/epoch-0000.h5")
    assert ours.seed == 5
    name = "state_dict/encoder.0.weight"
    assert not np.array_equal(ours.arrays[name], theirs.arrays[name])


# -- the recipe --------------------------------------------------------------------------------


def test_a_toml_file_is_a_recipe_and_flags_go_before_it(cli: Cli, data: Data) -> None:
    Path("own.toml").write_text(
        'recipe = "baseline"\nchannels = [4, 8]\nimage_size = 8\nlr = 0.5\nepochs = 3\nk = 4\n'
    )
    arguments = ["--config", "own.toml", "--set", "epochs=2", "--lr", "1e-3"]
    assert cli("train", data.images, *arguments).code == 0
    wanted = {"name": "baseline", "channels": [4, 8], "epochs": 2, "lr": 1e-3, "k": 4}
    assert recipe_of(RUN.path).items() >= wanted.items()


def test_a_config_that_was_written_is_the_recipe_of_its_flags(cli: Cli, data: Data) -> None:
    flags = [*RECIPE, "--epochs", 1, "-k", "auto", "--set", "beta=0.25"]
    code, out, err = cli("train", "nowhere.npy", *flags, "--write-config")
    assert (code, err) == (0, "")
    assert os.listdir() == []  # nothing was looked for, nothing trained
    Path("run.toml").write_text(out)
    assert cli("train", "--config", "run.toml", "--write-config").out == out
    assert cli("train", data.images, "--config", "run.toml", "--run", "by-file").code == 0
    assert cli("train", data.images, *flags, "--run", "by-flags").code == 0
    recipe = recipe_of(Path("by-file"))
    assert recipe == recipe_of(Path("by-flags"))
    assert (recipe["k"], recipe["beta"]) == (0, 0.25)


@pytest.mark.parametrize(
    ("flags", "epochs"),
    [
        ("--epochs 3", [2, 1]),
        ("--epochs 18", [14, 4]),
        ("--epochs 9 -k auto", [9, 4]),
        ("--epochs 9 -k=auto", [9, 4]),
        ("--epochs 9 --set label_epochs=1", [8, 1]),
        ("--set label_epochs=1 --epochs 9", [8, 1]),
        ("--set epochs=9", [9, 4]),
        ("--set epochs=9 --set label_epochs=2", [9, 2]),
        # the file says how the phases share them; the flag goes before its number
        ("--config half.toml --epochs 6", [3, 3]),
        ("--config half.toml", [5, 5]),
        ("--recipe vae --epochs 3", [3, 0]),
    ],
)
def test_epochs_of_the_command_line_are_those_of_the_whole_run(
    cli: Cli, flags: str, epochs: list[int]
) -> None:
    Path("half.toml").write_text("epochs = 5\nlabel_epochs = 5\n")
    answer = json.loads(cli("train", *flags.split(), "--write-config", "--json").out)
    fields = answer.get("recipe", answer)
    assert [fields["epochs"], fields["label_epochs"]] == epochs


def test_three_epochs_are_three_and_one_has_no_self_labelling(cli: Cli, data: Data) -> None:
    small = [*TWO_PHASES, "--set", "label_epochs=1", "-q", "--json"]
    answer = json.loads(cli("train", data.images, *small, "--epochs", 3).out)
    assert (answer["epochs"], answer["checkpoints"], epochs_of()) == (3, [0, 1, 2, 3], (2, 1))
    result = cli("train", data.images, *TWO_PHASES[:6], "--epochs", 1, "--force")
    assert (result.code, epochs_of()) == (0, (1, 0))
    said = "with one epoch, the last part of training, which learns the clusters, is left out"
    assert result.err.splitlines()[2] == said
    result = cli("train", data.images, *TWO_PHASES, "--epochs", 2, "--force")
    check_error(
        result.error,
        where="the recipe",
        what="epochs is 2",
        expected="more than the 2 of self-labelling",
    )
    assert "raise --epochs, or lower --set label_epochs" in result.err


@pytest.mark.parametrize(
    ("keep", "checkpoints"),
    [
        ("last", [2, 4]),
        ("2", [0, 2, 4]),
        ("all", [0, 1, 2, 3, 4]),
    ],
)
def test_so_many_checkpoints_are_kept(
    cli: Cli, data: Data, keep: str, checkpoints: list[int], self_labelled: Path
) -> None:
    train = ["train", data.images, *TWO_PHASES, "--keep-checkpoints", keep]
    result = cli(*train, "--json")
    assert json.loads(result.out)["checkpoints"] == RUN.checkpoints() == checkpoints
    assert result.err.splitlines()[1].startswith(f"{len(checkpoints)} checkpoints of ")
    # what they hold does not depend on how many are kept
    kept, all_of_them = (bytes_of(run, "weights/*") for run in (RUN.path, self_labelled))
    assert kept == {name: all_of_them[name] for name in kept}
    # the run is whole: it can be clustered, otherwise too, and resuming it does nothing
    for command in ("cluster", "cluster -k 3", "report", "checkpoint-curve", "info", "predict"):
        assert cli(*command.split()).code == 0, command
    for again in (train, train[:-2]):
        assert "finished already, nothing to do" in cli(*again, "--resume").err


def test_a_run_that_is_here_is_said_before_images_are_read(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *RECIPE, "--epochs", 1).code == 0
    Path("other.npy").write_bytes(b"no array at all")
    for more, what in ([], "a run is here already"), (["--force"], ""):
        error = cli("train", "other.npy", *RECIPE, *more).error
        assert error is not None
        assert (error.what == what) is bool(what)


def test_a_run_that_keeps_one_checkpoint_says_that_it_has_no_curve(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *RECIPE, "--keep-checkpoints", "last").code == 0
    assert RUN.checkpoints() == [11]
    result = cli("checkpoint-curve")
    assert result.code == 0
    assert result.err.splitlines()[-1] == (
        "there is one checkpoint: a point and no curve; aeclust train keeps about a dozen"
        " without --keep-checkpoints"
    )
    result = cli("train", data.images, *RECIPE, "--keep-checkpoints", 3, "--resume")
    what = "this run was started otherwise: it keeps 1 checkpoints and would keep 3"
    check_error(result.error, what=what, expected="the flags of its start")


@pytest.mark.parametrize("keep", ["0", "-1", "some", "1.5", "", "1001", "٣", "9" * 30])
def test_no_other_number_of_checkpoints_is_kept(cli: Cli, data: Data, keep: str) -> None:
    flags = ["--epochs", 2000, f"--keep-checkpoints={keep}"]
    result = cli("train", data.images, *RECIPE, *flags)
    assert result.code == 2
    expected = "1 to 1000 checkpoints, last or all"
    check_error(result.error, where="`keep_checkpoints`", expected=expected)
    assert result.err.startswith("error: --keep-checkpoints is ")
    assert os.listdir() == []


def test_not_all_of_very_many_epochs_keep_a_checkpoint(cli: Cli, data: Data) -> None:
    flags = ["--epochs", 10**8, "--keep-checkpoints", "all"]
    result = cli("train", data.images, *RECIPE, *flags)
    check_error(result.error, where="`keep_checkpoints`", what="all is 100000001")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (
            ["--recipe", "vae", "--set", "latent_size=4", "-k", 3, "--loss", "elbo"],
            {"name": "vae", "latent_size": 4, "k": 3, "loss": "elbo"},
        ),
        (
            ["--optimizer", "sgd", "--set", "momentum=0.9", "--lr", 1e-4],
            {"optimizer": "sgd", "momentum": 0.9, "lr": 1e-4, "batch_size": 16},
        ),
        (["-k", "auto"], {"k": 0}),
        (["--precision", "bfloat16"], {"precision": "bfloat16"}),
    ],
)
def test_every_flag_reaches_the_recipe(
    cli: Cli, data: Data, flags: list[object], wanted: dict[str, object]
) -> None:
    result = cli("train", data.images, *RECIPE, "--epochs", 1, *flags)
    assert result.code == 0, result.err
    assert "estimate" not in result.err  # nothing is left out of a recipe of one phase
    assert recipe_of(RUN.path).items() >= wanted.items()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_muon_trains_in_any_precision_and_weights_stay_float32(
    cli: Cli, data: Data, precision: str
) -> None:
    flags = ["--optimizer", "muon", "--lr", 0.05, "--set", "momentum=0.6", "--epochs", 3]
    flags += ["--set", f"precision={precision}", "--set", "batch_norm=true"]
    assert cli("train", data.images, *RECIPE, *flags).code == 0
    losses = [line["loss"] for line in metrics_of(RUN)]
    assert losses[2] < losses[0]
    weights = artifacts.read(RUN.weights_file(3)).group("state_dict/")
    assert {str(v.dtype) for name, v in weights.items() if "num_batches" not in name} == {"float32"}


def test_the_environment_names_the_run(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AECLUST_RUN", "elsewhere")
    assert cli("train", data.images, *RECIPE, "--epochs", 1).code == 0
    assert Path("elsewhere/run.json").exists()
    assert not RUN.path.exists()


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


def weights_of(file: Path) -> dict[str, NDArray[Any]]:
    """The state of a network, but for what tells clusters apart."""
    arrays = artifacts.read(file, "weights").arrays
    return {name: value for name, value in arrays.items() if "/head." not in name}


def test_the_default_recipe_has_two_phases(cli: Cli, data: Data, self_labelled: Path) -> None:
    code, out, err = cli("train", data.images, *TWO_PHASES)
    assert code == 0
    assert "self-labelling" not in err
    lines = metrics_of(RUN)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    loss = lines[-1]["loss"]
    trained = f"trained by recipe hybrid for 4 epochs, last loss {loss:.4f}; 5 checkpoints"
    assert out == f"aeclust-run: {trained}\n"
    assert RUN.checkpoints() == [0, 1, 2, 3, 4]
    assert [line["labels"] > 0 for line in lines] == [False, False, True, True]
    assert all(line["contrast"] > 0 and line["reconstruction"] > 0 for line in lines)
    for line in lines:
        parts = 10 * line["reconstruction"] + line["contrast"] + line["labels"]
        assert line["loss"] == pytest.approx(parts, rel=1e-4)
    wanted = {"name": "hybrid", "epochs": 2, "label_epochs": 2, "k": 2, "optimizer": "muon"}
    wanted |= {"precision": "auto", "clusterer": "consensus", "reduction": ["sphere", "pca:20"]}
    assert recipe_of(RUN.path).items() >= wanted.items()
    # and equal commands give equal bytes in both
    assert bytes_of(RUN.path, "weights/*") == bytes_of(self_labelled, "weights/*")


def test_the_end_of_the_first_phase_is_kept_among_the_dozen(cli: Cli, data: Data) -> None:
    longer = ["--set", "epochs=14", "--set", "label_epochs=9", "--batch-size", 30]
    answer = json.loads(cli("train", data.other, *TWO_PHASES, *longer, "--json").out)
    assert answer["checkpoints"] == [0, 2, 4, 6, 8, 10, 13, 14, 15, 17, 19, 21, 23]


@pytest.mark.parametrize(
    ("flags", "checkpoints"),
    [(["-k", "auto"], 3), (["-k", 3], 5), (["--set", "label_epochs=0"], 3)],
)
def test_the_first_phase_knows_no_k(
    cli: Cli, data: Data, self_labelled: Path, flags: list[object], checkpoints: int
) -> None:
    result = cli("train", data.images, *TWO_PHASES, *flags)
    assert result.code == 0
    assert RUN.checkpoints() == list(range(checkpoints))
    for epoch in (0, 1, 2):
        file = RUN.weights_file(epoch)
        ours, theirs = weights_of(file), weights_of(self_labelled / "weights" / file.name)
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_an_estimated_k_leaves_out_the_second_phase_and_says_so(cli: Cli, data: Data) -> None:
    _, out, err = cli("train", data.images, *TWO_PHASES, "-k", "auto")
    text = "no number of clusters is given: training leaves out its part that needs one\n"
    assert text in err
    last = metrics_of(RUN)[-1]
    assert (last["epoch"], last["labels"]) == (2, 0)
    assert recipe_of(RUN.path)["k"] == 0
    assert not [name for name in artifacts.read(RUN.weights_file(2)).arrays if "head" in name]
    result = cli("train", data.images, *TWO_PHASES, "-k", "auto", "--resume")
    assert "aeclust-run: finished already, nothing to do\n" in result.err
    assert result.out == out


# -- forced and refused ------------------------------------------------------------------------


def test_force_replaces_all_of_a_run(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = bytes_of(full_run.path, "weights/*")
    assert cli("train", data.other, *RECIPE, "--epochs", 2, "--force", "-q").code == 0
    assert full_run.checkpoints() == [0, 1, 2]
    assert full_run.manifest().shape == (30, 8, 8, 3)
    assert len(metrics_of(full_run)) == 2
    assert bytes_of(full_run.path, "weights/*")["epoch-0002.h5"] != before["epoch-0002.h5"]
    assert cli("predict").out.count("\n") == 31


@pytest.mark.parametrize("content", ["{", None], ids=["damaged", "missing"])
def test_force_starts_anew_without_a_good_manifest(
    cli: Cli, run: RunFolder, data: Data, content: str | None
) -> None:
    run.manifest_file.unlink()
    if content is not None:
        run.manifest_file.write_text(content)
    assert cli("train", data.images, *RECIPE, "--epochs", 1, "--force").code == 0
    assert run.manifest().recipe.epochs == 1
    assert run.checkpoints() == [0, 1]


def test_too_full_a_disk_harms_nothing(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(full_run.path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    result = cli("train", data.images, *RECIPE, "--set", "channels=64,128", "--force", "-q")
    assert result.code == 4
    what = "0 MB are free and 9 MB will be needed"
    check_error(result.error, where="aeclust-run", what=what)
    assert files_of(full_run.path) == before


def test_a_place_that_cannot_be_written_exits_4(cli: Cli, data: Data) -> None:
    Path("file").write_text("in the way")
    result = cli("train", data.images, *RECIPE, "--run", "file/run", "-q")
    assert result.code == 4
    what = "cannot be written to (Not a directory)"
    check_error(result.error, where="file/run", what=what)


def test_what_cannot_be_removed_exits_4(cli: Cli, run: RunFolder, data: Data) -> None:
    run.weights_file(3).unlink()
    run.weights_file(3).mkdir()
    result = cli("train", data.images, *RECIPE, "--force", "-q")
    assert result.code == 4
    check_error(result.error, where="aeclust-run", mend="check permissions and space, and repeat")


def test_divergence_exits_3_and_keeps_what_was_good(cli: Cli, data: Data) -> None:
    result = cli("train", data.images, *RECIPE, "--optimizer", "sgd", "--lr", "1e30", "-q")
    assert (result.code, result.out) == (3, "")
    text = "error: training diverged: the loss is not finite in epoch 1, step "
    assert result.err.startswith(text)
    assert "lower the learning rate (1e+30) with --lr; earlier checkpoints are kept" in result.err
    assert RUN.checkpoints() == [0]
    assert artifacts.read(RUN.weights_file(0), "weights").details["epoch"] == 0


def test_parts_of_a_loss_that_are_not_finite_are_divergence_too(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The KL term is no part of the squared error, but stored beside it."""

    def with_infinite_kl(*arguments: Any, **options: Any) -> Loss:
        return dataclasses.replace(objective(*arguments, **options), kl=torch.tensor(torch.inf))

    monkeypatch.setattr(training, "objective", with_infinite_kl)
    result = cli("train", data.images, *RECIPE, "-q")
    assert result.code == 3
    assert "the loss is not finite in epoch 1, step 1" in result.err
    assert not RUN.metrics_file.exists()


def test_one_image_is_too_few_to_compare_views_of_but_not_to_reconstruct(
    cli: Cli, data: Data
) -> None:
    np.save("one.npy", np.load(data.images)[:1])
    result = cli("train", "one.npy", *TWO_PHASES, "-k", "auto", "-q")
    assert result.code == 2
    assert "1 image to train on; expected 2 or more" in result.err
    assert cli("train", "one.npy", *RECIPE, "-k", "auto", "--force").code == 0
