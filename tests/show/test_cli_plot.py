"""aeclust plot: the embedding by cluster and by true label, with thumbnails; the gallery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import RECIPE, Cli, Data, files_of

from aeclust import artifact as artifacts
from aeclust.clusters import reduction
from aeclust.network import inference
from aeclust.run import pictures
from aeclust.run.folder import RunFolder
from aeclust.run.images import run_images
from aeclust.show import plots
from aeclust.show.gallery import gallery_figure
from aeclust.show.picks import pick


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the figure was drawn of."""
    seen: dict[str, Any] = {}
    draw = plots.embedding_figure

    def spy(points: Any, panels: Any, **options: Any) -> Any:
        seen.update(points=points, panels=panels, **options)
        return draw(points, panels, **options)

    monkeypatch.setattr(plots, "embedding_figure", spy)
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
    assert panel.title == "by cluster"
    assert np.array_equal(panel.groups, labels["labels"])
    assert drawn["note"] == "pca:2, as clustered"
    assert drawn["title"] == "baseline: 60 images"
    with Image.open(full_run.path / "embedding.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500
    after = files_of(full_run.path)
    assert after.keys() - before.keys() == {"embedding.png"}
    assert {name: after[name] for name in before} == before


def test_missing_stages_are_made_first(cli: Cli, run: RunFolder) -> None:
    result = cli("plot")
    assert result.code == 0
    assert "latents are missing: embedding first\n" in result.err
    assert "labels are missing: clustering first\n" in result.err
    assert run.labels_file.exists()


def test_true_labels_have_a_panel_and_scores(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    out = cli("plot", "--labels", data.labels).out
    sizes = np.bincount(artifacts.read(full_run.labels_file).arrays["labels"])
    assert out == (
        "aeclust-run/embedding.png\n"
        "accuracy 1.0000  NMI 1.0000  ARI 1.0000\n"
        f"cluster sizes 0: {sizes[0]}, 1: {sizes[1]}\n"
    )
    by_cluster, by_label = drawn["panels"]
    assert by_cluster.title == "by cluster (accuracy 1.000)"
    assert by_label.title == "by true label"
    assert np.array_equal(by_label.groups, np.load(data.labels))


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


def test_labels_may_be_words(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    words = np.array(["sea\tside", "land"])[np.load(data.labels)]
    rows = "".join(f"{i},{word}\n" for i, word in enumerate(words))
    Path("known.csv").write_text(f"id,label\n{rows}")
    assert "accuracy 1.0000" in cli("plot", "--labels", "known.csv").out
    by_label = drawn["panels"][1]
    assert by_label.names == {0: "land", 1: r"sea\tside"}
    assert np.array_equal(by_label.groups, words != "land")


def test_json_holds_file_and_scores(cli: Cli, full_run: RunFolder, data: Data) -> None:
    assert json.loads(cli("plot", "--json").out) == {"file": "aeclust-run/embedding.png"}
    answer = json.loads(cli("plot", "--labels", data.labels, "--json").out)
    assert list(answer) == ["file", "accuracy", "nmi", "ari", "sizes"]
    assert answer["accuracy"] == 1.0
    assert sum(answer["sizes"].values()) == 60


def test_labels_of_a_few_draw_these_alone(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    truth = np.load(data.labels)
    Path("known.csv").write_text(f"id,label\n30,{truth[30]}\n2,{truth[2]}\n")
    assert cli("plot", "--labels", "known.csv").code == 0
    embedding = artifacts.read(full_run.labels_file).arrays["embedding"]
    assert np.array_equal(drawn["points"], embedding[[30, 2]])


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
    assert "drawing 60 latents by t-SNE\n" in result.err
    assert drawn["note"] == "t-SNE of the latents; clustered by pca:5 > kmeans"
    kept = artifacts.read(full_run.embedding_file, "embedding")
    assert np.array_equal(drawn["points"], kept.arrays["embedding"])
    assert kept.parents["latents"] == artifacts.read(full_run.latents_file).digest
    before = files_of(full_run.path)["embedding.h5"]
    assert cli("plot").err == ""
    assert files_of(full_run.path)["embedding.h5"] == before
    cli("embed", "--checkpoint", 5)
    assert "drawing 60 latents by t-SNE\n" in cli("plot").err
    kept = artifacts.read(full_run.embedding_file, "embedding")
    assert kept.parents["latents"] == artifacts.read(full_run.latents_file).digest


def test_what_a_picture_is_of_is_printed_and_recorded(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduction, "TSNE_POINTS", 50)
    cli("cluster", "--reduction", "pca:5")
    line = "t-SNE of 60 points is that of 50 random ones, the others amid their three nearest"
    assert cli("plot").err.splitlines() == ["drawing 60 latents by t-SNE", line]
    kept = artifacts.read(full_run.embedding_file, "embedding")
    assert kept.arrays["embedding"].shape == (60, 2)
    assert kept.details["substitutions"] == [line]


def test_the_picture_follows_the_phase_that_was_clustered(
    cli: Cli, two_phase_run: RunFolder, drawn: dict[str, Any]
) -> None:
    assert cli("plot").code == 0
    note = "t-SNE of the latents; clustered by sphere > pca:20 > consensus"
    assert (drawn["note"], drawn["title"]) == (note, "hybrid: 60 images")
    kept = artifacts.read(two_phase_run.embedding_file, "embedding")
    assert kept.details["epoch"] == 4
    assert cli("cluster", "-k", 3).code == 0
    result = cli("plot")
    assert result.err == "drawing 60 latents by t-SNE\n"
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
    assert drawn["note"] == ("t-SNE of the latents; labelled by the vote of training neighbours")
    assert files_of(full_run.path) == before


def test_a_chain_with_tsne_embeds_them_by_themselves(
    cli: Cli, run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    cli("cluster", "--reduction", "kpca:10,tsne:2", "--perplexity", 5)
    assert cli("plot", data.val_images, "--labels", data.val_labels).code == 0
    assert drawn["note"] == (
        "latents embedded and clustered by themselves (kpca:10 > tsne:2 > kmeans)"
    )
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
    assert cli("plot", "--thumbnails").out == "aeclust-run/embedding.png\n"
    images, laid = np.load(data.images), drawn["thumbnails"]
    assert 2 <= len(laid) < 60
    for row, image in laid.items():
        np.testing.assert_array_equal(image, (images[row] / np.float32(255)))
    points = drawn["points"][list(laid)]
    box = plots.thumbnail_box(drawn["points"], 8, 8)
    away = (np.abs(points[:, np.newaxis] - points) / box).max(axis=2)
    assert (away + 2 * np.eye(len(points))).min() >= 1 - 1e-5
    first = (full_run.path / "embedding.png").read_bytes()
    cli("plot", "--thumbnails", data.images)  # the run's own images, by another way
    assert (full_run.path / "embedding.png").read_bytes() == first
    cli("plot", "--thumbnails", "--seed", 1)
    assert drawn["thumbnails"].keys() != laid.keys()
    cli("plot")
    assert drawn["thumbnails"] == {}


def test_thumbnails_follow_labels_of_a_few_and_other_images(
    cli: Cli, full_run: RunFolder, data: Data, drawn: dict[str, Any]
) -> None:
    truth, images = np.load(data.labels), np.load(data.images)
    Path("known.csv").write_text(f"id,label\n30,{truth[30]}\n2,{truth[2]}\n")
    assert cli("plot", "--labels", "known.csv", "--thumbnails", "-o", "a.svg").code == 0
    assert len(drawn["panels"]) == 2
    for row, image in drawn["thumbnails"].items():
        np.testing.assert_array_equal(image, images[[30, 2][row]] / np.float32(255))
    assert cli("plot", data.val_images, "--thumbnails", "-o", "b.pdf").code == 0
    others = np.load(data.val_images)
    assert len(drawn["thumbnails"]) > 0
    for row, image in drawn["thumbnails"].items():
        np.testing.assert_array_equal(image, others[row] / np.float32(255))


# -- the gallery -------------------------------------------------------------------------------


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
        assert cluster["confidence"] == hanging.confidence == pytest.approx(mean)
        for kind, rows in one.kinds.items():
            assert cluster[kind] == rows.tolist() == hanging.kinds[kind].tolist()
            np.testing.assert_array_equal([hung["images"][row] for row in rows], images[rows])
    np.testing.assert_array_equal(hung["confidence"], sure)
    assert hung["title"] == "baseline: 60 images"
    assert hung["note"].startswith("typical: nearest to the mean latent")
    other = json.loads(cli("plot", "--gallery", "--json", "--seed", 1).out)
    assert other["clusters"][0]["random"] != shown["clusters"][0]["random"]
    assert other["clusters"][0]["typical"] == shown["clusters"][0]["typical"]


def test_a_gallery_makes_missing_stages_and_the_same_bytes(cli: Cli, run: RunFolder) -> None:
    result = cli("plot", "--gallery", "-o", "one.pdf")
    assert result.code == 0
    assert "labels are missing: clustering first\n" in result.err
    assert not run.embedding_file.exists()  # which takes long, and is not needed
    for name in ("two.pdf", "one.svg"):
        assert cli("plot", "--gallery", "-o", name).out == f"{name}\n"
    assert Path("one.pdf").read_bytes() == Path("two.pdf").read_bytes()


def test_other_images_have_a_gallery_of_their_own(
    cli: Cli, full_run: RunFolder, data: Data, hung: dict[str, Any]
) -> None:
    shown = json.loads(cli("plot", data.val_images, "--gallery", "-o", "v.png", "--json").out)
    assert sum(one["size"] for one in shown["clusters"]) == 24
    assert hung["note"].startswith("labelled by the vote of training neighbours; typical")
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
    assert hung["note"].startswith("clustered by themselves; typical")
    truth = np.load(data.val_labels)
    for one in shown["clusters"]:
        assert 0 <= one["confidence"] <= 1
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
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    Path("photos").mkdir()
    names = [f"$x_1$ \U0001f431 {i:02d}.png" for i in range(40)]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(Path("photos", name))
    flags = ["--recipe", "baseline", "--set", "channels=4", "--set", "image_size=8", "--epochs", 1]
    cli("train", "photos", *flags, "--set", "reduction=pca:2", "-k", 5)
    shown = json.loads(cli("plot", "--gallery", "--json").out)
    cells = pixels.reshape(40, *shape[1:3], -1) / np.float32(255)
    for one in shown["clusters"]:
        rows = [names.index(name) for name in one["typical"]]
        np.testing.assert_array_equal([hung["images"][row] for row in rows], cells[rows])
    assert cli("plot", "--thumbnails").code == 0


@pytest.mark.parametrize("flag", ["--gallery", "--thumbnails"])
def test_of_a_memory_map_only_the_shown_rows_are_read(
    cli: Cli, full_run: RunFolder, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(*arguments: Any) -> Any:
        images = run_images(*arguments)
        assert isinstance(images.pixels, np.memmap)
        return Counted(images, read)

    class Counted:
        def __init__(self, images: Any, read: list[int]) -> None:
            self.ids, self.digest, self.pixels = images.ids, images.digest, self
            self.shape, self.whole = images.pixels.shape, images.pixels

        def __len__(self) -> int:
            return len(self.whole)

        def __getitem__(self, rows: Any) -> Any:
            read.extend(rows.tolist())
            return np.asarray(self.whole[rows])

    monkeypatch.setattr("aeclust.run.pictures.run_images", counted)
    monkeypatch.setattr(pictures, "gallery_count", lambda *arguments: 2)
    assert cli("plot", flag).code == 0
    assert 2 <= len(read) <= (12 if flag == "--gallery" else 59)
