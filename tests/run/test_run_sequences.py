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
from support import BACK, RECIPE, TWO_PHASES, Cli, Data, bytes_of, files_of

from aeclust import artifact as artifacts
from aeclust.artifact import Artifact
from aeclust.images import Images, Source
from aeclust.network import training
from aeclust.network.losses import Loss, objective
from aeclust.run.folder import RunFolder
from aeclust.show import plots


def labels_of(run: RunFolder) -> Artifact:
    return artifacts.read(run.labels_file, "labels")


def test_a_request_of_the_run_before_is_void(cli: Cli, full_run: RunFolder, data: Data) -> None:
    assert cli("embed", "--checkpoint", 5).code == 0
    assert cli("cluster", "-k", 3).code == 0
    assert cli("train", data.images, *RECIPE, "-k", 4, "--seed", 1, "--force").code == 0
    assert cli("predict").code == 0
    made = labels_of(full_run)
    assert (made.recipe["k"], made.seed, made.details["epoch"]) == (4, 1, 11)


def test_latents_that_are_lost_come_back_from_the_checkpoint_of_the_labels(
    cli: Cli, full_run: RunFolder
) -> None:
    assert cli("embed", "--checkpoint", 5).code == 0
    assert cli("cluster", "-k", 3).code == 0
    before = full_run.labels_file.read_bytes()
    full_run.latents_file.unlink()
    assert cli("predict").code == 0
    assert artifacts.read(full_run.latents_file).details["epoch"] == 5
    assert full_run.labels_file.read_bytes() == before


@pytest.mark.parametrize("command", ["embed", "cluster", "predict"])
def test_images_that_changed_are_noticed_though_everything_is_there(
    cli: Cli, data: Data, command: str
) -> None:
    own = Path("images.npy").absolute()
    own.write_bytes(data.images.read_bytes())
    assert cli("train", own, *RECIPE).code == 0
    assert cli("cluster").code == 0
    np.save(own, 255 - np.load(data.images))
    result = cli(command, "-q")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"error: {own}: the images have changed since training; expected the images that the run"
        " was trained on; restore them, or train again with --force\n"
    )


def test_images_that_are_gone_matter_only_to_what_needs_them(cli: Cli, data: Data) -> None:
    own = Path("images.npy").absolute()
    own.write_bytes(data.images.read_bytes())
    assert cli("train", own, *RECIPE).code == 0
    first = cli("predict")
    own.unlink()
    result = cli("predict")
    assert (result.code, result.out) == (0, first.out)
    assert f"{own} is gone; what was made from it is used as it stands" in result.err
    assert cli("embed", "--force").code == 2


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


def test_resume_without_a_state_starts_over_to_the_same_bytes(cli: Cli, run: RunFolder) -> None:
    before = bytes_of(run.path / "weights", "*.h5")
    run.weights_file(11).unlink()
    result = cli("train", "--resume")
    assert result.code == 0, result.err
    assert "no state was saved yet, starting from the first step" in result.err
    assert bytes_of(run.path / "weights", "*.h5") == before


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


def predicted(text: str) -> list[int]:
    return [int(line.split(",")[1]) for line in text.splitlines()[1:]]


def epochs_of(run: RunFolder) -> tuple[int, int]:
    """After how many epochs the latents and the labels of a run are."""
    latents = artifacts.read(run.latents_file, "latents")
    return latents.details["epoch"], labels_of(run).details["epoch"]


def test_labels_asked_for_with_another_k_stay_so(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    assert BACK in cli("cluster", "-k", 3).err
    before = files_of(two_phase_run.path)
    code, out, err = cli("predict")
    assert (code, err) == (0, "")
    assert set(predicted(out)) == {0, 1, 2}
    assert cli("predict", data.val_images, "-o", "val.csv").code == 0
    assert cli("info").code == 0
    assert files_of(two_phase_run.path) == before


@pytest.mark.parametrize("k", ["3", "auto"])
def test_an_embedding_between_does_not_forget_the_k_asked_for(
    cli: Cli, two_phase_run: RunFolder, k: str
) -> None:
    cli("cluster", "-k", k)
    before = files_of(two_phase_run.path)
    assert cli("embed").out.endswith("after epoch 4\n")
    result = cli("predict")
    assert result.err.startswith(f"{BACK}\n")
    after = files_of(two_phase_run.path)
    # the latents came back the same, so the labels were fresh after all
    assert after["latents.h5"][0] == before["latents.h5"][0]
    assert after["labels.h5"] == before["labels.h5"]
    assert epochs_of(two_phase_run) == (2, 2)


@pytest.mark.parametrize(("flags", "epoch"), [([], 4), (["-k", 3], 2), (["-k", "auto"], 2)])
def test_lost_latents_come_back_for_the_right_phase(
    cli: Cli, two_phase_run: RunFolder, flags: list[object], epoch: int
) -> None:
    assert cli("cluster", *flags).code == 0
    before = files_of(two_phase_run.path)
    two_phase_run.latents_file.unlink()
    code, _, err = cli("predict")
    assert code == 0
    assert err.startswith("latents are missing: embedding first\n")
    assert "going back" not in err
    after = files_of(two_phase_run.path)
    assert after.pop("latents.h5")[0] == before.pop("latents.h5")[0]
    assert after == before
    assert epochs_of(two_phase_run) == (epoch, epoch)


def test_lost_latents_come_back_for_a_checkpoint_of_the_second_phase(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    cli("embed", "--checkpoint", 3)
    cli("cluster", "-k", 3)
    before = two_phase_run.labels_file.read_bytes()
    two_phase_run.latents_file.unlink()
    assert cli("predict").code == 0
    assert epochs_of(two_phase_run) == (3, 3)
    assert two_phase_run.labels_file.read_bytes() == before


def test_lost_labels_are_made_for_the_runs_own_k(cli: Cli, two_phase_run: RunFolder) -> None:
    first = bytes_of(two_phase_run.path, "*.h5")
    cli("cluster", "-k", 3)
    two_phase_run.labels_file.unlink()
    result = cli("predict")
    assert "labels are missing: clustering first\n" in result.err
    assert set(predicted(result.out)) == {0, 1}
    assert bytes_of(two_phase_run.path, "*.h5") == first


def test_a_checkpoint_asked_for_is_respected_by_all_that_follows(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    cli("embed", "--checkpoint", 1)
    latents = files_of(two_phase_run.path)["latents.h5"]
    for flags in (["-k", 3], [], ["-k", "auto"]):
        assert "going back" not in cli("cluster", *flags).err
        assert epochs_of(two_phase_run) == (1, 1)
    assert cli("predict", data.val_images).code == 0
    assert cli("plot", data.val_images).code == 0
    assert files_of(two_phase_run.path)["latents.h5"] == latents
    # until embed is asked for the last one
    cli("embed")
    assert cli("cluster").code == 0
    assert epochs_of(two_phase_run) == (4, 4)


def test_training_anew_voids_another_k_and_its_phase(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    cli("cluster", "-k", 3)
    assert cli("train", data.images, *TWO_PHASES, "--seed", 1, "--force").code == 0
    result = cli("predict")
    assert set(predicted(result.out)) == {0, 1}
    assert "going back" not in result.err
    made = labels_of(two_phase_run)
    assert (made.recipe["k"], made.seed, made.details["checkpoint"]) == (2, 1, "last")
    assert epochs_of(two_phase_run) == (4, 4)


def test_training_by_one_phase_leaves_nothing_to_go_back_to(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    cli("cluster", "-k", 3)
    assert cli("train", data.images, *RECIPE, "--epochs", 2, "--force").code == 0
    result = cli("cluster", "-k", 3)
    assert result.code == 0
    assert "latents are made anew: the weights have changed\n" in result.err
    assert "going back" not in result.err
    assert labels_of(two_phase_run).details["checkpoint"] == "last"


def test_a_run_interrupted_in_the_second_phase_is_used_and_finished(
    cli: Cli, self_labelled: Path, two_phase_run: RunFolder, data: Data
) -> None:
    """Latents follow the last checkpoint there is, whichever phase it is of."""
    finished = bytes_of(two_phase_run.path, "weights/*")
    for epoch in (3, 4):
        two_phase_run.weights_file(epoch).unlink()
    assert cli("cluster").code == 0
    assert epochs_of(two_phase_run) == (2, 2)
    assert "assignments" not in artifacts.read(two_phase_run.latents_file).arrays
    # without a checkpoint of the second phase there is nothing to go back from
    assert "going back" not in cli("cluster", "-k", 3).err
    assert labels_of(two_phase_run).details["checkpoint"] == "last"
    assert cli("train", "--resume").code == 0
    assert bytes_of(two_phase_run.path, "weights/*") == finished
    result = cli("cluster", "-k", 3)
    assert "latents are made anew: there is a later checkpoint\n" in result.err
    assert f"{BACK}\n" in result.err
    assert epochs_of(two_phase_run) == (2, 2)
    assert cli("cluster").code == 0
    assert bytes_of(two_phase_run.path, "l*.h5") == bytes_of(self_labelled, "l*.h5")


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
