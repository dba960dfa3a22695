"""What a run remembers, and what it forgets, over several commands."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import RECIPE, TWO_PHASES, Cli, Data, bytes_of, files_of

from aeclust import artifact as artifacts
from aeclust.artifact import Artifact
from aeclust.images import Images, Source
from aeclust.network import training
from aeclust.network.losses import Loss, objective
from aeclust.run.folder import RunFolder
from aeclust.show import plots


def labels_of(run: RunFolder) -> Artifact:
    return artifacts.read(run.labels_file, "labels")


def test_a_picture_of_others_follows_what_was_last_asked_for(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    assert cli("embed", "--checkpoint", 0).code == 0
    result = cli("plot", data.val_images, "--labels", data.val_labels, "--json")
    assert result.code == 0, result.err
    # the labels were stale, and were made anew from the checkpoint asked for
    assert labels_of(full_run).details["epoch"] == 0
    assert cli("predict", data.val_images, "-o", "val.csv").code == 0
    scored = json.loads(cli("evaluate", "val.csv", data.val_labels, "--json").out)
    assert json.loads(result.out)["accuracy"] == scored["accuracy"]


def test_a_picture_of_others_by_a_chain_with_tsne_takes_the_clusters_asked_for(
    cli: Cli, data: Data
) -> None:
    chain = ["--set", "reduction=tsne:2", "--set", "perplexity=5"]
    assert cli("train", data.images, *RECIPE, *chain).code == 0
    assert cli("cluster", "-k", 3).code == 0
    result = cli("plot", data.val_images, "--labels", data.val_labels, "--json")
    assert result.code == 0, result.err
    assert '"sizes": {"0": ' in result.out
    assert '"2": ' in result.out


@pytest.mark.parametrize("moment", ["while libraries load", "while images load", "before the lock"])
def test_an_interrupt_before_the_first_step_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = files_of(full_run.path)
    module = import_module("aeclust.run.train")

    def slow(source: Source, **more: object) -> Images:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it went on loading")

    def early(name: str) -> torch.device:
        signal.raise_signal(signal.SIGTERM)
        return torch.device("cpu")

    def swallowed(*arguments: object) -> None:
        with contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGTERM)

    if moment == "while libraries load":
        monkeypatch.setattr("aeclust.run.context.choose_device", early)
    elif moment == "while images load":
        monkeypatch.setattr("aeclust.run.images.load", slow)
    else:
        monkeypatch.setattr(module, "_check_disk", swallowed)
    result = cli("train", data.images, *RECIPE, "--force", "-q")
    assert result == (143, "", "interrupted before training began; nothing was changed\n")
    assert files_of(full_run.path) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_between_the_phases_does_not_wait_and_loses_nothing(
    cli: Cli,
    data: Data,
    self_labelled: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    def slow(*arguments: object, **settings: object) -> NDArray[np.float32]:
        signal.raise_signal(number)
        raise AssertionError("it went on clustering")

    told = "interrupted in epoch 3 of 4; the state is saved; continue with aeclust train --resume\n"
    with monkeypatch.context() as patch:
        patch.setattr("aeclust.network.training.self_label", slow)
        for flags in ([], ["--resume"]):
            result = cli("train", data.images, *TWO_PHASES, *flags, "-q")
            assert result == (code, "", told)
    run = RunFolder(Path("aeclust-run"))
    assert run.checkpoints() == [0, 1, 2]
    assert cli("train", data.images, *TWO_PHASES, "--resume").code == 0
    assert bytes_of(run.path, "weights/*") == bytes_of(self_labelled, "weights/*")


def test_resume_needs_no_flag_repeated(cli: Cli, run: RunFolder) -> None:
    before = files_of(run.path)
    result = cli("train", "--resume")
    assert result.code == 0, result.err
    assert "finished already, nothing to do" in result.err
    assert files_of(run.path) == before
    refused = cli("train", "--resume", "--epochs", 12)
    assert refused.code == 2
    assert "epochs was 11 and is 12" in refused.err


def test_damaged_metrics_are_named(cli: Cli, run: RunFolder) -> None:
    run.metrics_file.write_text("{bad\n")
    result = cli("train", "--resume", "-q")
    assert result.code == 2
    assert f"{run.metrics_file.relative_to(Path.cwd())}: is damaged (JSONDecodeError" in result.err
    assert "expected one JSON object an epoch, as aeclust train wrote it; delete it" in result.err
    run.metrics_file.write_text('{"epoch": 2}\n{"epoch": 4}\n')
    assert "is damaged (its epochs are not in order)" in cli("train", "--resume", "-q").err
    run.metrics_file.unlink()
    assert cli("train", "--resume", "-q").code == 0


def test_remembered_labels_that_do_not_fit_k_name_nothing(cli: Cli, data: Data) -> None:
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    ten = Path("ten.npy").absolute()
    np.save(ten, np.arange(len(np.load(data.val_labels))) % 10)
    flags[3] = ten
    assert cli("train", data.images, *RECIPE, *flags).code == 0
    result = cli("predict")
    assert result.code == 0, result.err
    assert f"{ten} has other labels than 0 to 1: no cluster is named" in result.err


def test_evaluate_pairs_by_id_where_the_truth_is_in_order(cli: Cli, full_run: RunFolder) -> None:
    labels = labels_of(full_run).arrays["labels"]
    np.save("truth.npy", labels)
    order = np.random.default_rng(0).permutation(len(labels))
    rows = "".join(f"{i},{labels[i]}\n" for i in order)
    Path("shuffled.csv").write_text("id,label\n" + rows)
    assert cli("evaluate", "shuffled.csv", "truth.npy").out.startswith("accuracy 1.0000")


def test_a_newer_field_of_the_recipe_leaves_old_files_fresh(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    """Files from before a field existed are read with its default."""
    for file in (full_run.labels_file, full_run.weights_file(11)):
        artifact = artifacts.read(file)
        recipe = {k: v for k, v in artifact.recipe.items() if k != "schedule"}
        artifacts.write(file, dataclasses.replace(artifact, recipe=recipe))
    result = cli("embed")
    assert result.code == 0, result.err  # the weights' bytes changed, so made anew, not refused
    assert "latents are made anew: the weights have changed" in result.err
    assert cli("cluster").code == 0
    assert "nothing to do" in cli("cluster").out


def test_non_finite_parts_of_a_loss_count_as_divergence(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The KL term is no part of the squared error, but is told and stored beside it."""

    def with_infinite_kl(*arguments: Any, **options: Any) -> Loss:
        loss = objective(*arguments, **options)
        return dataclasses.replace(loss, kl=torch.tensor(torch.inf))

    monkeypatch.setattr(training, "objective", with_infinite_kl)
    result = cli("train", data.images, *RECIPE, "-q")
    assert result.code == 3
    assert "the loss is not finite in epoch 1, step 1" in result.err
    assert not Path("aeclust-run/metrics.jsonl").exists()


def test_checkpoints_without_a_manifest_are_not_replaced(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    run.manifest_file.unlink()
    before = files_of(run.path)
    for flags in ([], ["--resume"]):
        result = cli("train", data.images, *RECIPE, *flags, "-q")
        assert result.code == 2
        assert "there are checkpoints here, but no run.json" in result.err
        assert "expected an empty or new folder, or a whole run" in result.err
        assert "restore run.json, replace all with --force, or change --run" in result.err
    assert files_of(run.path) == before
    assert cli("train", data.images, *RECIPE, "--force").code == 0


def test_a_folder_that_is_gone_is_called_gone(cli: Cli) -> None:
    result = cli("train", "photos", "--size", 8, "--skip-bad", "-q")
    assert result.code == 2
    assert "photos: there is no such file or folder" in result.err


def test_info_where_no_run_is_says_how_to_make_one(cli: Cli) -> None:
    result = cli("info")
    assert result.code == 2
    assert "aeclust-run: there is no run here" in result.err


# -- two phases --------------------------------------------------------------------------------


def test_a_picture_of_others_is_of_the_network_that_labels_them(
    cli: Cli, two_phase_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[np.ndarray] = []
    draw = plots.embedding_figure

    def spy(points: np.ndarray, *arguments: Any, **options: Any) -> Any:
        drawn.append(points)
        return draw(points, *arguments, **options)

    monkeypatch.setattr(plots, "embedding_figure", spy)
    cli("cluster", "-k", 3)
    assert cli("plot", data.val_images).code == 0
    cli("embed")  # of the last checkpoint; the labels bring the first phase's back
    assert cli("plot", data.val_images).code == 0
    assert np.array_equal(drawn[0], drawn[1])


def test_one_image_is_not_called_equal_to_the_others(cli: Cli, data: Data) -> None:
    np.save("one.npy", np.load(data.images)[:1])
    result = cli("train", "one.npy", *TWO_PHASES, "-k", "auto", "-q")
    assert result.code == 2
    assert "1 image to train on; expected 2 or more" in result.err
    assert cli("train", "one.npy", *RECIPE, "-k", "auto", "--force").code == 0
