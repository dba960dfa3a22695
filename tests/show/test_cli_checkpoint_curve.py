"""aeclust checkpoint-curve: error and accuracy of every checkpoint, table, picture, numbers."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from support import RECIPE, TWO_PHASES, Cli, Data, check_error, files_of

from aeclust.cli.answers import curve_text
from aeclust.clusters.curve import Curve, Point, summarise
from aeclust.clusters.indicators import Indicators, indicate
from aeclust.network import inference
from aeclust.run import curve as curves
from aeclust.run.context import Context
from aeclust.run.curve import checkpoint_curve
from aeclust.run.folder import RunFolder
from aeclust.run.latents import load_network
from aeclust.show import plots

INDICATORS = ["rank", "view_neighbours", "view_clusters"]
INDICATORS += ["information", "half_agreement", "separation"]


CHANCE = "accuracy never falls by more than two standard errors of a difference"
TABLE = Path("aeclust-run/checkpoint-curve.csv")
NO_LABELS = "no validation labels: accuracy is left out (see --val-images, --val-labels)\n"


def table_of(file: Path = TABLE) -> dict[str, list[float]]:
    """The columns of the table; nan stands for an empty cell."""
    with open(file, newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["epoch", "mse", "validation_accuracy", *INDICATORS]
    return {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}


def validation(data: Data) -> list[object]:
    return ["--val-images", data.val_images, "--val-labels", data.val_labels]


def noise(data: Data) -> list[object]:
    return ["--val-images", data.noise, "--val-labels", data.noise_labels]


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


def test_every_checkpoint_is_measured_and_printed(cli: Cli, run: RunFolder, data: Data) -> None:
    before = files_of(run.path)
    code, out, err = cli("checkpoint-curve", *noise(data))
    assert (code, err) == (0, "")
    table = table_of()
    epochs, errors, accuracies = table["epoch"], table["mse"], table["validation_accuracy"]
    assert epochs == list(range(12))
    for epoch in (0, 7):
        error, accuracy = measured_by_hand(run, data, epoch)
        assert errors[epoch] == pytest.approx(error, rel=1e-5)
        assert accuracies[epoch] == pytest.approx(accuracy)

    lines, views = out.splitlines(), table["view_neighbours"]
    assert lines[0] == "epoch   error  accuracy  view_neighbours"
    assert lines[1:13] == [
        f"{int(epoch):5d}  {error:.4f}  {accuracy:8.3f}  {view:15.3f}"
        for epoch, error, accuracy, view in zip(epochs, errors, accuracies, views, strict=True)
    ]
    assert lines[13] == (
        "view_neighbours, the share of its nearest images that an image keeps when seen in part,"
        f" is highest after epoch {int(np.argmax(views))}"
    )
    assert lines[14] == "rank correlation with accuracy, from -1 to 1:"
    for line, name in zip(lines[15:22], ("mse", *INDICATORS), strict=True):
        assert line.startswith(f"  {name:16s} ")
        assert is_correlation(line.split()[1], table[name], accuracies)
    falls = -np.diff(accuracies)
    at, mean = int(falls.argmax()), float(np.mean(accuracies))
    error = (mean * (1 - mean) / 40) ** 0.5
    before_, after_ = accuracies[at], accuracies[at + 1]
    spread = ((before_ * (1 - before_) + after_ * (1 - after_)) / 40) ** 0.5
    fall = f"largest fall of accuracy: {100 * falls[at]:.1f} points, from epoch {at} to {at + 1}"
    assert lines[22:] == [
        fall if falls[at] > 2 * spread else CHANCE,
        f"one standard error of an accuracy on 40 images: {100 * error:.1f} points",
        f"aeclust-run/checkpoint-curve.png and {TABLE}",
    ]
    after = files_of(run.path)
    names = {"checkpoint-curve.png", "checkpoint-curve.csv", "curve.h5"}
    assert after.keys() - before.keys() == names
    assert {name: after[name] for name in before} == before
    with Image.open(run.path / "checkpoint-curve.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500


def is_correlation(text: str, values: list[float], accuracies: list[float]) -> bool:
    """Whether a rank correlation is printed right."""
    if len(set(values)) == 1:
        return text == "undefined"
    rho = float(spearmanr(values, accuracies).statistic)
    return re.fullmatch(r"[+-]\d\.\d\d", text) is not None and abs(float(text) - rho) < 0.0051


def test_indicators_need_no_labels(cli: Cli, run: RunFolder, data: Data) -> None:
    code, out, err = cli("checkpoint-curve")
    assert (code, err) == (0, NO_LABELS)
    assert re.fullmatch(r" {4}0  \d\.\d{4} {22}\d\.\d{3}", out.splitlines()[1])
    assert "correlation" not in out
    table = table_of()
    assert np.isnan(table["validation_accuracy"]).all()
    images = np.load(data.images)
    for epoch in (0, 7):
        network, _ = load_network(Context(run), run.manifest(), epoch)
        latents = inference.embed(network, images)
        views = inference.embed_views(network, images, seed=0)
        expected = indicate(latents, views, 2, seed=0)
        for name in INDICATORS:
            assert table[name][epoch] == pytest.approx(getattr(expected, name), rel=1e-6), name
    assert all(1 <= rank <= 32 for rank in table["rank"])
    for name in ("view_neighbours", "view_clusters", "information", "separation"):
        assert all(0 <= value <= 1 for value in table[name])
    assert cli("checkpoint-curve", *noise(data)).code == 0
    again = table_of()
    assert {name: again[name] for name in INDICATORS} == {name: table[name] for name in INDICATORS}


def test_both_phases_are_measured(cli: Cli, two_phase_run: RunFolder, data: Data) -> None:
    before = files_of(two_phase_run.path)
    assert cli("checkpoint-curve", *validation(data), "-o", "curve.svg").code == 0
    table = table_of(Path("curve.csv"))
    assert table["epoch"] == [0, 1, 2, 3, 4]
    network, _ = load_network(Context(two_phase_run), two_phase_run.manifest(), 4)
    images = torch.from_numpy(np.load(data.images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        error = float((network.decode(network.encode(images)) - images).square().mean())
    assert table["mse"][4] == pytest.approx(error, rel=1e-4)
    assert table["validation_accuracy"][4] == 1.0
    after = files_of(two_phase_run.path)
    assert after.keys() - before.keys() == {"curve.h5"}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    "flags",
    [
        [*TWO_PHASES, "-k", "auto"],
        [*RECIPE, "--epochs", 2],
        [*RECIPE, "--epochs", 2, "--set", "reduction=kpca:10,tsne:2", "--set", "perplexity=5"],
    ],
    ids=["estimated k", "neighbours vote", "clustered by themselves"],
)
def test_validation_data_of_training_are_used(cli: Cli, data: Data, flags: list[object]) -> None:
    assert cli("train", data.images, *flags, *validation(data)).code == 0
    result = cli("checkpoint-curve")
    assert (result.code, NO_LABELS in result.err) == (0, False)
    assert table_of()["epoch"] == [0, 1, 2]
    assert table_of()["validation_accuracy"][2] == 1.0


def test_accuracy_that_stands_still_has_no_correlation_and_no_fall(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    lines = cli("checkpoint-curve", *validation(data)).out.splitlines()
    assert lines[14] == "rank correlation with accuracy, from -1 to 1:"
    assert lines[15:22] == [f"  {name:16s} undefined" for name in ("mse", *INDICATORS)]
    assert lines[22] == CHANCE
    assert table_of()["validation_accuracy"] == [1.0] * 12


def test_json_holds_points_correlations_and_fall(cli: Cli, run: RunFolder, data: Data) -> None:
    answer = json.loads(cli("checkpoint-curve", *noise(data), "--json").out)
    assert list(answer) == ["picture", "table", "points", "correlations", "fall", "validated"]
    assert answer["validated"] == 40
    assert answer["picture"] == "aeclust-run/checkpoint-curve.png"
    assert answer["table"] == str(TABLE)
    table, points = table_of(), answer["points"]
    accuracies = table["validation_accuracy"]
    assert [point["epoch"] for point in points] == table["epoch"]
    assert [point["error"] for point in points] == table["mse"]
    assert [point["accuracy"] for point in points] == accuracies
    for name in INDICATORS:
        assert [point["indicators"][name] for point in points] == table[name]
    assert list(answer["correlations"]) == ["mse", *INDICATORS]
    for name, rho in answer["correlations"].items():
        values = table[name]
        expected = None if len(set(values)) == 1 else spearmanr(values, accuracies).statistic
        assert rho == pytest.approx(expected), name
    if answer["fall"] is not None:  # of 40 images a fall may well be chance
        start, end, size = answer["fall"]
        assert end == start + 1
        assert size == pytest.approx(accuracies[start] - accuracies[end])


def test_o_names_the_picture_and_the_table_lies_beside_it(cli: Cli, run: RunFolder) -> None:
    assert cli("checkpoint-curve", "-o", "plots/curve.svg").code == 0
    assert Path("plots/curve.svg").read_bytes().startswith(b"<?xml")
    assert table_of(Path("plots/curve.csv"))["epoch"] == list(range(12))
    assert not (run.path / "checkpoint-curve.csv").exists()


def test_a_few_labelled_images_are_enough(cli: Cli, run: RunFolder, data: Data) -> None:
    truth = np.load(data.val_labels)
    Path("known.csv").write_text(f"id,label\n5,{1 - truth[5]}\n0,{truth[0]}\n1,{truth[1]}\n")
    flags = ["--val-images", data.val_images, "--val-labels", "known.csv"]
    assert cli("checkpoint-curve", *flags).code == 0
    assert table_of()["validation_accuracy"] == pytest.approx([2 / 3] * 12)


# -- the kept measurements ---------------------------------------------------------------------


def count_measurements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the checkpoints are measured from now on."""
    counted: list[int] = []
    measure = checkpoint_curve

    def counting(*arguments: Any, **options: Any) -> Any:
        counted.append(1)
        return measure(*arguments, **options)

    monkeypatch.setattr(curves, "checkpoint_curve", counting)
    return counted


ANEW = "curve.h5 is out of date: measuring the checkpoints again\n"


def test_what_was_measured_is_kept_and_gives_the_same_table_and_picture(
    cli: Cli, run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cli("checkpoint-curve", *noise(data))
    before = files_of(run.path)
    counted = count_measurements(monkeypatch)
    again = cli("checkpoint-curve", *noise(data))
    assert counted == []
    assert again == first
    after = files_of(run.path)
    assert {name: after[name][0] for name in after} == {name: before[name][0] for name in before}
    assert after["curve.h5"] == before["curve.h5"]


@pytest.mark.parametrize(("made", "says"), [("run", False), ("two_phase_run", True)])
def test_the_number_to_watch_is_named_where_views_are_learnt_from(
    cli: Cli, made: str, says: bool, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    request.getfixturevalue(made)
    notes: list[str] = []
    draw = plots.curve_figure

    def spy(curve: Curve, **options: Any) -> Any:
        notes.append(options["note"])
        return draw(curve, **options)

    monkeypatch.setattr(plots, "curve_figure", spy)
    assert cli("checkpoint-curve").code == 0
    assert ["the number to watch" in note for note in notes] == [says]


def test_other_labels_or_another_seed_are_measured_anew(
    cli: Cli, run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = count_measurements(monkeypatch)
    assert cli("checkpoint-curve", *noise(data)).err == ""
    assert cli("checkpoint-curve").err == NO_LABELS + ANEW
    assert cli("checkpoint-curve", "--seed", 1).err == NO_LABELS + ANEW
    truth = np.load(data.noise_labels)
    np.save("turned.npy", 1 - truth)
    turned = ["--val-images", data.noise, "--val-labels", "turned.npy"]
    assert cli("checkpoint-curve", *turned).err == ANEW
    assert len(counted) == 4


def test_the_curve_of_a_run_whose_images_are_gone_is_still_there(
    cli: Cli, data: Data, tmp_path: Path
) -> None:
    np.save("mine.npy", np.load(data.images))
    assert cli("train", "mine.npy", *RECIPE, "--epochs", 1).code == 0
    first = cli("checkpoint-curve")
    Path("mine.npy").unlink()
    again = cli("checkpoint-curve")
    gone = f"{tmp_path}/mine.npy is gone; labels made before are used as they are\n"
    assert (again.code, again.out, again.err) == (0, first.out, NO_LABELS + gone)


def test_a_curve_of_former_checkpoints_is_stale(cli: Cli, run: RunFolder) -> None:
    assert cli("checkpoint-curve").code == 0
    assert "curve.h5: curve, intact" in cli("info").out
    assert "OUT OF DATE" not in cli("info").out
    run.weights_file(3).unlink()
    (line,) = [line for line in cli("info").out.splitlines() if line.startswith("curve.h5")]
    assert line.endswith(", OUT OF DATE: the checkpoints have changed")
    assert curves.kept_curve(Context(run), run.manifest()) is None


def test_who_watches_a_run_at_work_sees_the_curve_and_keeps_nothing(
    cli: Cli, run: RunFolder
) -> None:
    with RunFolder(run.path).lock():
        result = cli("checkpoint-curve", "-o", "now.png")
    assert result.code == 0, result.err
    assert Path("now.csv").exists()
    assert not run.curve_file.exists()
    assert result.err.splitlines()[-1].startswith(
        "the measurements could not be saved: aeclust-run: another process works here"
    )


def test_a_damaged_curve_is_refused(cli: Cli, run: RunFolder) -> None:
    assert cli("checkpoint-curve").code == 0
    content = bytearray(run.curve_file.read_bytes())
    content[-1] ^= 1
    run.curve_file.write_bytes(content)
    check_error(cli("checkpoint-curve").error, where="aeclust-run/curve.h5")


def test_the_table_takes_the_place_of_a_table_alone(cli: Cli, run: RunFolder, data: Data) -> None:
    labels = "id,label\n0,1\n1,0\n"
    Path("known.csv").write_text(labels)
    flags = ["--val-images", data.val_images, "--val-labels", "known.csv", "-o", "known.png"]
    check_error(
        cli("checkpoint-curve", *flags).error,
        what="is there already, and is no table of a checkpoint curve",
        where="known.csv",
        expected="a name for the picture that leaves its .csv free",
        mend="change `output`, or move that file away",
    )
    assert Path("known.csv").read_text() == labels
    assert not Path("known.png").exists()
    flags[-1] = "curve.png"
    Path("curve.csv").touch()
    for _ in range(2):  # nothing at all and its own table give way
        assert cli("checkpoint-curve", *flags).code == 0
    table = Path("curve.csv").read_bytes()
    Path("curve.csv").write_bytes(b"\xef\xbb\xbf" + table)  # saved by an editor
    assert cli("checkpoint-curve", *flags).code == 0
    assert Path("curve.csv").read_bytes() == table


def curve_of(shares: list[float]) -> Curve:
    known = [Indicators(2.0, share, 0.5, 0.5, 0.5, 0.5) for share in shares]
    return summarise([Point(i, 0.1, None, one) for i, one in enumerate(known)])


def test_a_tie_has_no_best_checkpoint() -> None:
    text = "keeps when seen in part, "
    assert text not in curve_text(curve_of([1.0]))
    assert curve_text(curve_of([1.0, 1.0, 1.0])).endswith(f"{text}does not change")
    assert curve_text(curve_of([0.1, 0.3, 0.3])).endswith(f"{text}is highest after epoch 1")
