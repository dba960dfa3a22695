"""A run of features of one's own: every command gives its result, or one sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import (
    TOP_COMMANDS,
    Cli,
    Result,
    bytes_of,
    check_error,
    far_groups,
    files_of,
    one_error,
    raising,
)

from aeclust import AutoencoderClusterer, artifact
from aeclust.errors import ArgumentError
from aeclust.images import Source
from aeclust.images.truth import load
from aeclust.run.context import Context
from aeclust.run.features import embed_features
from aeclust.run.folder import RunFolder
from aeclust.run.page import gather

N, D = 90, 6
VECTORS, TRUTH = far_groups([40, 30, 20], d=D, seed=5)
NAMES = [f"{'b/' * (i % 2)}p{i:02d}.png" for i in range(N)]
NO_NETWORK = "the run has no network, only vectors that were made elsewhere"
RED, GREEN, BLUE = [220, 30, 30], [30, 220, 30], [30, 30, 220]


@pytest.fixture
def clip(cli: Cli) -> Path:
    """The vectors in half precision, in the working folder."""
    np.save("clip.npy", VECTORS.astype(np.float16))
    return Path("clip.npy").absolute()


@pytest.fixture
def photos(cli: Cli) -> Path:
    """A photograph for each vector, of the colour of its group."""
    for name, group in zip(NAMES, TRUTH.tolist(), strict=True):
        file = Path("photos", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 9), tuple([RED, GREEN, BLUE][group])).save(file)
    return Path("photos").absolute()


def answered(result: Result) -> str:
    assert result.code == 0, result.err
    return result.out


def begun(cli: Cli, *arguments: object) -> RunFolder:
    answered(cli("embed", "--features", *arguments))
    answered(cli("cluster", "-k", 3))
    return RunFolder(Path("aeclust-run"))


def labels_of(cli: Cli, *arguments: object) -> NDArray[np.int64]:
    text = answered(cli("predict", "--json", *arguments))
    return np.array(json.loads(text)["labels"])


def test_vectors_become_clusters_without_any_training(cli: Cli, clip: Path) -> None:
    result = cli("embed", "--features", clip)
    assert answered(result) == "aeclust-run/latents.h5: 90 vectors of 6 values as they were given\n"
    assert result.err.splitlines()[0] == f"{clip}: 90 vectors of 6 values, float16"
    answered(cli("cluster", "-k", 3))
    assert labels_of(cli).tolist() == TRUTH.tolist()  # which are numbered by falling size, too
    folder = Path("aeclust-run")
    assert {file.name for file in folder.glob("*.*")} >= {"run.json", "latents.h5", "labels.h5"}
    assert not (folder / "weights").exists()
    made = artifact.read(folder / "latents.h5", "latents")
    assert np.array_equal(made.arrays["latents"], VECTORS.astype(np.float16).astype(np.float32))
    assert made.arrays.keys() == {"latents", "ids", "fingerprints"}
    assert made.parents.keys() == {"data"}
    assert artifact.read(folder / "labels.h5").details["warnings"] == []


def test_the_same_again_is_fresh_and_another_needs_force(cli: Cli, clip: Path) -> None:
    run = begun(cli, clip)
    before = files_of(run.path)
    assert "up to date, nothing to do" in answered(cli("embed", "--features", clip))
    assert files_of(run.path) == before
    shutil.move(clip, "moved.npy")
    assert "up to date" in answered(cli("embed", "--features", "moved.npy"))
    assert run.manifest().source.location == os.path.abspath("moved.npy")
    np.save("other.npy", VECTORS[::-1])
    result = cli("embed", "--features", "other.npy")
    one_error(result)
    check_error(result.error, what="another run is here already", where="aeclust-run",
                expected="an empty or new folder, or a run of the same vectors and images",
                mend="replace it with `force`, or change `run`")  # fmt: skip
    answered(cli("embed", "--features", "other.npy", "--force"))
    answered(cli("cluster", "-k", 3))
    assert labels_of(cli).tolist() == TRUTH[::-1].tolist()


def test_a_run_that_was_trained_is_not_replaced(cli: Cli, clip: Path, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    assert "another run is here already" in one_error(cli("embed", "--features", clip))
    assert files_of(full_run.path) == before
    answered(cli("embed", "--features", clip, "--force"))
    assert full_run.checkpoints() == []
    assert "nothing to train" in answered(cli("info"))


def test_force_makes_the_same_bytes_again(cli: Cli, clip: Path, photos: Path) -> None:
    run = begun(cli, clip, photos)
    before = bytes_of(run.path, "*.h5")
    answered(cli("embed", "--features", clip, photos, "--force"))
    assert bytes_of(run.path, "*.h5") == before


def test_skipping_broken_photographs_makes_no_other_run(cli: Cli, clip: Path, photos: Path) -> None:
    run = begun(cli, clip, photos)
    before = bytes_of(run.path, "*.h5")
    answered(cli("embed", "--features", clip, photos, "--skip-bad"))
    assert bytes_of(run.path, "*.h5") == before
    other = cli("embed", "--features", clip, "demo:digits")
    assert other.error is not None
    assert other.error.what == "another run is here already"


def test_others_get_the_vote_of_their_neighbours(cli: Cli, clip: Path) -> None:
    begun(cli, clip)
    others, groups = far_groups([3, 3, 3], d=D, seed=6)
    np.save("new.npy", others)
    for arguments in (["--features", "new.npy"], ["new.npy"]):
        assert labels_of(cli, *arguments).tolist() == groups.tolist()
    copies = VECTORS[[7, 3]].astype(np.float16).astype(np.float64)  # in another precision
    np.savez("copies.npz", features=copies, ids=["x", "y"])
    both = json.loads(answered(cli("predict", "--json", "--features", "copies.npz")))
    own = json.loads(answered(cli("predict", "--json")))
    assert both["ids"] == ["x", "y"]
    assert both["confidence"] == [own["confidence"][row] for row in (7, 3)]


def test_predict_reads_vectors_from_standard_input(
    cli: Cli, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(cli, clip)
    with open(clip, "rb") as file:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file, "isatty": bool})())
        assert labels_of(cli, "--features", "-").tolist() == TRUTH.tolist()
    for words in (["-"], [clip, "-"]):
        result = cli("embed", "--features", *words)
        assert "standard input cannot be read again" in one_error(result)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["reconstruct", "--idx", "1"], NO_NETWORK),
        (["checkpoint-curve"], NO_NETWORK),
        (["train", "--resume"], NO_NETWORK),
        (["train", "--continue"], NO_NETWORK),
        (["embed", "--checkpoint", "3"], NO_NETWORK),
        (["embed", "clip.npy", "--checkpoint", "3"], NO_NETWORK),
        (["export", "net.onnx"], NO_NETWORK),
        (["export", "net.safetensors"], NO_NETWORK),
        (["export", "sorted"], "the run has vectors, and no images to sort into folders"),
        (["plot", "--gallery"], "these are vectors, and there is no image to show of them"),
        (["plot", "--thumbnails"], "these are vectors, and there is no image to show of them"),
        (["train", "clip.npy", "--force"], "has shape (90, 6)"),
        (["train", "clip.npz", "--force"], "0 of its arrays could be meant (features)"),
        (["embed", "--features", "clip.npy", "--checkpoint", "1"], "they exclude each other"),
        (["embed", "--features", "clip.npy", "--layout", "nhw"], "it describes DATA, and none is"),
        (["embed", "--features", "aeclust-run/latents.h5"], "it belongs to the run"),
        (["predict", "--features", "clip.npy", "clip.npy"], "they exclude each other"),
        (["predict", "--features", "wide.npy"], "has vectors of 12 values"),
        (["predict", "images.npy"], "has shape (90, 2, 3)"),
        (["predict", "."], "holds images"),
        (["plot", "wide.npy"], "has vectors of 12 values"),
        (["predict", "clip.npy", "--range", "0:1"], "does not apply to "),
        (["embed", "clip.npy", "demo:digits"], "it cannot stand beside others"),
        (["update", "wide.npy"], "only 0 of the run's 90 images are here"),
    ],
)
def test_what_has_no_meaning_is_one_sentence(
    arguments: list[str], what: str, cli: Cli, clip: Path
) -> None:
    np.savez("clip.npz", features=VECTORS)
    np.save("wide.npy", np.hstack([VECTORS, VECTORS]))
    np.save("images.npy", VECTORS.reshape(N, 2, 3))
    run = begun(cli, clip)
    before = files_of(run.path)
    result = cli(*arguments)
    one_error(result)
    assert result.error is not None
    assert result.error.what.startswith(what)
    assert files_of(run.path) == before


def test_arrays_of_two_axes_are_told_where_they_belong(cli: Cli, clip: Path) -> None:
    assert "cluster vectors of your own by aeclust embed --features FILE" in one_error(
        cli("train", clip)
    )
    Path("features.toml").write_text('recipe = "features"\n')
    result = cli("train", "demo:scenes", "--config", "features.toml")
    one_error(result)
    check_error(result.error, what="recipe features trains nothing", where="`recipe`",
                expected="one with a network",
                mend="begin a run of vectors of your own by aeclust embed `features` FILE",
                )  # fmt: skip


def test_features_for_a_run_of_images_are_one_sentence(
    cli: Cli, clip: Path, full_run: RunFolder
) -> None:
    result = cli("predict", "--features", clip)
    one_error(result)
    check_error(result.error, what="the run is of images, and these are features",
                where=str(clip), expected="images",
                mend="leave out `features`, or begin another run by aeclust embed `features`"
                " FILE")  # fmt: skip


def test_every_command_has_an_answer(cli: Cli, clip: Path) -> None:
    run = begun(cli, clip)
    np.save("truth.npy", TRUTH)
    np.save("new.npy", VECTORS[:9] + np.float32(0.01))
    tried = {
        ("embed",): "up to date",
        ("embed", "new.npy", "-o", "new.h5"): "9 vectors of 6 values as they were given",
        ("cluster", "-k", "3"): "up to date",
        ("update",): "90 images in 3 clusters of 40, 30 and 20 (up to date",
        ("predict", "--val-labels", "truth.npy"): "id,label\n",
        ("predict", "--val-images", clip, "--val-labels", "truth.npy"): "id,label\n",
        ("plot",): "embedding.png",
        ("plot", "--labels", "truth.npy"): "accuracy 1.0000",
        ("plot", "new.npy", "-o", "new.png"): "new.png",
        ("evaluate", run.labels_file, "truth.npy"): "accuracy 1.0000",
        ("info",): f"vectors: {clip} (90, 6), sha256 ",
        ("name", "0=many"): "many",
        ("name", "--labels", "truth.npy"): "90 of 90 known labels agree",
        ("report",): "90 images in 3 clusters",
        ("export", "table.csv"): "90 images",
        ("export", "table.json"): "90 images",
        ("export", "table.npz"): "90 images",
        ("doctor",): "holds a run",
        ("ask", "-n", "4"): "4 images",
        ("compare", run.path, run.labels_file): "1.000",
        ("find", "similar", "0", "-n", "2"): "0",
        ("edit", "drop", "0"): "outliers: 1",
    }
    refused_elsewhere = {"train", "reconstruct", "checkpoint-curve"}
    assert {str(words[0]) for words in tried} | refused_elsewhere == set(TOP_COMMANDS)
    for words, text in tried.items():
        assert text in answered(cli(*words)), words
    assert "OUT OF DATE" not in answered(cli("info"))


def test_the_page_of_a_run_without_photographs_shows_ids(cli: Cli, clip: Path) -> None:
    run = begun(cli, clip)
    answered(cli("report"))
    text = (run.path / "report.html").read_text(encoding="utf-8")
    # charts, and no image to look at
    assert text.count("<img") == len(
        re.findall(r'<figure class="chart[^>]*>(<h3>.*</h3>)?<img', text)
    )
    assert 'id="reconstructions"' not in text
    assert "whose vectors are alike" in text
    assert "90 of 6 values" in text
    assert "aeclust embed --features clip.npy\naeclust cluster -k 3\n" in text
    assert '"sheets":null' in text


# -- the photographs that they were made of ----------------------------------------------------


def in_order() -> NDArray[np.intp]:
    return np.argsort(NAMES)  # ASCII: the order of bytes


def write_with_ids(path: str) -> None:
    """In an order of their own."""
    order = np.random.default_rng(0).permutation(N)
    names = np.array(NAMES)[order]
    if path.endswith(".npz"):
        np.savez(path, features=VECTORS[order], ids=names)
    else:
        with h5py.File(path, "w") as file:
            file["features"], file["ids"] = VECTORS[order], np.char.encode(names)


def check_clusters(cli: Cli) -> None:
    """Each photograph is in the cluster of its own vector."""
    Path("all.csv").write_text(answered(cli("predict")))
    labels = load("all.csv")
    assert labels.ids is not None
    truth = dict(zip(NAMES, TRUTH.tolist(), strict=True))
    assert [truth[name] for name in labels.ids.tolist()] == labels.values.tolist()
    assert len(labels) == N


@pytest.mark.parametrize("file", ["rows.npy", "ids.npz", "ids.h5"])
def test_vectors_and_photographs_are_brought_together(cli: Cli, photos: Path, file: str) -> None:
    if file == "rows.npy":
        np.save(file, VECTORS[in_order()])
    else:
        write_with_ids(file)
    run = begun(cli, file, photos)
    check_clusters(cli)
    assert run.manifest().pictures is not None
    for words in (["plot", "--gallery"], ["plot", "--thumbnails"], ["report"]):
        answered(cli(*words))
    answered(cli("export", "sorted"))
    assert sorted(p.name for p in Path("sorted/0").rglob("*.png")) == sorted(
        Path(name).name for name, group in zip(NAMES, TRUTH.tolist(), strict=True) if group == 0
    )
    warnings = artifact.read(run.labels_file).details["warnings"]
    assert any("mean colour and brightness alone predict" in line for line in warnings)
    pages = gather(Context(run))
    for name, picture in zip(pages.mapped.ids, pages.mapped.pictures, strict=True):
        wanted = [RED, GREEN, BLUE][TRUTH[NAMES.index(name)]]
        assert np.abs(picture.mean((0, 1)) - wanted).max() < 12, name  # after JPEG
    assert f"aeclust embed --features {file} photos" in pages.commands


def test_numbers_and_photographs_must_be_equally_many(cli: Cli, photos: Path) -> None:
    np.save("few.npy", VECTORS[:80])
    text = one_error(cli("embed", "--features", "few.npy", photos))
    assert f"{photos}: holds 90 images, and there are 80 vectors" in text
    assert not Path("aeclust-run/run.json").exists()


def test_photographs_may_be_rows_of_an_array(cli: Cli, clip: Path) -> None:
    pixels = np.array([RED, GREEN, BLUE], np.uint8)[TRUTH][:, None, None].repeat(8, 1).repeat(8, 2)
    np.save("images.npy", pixels)
    run = begun(cli, clip, "images.npy")
    assert artifact.read(run.latents_file).arrays["colours"].shape == (N, 3)
    assert not run.previews_file.exists()
    answered(cli("plot", "--gallery"))
    answered(cli("export", "sorted"))
    with Image.open("sorted/0/00.png" if TRUTH[0] == 0 else f"sorted/{TRUTH[0]}/00.png") as image:
        assert np.asarray(image).tolist() == pixels[0].tolist()
    for row, picture in enumerate(gather(Context(run)).mapped.pictures):
        assert picture.tolist() == pixels[row].tolist()
    os.remove("images.npy")
    shutil.rmtree("sorted")
    assert f"{Path('images.npy').absolute()}: there is no such file" in one_error(
        cli("export", "sorted")
    )
    result = cli("plot", "--gallery")
    assert "is gone; images that were not stored are grey" in result.err
    assert result.code == 0


def test_without_the_photographs_previews_remain(cli: Cli, photos: Path) -> None:
    write_with_ids("ids.npz")
    run = begun(cli, "ids.npz", photos)
    shown = [picture.tolist() for picture in gather(Context(run)).mapped.pictures]
    shutil.move(photos, "elsewhere")
    assert [picture.tolist() for picture in gather(Context(run)).mapped.pictures] == shown
    assert "it is gone" in one_error(cli("export", "sorted"))
    check_clusters(cli)


def test_lost_previews_are_made_again(cli: Cli, photos: Path) -> None:
    write_with_ids("ids.npz")
    run = begun(cli, "ids.npz", photos)
    shown = [picture.tolist() for picture in gather(Context(run)).mapped.pictures]
    run.previews_file.unlink()
    assert [picture.tolist() for picture in gather(Context(run)).mapped.pictures] == shown


def test_lost_files_come_back_the_same(cli: Cli, photos: Path) -> None:
    np.save("rows.npy", VECTORS[in_order()])
    run = begun(cli, "rows.npy", photos)
    before = bytes_of(run.path, "*.h5")
    for file in (run.images_file, run.previews_file, run.latents_file, run.labels_file):
        file.unlink()
    answered(cli("embed"))
    answered(cli("cluster", "-k", 3))
    assert bytes_of(run.path, "*.h5") == before


def test_a_run_and_its_photographs_move_together(cli: Cli, photos: Path) -> None:
    os.makedirs("old")
    shutil.move(photos, "old/photos")
    write_with_ids("old/ids.npz")
    answered(cli("embed", "--features", "old/ids.npz", "old/photos", "--run", "old/run"))
    answered(cli("cluster", "-k", 3, "--run", "old/run"))
    shutil.move("old", "new")
    answered(cli("export", "sorted", "--run", "new/run"))
    assert len(list(Path("sorted").rglob("*.png"))) == N


# -- vectors that come and go ------------------------------------------------------------------


def test_rows_that_are_added_and_removed_are_noticed_and_taken_in(cli: Cli) -> None:
    ids = np.array([f"n{i}" for i in range(N)])
    np.savez("ids.npz", features=VECTORS[:80], ids=ids[:80])
    begun(cli, "ids.npz")
    answered(cli("name", "0=many"))
    np.savez("ids.npz", features=VECTORS[5:], ids=ids[5:])
    result = cli("predict")
    assert "5 of 80 images are gone (the first is n0) and left out" in result.err
    assert "10 images are new (the first is n80): labelled by the present clusters" in result.err
    rows = [line.split(",") for line in result.out.splitlines()[1:]]
    assert [name for name, _ in rows] == ids[5:].tolist()
    told = [int(label) for _, label in rows]
    answered(cli("plot"))
    updated = json.loads(answered(cli("update", "--json")))
    assert [updated[key] for key in ("images", "added", "removed")] == [85, 10, 5]
    assert labels_of(cli).tolist() == told == TRUTH[5:].tolist()
    assert "many" in answered(cli("name"))
    assert "up to date" in answered(cli("update"))
    assert "up to date" in answered(cli("embed", "--features", "ids.npz"))


def test_photographs_come_with_rows_that_are_added(cli: Cli, photos: Path) -> None:
    order = in_order()
    names = np.array(NAMES)[order]
    np.savez("ids.npz", features=VECTORS[order][:80], ids=names[:80])
    run = begun(cli, "ids.npz", photos)
    np.savez("ids.npz", features=VECTORS[order], ids=names)

    def check_pictures() -> None:
        pages = gather(Context(run))
        assert sorted(pages.mapped.ids) == sorted(NAMES)
        for name, picture in zip(pages.mapped.ids, pages.mapped.pictures, strict=True):
            wanted = [RED, GREEN, BLUE][TRUTH[NAMES.index(name)]]
            assert np.abs(picture.mean((0, 1)) - wanted).max() < 12, name

    check_pictures()
    answered(cli("update"))
    check_pictures()
    check_clusters(cli)


def test_without_the_photographs_rows_are_added_as_well(cli: Cli, photos: Path) -> None:
    order = in_order()
    names = np.array(NAMES)[order]
    np.savez("ids.npz", features=VECTORS[order][:80], ids=names[:80])
    run = begun(cli, "ids.npz", photos)
    shutil.rmtree(photos)
    np.savez("ids.npz", features=VECTORS[order], ids=names)
    answered(cli("update"))
    check_clusters(cli)
    now = gather(Context(run)).mapped
    grey = [n for n, p in zip(now.ids, now.pictures, strict=True) if len(np.unique(p)) == 1]
    assert sorted(grey) == sorted(names[80:].tolist())  # of the others previews were kept


def test_a_file_that_is_gone_leaves_what_was_made_of_it(cli: Cli, clip: Path) -> None:
    begun(cli, clip)
    clip.unlink()
    result = cli("predict")
    assert f"{clip} is gone; labels made before are used as they are" in result.err
    assert result.out.count("\n") == N + 1
    answered(cli("cluster", "-k", 2))


def test_a_file_that_was_moved_is_found_by_its_content(cli: Cli, clip: Path) -> None:
    run = begun(cli, clip)
    shutil.move(clip, "moved.npy")
    answered(cli("update", "moved.npy"))
    assert run.manifest().source.location == os.path.abspath("moved.npy")
    assert cli("predict").err.endswith(" labels should hold.\n")


def test_a_process_that_died_while_it_began_a_run_is_made_good(
    cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("rows.npy", VECTORS[in_order()])
    with monkeypatch.context() as patch:
        patch.setattr("aeclust.run.features.keep_images", raising(KeyboardInterrupt()))
        assert cli("embed", "--features", "rows.npy", photos).code == 130
    run = begun(cli, "rows.npy", photos)
    check_clusters(cli)
    assert run.previews_file.exists()


def test_a_full_disk_leaves_the_run_that_was_there(
    cli: Cli, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(cli, clip)
    before = files_of(run.path)
    np.save("other.npy", VECTORS[::-1])
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(".")._replace(free=100)
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        assert cli("embed", "--features", "other.npy", "--force").code == 4
    assert files_of(run.path) == before


def test_vectors_are_never_in_memory_as_a_whole(cli: Cli) -> None:
    n, d = 40_000, 256
    np.save("many.npy", np.random.default_rng(0).normal(size=(n, d)).astype(np.float16))
    source = Source(location="many.npy", features=True)
    tracemalloc.start()
    try:
        made = embed_features(Context(RunFolder(Path("aeclust-run"))), source)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.artifact.arrays["latents"].nbytes == 4 * n * d
    assert most < 3 * n * d  # less than the latents take, and than two copies of what was given


# -- Python ------------------------------------------------------------------------------------


def model(**settings: Any) -> AutoencoderClusterer:
    return AutoencoderClusterer(3, recipe="features", random_state=0, **settings)


def test_python_gives_the_labels_of_the_commands(cli: Cli, clip: Path) -> None:
    run = begun(cli, clip)
    vectors = np.load(clip)
    fitted = model().fit(vectors)
    assert fitted.labels_.tolist() == labels_of(cli).tolist()
    kept = artifact.read(run.labels_file, "labels")
    assert np.array_equal(fitted.confidence_, kept.arrays["confidence"])
    assert (fitted.n_features_in_, fitted.network_, fitted.n_clusters_) == (D, None, 3)
    assert np.array_equal(fitted.transform(vectors), vectors.astype(np.float32))
    assert fitted.predict(vectors).tolist() == fitted.labels_.tolist()
    others, groups = far_groups([3, 3, 3], d=D, seed=6)
    assert fitted.predict(others).tolist() == groups.tolist()
    assert list(fitted.get_feature_names_out())[:2] == [
        "autoencoderclusterer0",
        "autoencoderclusterer1",
    ]


def test_a_model_goes_to_a_folder_and_back(cli: Cli, clip: Path) -> None:
    fitted = model().fit(np.load(clip))
    fitted.save("saved")
    again = AutoencoderClusterer.load("saved")
    assert again.get_params() == fitted.get_params()
    assert again.predict(VECTORS).tolist() == fitted.predict(VECTORS).tolist()
    np.save("new.npy", VECTORS[:4])
    told = labels_of(cli, "new.npy", "--run", "saved")
    assert told.tolist() == fitted.predict(VECTORS[:4]).tolist()
    begun(cli, clip)
    assert AutoencoderClusterer.load("aeclust-run").labels_.tolist() == fitted.labels_.tolist()


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"image_shape": (2, 3)}, "image_shape"),
        ({"value_range": (0, 1)}, "value_range"),
        ({"epochs": 3}, "epochs"),
        ({"settings": {"network": "residual", "channels": (4, 8)}}, "settings"),
    ],
)
def test_what_says_nothing_about_vectors_is_refused(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        model(**settings).fit(VECTORS)
    assert caught.value.where == where


def test_what_needs_a_network_is_not_there() -> None:
    for each in (model(), model().fit(VECTORS)):
        assert not hasattr(each, "score")
        assert not hasattr(each, "inverse_transform")
    with pytest.raises(ArgumentError, match="or recipe='features'"):
        AutoencoderClusterer(3).fit(VECTORS)
    with pytest.raises(ArgumentError, match="X: row 0 holds NaN or infinity"):
        model().fit(np.vstack([np.full((1, D), np.nan), VECTORS]))


def test_features_stand_at_the_end_of_a_pipeline() -> None:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline

    found = make_pipeline(PCA(4), model()).fit_predict(VECTORS)
    assert found.tolist() == TRUTH.tolist()
