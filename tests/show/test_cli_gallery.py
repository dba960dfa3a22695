"""aeclust plot --gallery: what was picked, of the run's images and of others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import Cli, Data, files_of

from aeclust import artifact as artifacts
from aeclust.run import pictures
from aeclust.run import pixels as run_pixels
from aeclust.run.folder import RunFolder
from aeclust.run.images import images_there
from aeclust.show.gallery import gallery_figure
from aeclust.show.picks import pick


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the gallery was drawn of."""
    seen: dict[str, Any] = {}

    def spy(picked: Any, names: Any, images: Any, confidence: Any, **options: Any) -> Any:
        seen.update(picks=picked, names=names, images=images, confidence=confidence, **options)
        return gallery_figure(picked, names, images, confidence, **options)

    monkeypatch.setattr(pictures, "gallery_figure", spy)
    return seen


def test_the_gallery_shows_what_was_picked_of_each_cluster(
    cli: Cli, full_run: RunFolder, data: Data, hung: dict[str, Any]
) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("plot", "--gallery")
    assert (code, out, err) == (0, "aeclust-run/gallery.png\n", "")
    after = files_of(full_run.path)
    assert after.keys() - before.keys() == {"gallery.png"}
    assert {name: after[name] for name in before} == before
    labels = artifacts.read(full_run.labels_file).arrays
    latents = artifacts.read(full_run.latents_file).arrays["latents"]
    groups, sure = labels["labels"], labels["confidence"]
    picked = pick(groups, sure, latents, count=15, seed=0)
    shown = json.loads(cli("plot", "--gallery", "--json").out)
    assert shown["file"] == "aeclust-run/gallery.png"
    images = np.load(data.images) / np.float32(255)
    assert len(picked) == 2
    for one, cluster, hanging in zip(picked, shown["clusters"], hung["picks"], strict=True):
        assert cluster["cluster"] == one.cluster == hanging.cluster
        assert cluster["name"] == hung["names"][one.cluster] == f"cluster {one.cluster}"
        assert cluster["size"] == hanging.size == (groups == one.cluster).sum()
        mean = sure[groups == one.cluster].mean(dtype=float)
        assert cluster["mean_confidence"] == hanging.confidence == pytest.approx(mean)
        for kind, rows in one.kinds.items():
            assert (
                cluster["doubtful" if kind == "least sure" else kind]
                == rows.tolist()
                == hanging.kinds[kind].tolist()
            )
            np.testing.assert_array_equal([hung["images"][row] for row in rows], images[rows])
    np.testing.assert_array_equal(hung["confidence"], sure)
    assert hung["title"] == "60 images in 2 clusters"
    assert hung["note"].startswith("Typical: nearest to the middle of the cluster")
    assert hung["called"] == {}  # row numbers say nothing
    other = json.loads(cli("plot", "--gallery", "--json", "--seed", 1).out)
    assert other["clusters"][0]["random"] != shown["clusters"][0]["random"]
    assert other["clusters"][0]["typical"] == shown["clusters"][0]["typical"]


def test_a_gallery_makes_missing_stages_and_the_same_bytes(cli: Cli, run: RunFolder) -> None:
    result = cli("plot", "--gallery", "-o", "one.svg")
    assert result.code == 0
    assert "labels.h5 is missing: clustering first\n" in result.err
    assert not run.embedding_file.exists()  # which takes long, and is not needed
    assert cli("plot", "--gallery", "-o", "two.svg").out == "two.svg\n"
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


def test_other_images_have_a_gallery_of_their_own(
    cli: Cli, full_run: RunFolder, data: Data, hung: dict[str, Any]
) -> None:
    shown = json.loads(cli("plot", data.val_images, "--gallery", "-o", "v.png", "--json").out)
    assert sum(one["size"] for one in shown["clusters"]) == 24
    assert hung["title"] == "24 images in 2 clusters, labelled by the run's clusters"
    truth, images = np.load(data.val_labels), np.load(data.val_images) / np.float32(255)
    predicted = json.loads(cli("predict", data.val_images, "--json").out)
    for one in shown["clusters"]:
        rows = one["doubtful"]
        assert {predicted["labels"][row] for row in rows} == {one["cluster"]}
        assert len(set(truth[rows].tolist())) == 1
        printed = hung["confidence"][rows].tolist()
        assert printed == sorted(printed)
        assert printed == pytest.approx([predicted["confidence"][row] for row in rows], abs=1e-6)
        np.testing.assert_array_equal([hung["images"][row] for row in rows], images[rows])


def test_images_that_a_chain_clusters_by_themselves_have_a_gallery(
    cli: Cli, run: RunFolder, data: Data, hung: dict[str, Any]
) -> None:
    cli("cluster", "--reduction", "kpca:10,tsne:2", "--perplexity", 5)
    shown = json.loads(cli("plot", data.val_images, "--gallery", "--json").out)
    assert hung["title"].endswith(" clusters, clustered by themselves")
    truth = np.load(data.val_labels)
    for one in shown["clusters"]:
        assert 0 <= one["mean_confidence"] <= 1
        assert len(set(truth[one["random"]].tolist())) == 1


def test_more_clusters_than_a_gallery_holds_are_told(
    cli: Cli, full_run: RunFolder, hung: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "GALLERY_CLUSTERS", 3)
    cli("cluster", "-k", 24)
    assert "the gallery shows 3 of 24 clusters\n" in cli("plot", "--gallery").err
    sizes = np.bincount(artifacts.read(full_run.labels_file).arrays["labels"])
    assert [one.size for one in hung["picks"]] == sorted(sizes.tolist(), reverse=True)[:3]


@pytest.mark.parametrize("shape", [(40, 8, 24), (40, 200, 9, 3)])
def test_images_of_another_shape_and_colour_and_ids_that_are_paths(
    cli: Cli, shape: tuple[int, ...], hung: dict[str, Any]
) -> None:
    shades = np.random.default_rng(0).integers(0, 256, shape[:1] + shape[3:], np.uint8)
    pixels = np.empty(shape, np.uint8)
    pixels[:] = shades[:, np.newaxis, np.newaxis]
    Path("photos").mkdir()
    names = [f"$x_1$ \U0001f431 {i:02d}.png" for i in range(40)]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(Path("photos", name))
    flags = ["--recipe", "baseline", "--set", "channels=4", "--size", "8", "--epochs", 1]
    cli("train", "photos", *flags, "--set", "reduction=pca:2", "-k", 5)
    shown = json.loads(cli("plot", "--gallery", "--json").out)
    cells = shades.reshape(40, 1, 1, -1) / 255
    for one in shown["clusters"]:
        for row in (names.index(name) for name in one["typical"]):
            image = hung["images"][row]
            assert image.shape[:2] == ((8, 24) if len(shape) == 3 else (160, 7))
            assert np.abs(image - cells[row]).max() <= 0.03
            assert hung["called"][row] == names[row]
    assert cli("plot", "--thumbnails").code == 0


def test_files_that_are_called_alike_are_told_by_their_folders() -> None:
    ids = np.array(["a/1.jpg", "b/1.jpg", "b/2.jpg"])
    assert pictures.names_of_files(ids, np.array([0, 2])) == {0: "1.jpg", 2: "2.jpg"}
    assert pictures.names_of_files(ids, np.array([0, 1])) == {0: "a/1.jpg", 1: "b/1.jpg"}
    assert pictures.names_of_files(np.arange(3), np.array([0, 1])) == {}


@pytest.mark.parametrize("flag", ["--gallery", "--thumbnails"])
def test_of_a_memory_map_only_the_shown_rows_are_read(
    cli: Cli, full_run: RunFolder, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[int] = set()

    class Counted:
        def __init__(self, whole: Any) -> None:
            self.whole, self.shape = whole, whole.shape

        def __getitem__(self, rows: Any) -> Any:
            read.update(rows.tolist())
            return np.asarray(self.whole[rows])

    def counted(*arguments: Any) -> Any:
        images = images_there(*arguments)
        assert isinstance(images.pixels, np.memmap)
        pixels: Any = Counted(images.pixels)
        return dataclasses.replace(images, pixels=pixels)

    monkeypatch.setattr(run_pixels, "images_there", counted)
    monkeypatch.setattr(pictures, "gallery_count", lambda *arguments, **options: 2)
    assert cli("plot", flag).code == 0
    # one more says which shape they have
    assert 2 <= len(read) <= (12 if flag == "--gallery" else 58) + 1
