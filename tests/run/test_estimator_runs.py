"""What the estimator saves is a run of the commands, and what they leave it loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import TWO_PHASES, Cli, Data, check_error, files_of, make_images, refused

from aeclust import AutoencoderClusterer, artifact
from aeclust.errors import BusyError, WriteError
from aeclust.run.folder import RunFolder

SMALL = {"channels": (4, 8), "image_size": 8, "batch_size": 16, "crops": 1}
SMALL |= {"epochs": 2, "label_epochs": 2}
GONE = "the array given to fit is gone; labels made before are used as they are\n"


@pytest.fixture(scope="module")
def fitted(data: Data) -> AutoencoderClusterer:
    """The model of the run `self_labelled`; not to be fitted again."""
    return AutoencoderClusterer(2, settings=SMALL, random_state=0).fit(np.load(data.images))


@pytest.fixture
def saved(cli: Cli, fitted: AutoencoderClusterer, tmp_path: Path) -> RunFolder:
    """That model, saved where `cli` finds it."""
    fitted.save(tmp_path / "aeclust-run")
    return RunFolder(tmp_path / "aeclust-run")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in files_of(folder).items()}


# -- the same as the commands ------------------------------------------------------------------


def test_estimator_and_commands_make_the_same_bytes(saved: RunFolder, self_labelled: Path) -> None:
    for name in ("weights/epoch-0004.h5", "latents.h5", "labels.h5"):
        assert (saved.path / name).read_bytes() == (self_labelled / name).read_bytes(), name
    ours, theirs = saved.manifest(), RunFolder(self_labelled).manifest()
    assert (ours.identity, ours.shape) == (theirs.identity, theirs.shape)


def test_estimator_and_commands_label_the_same(
    cli: Cli, fitted: AutoencoderClusterer, two_phase_run: RunFolder, data: Data
) -> None:
    labels = artifact.read(two_phase_run.labels_file).arrays
    np.testing.assert_array_equal(fitted.labels_, labels["labels"])
    np.testing.assert_array_equal(fitted.confidence_, labels["confidence"])
    parts = [np.load(data.val_images), np.load(data.images)[:7], np.load(data.noise)]
    np.save("mixed.npy", np.concatenate(parts))
    answer = json.loads(cli("predict", "mixed.npy", "--json", "-q").out)
    assert fitted.predict(np.concatenate(parts)).tolist() == answer["labels"]
    stored = labels["confidence"][:7].astype(float).round(6)  # duplicates of training images
    assert answer["confidence"][24:31] == stored.tolist()


# -- a saved model under the commands ----------------------------------------------------------


def test_a_saved_model_is_a_whole_run(cli: Cli, saved: RunFolder) -> None:
    code, out, err = cli("info")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "aeclust-run: hybrid, 4 epochs, seed 0, finished"
    assert lines[1].startswith("images: the array given to fit (60, 8, 8, 3), sha256 ")
    assert lines[2] == GONE.rstrip("\n")
    assert [line.partition(":")[0] for line in lines[4:]] == [
        "weights/epoch-0004.h5", "latents.h5", "labels.h5",
    ]  # fmt: skip
    assert "OUT OF DATE" not in out
    saved.weights_file(4).unlink()
    assert cli("info").out.startswith("aeclust-run: hybrid, 4 epochs, seed 0, interrupted")


def test_commands_work_on_a_saved_model(
    cli: Cli, saved: RunFolder, fitted: AutoencoderClusterer, data: Data
) -> None:
    others = np.load(data.val_images)
    code, out, err = cli("predict", data.val_images)
    assert (code, err) == (0, f"{data.val_images}: 24 images, 8 x 8 RGB, uint8\n")
    predicted = [int(line.split(",")[1]) for line in out.splitlines()[1:]]
    assert predicted == fitted.predict(others).tolist()
    rows = "".join(f"{i},{j}\n" for i, j in enumerate(fitted.labels_))
    answer = f"{GONE}{len(fitted.labels_)} images labelled. About 98 of 100 labels should hold.\n"
    assert cli("predict") == (0, f"id,label\n{rows}", answer)
    assert cli("embed", data.val_images, "-o", "other.h5", "-q").code == 0
    made = artifact.read(Path("other.h5")).arrays["latents"]
    np.testing.assert_array_equal(made, fitted.transform(others))
    assert cli("reconstruct", data.val_images, "--idx", "1,2", "-q").code == 0
    assert list(Path("aeclust-run").glob("reconstruction*.png"))
    before = files_of(saved.path)
    result = cli("train", data.images, *TWO_PHASES, "--resume", "--json")
    assert json.loads(result.out)["trained"] is False
    after = files_of(saved.path)
    assert {name for name in after if after[name] != before.get(name)} == {"run.json"}
    # and nothing of images that were moved
    verdict = f"{len(fitted.labels_)} images labelled. About 98 of 100 labels should hold.\n"
    assert cli("predict") == (0, f"id,label\n{rows}", verdict)
    assert cli("cluster", "--clusterer", "kmeans", "--reduction", "pca:2", "-q").code == 0


def test_what_needs_the_images_says_that_they_are_gone(cli: Cli, saved: RunFolder) -> None:
    before = files_of(saved.path)
    for command in ("reconstruct --idx 1", "checkpoint-curve", "embed --force", "train --resume"):
        check_error(
            cli(*command.split()).error,
            where="the array given to fit",
            what="there is no such file or folder",
            mend="put them back, or say where they are with aeclust update PATH",
        )
        assert files_of(saved.path) == before


def test_other_clusters_need_the_end_of_the_first_phase(cli: Cli, saved: RunFolder) -> None:
    before = files_of(saved.path)
    result = cli("cluster", "-k", "3", "-q")
    check_error(
        result.error,
        where="aeclust-run",
        what="the network after epoch 2 is not kept, and later ones have learnt 2 clusters",
        expected="`k` 2",
        mend="restore it, or train or fit again with the other number",
    )
    assert "; expected -k 2; " in result.err
    assert files_of(saved.path) == before


# -- and back ----------------------------------------------------------------------------------


def test_a_loaded_model_is_the_saved_one(
    saved: RunFolder, fitted: AutoencoderClusterer, data: Data, tmp_path: Path
) -> None:
    loaded = AutoencoderClusterer.load(saved.path)
    others = np.load(data.val_images)
    for name in ("labels_", "confidence_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(fitted, name))
    for name in ("predict", "transform", "score"):
        np.testing.assert_array_equal(getattr(loaded, name)(others), getattr(fitted, name)(others))
    for name in ("n_clusters_", "agreement_", "warnings_", "recipe_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()
    loaded.save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(saved.path)
    # its parameters are those of its fit
    images = np.load(data.images)
    np.testing.assert_array_equal(loaded.fit(images).transform(others), fitted.transform(others))


def test_rows_and_their_range_are_remembered(tmp_path: Path) -> None:
    settings = {"channels": (4, 8), "image_size": 8, "epochs": 1, "reduction": ()}
    model = AutoencoderClusterer(
        3,
        recipe="baseline",
        settings={**settings, "clusterer": "kmeans"},
        image_shape=(2, -1),
        value_range=(-0.5, 16),
        random_state=5,
    )
    rows = np.random.default_rng(0).uniform(0, 16, (20, 12))
    model.fit(rows).save(tmp_path / "run")
    loaded = AutoencoderClusterer.load(tmp_path / "run")
    assert (loaded.image_shape, loaded.value_range) == ((2, 6), (-0.5, 16.0))
    assert (loaded.n_clusters, loaded.recipe, loaded.random_state) == (3, "baseline", 5)
    np.testing.assert_array_equal(loaded.predict(rows), model.labels_)
    latents = model.transform(rows)
    drawn = loaded.inverse_transform(latents)
    np.testing.assert_array_equal(drawn, model.inverse_transform(latents))
    colours = model.set_params(image_shape=(2, 2, 3), n_clusters="auto").fit(rows)
    colours.save(tmp_path / "colours")
    loaded = AutoencoderClusterer.load(tmp_path / "colours")
    assert (loaded.image_shape, loaded.n_clusters) == ((2, 2, 3), "auto")
    assert loaded.n_clusters_ == colours.n_clusters_


def test_a_run_of_the_commands_loads(
    full_run: RunFolder, cli: Cli, data: Data, tmp_path: Path
) -> None:
    assert cli("cluster", "-k", "3", "-q").code == 0
    loaded = AutoencoderClusterer.load(full_run.path)
    assert (loaded.n_clusters, loaded.n_clusters_, loaded.recipe_.k) == (3, 3, 3)
    labels = artifact.read(full_run.labels_file).arrays["labels"]
    np.testing.assert_array_equal(loaded.labels_, labels)
    np.testing.assert_array_equal(loaded.predict(np.load(data.images)), labels)
    loaded.save(tmp_path / "copy")
    copy = RunFolder(tmp_path / "copy")
    assert copy.checkpoints() == [11]
    assert copy.manifest().source == full_run.manifest().source
    assert copy.labels_file.read_bytes() == full_run.labels_file.read_bytes()


def test_the_first_phase_loads_and_becomes_the_last_of_its_copy(
    two_phase_run: RunFolder, cli: Cli, tmp_path: Path
) -> None:
    assert cli("cluster", "-k", "3", "-q").code == 0
    AutoencoderClusterer.load(two_phase_run.path).save("copy")
    assert RunFolder(tmp_path / "copy").checkpoints() == [2]
    for k in (3, 4):
        assert cli("cluster", "-k", k, "--run", "copy", "-q").code == 0
    assert "OUT OF DATE" not in cli("info", "copy").out


def test_a_run_without_fresh_labels_says_which_command_makes_them(
    full_run: RunFolder, cli: Cli
) -> None:
    mend = "run aeclust cluster --run aeclust-run"
    full_run.latents_file.unlink()
    with refused(
        where="aeclust-run/labels.h5",
        what="the labels are stale: latents.h5 is missing",
        expected="labels of the latents and weights beside them",
        mend=mend,
    ):
        AutoencoderClusterer.load("aeclust-run")
    full_run.labels_file.unlink()
    with refused(where="aeclust-run", what="the run has no labels", mend=mend):
        AutoencoderClusterer.load("aeclust-run")
    assert cli("cluster", "-q").code == 0
    assert AutoencoderClusterer.load("aeclust-run").n_clusters_ == 2
    with refused(where="nowhere", what="there is no run here"):
        AutoencoderClusterer.load("nowhere")


# -- a folder that is in use -------------------------------------------------------------------


def test_an_existing_run_is_replaced_only_if_asked_for(
    full_run: RunFolder, fitted: AutoencoderClusterer, cli: Cli
) -> None:
    before = files_of(full_run.path)
    with refused(
        where="aeclust-run",
        what="a run is here already",
        expected="an empty or new folder",
        mend="replace it with overwrite=True, or choose another folder",
    ):
        fitted.save("aeclust-run")
    with RunFolder(full_run.path).lock(), refused(BusyError):
        fitted.save("aeclust-run", overwrite=True)
    assert files_of(full_run.path) == before
    fitted.save("aeclust-run", overwrite=True)
    kept = {"run.json", "weights/epoch-0004.h5", "latents.h5", "labels.h5"}
    assert set(files_of(full_run.path)) == kept
    assert "OUT OF DATE" not in cli("info").out


def test_a_model_may_replace_the_run_it_was_loaded_from(two_phase_run: RunFolder) -> None:
    loaded = AutoencoderClusterer.load(two_phase_run.path)
    others = make_images(9, seed=7)[0]
    before = loaded.predict(others)
    loaded.save(two_phase_run.path, overwrite=True)
    for model in (loaded, AutoencoderClusterer.load(two_phase_run.path)):
        np.testing.assert_array_equal(model.predict(others), before)


def test_a_full_disk_is_noticed_before_a_run_is_replaced(
    saved: RunFolder, fitted: AutoencoderClusterer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(saved.path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100})())
    with pytest.raises(WriteError, match=r"0 MB are free and \d+ MB will be needed") as caught:
        fitted.save(saved.path, overwrite=True)
    check_error(caught.value, mend="free space, or choose another folder")
    assert files_of(saved.path) == before
