"""aeclust predict: id,label for every image, and how clusters get their names."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import (
    BACK,
    BY_COLOUR,
    RECIPE,
    TWO_PHASES,
    Cli,
    Data,
    files_of,
    make_images,
    one_error,
)

from aeclust import artifact as artifacts
from aeclust.run.folder import RunFolder


def rows(text: str) -> list[list[str]]:
    return [line.split(",") for line in text.splitlines()[1:]]


def labels_in(text: str) -> NDArray[np.int64]:
    return np.array([int(row[1]) for row in rows(text)])


def save(name: str, values: NDArray[np.int64]) -> Path:
    np.save(name, values)
    return Path(name)


# -- the CSV -----------------------------------------------------------------------------------


def test_the_csv_is_header_and_rows_and_nothing_else(cli: Cli, full_run: RunFolder) -> None:
    labels = artifacts.read(full_run.labels_file).arrays["labels"].tolist()
    code, out, err = cli("predict")
    assert (code, err) == (0, "")
    assert out == "id,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels))


def test_train_and_predict_are_enough(cli: Cli, run: RunFolder, data: Data) -> None:
    code, out, err = cli("predict")
    assert code == 0
    assert err.splitlines() == [
        "latents are missing: embedding first",
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "labels are missing: clustering first",
        "clustering 60 latents: pca:2 > kmeans, k = 2",
        f"warning: {BY_COLOUR}",
    ]
    truth = np.load(data.labels)
    assert [row[0] for row in rows(out)] == [str(i) for i in range(60)]
    assert labels_in(out).tolist() in (truth.tolist(), (1 - truth).tolist())


def test_the_default_recipe_needs_no_more(cli: Cli, two_phase_run: RunFolder, data: Data) -> None:
    first = cli("predict")
    truth = np.load(data.labels)
    assert labels_in(first.out).tolist() in (truth.tolist(), (1 - truth).tolist())
    two_phase_run.latents_file.unlink()
    two_phase_run.labels_file.unlink()
    code, out, err = cli("predict")
    assert (code, out) == (0, first.out)
    assert err.splitlines() == [
        "latents are missing: embedding first",
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "labels are missing: clustering first",
        "clustering 60 latents: sphere > pca:20 > consensus, k = 2",
        "pca:20 of 60 latents with 8 values is pca:8",
        f"warning: {BY_COLOUR}",
    ]


def test_o_writes_the_same_bytes_and_leaves_stdout_empty(cli: Cli, full_run: RunFolder) -> None:
    wanted = cli("predict").out
    assert cli("predict", "-o", "down/submission.csv") == (0, "", "")
    assert Path("down/submission.csv").read_bytes() == wanted.encode()


def test_json_is_one_object_of_columns(cli: Cli, full_run: RunFolder) -> None:
    arrays = artifacts.read(full_run.labels_file).arrays
    out = cli("predict", "--json").out
    assert out.count("\n") == 1
    answer = json.loads(out)
    assert list(answer) == ["ids", "labels", "confidence"]
    assert answer["ids"] == list(range(60))
    assert answer["labels"] == arrays["labels"].tolist()
    assert answer["confidence"] == pytest.approx(arrays["confidence"].tolist(), abs=1e-6)


def test_the_runs_own_images_may_be_named(cli: Cli, full_run: RunFolder, data: Data) -> None:
    shutil.copy(data.images, "copy.npy")
    assert cli("predict", "copy.npy").out == cli("predict").out


# -- names -------------------------------------------------------------------------------------


def test_invert_swaps_two_names(cli: Cli, full_run: RunFolder, data: Data) -> None:
    plain, swapped = cli("predict").out, cli("predict", "--invert").out
    assert [row[0] for row in rows(swapped)] == [row[0] for row in rows(plain)]
    assert np.array_equal(labels_in(swapped), 1 - labels_in(plain))
    other = cli("predict", data.val_images).out
    swapped = cli("predict", data.val_images, "--invert").out
    assert np.array_equal(labels_in(swapped), 1 - labels_in(other))


def test_labelled_images_name_the_clusters(cli: Cli, full_run: RunFolder, data: Data) -> None:
    flags = ["--val-images", data.val_images, "--val-labels"]
    code, out, err = cli("predict", *flags, data.val_labels)
    assert code == 0
    assert np.array_equal(labels_in(out), np.load(data.labels))
    assert err.endswith("clusters are named by 24 known labels; 100.0% of these agree\n")
    flipped = save("flipped.npy", 1 - np.load(data.val_labels))
    assert np.array_equal(labels_in(cli("predict", *flags, flipped).out), 1 - np.load(data.labels))


def test_naming_changes_no_file(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    assert cli("predict", *flags).code == 0
    assert files_of(full_run.path) == before


@pytest.mark.parametrize("flip", [False, True])
def test_a_csv_of_a_few_known_ids_names_the_clusters(
    cli: Cli, full_run: RunFolder, data: Data, flip: bool
) -> None:
    truth = np.load(data.labels) ^ flip
    Path("known.csv").write_text(f"id,label\n40,{truth[40]}\n0,{truth[0]}\n1,{truth[1]}\n")
    code, out, err = cli("predict", "--val-labels", "known.csv")
    assert code == 0
    assert np.array_equal(labels_in(out), truth)
    told = "clusters are named by 3 known labels; 100.0% of these agree\n"
    if flip:
        told += (
            "these are other numbers than in plots and aeclust name: "
            "1 is cluster 0, 0 is cluster 1\n"
        )
    assert err == told


def test_wrong_known_labels_are_outvoted_and_told(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    truth = np.load(data.labels)
    known = [*truth[:4].tolist(), 1 - int(truth[4])]
    text = "".join(f"{i},{label}\n" for i, label in enumerate(known))
    Path("known.csv").write_text("id,label\n" + text)
    result = cli("predict", "--val-labels", "known.csv")
    assert np.array_equal(labels_in(result.out), truth)
    assert "named by 5 known labels; 80.0% of these agree\n" in result.err


def test_labels_without_ids_are_of_all_images(cli: Cli, full_run: RunFolder, data: Data) -> None:
    result = cli("predict", "--val-labels", data.labels)
    assert np.array_equal(labels_in(result.out), np.load(data.labels))
    assert "named by 60 known labels; 100.0% of these agree\n" in result.err


def test_validation_data_of_training_name_the_clusters(cli: Cli, data: Data) -> None:
    flipped = save("flipped.npy", 1 - np.load(data.val_labels))
    flags = ["--val-images", data.val_images, "--val-labels", flipped]
    assert cli("train", data.images, *RECIPE, *flags).code == 0
    assert np.array_equal(labels_in(cli("predict").out), 1 - np.load(data.labels))
    assert np.array_equal(labels_in(cli("predict", "--invert").out), np.load(data.labels))
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    assert np.array_equal(labels_in(cli("predict", *flags).out), np.load(data.labels))


def test_labels_given_to_train_never_reach_it(cli: Cli, full_run: RunFolder, data: Data) -> None:
    flags = ["--val-images", data.noise, "--val-labels", data.noise_labels, "--run", "named"]
    assert cli("train", data.images, *RECIPE, *flags).code == 0
    assert cli("cluster", "--run", "named").code == 0
    named = RunFolder(Path("named"))
    assert named.weights_file(11).read_bytes() == full_run.weights_file(11).read_bytes()
    assert named.labels_file.read_bytes() == full_run.labels_file.read_bytes()


# -- images that were not in training ----------------------------------------------------------


def test_unseen_images_get_the_fitted_clusters(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    flags = ["--val-labels", data.labels]
    code, out, err = cli("predict", data.val_images, *flags)
    assert code == 0
    assert [row[0] for row in rows(out)] == [str(i) for i in range(24)]
    assert np.array_equal(labels_in(out), np.load(data.val_labels))
    assert f"{data.val_images}: 24 images, 8 x 8 RGB, uint8\n" in err
    assert files_of(full_run.path) == before


def test_unseen_images_of_another_size_are_resized_and_it_says_so(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    np.save("big.npy", np.load(data.val_images).repeat(2, 1).repeat(2, 2))
    result = cli("predict", "big.npy")
    assert "images are resized to 8 x 8 for recipe baseline\n" in result.err
    assert np.array_equal(labels_in(result.out), labels_in(cli("predict", data.val_images).out))


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
    own = [round(float(labels.arrays["confidence"][i]), 6) for i in (7, 3, 7)]
    assert [answer["confidence"][i] for i in (0, 2, 3)] == own


def test_unseen_images_of_noise_are_less_sure(cli: Cli, full_run: RunFolder, data: Data) -> None:
    answer = json.loads(cli("predict", data.noise, "--json").out)
    confidence = np.array(answer["confidence"])
    assert len(confidence) == 40
    assert ((confidence >= 0.5) & (confidence <= 1)).all()
    assert np.allclose(confidence * 15, np.round(confidence * 15), atol=1e-4)


def test_unseen_images_after_going_back_get_the_clusters_of_the_first_phase(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    assert BACK in cli("cluster", "-k", 3).err
    own = artifacts.read(two_phase_run.labels_file).arrays["labels"]
    np.save("own.npy", np.load(data.images)[[4, 9, 30]])
    assert labels_in(cli("predict", "own.npy").out).tolist() == own[[4, 9, 30]].tolist()
    cli("embed", data.val_images, "--checkpoint", 2, "-o", "val.h5")
    points = artifacts.read(Path("val.h5")).arrays["latents"]
    base = artifacts.read(two_phase_run.latents_file).arrays["latents"]
    near = np.linalg.norm(points[:, np.newaxis] - base, axis=2).argsort(1)[:, :15]
    shares = artifacts.read(two_phase_run.labels_file).arrays["shares"][near].mean(1)
    answer = json.loads(cli("predict", data.val_images, "--json").out)
    assert answer["confidence"] == pytest.approx(shares.max(1).tolist(), abs=1e-6)
    assert answer["labels"] == shares.argmax(1).tolist()


# -- an estimated number of clusters -----------------------------------------------------------


def test_names_and_votes_follow_an_estimated_number(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", "auto").code == 0
    result = cli("predict", "--val-labels", data.labels)
    assert result.code == 0, result.err
    assert "estimated 2 clusters; state another number with -k\n" in result.err
    truth = np.load(data.labels)
    assert np.array_equal(labels_in(result.out), truth)
    plain, swapped = cli("predict").out, cli("predict", "--invert").out
    assert np.array_equal(labels_in(swapped), 1 - labels_in(plain))
    result = cli("predict", data.val_images, "--val-labels", data.labels)
    assert np.array_equal(labels_in(result.out), np.load(data.val_labels))


def test_validation_labels_are_compared_with_the_estimated_number(cli: Cli, data: Data) -> None:
    three = save("three.npy", np.arange(24) % 3).absolute()
    flags = ["--val-images", data.val_images, "--val-labels", three]
    assert cli("train", data.images, *RECIPE, "-k", "auto", *flags).code == 0
    result = cli("predict")
    assert f"{three} has other labels than 0 to 1: no cluster is named\n" in result.err
    assert one_error(cli("predict", *flags, "-q")) == (
        f"{three}: holds label 2; expected 0 to 1 to name 2 clusters; "
        "renumber the labels, or change -k"
    )


def test_labels_from_before_the_number_was_stored_are_as_many_as_asked_for(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    wanted = cli("predict", "--invert").out
    labels = artifacts.read(full_run.labels_file)
    old = {name: labels.details[name] for name in ("checkpoint", "epoch", "run")}
    artifacts.write(full_run.labels_file, dataclasses.replace(labels, details=old))
    assert cli("predict", "--invert") == (0, wanted, "")
    code, out, _ = cli("predict", data.val_images, "--val-labels", data.labels)
    assert code == 0
    assert np.array_equal(labels_in(out), np.load(data.val_labels))
    answer = json.loads(cli("cluster", "--json").out)
    assert (answer["k"], answer["agreement"], answer["members"], answer["warnings"]) == (
        2, None, {}, [],
    )  # fmt: skip
    assert answer["made"] is False


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
    assert one_error(cli("predict", "photos")).startswith(
        f"{Path.cwd()}/photos/1.png: cannot be read (cannot identify image file"
    )
    result = cli("predict", "photos", "--skip-bad")
    assert [row[0] for row in rows(result.out)] == ["0.png", "2.png"]
    assert "left out 1.png: cannot identify image file" in result.err


@pytest.mark.parametrize("lost", ["images", "labels"])
def test_validation_files_that_are_gone_are_missed(lost: str, cli: Cli, data: Data) -> None:
    np.save("v.npy", np.load(data.val_images))
    np.save("y.npy", np.load(data.val_labels))
    flags = ["--val-images", "v.npy", "--val-labels", "y.npy"]
    assert cli("train", data.images, *RECIPE, "--epochs", 1, *flags).code == 0
    gone = Path("v.npy" if lost == "images" else "y.npy")
    gone.unlink()
    result = cli("predict")
    assert result.out == ""
    assert one_error(result) == (
        f"{gone.absolute()}: is gone, and with it the names of the clusters; "
        "expected the validation images and labels of aeclust train; "
        "put it back, state others with --val-images and --val-labels, "
        "or name the clusters with aeclust name and add --names"
    )
    others = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    assert cli("predict", *others).code == 0
    assert cli("name", "0=blue", "1=yellow").code == 0
    for other in ([], [data.noise]):
        named = cli("predict", *other, "--names")
        assert {row[1] for row in rows(named.out)} <= {"blue", "yellow"}
    # what is wrong with the flags comes first
    assert "there are images without labels" in one_error(cli("predict", *others[:2]))
