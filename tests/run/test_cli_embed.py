"""aeclust embed: latents made when missing or stale, and otherwise left as they are."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from support import RECIPE, TWO_PHASES, Cli, Data, files_of, one_error

from aeclust import artifact as artifacts
from aeclust.images import Source, load
from aeclust.network import inference
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.latents import embed_others, load_network

FRESH = " (fresh, nothing to do)\n"


def latents_of(run: RunFolder, images: Path, epoch: int) -> np.ndarray:
    network, _ = load_network(Context(run), run.manifest(), epoch)
    return inference.embed(network, np.load(images))


def test_latents_are_those_of_the_last_weights(cli: Cli, run: RunFolder, data: Data) -> None:
    code, out, err = cli("embed")
    assert code == 0
    assert out == "aeclust-run/latents.h5: 60 latents of 32 values after epoch 11\n"
    assert err == (
        f"{data.images}: 60 images, 8 x 8 RGB, uint8\nnext: aeclust cluster, or aeclust plot\n"
    )
    made = artifacts.read(run.latents_file, "latents")
    assert np.array_equal(made.arrays["latents"], latents_of(run, data.images, 11))
    assert made.arrays["ids"].tolist() == list(range(60))
    assert made.details.items() >= {"checkpoint": "last", "epoch": 11}.items()
    assert made.parents == {
        "data": load(Source(location=str(data.images))).digest(),
        "weights": artifacts.read(run.weights_file(11)).digest,
    }


def test_fresh_latents_are_not_touched(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("embed")
    assert (code, err) == (0, "")
    assert out == f"aeclust-run/latents.h5: 60 latents of 32 values after epoch 11{FRESH}"
    assert files_of(full_run.path) == before


def test_json_says_file_shape_epoch_and_whether_it_was_made(cli: Cli, run: RunFolder) -> None:
    answer = {"file": "aeclust-run/latents.h5", "shape": [60, 32], "epoch": 11}
    assert json.loads(cli("embed", "--json").out) == {**answer, "made": True}
    assert json.loads(cli("embed", "--json").out) == {**answer, "made": False}


def test_another_checkpoint_makes_them_anew(cli: Cli, full_run: RunFolder, data: Data) -> None:
    result = cli("embed", "--checkpoint", 5)
    assert result.code == 0
    assert "latents are made anew: they are of checkpoint last\n" in result.err
    assert result.out.endswith("after epoch 5\n")
    made = artifacts.read(full_run.latents_file)
    assert np.array_equal(made.arrays["latents"], latents_of(full_run, data.images, 5))
    before = files_of(full_run.path)
    assert cli("embed", "--checkpoint", 5).out.endswith(FRESH)
    assert files_of(full_run.path) == before


def test_without_the_flag_it_goes_back_to_the_last(cli: Cli, full_run: RunFolder) -> None:
    first = full_run.latents_file.read_bytes()
    cli("embed", "--checkpoint", 5)
    result = cli("embed")
    assert "latents are made anew: they are of checkpoint 5\n" in result.err
    assert full_run.latents_file.read_bytes() == first


def test_a_checkpoint_asked_for_by_number_is_not_the_last_kept(
    cli: Cli, full_run: RunFolder
) -> None:
    cli("embed", "--checkpoint", 11)
    assert (
        artifacts.read(full_run.latents_file).details.items()
        >= {"checkpoint": 11, "epoch": 11}.items()
    )


def test_weights_replaced_make_them_stale(cli: Cli, full_run: RunFolder, data: Data) -> None:
    assert cli("train", data.images, *RECIPE, "--seed", 1, "--force").code == 0
    result = cli("embed")
    assert "latents are made anew: the weights have changed\n" in result.err
    made = artifacts.read(full_run.latents_file)
    assert made.parents["weights"] == artifacts.read(full_run.weights_file(11)).digest
    assert made.seed == 1


def test_training_on_other_images_makes_them_stale(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    assert cli("train", data.other, *RECIPE, "--force").code == 0
    result = cli("embed")
    assert "latents are made anew: they are of other images\n" in result.err
    assert artifacts.read(full_run.latents_file).arrays["latents"].shape == (30, 32)


def test_a_later_checkpoint_makes_them_stale(cli: Cli, run: RunFolder, tmp_path: Path) -> None:
    last = shutil.move(run.weights_file(11), tmp_path / "aside.h5")
    assert cli("embed").out.endswith("after epoch 10\n")
    shutil.move(last, run.weights_file(11))
    result = cli("embed")
    assert "latents are made anew: there is a later checkpoint\n" in result.err
    assert result.out.endswith("after epoch 11\n")


def test_force_makes_its_own_output_only(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    result = cli("embed", "--force")
    assert result.out.endswith("after epoch 11\n")
    after = files_of(full_run.path)
    assert after["latents.h5"][0] == before["latents.h5"][0]
    assert after.pop("latents.h5")[1] > before.pop("latents.h5")[1]
    assert after == before


def test_damaged_latents_are_named_and_kept(cli: Cli, full_run: RunFolder) -> None:
    content = bytearray(full_run.latents_file.read_bytes())
    content[-1] ^= 1
    full_run.latents_file.write_bytes(content)
    before = files_of(full_run.path)
    assert one_error(cli("embed", "-q")) == (
        "aeclust-run/latents.h5: damaged or not from aeclust: its bytes do not match its SHA-256; "
        "expected a file as aeclust wrote it; delete it to have it made anew, or restore a copy"
    )
    assert files_of(full_run.path) == before


@pytest.mark.parametrize("content", [b"", b"not HDF5"])
def test_files_of_another_kind_are_named_and_kept(cli: Cli, run: RunFolder, content: bytes) -> None:
    run.latents_file.write_bytes(content)
    assert one_error(cli("embed", "-q")).startswith(
        "aeclust-run/latents.h5: is not an aeclust artifact; "
    )
    assert run.latents_file.read_bytes() == content


def test_a_damaged_checkpoint_is_named(cli: Cli, run: RunFolder) -> None:
    run.weights_file(11).write_bytes(run.weights_file(11).read_bytes()[:-8])
    before = files_of(run.path)
    assert one_error(cli("embed", "-q")).startswith(
        "aeclust-run/weights/epoch-0011.h5: damaged or not from aeclust: "
    )
    assert files_of(run.path) == before


# -- colours and clusters beside the latents ---------------------------------------------------


def colours_of(images: Path) -> np.ndarray:
    pixels: np.ndarray = np.load(images)
    return np.asarray(pixels.mean((1, 2), dtype=np.float64) / 255)


def test_colours_are_the_mean_of_every_image(cli: Cli, full_run: RunFolder, data: Data) -> None:
    colours = artifacts.read(full_run.latents_file).arrays["colours"]
    assert colours.shape == (60, 3)
    assert colours.dtype == np.float32
    assert np.allclose(colours, colours_of(data.images), atol=1e-6)
    cli("embed", data.val_images, "-o", "val.h5")
    colours = artifacts.read(Path("val.h5")).arrays["colours"]
    assert np.allclose(colours, colours_of(data.val_images), atol=1e-6)


def test_one_phase_knows_no_clusters(full_run: RunFolder) -> None:
    assert "assignments" not in artifacts.read(full_run.latents_file).arrays


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
        assert not {"assignments"} & (made.keys() | others.keys())
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


def test_without_the_flag_it_leaves_the_end_of_the_first_phase(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    first = two_phase_run.latents_file.read_bytes()
    cli("cluster", "-k", 3)
    result = cli("embed")
    assert "latents are made anew: they are of checkpoint end of the first phase\n" in result.err
    assert result.out.endswith("after epoch 4\n")
    assert two_phase_run.latents_file.read_bytes() == first


def test_a_run_trained_with_auto_has_no_clusters_to_know(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", "auto").code == 0
    assert cli("embed").out.endswith("after epoch 2\n")
    made = artifacts.read(Path("aeclust-run/latents.h5")).arrays
    assert made.keys() == {"latents", "ids", "fingerprints", "colours", "view_latents"}


def test_labels_of_a_checkpoint_that_was_asked_for_say_so(cli: Cli, full_run: RunFolder) -> None:
    cli("embed", "--checkpoint", 1)
    told = (
        "labels are of epoch 1, which embed --checkpoint asked for;"
        " aeclust embed goes back to the last\n"
    )
    for command in ("predict", "predict", "cluster"):  # made, and fresh
        assert told in cli(command).err
    for last in ([], ["--checkpoint", 11]):
        cli("embed", *last)
        for command in ("predict", "cluster"):
            assert "of epoch" not in cli(command).err


def test_fewer_other_images_than_clusters_are_embedded(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    for row in range(4):  # of both clusters
        np.save("one.npy", np.load(data.images)[row : row + 1] // 2)
        assert cli("embed", "one.npy", "-o", f"{row}.h5").code == 0
        assert artifacts.read(Path(f"{row}.h5"), "latents").arrays["view_clusters"].shape == (1,)
    found = {int(artifacts.read(Path(f"{i}.h5")).arrays["view_clusters"][0]) for i in range(4)}
    assert found == {0, 1}


# -- other images and other places -------------------------------------------------------------


def test_other_images_go_to_a_file_of_their_own(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    code, out, _ = cli("embed", data.val_images, "-o", "val.h5")
    assert (code, out) == (0, "val.h5: 24 latents of 32 values after epoch 11\n")
    made = artifacts.read(Path("val.h5"), "latents")
    assert np.array_equal(made.arrays["latents"], latents_of(full_run, data.val_images, 11))
    assert made.parents["data"] == load(Source(location=str(data.val_images))).digest()
    assert files_of(full_run.path) == before


def test_other_images_after_any_checkpoint(cli: Cli, run: RunFolder, data: Data) -> None:
    assert cli("embed", data.val_images, "--checkpoint", 0, "-o", "val.h5").code == 0
    made = artifacts.read(Path("val.h5"))
    assert np.array_equal(made.arrays["latents"], latents_of(run, data.val_images, 0))
    assert made.details["epoch"] == 0


def test_other_images_without_o_are_refused(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    assert one_error(cli("embed", data.val_images, "-q")) == (
        f"{data.val_images}: these are not the images of the run; "
        "expected -o FILE for the latents of other images; add -o, or leave DATA out"
    )
    assert files_of(full_run.path) == before


def test_the_runs_own_images_may_be_named(cli: Cli, full_run: RunFolder, data: Data) -> None:
    shutil.copy(data.images, "copy.npy")
    assert cli("embed", "copy.npy").out.endswith(FRESH)


def test_o_copies_the_runs_own_latents(cli: Cli, full_run: RunFolder) -> None:
    assert cli("embed", "-o", "deep/down/mine.h5").out.startswith("deep/down/mine.h5: 60 latents")
    assert Path("deep/down/mine.h5").read_bytes() == full_run.latents_file.read_bytes()


def test_an_output_that_cannot_be_written_exits_4(cli: Cli, full_run: RunFolder) -> None:
    Path("file").touch()
    before = files_of(Path())
    assert one_error(cli("embed", "-o", "file/latents.h5", "-q"), 4) == (
        "file/latents.h5: could not be written (File exists); "
        "free space or choose another place; what was there before is unharmed"
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
