"""aeclust checkpoint-curve: error and accuracy of every checkpoint, table, picture, numbers."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import RECIPE, Cli, Data, files_of
from PIL import Image
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from aeclust.run import Context, RunFolder
from aeclust.run.caches import load_network


def table_of(file: Path) -> tuple[list[int], list[float], list[float]]:
    with open(file, newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["epoch", "mse", "validation_accuracy"]
    return (
        [int(row["epoch"]) for row in rows],
        [float(row["mse"]) for row in rows],
        [float(row["validation_accuracy"]) for row in rows],
    )


def measured_by_hand(run: RunFolder, data: Data, epoch: int) -> tuple[float, float]:
    """MSE of all training images, and accuracy of the noise by the vote of 15 neighbours."""
    network, _ = load_network(Context(run), run.manifest(), epoch)

    def batch(file: Path) -> torch.Tensor:
        return torch.from_numpy(np.load(file)).permute(0, 3, 1, 2).float() / 127.5 - 1

    with torch.inference_mode():
        images = batch(data.images)
        latents = network.encode(images)
        error = float((network.decode(latents) - images).square().mean())
        others = network.encode(batch(data.noise)).numpy()
    base = latents.numpy()
    points = PCA(2, random_state=0).fit_transform(base)
    clusters = KMeans(2, n_init=10, random_state=0).fit_predict(points)
    near = NearestNeighbors(n_neighbors=15).fit(base).kneighbors(others, return_distance=False)
    voted = (clusters[near].mean(1) > 0.5).astype(int)
    agree = float((voted == np.load(data.noise_labels)).mean())
    return error, max(agree, 1 - agree)


def test_every_checkpoint_is_measured(cli: Cli, run: RunFolder, data: Data) -> None:
    before = files_of(run.path)
    flags = ["--val-images", data.noise, "--val-labels", data.noise_labels]
    code, out, err = cli("checkpoint-curve", *flags)
    assert (code, err) == (0, "")
    epochs, errors, accuracies = table_of(run.path / "checkpoint-curve.csv")
    assert epochs == list(range(12))
    for epoch in (0, 7):
        error, accuracy = measured_by_hand(run, data, epoch)
        assert errors[epoch] == pytest.approx(error, rel=1e-5)
        assert accuracies[epoch] == pytest.approx(accuracy)

    lines = out.splitlines()
    assert lines[0] == "epoch     MSE  accuracy"
    assert lines[1:13] == [
        f"{epoch:5d}  {error:.4f}  {accuracy:8.3f}"
        for epoch, error, accuracy in zip(epochs, errors, accuracies, strict=True)
    ]
    rho = spearmanr(errors, accuracies).statistic
    assert lines[13] == f"Spearman correlation of MSE and accuracy: {rho:+.2f}"
    falls = -np.diff(accuracies)
    at = int(falls.argmax())
    assert lines[14] == (
        f"largest fall of accuracy: {100 * falls[at]:.1f} points, from epoch {at} to {at + 1}"
    )
    assert lines[15] == "aeclust-run/checkpoint-curve.png and aeclust-run/checkpoint-curve.csv"
    assert len(lines) == 16

    after = files_of(run.path)
    assert after.keys() - before.keys() == {"checkpoint-curve.png", "checkpoint-curve.csv"}
    assert {name: after[name] for name in before} == before
    with Image.open(run.path / "checkpoint-curve.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500


def test_without_labels_the_error_alone_is_shown(cli: Cli, run: RunFolder) -> None:
    code, out, err = cli("checkpoint-curve")
    assert code == 0
    assert err == ("no validation labels: accuracy is left out (see --val-images, --val-labels)\n")
    assert re.fullmatch(r" {4}0  \d\.\d{4}", out.splitlines()[1].rstrip())
    assert "Spearman" not in out
    rows = (run.path / "checkpoint-curve.csv").read_text().splitlines()
    assert rows[0] == "epoch,mse,validation_accuracy"
    assert [row.split(",")[0] for row in rows[1:]] == [str(epoch) for epoch in range(12)]
    assert all(row.endswith(",") for row in rows[1:])


def test_accuracy_that_stands_still_has_no_correlation_and_no_fall(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    out = cli("checkpoint-curve", *flags).out
    assert "Spearman correlation of MSE and accuracy: undefined\naccuracy never falls\n" in out
    assert table_of(run.path / "checkpoint-curve.csv")[2] == [1.0] * 12


def test_json_holds_points_correlation_and_fall(cli: Cli, run: RunFolder, data: Data) -> None:
    flags = ["--val-images", data.noise, "--val-labels", data.noise_labels, "--json"]
    answer = json.loads(cli("checkpoint-curve", *flags).out)
    assert list(answer) == ["picture", "table", "points", "correlation", "fall"]
    assert answer["picture"] == "aeclust-run/checkpoint-curve.png"
    assert answer["table"] == "aeclust-run/checkpoint-curve.csv"
    epochs, errors, accuracies = table_of(run.path / "checkpoint-curve.csv")
    assert [point["epoch"] for point in answer["points"]] == epochs
    assert [point["error"] for point in answer["points"]] == errors
    assert [point["accuracy"] for point in answer["points"]] == accuracies
    assert answer["correlation"] == pytest.approx(spearmanr(errors, accuracies).statistic)
    start, end, size = answer["fall"]
    assert end == start + 1
    assert size == pytest.approx(accuracies[start] - accuracies[end])


def test_o_names_the_picture_and_the_table_lies_beside_it(cli: Cli, run: RunFolder) -> None:
    assert cli("checkpoint-curve", "-o", "plots/curve.svg").code == 0
    assert Path("plots/curve.svg").read_bytes().startswith(b"<?xml")
    assert Path("plots/curve.csv").read_text().startswith("epoch,mse,validation_accuracy\n0,")
    assert not (run.path / "checkpoint-curve.csv").exists()


def test_validation_data_of_training_are_used(cli: Cli, data: Data) -> None:
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    assert cli("train", data.images, *RECIPE, "--epochs", 2, *flags).code == 0
    assert cli("checkpoint-curve").code == 0
    table = table_of(Path("aeclust-run/checkpoint-curve.csv"))
    assert table[0] == [0, 1, 2]
    assert table[2] == [1.0, 1.0, 1.0]


def test_a_few_labelled_images_are_enough(cli: Cli, run: RunFolder, data: Data) -> None:
    truth = np.load(data.val_labels)
    Path("known.csv").write_text(f"id,label\n5,{1 - truth[5]}\n0,{truth[0]}\n1,{truth[1]}\n")
    flags = ["--val-images", data.val_images, "--val-labels", "known.csv"]
    assert cli("checkpoint-curve", *flags).code == 0
    accuracies = table_of(run.path / "checkpoint-curve.csv")[2]
    assert accuracies == pytest.approx([2 / 3] * 12)


def test_a_chain_with_tsne_clusters_the_validation_images_by_themselves(
    cli: Cli, data: Data
) -> None:
    chain = ["--set", "reduction=kpca:10,tsne:2", "--set", "perplexity=5", "--epochs", 1]
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    assert cli("train", data.images, *RECIPE, *chain, *flags).code == 0
    assert cli("checkpoint-curve", "-o", "curve.svg").code == 0
    assert table_of(Path("curve.csv"))[2] == [1.0, 1.0]
