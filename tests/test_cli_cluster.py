"""aeclust cluster: labels made when missing or stale, flags, and what later commands take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPE, Cli, Data, files_of, one_error

from aeclust import artifacts
from aeclust.clustering import cluster
from aeclust.recipes import CLUSTERERS
from aeclust.reduction import reduce
from aeclust.run import RunFolder

FRESH = " (fresh, nothing to do)\n"


def labels_of(run: RunFolder) -> artifacts.Artifact:
    return artifacts.read(run.labels_file, "labels")


def predicted(text: str) -> list[int]:
    return [int(line.split(",")[1]) for line in text.splitlines()[1:]]


# -- what it makes -----------------------------------------------------------------------------


def test_missing_latents_are_made_first_and_it_says_so(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    code, out, err = cli("cluster")
    assert code == 0
    assert err.splitlines() == [
        "latents are missing: embedding first",
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "clustering 60 latents: pca:2 > kmeans, k = 2",
    ]
    labels = labels_of(run)
    sizes = np.bincount(labels.arrays["labels"]).tolist()
    mean = labels.arrays["confidence"].mean()
    assert out == (
        f"aeclust-run/labels.h5: 60 images in clusters of {sizes[0]}, {sizes[1]};"
        f" mean confidence {mean:.3f}\n"
    )


def test_labels_are_those_of_the_recipes_chain(full_run: RunFolder, data: Data) -> None:
    latents = artifacts.read(full_run.latents_file)
    values = latents.arrays["latents"]
    points = reduce(values, ("pca:2",), seed=0)
    wanted = cluster(points, 2, "kmeans", seed=0)
    labels = labels_of(full_run)
    assert np.array_equal(labels.arrays["labels"], wanted)
    assert np.array_equal(labels.arrays["embedding"], points)
    assert np.array_equal(labels.arrays["reference_latents"], values)
    assert np.array_equal(labels.arrays["reference_labels"], wanted)
    assert labels.arrays["ids"].tolist() == list(range(60))
    assert labels.parents == {**latents.parents, "latents": latents.digest}
    assert np.allclose(labels.arrays["confidence"], 1.0)
    truth = np.load(data.labels)
    assert np.array_equal(wanted, truth) or np.array_equal(wanted, 1 - truth)


def test_json_says_file_sizes_confidence_and_whether_it_was_made(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    answer = json.loads(cli("cluster", "--json").out)
    sizes = sorted(np.bincount(np.load(data.labels)).tolist(), reverse=True)
    assert answer == {
        "file": "aeclust-run/labels.h5",
        "sizes": sizes,
        "confidence": 1.0,
        "made": True,
    }
    assert json.loads(cli("cluster", "--json").out) == {**answer, "made": False}


@pytest.mark.parametrize("clusterer", CLUSTERERS)
def test_every_clusterer_can_be_asked_for(cli: Cli, full_run: RunFolder, clusterer: str) -> None:
    assert cli("cluster", "--clusterer", clusterer, "-k", 3).code == 0
    labels = labels_of(full_run)
    assert labels.recipe["clusterer"] == clusterer
    assert set(labels.arrays["labels"].tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("reduction", "steps"),
    [("none", []), ("pca:5", ["pca:5"]), ("kpca:3", ["kpca:3"])],
)
def test_every_reduction_can_be_asked_for(
    cli: Cli, full_run: RunFolder, reduction: str, steps: list[str]
) -> None:
    result = cli("cluster", "--reduction", reduction)
    assert f"clustering 60 latents: {' > '.join([*steps, 'kmeans'])}, k = 2\n" in result.err
    labels = labels_of(full_run)
    assert labels.recipe["reduction"] == steps
    assert "embedding" not in labels.arrays


def test_the_report_chain_and_its_perplexity(cli: Cli, full_run: RunFolder) -> None:
    assert cli("cluster", "--reduction", "kpca:20,tsne:2", "--perplexity", 7).code == 0
    labels = labels_of(full_run)
    assert labels.recipe["reduction"] == ["kpca:20", "tsne:2"]
    assert labels.recipe["perplexity"] == 7.0
    assert labels.arrays["embedding"].shape == (60, 2)


def test_o_copies_the_labels(cli: Cli, full_run: RunFolder) -> None:
    assert cli("cluster", "-o", "mine.h5").out.startswith("mine.h5: 60 images in clusters of ")
    assert Path("mine.h5").read_bytes() == full_run.labels_file.read_bytes()


# -- fresh and stale ---------------------------------------------------------------------------


def test_fresh_labels_are_not_touched(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("cluster")
    assert (code, err) == (0, "")
    assert out.endswith(FRESH)
    assert files_of(full_run.path) == before


def test_equal_flags_find_them_fresh_and_none_go_back_to_the_recipe(
    cli: Cli, full_run: RunFolder
) -> None:
    first = full_run.labels_file.read_bytes()
    result = cli("cluster", "-k", 3)
    assert "labels are made anew: they were asked for with other flags\n" in result.err
    before = files_of(full_run.path)
    assert cli("cluster", "-k", 3).out.endswith(FRESH)
    assert files_of(full_run.path) == before
    assert "they were asked for with other flags\n" in cli("cluster").err
    assert full_run.labels_file.read_bytes() == first


def test_the_seed_is_a_flag_like_others(cli: Cli, full_run: RunFolder) -> None:
    assert "they were asked for with other flags\n" in cli("cluster", "--seed", 3).err
    assert labels_of(full_run).seed == 3
    assert cli("cluster", "--seed", 3).out.endswith(FRESH)


def test_predict_takes_the_clusters_asked_for(cli: Cli, full_run: RunFolder) -> None:
    cli("cluster", "-k", 3)
    before = files_of(full_run.path)
    code, out, err = cli("predict")
    assert (code, err) == (0, "")
    assert set(predicted(out)) == {0, 1, 2}
    assert files_of(full_run.path) == before


def test_plot_takes_the_clusters_asked_for(cli: Cli, full_run: RunFolder, data: Data) -> None:
    cli("cluster", "-k", 3)
    before = files_of(full_run.path)
    answer = json.loads(cli("plot", "--labels", data.labels, "--json").out)
    assert len(answer["sizes"]) == 3
    assert files_of(full_run.path).keys() - before.keys() == {"embedding.png"}


def test_cluster_takes_the_checkpoint_asked_for(cli: Cli, full_run: RunFolder) -> None:
    cli("embed", "--checkpoint", 5)
    latents = files_of(full_run.path)["latents.h5"]
    result = cli("cluster")
    assert "labels are made anew: the latents have changed\n" in result.err
    assert labels_of(full_run).details.items() >= {"checkpoint": 5, "epoch": 5}.items()
    assert files_of(full_run.path)["latents.h5"] == latents
    assert cli("cluster").out.endswith(FRESH)


def test_stale_labels_are_made_anew_with_the_flags_they_were_asked_for(
    cli: Cli, full_run: RunFolder
) -> None:
    cli("cluster", "-k", 3, "--seed", 4)
    cli("embed", "--checkpoint", 5)
    result = cli("predict")
    assert "labels are made anew: the latents have changed\n" in result.err
    assert set(predicted(result.out)) == {0, 1, 2}
    labels = labels_of(full_run)
    assert labels.recipe["k"] == 3
    assert labels.seed == 4
    assert labels.details["epoch"] == 5


def test_a_new_training_makes_latents_and_labels_stale(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    cli("train", data.images, *RECIPE, "--seed", 1, "--force")
    result = cli("predict")
    assert "latents are made anew: the weights have changed\n" in result.err
    assert "labels are made anew: the weights have changed\n" in result.err
    assert (
        labels_of(full_run).parents["weights"] == artifacts.read(full_run.weights_file(11)).digest
    )


def test_training_on_other_images_forgets_the_flags_of_the_old_labels(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    cli("cluster", "-k", 3)
    cli("train", data.other, *RECIPE, "--force")
    assert set(predicted(cli("predict").out)) == {0, 1}
    assert len(labels_of(full_run).arrays["labels"]) == 30


def test_a_lost_checkpoint_makes_latents_of_the_last(cli: Cli, full_run: RunFolder) -> None:
    cli("embed", "--checkpoint", 5)
    full_run.weights_file(5).unlink()
    result = cli("cluster")
    assert "latents are made anew: their checkpoint is gone\n" in result.err
    assert labels_of(full_run).details.items() >= {"checkpoint": "last", "epoch": 11}.items()


@pytest.mark.parametrize("command", ["cluster", "predict"])
def test_deleted_latents_come_back_and_leave_labels_alone(
    cli: Cli, full_run: RunFolder, command: str
) -> None:
    before = files_of(full_run.path)
    full_run.latents_file.unlink()
    result = cli(command)
    assert result.code == 0
    assert "latents are missing: embedding first\n" in result.err
    after = files_of(full_run.path)
    assert after.pop("latents.h5")[0] == before.pop("latents.h5")[0]
    assert after == before


def test_deleted_labels_come_back(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    full_run.labels_file.unlink()
    assert "labels are missing: clustering first\n" in cli("predict").err
    after = files_of(full_run.path)
    assert after.pop("labels.h5")[0] == before.pop("labels.h5")[0]
    assert after == before


def test_force_makes_its_own_output_only(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    assert not cli("cluster", "--force").out.endswith(FRESH)
    after = files_of(full_run.path)
    assert after["labels.h5"][0] == before["labels.h5"][0]
    assert after.pop("labels.h5")[1] > before.pop("labels.h5")[1]
    assert after == before


def test_force_keeps_the_checkpoint_of_the_latents(cli: Cli, full_run: RunFolder) -> None:
    cli("embed", "--checkpoint", 5)
    assert cli("cluster", "--force").code == 0
    assert labels_of(full_run).details["epoch"] == 5


# -- present but invalid -----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["cluster", "predict", "plot"])
def test_damaged_labels_are_named_and_kept(cli: Cli, full_run: RunFolder, command: str) -> None:
    content = bytearray(full_run.labels_file.read_bytes())
    content[600] ^= 1
    full_run.labels_file.write_bytes(content)
    before = files_of(full_run.path)
    assert one_error(cli(command)).startswith(
        "aeclust-run/labels.h5: damaged or not from aeclust: its bytes do not match its SHA-256; "
    )
    assert files_of(full_run.path) == before


@pytest.mark.parametrize("command", ["cluster", "predict", "plot"])
def test_garbage_for_latents_is_named_and_kept(cli: Cli, full_run: RunFolder, command: str) -> None:
    full_run.latents_file.write_bytes(b"garbage")
    before = files_of(full_run.path)
    assert one_error(cli(command)).startswith(
        "aeclust-run/latents.h5: is not an aeclust artifact; "
    )
    assert files_of(full_run.path) == before


@pytest.mark.parametrize("command", ["embed", "cluster", "predict", "plot", "checkpoint-curve"])
def test_a_damaged_manifest_is_named_and_kept(cli: Cli, full_run: RunFolder, command: str) -> None:
    full_run.manifest_file.write_text('{"format": 1}')
    before = files_of(full_run.path)
    assert one_error(cli(command)) == (
        "aeclust-run/run.json: is damaged (KeyError: 'data'); expected the file as aeclust train "
        "wrote it; restore a copy, or train again with --force"
    )
    assert files_of(full_run.path) == before


def test_force_goes_round_damaged_labels_of_its_own(cli: Cli, full_run: RunFolder) -> None:
    good = full_run.labels_file.read_bytes()
    full_run.labels_file.write_bytes(b"garbage")
    assert cli("cluster", "--force").code == 0
    assert full_run.labels_file.read_bytes() == good
