"""aeclust predict: id,label for every image, how clusters get their numbers, and other images."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import RECIPE, TWO_PHASES, Cli, Data, check_error, files_of, make_images, one_error

from aeclust import artifact as artifacts
from aeclust.run.folder import RunFolder


def rows(text: str) -> list[list[str]]:
    return [line.split(",") for line in text.splitlines()[1:]]


def labels_in(text: str) -> NDArray[np.int64]:
    return np.array([int(row[1]) for row in rows(text)])


def save(name: str, values: NDArray[np.int64]) -> Path:
    np.save(name, values)
    return Path(name).absolute()


def known_by(images: Path, labels: Path) -> list[object]:
    """Flags of labelled images."""
    return ["--val-images", images, "--val-labels", labels]


# -- the CSV -----------------------------------------------------------------------------------


def test_the_csv_is_header_and_rows_and_nothing_else(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    labels = artifacts.read(full_run.labels_file).arrays["labels"].tolist()
    code, out, err = cli("predict")
    assert (code, err) == (0, "")
    assert out == "id,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    assert cli("predict", "-o", "down/submission.csv") == (0, "", "")
    assert Path("down/submission.csv").read_bytes() == out.encode()
    shutil.copy(data.images, "copy.npy")  # the same images
    assert cli("predict", "copy.npy").out == out


@pytest.mark.parametrize("recipe", [RECIPE, TWO_PHASES], ids=["one phase", "two phases"])
def test_train_and_predict_are_enough(cli: Cli, data: Data, recipe: list[str]) -> None:
    assert cli("train", data.images, *recipe).code == 0
    code, out, _ = cli("predict")
    assert code == 0
    truth = np.load(data.labels)
    assert [row[0] for row in rows(out)] == [str(i) for i in range(60)]
    assert labels_in(out).tolist() in (truth.tolist(), (1 - truth).tolist())


def test_json_is_one_object_of_columns(cli: Cli, full_run: RunFolder) -> None:
    arrays = artifacts.read(full_run.labels_file).arrays
    out = cli("predict", "--json").out
    assert out.count("\n") == 1
    answer = json.loads(out)
    assert list(answer) == ["ids", "labels", "confidence"]
    assert answer["ids"] == list(range(60))
    assert answer["labels"] == arrays["labels"].tolist()
    assert answer["confidence"] == pytest.approx(arrays["confidence"].tolist(), abs=1e-6)


# -- numbers -----------------------------------------------------------------------------------


def test_invert_swaps_two_numbers(cli: Cli, full_run: RunFolder, data: Data) -> None:
    for other in ([], [data.val_images]):
        plain, swapped = cli("predict", *other).out, cli("predict", *other, "--invert").out
        assert [row[0] for row in rows(swapped)] == [row[0] for row in rows(plain)]
        assert np.array_equal(labels_in(swapped), 1 - labels_in(plain))


def test_labelled_images_number_the_clusters(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("predict", *known_by(data.val_images, data.val_labels))
    assert code == 0
    assert np.array_equal(labels_in(out), np.load(data.labels))
    assert err.endswith("clusters are numbered like 24 validation labels; 100.0% of these agree\n")
    flipped = known_by(data.val_images, save("flipped.npy", 1 - np.load(data.val_labels)))
    assert np.array_equal(labels_in(cli("predict", *flipped).out), 1 - np.load(data.labels))
    assert files_of(full_run.path) == before


@pytest.mark.parametrize("flip", [False, True])
def test_a_csv_of_a_few_known_ids_numbers_the_clusters(
    cli: Cli, full_run: RunFolder, data: Data, flip: bool
) -> None:
    truth = np.load(data.labels) ^ flip
    Path("known.csv").write_text(f"id,label\n40,{truth[40]}\n0,{truth[0]}\n1,{truth[1]}\n")
    code, out, err = cli("predict", "--val-labels", "known.csv")
    assert code == 0
    assert np.array_equal(labels_in(out), truth)
    text = "clusters are numbered like 3 validation labels; 100.0% of these agree\n"
    text += "warning: the names of clusters 0, 1 rest on no more than 2 known images each;"
    text += " label more images to be sure\n"
    if flip:
        text += (
            "pictures and aeclust name have other numbers: "
            "label 1 is cluster 0, label 0 is cluster 1 there\n"
        )
    assert err == text


def test_wrong_known_labels_are_outvoted_and_counted(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    truth = np.load(data.labels)
    known = [*truth[:4].tolist(), 1 - int(truth[4])]
    lines = "".join(f"{i},{label}\n" for i, label in enumerate(known))
    Path("known.csv").write_text("id,label\n" + lines)
    result = cli("predict", "--val-labels", "known.csv")
    assert np.array_equal(labels_in(result.out), truth)
    assert "numbered like 5 validation labels; 80.0% of these agree\n" in result.err


def test_validation_data_of_training_number_the_clusters_and_never_reach_it(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    flipped = save("flipped.npy", 1 - np.load(data.val_labels))
    named = RunFolder(Path("named"))
    train = ["train", data.images, *RECIPE, *known_by(data.val_images, flipped)]
    assert cli(*train, "--run", named.path).code == 0
    predict = ["predict", "--run", named.path]
    assert np.array_equal(labels_in(cli(*predict).out), 1 - np.load(data.labels))
    assert np.array_equal(labels_in(cli(*predict, "--invert").out), np.load(data.labels))
    other = known_by(data.val_images, data.val_labels)
    assert np.array_equal(labels_in(cli(*predict, *other).out), np.load(data.labels))
    assert named.weights_file(11).read_bytes() == full_run.weights_file(11).read_bytes()
    assert named.labels_file.read_bytes() == full_run.labels_file.read_bytes()


@pytest.mark.parametrize("lost", ["images", "labels"])
def test_validation_files_that_are_gone_are_missed(lost: str, cli: Cli, data: Data) -> None:
    images = save("v.npy", np.load(data.val_images))
    labels = save("y.npy", np.load(data.val_labels))
    known = known_by(images, labels)
    assert cli("train", data.images, *RECIPE, "--epochs", 1, *known).code == 0
    gone = images if lost == "images" else labels
    gone.unlink()
    result = cli("predict")
    one_error(result)
    check_error(
        result.error,
        what="is gone, and with it the names of the clusters",
        where=str(gone),
        expected="the validation images and labels of aeclust train",
    )
    others = known_by(data.val_images, data.val_labels)
    assert cli("predict", *others).code == 0
    assert cli("name", "0=blue", "1=yellow").code == 0
    for other in ([], [data.noise]):
        named = cli("predict", *other, "--names")
        assert {row[1] for row in rows(named.out)} <= {"blue", "yellow"}
    # what is wrong with the flags comes first
    assert "there are images without labels" in one_error(cli("predict", *others[:2]))


def test_validation_labels_that_do_not_fit_k_number_nothing(cli: Cli, data: Data) -> None:
    three = save("three.npy", np.arange(24) % 3)
    known = known_by(data.val_images, three)
    assert cli("train", data.images, *RECIPE, "-k", "auto", *known).code == 0
    result = cli("predict")  # the number that was estimated counts
    assert f"{three} has other labels than 0 to 1: clusters keep their own numbers\n" in result.err
    refused = cli("predict", *known, "-q")
    check_error(refused.error, where=str(three), expected="0 to 1 to name 2 clusters")


def test_an_estimated_number_is_named_and_swapped_like_any(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", "auto").code == 0
    result = cli("predict", "--val-labels", data.labels)
    assert result.code == 0, result.err
    assert np.array_equal(labels_in(result.out), np.load(data.labels))
    plain, swapped = cli("predict").out, cli("predict", "--invert").out
    assert np.array_equal(labels_in(swapped), 1 - labels_in(plain))
    result = cli("predict", data.val_images, "--val-labels", data.labels)
    assert np.array_equal(labels_in(result.out), np.load(data.val_labels))


# -- images that were not in training ----------------------------------------------------------


def test_unseen_images_get_the_fitted_clusters(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("predict", data.val_images, "--val-labels", data.labels)
    assert code == 0
    assert [row[0] for row in rows(out)] == [str(i) for i in range(24)]
    assert np.array_equal(labels_in(out), np.load(data.val_labels))
    assert f"{data.val_images}: 24 images, 8 x 8 RGB, uint8\n" in err
    np.save("big.npy", np.load(data.val_images).repeat(2, 1).repeat(2, 2))
    result = cli("predict", "big.npy", "--val-labels", data.labels)
    assert "images are resized to 8 x 8 for recipe baseline\n" in result.err
    assert result.out == out
    assert files_of(full_run.path) == before


def test_exact_duplicates_keep_their_label(cli: Cli, full_run: RunFolder, data: Data) -> None:
    labels = artifacts.read(full_run.labels_file)
    changed = labels.arrays["labels"].copy()
    changed[7] = 1 - changed[7]  # against all its neighbours
    arrays = {**labels.arrays, "labels": changed}
    artifacts.write(full_run.labels_file, dataclasses.replace(labels, arrays=arrays))
    images = np.load(data.images)
    almost = images[7:8].copy()
    almost[0, 0, 0, 0] += 1
    np.save("new.npy", np.concatenate([images[7:8], almost, images[3:4], images[7:8]]))
    answer = json.loads(cli("predict", "new.npy", "--json").out)
    assert answer["labels"] == [changed[7], 1 - changed[7], changed[3], changed[7]]
    known = [round(float(labels.arrays["confidence"][i]), 6) for i in (7, 3, 7)]
    assert [answer["confidence"][i] for i in (0, 2, 3)] == known


def test_unseen_images_get_the_clusters_of_the_first_phase_where_the_runs_have_them(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    assert cli("cluster", "-k", 3).code == 0
    labels = artifacts.read(two_phase_run.labels_file).arrays
    np.save("own.npy", np.load(data.images)[[4, 9, 30]])
    assert np.array_equal(labels_in(cli("predict", "own.npy").out), labels["labels"][[4, 9, 30]])
    cli("embed", data.val_images, "--checkpoint", 2, "-o", "val.h5")
    points = artifacts.read(Path("val.h5")).arrays["latents"]
    base = artifacts.read(two_phase_run.latents_file).arrays["latents"]
    near = np.linalg.norm(points[:, np.newaxis] - base, axis=2).argsort(1)[:, :15]
    shares = labels["shares"][near].mean(1)
    answer = json.loads(cli("predict", data.val_images, "--json").out)
    assert answer["confidence"] == pytest.approx(shares.max(1).tolist(), abs=1e-6)
    assert answer["labels"] == shares.argmax(1).tolist()


def test_a_picture_of_other_images_has_the_clusters_that_predict_gives_them(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    assert cli("embed", "--checkpoint", 0).code == 0
    result = cli("plot", data.val_images, "--labels", data.val_labels, "--json")
    assert result.code == 0, result.err
    assert cli("predict", data.val_images, "-o", "val.csv").code == 0
    scored = json.loads(cli("evaluate", "val.csv", data.val_labels, "--json").out)
    assert json.loads(result.out)["accuracy"] == scored["accuracy"]


def test_a_picture_of_other_images_by_tsne_has_as_many_clusters_as_asked_for(
    cli: Cli, data: Data
) -> None:
    chain = ["--set", "reduction=tsne:2", "--set", "perplexity=5"]
    assert cli("train", data.images, *RECIPE, *chain).code == 0
    assert cli("cluster", "-k", 3).code == 0
    result = cli("plot", data.val_images, "--labels", data.val_labels, "--json")
    assert list(json.loads(result.out)["sizes"]) == ["0", "1", "2"]


# -- folders of images -------------------------------------------------------------------------


def test_folders_have_relative_paths_for_ids_sorted_bytewise(cli: Cli) -> None:
    images, truth = make_images(12, seed=5)
    names = ["b.png", "a/x.PNG", "a/b/deep.png", "a.png", "B.png", "é.png", "a,b.png", "a-1.png"]
    names += [f"many/{i}.png" for i in (10, 9, 1, 2)]
    kind = dict(zip(names, truth.tolist(), strict=True))
    for name, image in zip(names, images, strict=True):
        file = Path("photos", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    Path("photos/notes.txt").write_text("not an image")
    assert cli("train", "photos", *RECIPE, "--set", "batch_size=4").code == 0
    known = "".join(f'"{name}",{label}\n' for name, label in kind.items())
    Path("known.csv").write_text("id,label\n" + known, encoding="utf-8")
    code, out, _ = cli("predict", "--val-labels", "known.csv")
    assert code == 0
    ordered = sorted(names, key=str.encode)
    quoted = ['"a,b.png"' if name == "a,b.png" else name for name in ordered]
    wanted = [f"{shown},{kind[name]}" for shown, name in zip(quoted, ordered, strict=True)]
    assert out.splitlines() == ["id,label", *wanted]
    answer = json.loads(cli("predict", "photos/many", "--json").out)
    assert answer["ids"] == ["1.png", "10.png", "2.png", "9.png"]


def test_skip_bad_lists_what_it_left_out(cli: Cli, full_run: RunFolder, data: Data) -> None:
    Path("photos").mkdir()
    for i, image in enumerate(np.load(data.val_images)[:3]):
        Image.fromarray(image).save(f"photos/{i}.png")
    Path("photos/1.png").write_bytes(b"no image")
    text = one_error(cli("predict", "photos"))
    assert text.startswith(f"{Path.cwd()}/photos/1.png is text, not an image")
    result = cli("predict", "photos", "--skip-bad")
    assert [row[0] for row in rows(result.out)] == ["0.png", "2.png"]
    assert "left out 1.png: is text, not an image" in result.err
