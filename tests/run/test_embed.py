"""aeclust embed: the latents of images after any checkpoint, and what stands beside them."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from support import TWO_PHASES, Cli, Data, check_error, files_of

from aeclust import artifact as artifacts
from aeclust.images import Source, load
from aeclust.network import inference
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.latents import embed_others, load_network


def latents_of(run: RunFolder, images: Path, epoch: int) -> np.ndarray:
    network, _ = load_network(Context(run), run.manifest(), epoch)
    return inference.embed(network, np.load(images))


def test_latents_are_those_of_the_last_weights(cli: Cli, run: RunFolder, data: Data) -> None:
    code, out, err = cli("embed")
    assert code == 0
    assert out == "aeclust-run/latents.h5: 60 vectors of 32 values after epoch 11\n"
    assert err == (
        f"{data.images}: 60 images, 8 x 8 RGB, uint8\n"
        "next: look at the clusters  aeclust report\n"
        "      save the labels       aeclust predict > submission.csv\n"
    )
    made = artifacts.read(run.latents_file, "latents")
    assert np.array_equal(made.arrays["latents"], latents_of(run, data.images, 11))
    assert made.arrays["ids"].tolist() == list(range(60))
    assert made.parents == {
        "data": load(Source(location=str(data.images))).digest(),
        "weights": artifacts.read(run.weights_file(11)).digest,
    }
    # one phase knows no clusters
    assert made.arrays.keys() == {"latents", "ids", "fingerprints", "colours"}


def test_json_has_file_shape_epoch_and_whether_it_was_made(cli: Cli, run: RunFolder) -> None:
    answer = {"file": "aeclust-run/latents.h5", "shape": [60, 32], "epoch": 11}
    assert json.loads(cli("embed", "--json").out) == {**answer, "made": True}
    assert json.loads(cli("embed", "--json").out) == {**answer, "made": False}


def test_labels_of_a_checkpoint_that_was_asked_for_say_so(cli: Cli, full_run: RunFolder) -> None:
    cli("embed", "--checkpoint", 1)
    text = (
        "the labels come from the network after epoch 1, as embed --checkpoint asked;"
        " aeclust embed goes back to the last epoch\n"
    )
    assert text in cli("predict").err
    cli("embed", "--checkpoint", 11)  # by its number, but the last
    assert "as embed --checkpoint asked" not in cli("predict").err


# -- colours and clusters beside the latents ---------------------------------------------------


def test_colours_are_the_mean_of_every_image(cli: Cli, full_run: RunFolder, data: Data) -> None:
    cli("embed", data.val_images, "-o", "val.h5")
    for file, images in (
        (full_run.latents_file, data.images),
        (Path("val.h5"), data.val_images),
    ):
        colours = artifacts.read(file).arrays["colours"]
        assert colours.dtype == np.float32
        wanted = np.load(images).mean((1, 2), dtype=np.float64) / 255
        assert np.allclose(colours, wanted, atol=1e-6)


@pytest.mark.parametrize("epoch", [0, 1, 2, 3, 4])
def test_clusters_are_known_after_self_labelling_alone(
    cli: Cli, two_phase_run: RunFolder, data: Data, epoch: int
) -> None:
    assert cli("embed", "--checkpoint", epoch).code == 0
    made = artifacts.read(two_phase_run.latents_file).arrays
    assert np.array_equal(made["latents"], latents_of(two_phase_run, data.images, epoch))
    cli("embed", data.val_images, "--checkpoint", epoch, "-o", "val.h5")
    others = artifacts.read(Path("val.h5")).arrays
    if epoch <= 2:
        assert not {"assignments", "view_clusters"} & (made.keys() | others.keys())
        return
    network, _ = load_network(Context(two_phase_run), two_phase_run.manifest(), epoch)
    assert network.head is not None
    for arrays in (made, others):
        chances = arrays["assignments"]
        assert chances.shape == (len(arrays["ids"]), 2)
        assert chances.dtype == np.float32
        assert np.allclose(chances.sum(1), 1, atol=1e-5)
        with torch.inference_mode():
            codes = torch.from_numpy(arrays["latents"].copy())
            logits = (codes @ network.head.weight.T + network.head.bias).double().numpy()
        wanted = 1 / (1 + np.exp(logits[:, ::-1] - logits))
        assert np.allclose(chances, wanted, atol=1e-4)


def test_a_run_trained_with_auto_has_views_but_no_clusters(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", "auto").code == 0
    assert cli("embed").out.endswith("after epoch 2\n")
    names = {"latents", "ids", "fingerprints", "colours", "view_rows", "view_latents"}
    assert artifacts.read(Path("aeclust-run/latents.h5")).arrays.keys() == names


# -- other images and other places -------------------------------------------------------------


@pytest.mark.parametrize(("flags", "epoch"), [([], 11), (["--checkpoint", 0], 0)])
def test_other_images_go_to_another_file(
    cli: Cli, full_run: RunFolder, data: Data, flags: list[object], epoch: int
) -> None:
    before = files_of(full_run.path)
    code, out, _ = cli("embed", data.val_images, *flags, "-o", "val.h5")
    assert (code, out) == (0, f"val.h5: 24 vectors of 32 values after epoch {epoch}\n")
    made = artifacts.read(Path("val.h5"), "latents")
    assert np.array_equal(made.arrays["latents"], latents_of(full_run, data.val_images, epoch))
    assert made.parents["data"] == load(Source(location=str(data.val_images))).digest()
    assert made.details["epoch"] == epoch
    assert files_of(full_run.path) == before


def test_fewer_other_images_than_clusters_are_embedded(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    clusters = set()
    for row in range(4):  # of both clusters
        np.save("one.npy", np.load(data.images)[row : row + 1] // 2)
        assert cli("embed", "one.npy", "-o", f"{row}.h5").code == 0
        (cluster,) = artifacts.read(Path(f"{row}.h5"), "latents").arrays["view_clusters"]
        clusters.add(int(cluster))
    assert clusters == {0, 1}


def test_a_copy_of_the_images_is_the_same_images(cli: Cli, full_run: RunFolder, data: Data) -> None:
    shutil.copy(data.images, "copy.npy")
    assert cli("embed", "copy.npy").out.endswith(" (up to date, nothing to do)\n")


def test_o_copies_the_latents_of_the_run(cli: Cli, full_run: RunFolder) -> None:
    assert cli("embed", "-o", "deep/down/mine.h5").out.startswith("deep/down/mine.h5: 60 vectors")
    assert Path("deep/down/mine.h5").read_bytes() == full_run.latents_file.read_bytes()


def test_an_output_that_cannot_be_written_exits_4(cli: Cli, full_run: RunFolder) -> None:
    Path("file").touch()
    before = files_of(Path())
    result = cli("embed", "-o", "file/latents.h5", "-q")
    assert result.code == 4
    check_error(
        result.error,
        where="file/latents.h5",
        what="could not be written (File exists)",
        mend="free space or choose another place; what was there before is unharmed",
    )
    assert files_of(Path()) == before


def test_memory_does_not_grow_with_the_images(cli: Cli, run: RunFolder, tmp_path: Path) -> None:
    peaks = []
    for n in (16_384, 32_768):
        pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
        np.save(tmp_path / f"{n}.npy", pixels)
        del pixels
        source = Source(location=str(tmp_path / f"{n}.npy"))
        tracemalloc.start()
        made = embed_others(Context(run), source, tmp_path / f"{n}.h5")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert made is not None
        assert made.artifact.arrays["latents"].shape == (n, 32)
    # a row number for every image, 8 bytes; its latents would take 128
    assert peaks[1] - peaks[0] < 16 * 16_384, peaks
