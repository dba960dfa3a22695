"""aeclust plot: the embedding by cluster and by true label, with thumbnails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import RECIPE, Cli, Data, files_of

from aeclust import artifact as artifacts
from aeclust.clusters import reduction
from aeclust.images import Source
from aeclust.network import inference
from aeclust.run.figures import picture_name
from aeclust.run.folder import RunFolder
from aeclust.show import maps

TSNE = "Neighbours are alike; large distances and directions mean nothing (t-SNE)"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the figure was drawn of."""
    seen: dict[str, Any] = {}
    draw = maps.map_figure

    def spy(points: Any, panels: Any, **options: Any) -> Any:
        seen.update(points=points, panels=panels, **options)
        return draw(points, panels, **options)

    monkeypatch.setattr(maps, "map_figure", spy)
    return seen


def test_the_points_that_were_clustered_are_drawn(
    cli: Cli, full_run: RunFolder, drawn: dict[str, Any]
) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("plot")
    assert (code, out, err) == (0, "aeclust-run/embedding.png\n", "")
    labels = artifacts.read(full_run.labels_file).arrays
    assert np.array_equal(drawn["points"], labels["embedding"])
    (panel,) = drawn["panels"]
    assert panel.title == ""
    assert np.array_equal(panel.groups, labels["labels"])
    assert drawn["note"] == "These are the two dimensions that were clustered"
    assert drawn["title"] == "60 images in 2 clusters"
    with Image.open(full_run.path / "embedding.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500
    after = files_of(full_run.path)
    assert after.keys() - before.keys() == {"embedding.png"}
    assert {name: after[name] for name in before} == before


def test_missing_stages_are_made_first(cli: Cli, run: RunFolder) -> None:
    result = cli("plot")
    assert result.code == 0
    assert "latents.h5 is missing: embedding the images first\n" in result.err
    assert "labels.h5 is missing: clustering first\n" in result.err
    assert run.labels_file.exists()


def test_true_labels_have_a_panel_and_scores(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    out = cli("plot", "--labels", data.labels).out
    sizes = np.bincount(artifacts.read(full_run.labels_file).arrays["labels"])
    assert out == (
        "aeclust-run/embedding-labels.png\n"
        "accuracy 1.0000  NMI 1.0000  ARI 1.0000\n"
        f"cluster sizes 0: {sizes[0]}, 1: {sizes[1]}\n"
    )
    assert [panel.title for panel in drawn["panels"]] == [
        "by cluster (accuracy 1.000)",
        "by true label",
    ]
    assert np.array_equal(drawn["panels"][1].groups, np.load(data.labels))
    plain = {"file": "aeclust-run/embedding.png", "by_hand": ""}
    assert json.loads(cli("plot", "--json").out) == plain
    answer = json.loads(cli("plot", "--labels", data.labels, "--json").out)
    assert list(answer) == ["file", "by_hand", "accuracy", "nmi", "ari", "sizes", "outliers"]
    assert (answer["accuracy"], sum(answer["sizes"].values())) == (1.0, 60)


def test_labels_may_be_words_of_a_few_images(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    rows = [30, 2, 0, 1]
    words = np.array(["sea\tside", "land"])[np.load(data.labels)[rows]]
    lines = "".join(f"{row},{word}\n" for row, word in zip(rows, words, strict=True))
    Path("known.csv").write_text(f"id,label\n{lines}")
    assert "accuracy 1.0000" in cli("plot", "--labels", "known.csv", "--thumbnails").out
    by_label = drawn["panels"][1]
    assert drawn["title"] == "4 of 60 images in 2 clusters"
    assert by_label.names == {0: "land", 1: r"sea\tside"}
    assert np.array_equal(by_label.groups, words != "land")
    embedding = artifacts.read(full_run.labels_file).arrays["embedding"]
    assert np.array_equal(drawn["points"], embedding[rows])
    images = np.load(data.images)[rows] / np.float32(255)
    assert len(drawn["thumbnails"]) > 0
    for i, image in drawn["thumbnails"].items():
        np.testing.assert_array_equal(image, images[i])


def test_other_images_are_embedded_once(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("cluster", "--reduction", "pca:4").code == 0
    sizes: list[int] = []
    real = inference.embed

    def counted(network: Any, pixels: Any, **more: Any) -> Any:
        sizes.append(len(pixels))
        return real(network, pixels, **more)

    monkeypatch.setattr(inference, "embed", counted)
    assert cli("plot", data.val_images).code == 0
    assert sizes == [24]


@pytest.mark.parametrize(
    ("name", "start"), [("e.png", b"\x89PNG"), ("e.svg", b"<?xml"), ("e.pdf", b"%PDF")]
)
def test_the_ending_decides_the_format_and_equal_runs_draw_equal_bytes(
    cli: Cli, full_run: RunFolder, name: str, start: bytes
) -> None:
    drawn = []
    for _ in range(2):
        assert cli("plot", "-o", name).out == f"{name}\n"
        drawn.append(Path(name).read_bytes())
    assert drawn[0].startswith(start)
    assert drawn[0] == drawn[1]
    assert not (full_run.path / "embedding.png").exists()


# -- chains of more than two dimensions --------------------------------------------------------


def test_a_picture_is_made_kept_and_made_anew(
    cli: Cli, full_run: RunFolder, drawn: dict[str, Any]
) -> None:
    cli("cluster", "--reduction", "pca:5")
    result = cli("plot")
    assert "placing 60 images on a map (t-SNE)\n" in result.err
    assert drawn["note"] == TSNE
    kept = artifacts.read(full_run.embedding_file, "embedding")
    assert np.array_equal(drawn["points"], kept.arrays["embedding"])
    assert kept.parents["latents"] == artifacts.read(full_run.latents_file).digest
    before = files_of(full_run.path)["embedding.h5"]
    assert cli("plot").err == ""
    assert files_of(full_run.path)["embedding.h5"] == before
    cli("embed", "--checkpoint", 5)
    assert "placing 60 images on a map (t-SNE)\n" in cli("plot").err
    kept = artifacts.read(full_run.embedding_file, "embedding")
    assert kept.parents["latents"] == artifacts.read(full_run.latents_file).digest


def test_what_a_picture_is_of_is_printed_and_recorded(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduction, "TSNE_POINTS", 50)
    cli("cluster", "--reduction", "pca:5")
    line = "t-SNE places 50 random images; the others stand amid their three nearest"
    assert cli("plot").err.splitlines() == ["placing 60 images on a map (t-SNE)", line]
    kept = artifacts.read(full_run.embedding_file, "embedding")
    assert kept.arrays["embedding"].shape == (60, 2)
    assert kept.details["substitutions"] == [line]


def test_the_picture_follows_the_phase_that_was_clustered(
    cli: Cli, two_phase_run: RunFolder, drawn: dict[str, Any]
) -> None:
    assert cli("plot").code == 0
    assert (drawn["note"], drawn["title"]) == (TSNE, "60 images in 2 clusters")
    kept = artifacts.read(two_phase_run.embedding_file, "embedding")
    assert kept.details["epoch"] == 4
    assert cli("cluster", "-k", 3).code == 0
    result = cli("plot")
    assert result.err == "placing 60 images on a map (t-SNE)\n"
    kept = artifacts.read(two_phase_run.embedding_file, "embedding")
    assert kept.details["epoch"] == 2
    assert kept.parents["latents"] == artifacts.read(two_phase_run.latents_file).digest
    (panel,) = drawn["panels"]
    assert list(panel.names.values()) == ["cluster 0", "cluster 1", "cluster 2"]
    assert np.array_equal(panel.groups, artifacts.read(two_phase_run.labels_file).arrays["labels"])


def test_as_many_clusters_as_were_estimated_are_drawn(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    cli("cluster", "-k", "auto")
    assert "accuracy 1.0000" in cli("plot", "--labels", data.labels).out
    assert sorted(drawn["panels"][0].names.values()) == ["cluster 0", "cluster 1"]
    answer = json.loads(cli("plot", data.val_images, "--labels", data.val_labels, "--json").out)
    assert (answer["accuracy"], len(answer["sizes"])) == (1.0, 2)


# -- other images ------------------------------------------------------------------------------


def test_other_images_are_labelled_by_their_neighbours(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    before = files_of(full_run.path)
    answer = json.loads(
        cli("plot", data.val_images, "--labels", data.val_labels, "-o", "v.png", "--json").out
    )
    assert answer["accuracy"] == 1.0
    assert len(drawn["points"]) == 24
    assert drawn["note"].startswith(f"{TSNE}. Ringed")
    assert drawn["title"] == "24 images in 2 clusters, labelled by the run's clusters"
    assert files_of(full_run.path) == before


def test_a_chain_with_tsne_embeds_them_by_themselves(
    cli: Cli, run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    cli("cluster", "--reduction", "kpca:10,tsne:2", "--perplexity", 5)
    assert cli("plot", data.val_images, "--labels", data.val_labels).code == 0
    assert drawn["note"].startswith(TSNE)
    assert drawn["title"] == "24 images in 2 clusters, clustered by themselves"
    assert drawn["points"].shape == (24, 2)
    assert drawn["panels"][0].title == "by cluster (accuracy 1.000)"


def test_validation_labels_of_training_are_used(
    cli: Cli, data: Data, drawn: dict[str, Any]
) -> None:
    flags = ["--val-images", data.val_images, "--val-labels", data.val_labels]
    assert cli("train", data.images, *RECIPE, "--epochs", 1, *flags).code == 0
    assert "accuracy 1.0000" in cli("plot", data.val_images).out
    assert len(drawn["panels"]) == 2


# -- thumbnails --------------------------------------------------------------------------------


def test_thumbnails_are_the_images_of_their_points_apart_from_each_other(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    assert cli("plot", "--thumbnails").out == "aeclust-run/embedding-thumbnails.png\n"
    images, laid = np.load(data.images), drawn["thumbnails"]
    assert 2 <= len(laid) < 60
    for row, image in laid.items():
        np.testing.assert_array_equal(image, (images[row] / np.float32(255)))
    points, places = drawn["points"][list(laid)], drawn["places"]
    box = maps.thumbnail_box(drawn["points"], 8, 8)
    assert (np.abs(points - places) / box).max() <= 0.5 + 1e-5  # each in a cell of its own
    away = (np.abs(places[:, np.newaxis] - places) / box).max(axis=2)
    assert (away + 2 * np.eye(len(points))).min() >= 1 - 1e-5
    picture = full_run.path / "embedding-thumbnails.png"
    first = picture.read_bytes()
    cli("plot", "--thumbnails", data.images)  # the run's own images, by another way
    assert picture.read_bytes() == first
    cli("plot", "--thumbnails", "--seed", 1)
    assert drawn["thumbnails"].keys() != laid.keys()
    cli("plot")
    assert drawn["thumbnails"] == {}


def test_thumbnails_of_other_images_are_theirs(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    assert cli("plot", data.val_images, "--thumbnails", "-o", "b.pdf").code == 0
    others = np.load(data.val_images) / np.float32(255)
    assert len(drawn["thumbnails"]) > 0
    for row, image in drawn["thumbnails"].items():
        np.testing.assert_array_equal(image, others[row])


# -- file names --------------------------------------------------------------------------------


def test_each_kind_of_picture_has_a_file_of_its_own(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    shutil.copy(data.val_images, "valX.npy")
    names = {
        (): "embedding.png",
        ("--labels", data.labels): "embedding-labels.png",
        ("--thumbnails",): "embedding-thumbnails.png",
        ("--gallery",): "gallery.png",
        ("valX.npy",): "embedding-of-valX.png",
        ("valX.npy", "--labels", data.val_labels): "embedding-labels-of-valX.png",
        ("valX.npy", "--gallery"): "gallery-of-valX.png",
    }
    made: dict[str, bytes] = {}
    for arguments, name in names.items():
        assert cli("plot", *arguments).out.splitlines()[0] == f"aeclust-run/{name}"
        for other, content in made.items():
            assert (full_run.path / other).read_bytes() == content
        made[name] = (full_run.path / name).read_bytes()
    out = cli("reconstruct", "valX.npy", "--idx", 0).out
    assert out.startswith("aeclust-run/reconstruction-of-valX.png")


_KINDS = [["embedding", *parts] for parts in ([], ["labels"], ["thumbnails"])]
_KINDS += [["embedding", "thumbnails", "labels"], ["gallery"], ["reconstruction"]]
_PLACES = (
    *("labels.npy", "thumbnails.npy", "a/val.npy", "b/val.npy", "val.npy", "val.npz", "val", "VAL"),
    *("x.npz::train", "x.npz::val", "x.npz", "photos.2023", "photos.2024", "照片.npy", "사진", "*"),
    *("of-val.npy", "labels-of-val.npy", "demo:scenes", "demo-scenes.npy", "scenes.npy", "../*"),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_KINDS),
            st.none() | st.builds(Source, location=st.sampled_from(_PLACES) | st.text(min_size=1)),
        ),
        min_size=2,
        max_size=8,
        unique_by=lambda each: ("-".join(each[0]), each[1] and each[1].location),
    )
)
def test_other_kinds_and_sources_have_other_names(
    pictures: list[tuple[list[str], Source | None]],
) -> None:
    names = [picture_name(*kind, others=others) for kind, others in pictures]
    assert len({*names}) == len(names)
    assert all(name == Path(name).name and len(name.encode()) < 255 for name in names)


def test_a_name_keeps_what_can_be_read_of_its_source() -> None:
    names = [picture_name("gallery", others=Source(location=each)) for each in _PLACES]
    for start in ("val", "x-train", "x-val", "photos.2023", "照片", "사진", "demo-scenes"):
        assert any(name.startswith(f"gallery-of-{start}") for name in names)
    whole = Source(location="photos"), Source(location="photos", files=("a", "b"))
    assert len({picture_name("gallery", others=each) for each in whole}) == 2


def test_clusters_keep_their_looks_and_what_they_do_not_match_is_wrong(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    clusters = artifacts.read(full_run.labels_file).arrays["labels"]
    # the numbers of the classes are turned, two images are of the other one and one of a third
    classes = np.array([7, 4])[clusters]
    first, last = np.flatnonzero(clusters == 0)[[0, -1]].tolist()
    classes[[first, last]] = 4, 9
    lines = "".join(f"{row},{label}\n" for row, label in enumerate(classes.tolist()))
    Path("known.csv").write_text(f"id,label\n{lines}")
    assert cli("plot", "--labels", "known.csv").code == 0
    by_cluster, by_label = drawn["panels"]
    np.testing.assert_array_equal(by_cluster.groups, clusters)
    assert by_cluster.looks == {}
    assert by_label.looks == {7: 0, 4: 1, 9: 2}
    assert np.flatnonzero(by_cluster.wrong).tolist() == [first, last]
    assert by_cluster.title == f"by cluster (accuracy {58 / 60:.3f})"
