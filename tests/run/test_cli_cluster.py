"""aeclust cluster: labels made when missing or stale, flags, and what later commands take."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support import BACK, BY_COLOUR, RECIPE, TWO_PHASES, Cli, Data, files_of, one_error

from aeclust import artifact as artifacts
from aeclust.clusters import clusterers, reduction
from aeclust.clusters.chain import Clustering, Views, cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.consensus import Member
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import score
from aeclust.recipe import CLUSTERERS, Recipe
from aeclust.run import caches
from aeclust.run.folder import RunFolder

FRESH = " (fresh, nothing to do)\n"

NEXT = "next: aeclust plot, or aeclust predict > submission.csv"


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
        f"warning: {BY_COLOUR}",
        NEXT,
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


def test_json_says_all_that_is_known_of_them(cli: Cli, run: RunFolder, data: Data) -> None:
    answer = json.loads(cli("cluster", "--json").out)
    sizes = sorted(np.bincount(np.load(data.labels)).tolist(), reverse=True)
    assert answer == {
        "file": "aeclust-run/labels.h5",
        "k": 2,
        "sizes": sizes,
        "confidence": 1.0,
        "agreement": None,
        "view_agreement": None,
        "members": {},
        "warnings": [BY_COLOUR],
        "made": True,
    }
    assert json.loads(cli("cluster", "--json").out) == {**answer, "made": False}


@pytest.mark.parametrize("clusterer", CLUSTERERS)
def test_every_clusterer_can_be_asked_for(cli: Cli, full_run: RunFolder, clusterer: str) -> None:
    assert cli("cluster", "--clusterer", clusterer, "-k", 3).code == 0
    labels = labels_of(full_run)
    assert labels.recipe["clusterer"] == clusterer
    assert set(labels.arrays["labels"].tolist()) == {0, 1, 2}
    voted = clusterer == "consensus"
    assert ("shares" in labels.arrays) is voted
    assert (labels.details["agreement"] is not None) is voted
    assert bool(labels.details["members"]) is voted


@pytest.mark.parametrize(
    ("reduction", "steps"),
    [
        ("none", []),
        ("pca:5", ["pca:5"]),
        ("kpca:3", ["kpca:3"]),
        ("sphere,pca:3", ["sphere", "pca:3"]),
    ],
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


def test_what_stood_in_for_what_is_printed_and_recorded(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "substitutions" not in labels_of(full_run).details
    monkeypatch.setattr(reduction, "KERNEL_POINTS", 59)
    monkeypatch.setattr(reduction, "LANDMARKS", 40)
    monkeypatch.setitem(clusterers.MOST, "spectral", 50)
    lines = [
        "kernel PCA of 60 points is approximated by Nystroem with 40 landmarks",
        "spectral clustering of 60 points is that of 50 random ones, extended by the vote of"
        " neighbours",
    ]
    result = cli("cluster", "--reduction", "kpca:3", "--clusterer", "spectral")
    assert result.code == 0
    assert result.err.splitlines()[1:4] == [
        "clustering 60 latents: kpca:3 > spectral, k = 2",
        *lines,
    ]
    assert labels_of(full_run).details["substitutions"] == lines
    shown = json.loads(cli("info", full_run.labels_file, "--json").out)
    assert shown["details"]["substitutions"] == lines


def test_the_sphere_forgets_how_far_a_latent_lies_from_the_mean(
    cli: Cli, full_run: RunFolder
) -> None:
    assert cli("cluster", "--reduction", "sphere", "--clusterer", "agglomerative").code == 0
    values = artifacts.read(full_run.latents_file).arrays["latents"].astype(np.float64)
    away = values - values.mean(0)
    points = (away / np.linalg.norm(away, axis=1, keepdims=True)).astype(np.float32)
    wanted = cluster(points, 2, "agglomerative", seed=0)
    assert np.array_equal(labels_of(full_run).arrays["labels"], wanted)


def test_o_copies_the_labels(cli: Cli, full_run: RunFolder) -> None:
    assert cli("cluster", "-o", "mine.h5").out.startswith("mine.h5: 60 images in clusters of ")
    assert Path("mine.h5").read_bytes() == full_run.labels_file.read_bytes()


# -- fresh and stale ---------------------------------------------------------------------------


def test_fresh_labels_are_not_touched(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("cluster")
    assert (code, err) == (0, f"warning: {BY_COLOUR}\n")  # again
    assert out.endswith(FRESH)
    assert files_of(full_run.path) == before


def test_equal_flags_find_them_fresh_and_none_go_back_to_the_recipe(
    cli: Cli, full_run: RunFolder
) -> None:
    first = full_run.labels_file.read_bytes()
    latents = files_of(full_run.path)["latents.h5"]
    result = cli("cluster", "-k", 3)
    # these latents know no k: nothing to go back to
    assert result.err.splitlines() == [
        "labels are made anew: they were asked for with other flags",
        "clustering 60 latents: pca:2 > kmeans, k = 3",
        NEXT,
    ]
    assert files_of(full_run.path)["latents.h5"] == latents
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


# -- members and warnings ----------------------------------------------------------------------


def test_members_vote_and_their_agreement_is_shown(cli: Cli, full_run: RunFolder) -> None:
    result = cli("cluster", "--reduction", "pca:6", "--clusterer", "consensus", "-k", 3)
    values = artifacts.read(full_run.latents_file).arrays["latents"]
    labels = labels_of(full_run)
    recipe = Recipe.from_json(labels.recipe)
    found = cluster_latents(values, recipe, seed=0)
    assert found.shares is not None
    assert np.array_equal(labels.arrays["labels"], found.labels)
    assert np.array_equal(labels.arrays["shares"], found.shares)
    assert np.array_equal(labels.arrays["confidence"], found.shares.max(1))
    kinds = ("kmeans", "gmm", "gmm-tied", "spectral")
    names = [f"{kind} in {size} dimensions" for size in (6, 3) for kind in kinds]
    assert labels.details["members"].keys() == set(names)
    assert labels.details["members"] == {m.name: m.agreement for m in found.members}
    assert labels.details["agreement"] == found.agreement
    assert labels.details["k"] == 3
    sizes = ", ".join(map(str, np.bincount(found.labels)))
    mean = labels.arrays["confidence"].mean()
    assert result.out == (
        f"aeclust-run/labels.h5: 60 images in clusters of {sizes}; mean confidence {mean:.3f},"
        f" agreement of the members {found.agreement:.3f}\n"
    )
    answer = json.loads(cli("cluster", "--json", *result_flags(labels)).out)
    assert (answer["k"], answer["made"]) == (3, False)
    assert answer["agreement"] == found.agreement
    assert answer["members"] == labels.details["members"]
    assert answer["warnings"] == labels.details["warnings"]


def result_flags(labels: artifacts.Artifact) -> list[str]:
    """The flags that labels were asked for with."""
    recipe = labels.recipe
    flags = ["-k", str(recipe["k"]), "--clusterer", recipe["clusterer"]]
    return [*flags, "--reduction", ",".join(recipe["reduction"])]


def test_the_consensus_takes_no_more_axes_than_there_are(cli: Cli, full_run: RunFolder) -> None:
    assert cli("cluster", "--reduction", "pca:999", "--clusterer", "consensus").code == 0
    members = labels_of(full_run).details["members"]
    assert "kmeans in 32 dimensions" in members
    assert "kmeans in 16 dimensions" in members
    assert len(members) == 8


def with_latents(run: RunFolder, values: np.ndarray) -> None:
    """Other latents of the same weights."""
    latents = artifacts.read(run.latents_file)
    arrays = {**latents.arrays, "latents": values.astype(np.float32)}
    artifacts.write(run.latents_file, dataclasses.replace(latents, arrays=arrays))


def warnings_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("warning: ")]


def test_a_nearly_empty_cluster_is_warned_of(cli: Cli, full_run: RunFolder) -> None:
    rng = np.random.default_rng(0)
    with_latents(full_run, rng.normal(0, 1, (60, 4)) + 1000 * np.eye(60)[:, :4] * [1, 1, 0, 0])
    result = cli("cluster", "--reduction", "none", "-k", 3)
    text = "clusters 1, 2 are nearly empty (2 of 60 images together)"
    assert warnings_in(result.err) == [f"warning: {text}"]
    assert labels_of(full_run).details["warnings"] == [text]


def test_members_that_do_not_agree_are_warned_of(cli: Cli, full_run: RunFolder) -> None:
    with_latents(full_run, np.random.default_rng(0).normal(0, 1, (60, 32)))
    flags = ["--reduction", "pca:8", "--clusterer", "consensus", "-k", 5]
    result = cli("cluster", *flags)
    agreement = labels_of(full_run).details["agreement"]
    assert agreement < 0.75
    assert (
        f"warning: the members of the consensus agree with it on only {agreement:.0%} of the"
        " images: other seeds or clusterers may group them otherwise\n"
    ) in result.err
    assert f", agreement of the members {agreement:.3f}\n" in result.out


def test_all_doubts_are_found_once_told_in_order_and_kept(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Clustering, np.ndarray]] = []

    def doubting(found: Clustering, colours: np.ndarray, *, seed: int) -> list[str]:
        seen.append((found, colours))
        return ["one", "two"]

    monkeypatch.setattr(caches, "doubts", doubting)
    result = cli("cluster", "--clusterer", "consensus")
    assert result.err.endswith("k = 2\nwarning: one\nwarning: two\n" + NEXT + "\n")
    assert labels_of(full_run).details["warnings"] == ["one", "two"]
    ((found, colours),) = seen
    assert np.array_equal(found.labels, labels_of(full_run).arrays["labels"])
    assert all(isinstance(member, Member) for member in found.members)
    assert np.array_equal(colours, artifacts.read(full_run.latents_file).arrays["colours"])
    fresh = cli("cluster", "--clusterer", "consensus", "--json")
    assert (json.loads(fresh.out)["warnings"], fresh.err) == (
        ["one", "two"],
        "warning: one\nwarning: two\n",
    )
    assert len(seen) == 1


def test_latents_from_before_colours_are_clustered_without_that_warning(
    cli: Cli, full_run: RunFolder
) -> None:
    latents = artifacts.read(full_run.latents_file)
    arrays = {name: value for name, value in latents.arrays.items() if name != "colours"}
    artifacts.write(full_run.latents_file, dataclasses.replace(latents, arrays=arrays))
    result = cli("cluster")
    assert result.err.splitlines() == [
        "labels are made anew: the latents have changed",
        "clustering 60 latents: pca:2 > kmeans, k = 2",
        NEXT,
    ]
    assert labels_of(full_run).details["warnings"] == []


# -- two phases --------------------------------------------------------------------------------


def test_after_self_labelling_the_network_has_its_say(two_phase_run: RunFolder) -> None:
    latents, labels = artifacts.read(two_phase_run.latents_file), labels_of(two_phase_run)
    recipe = two_phase_run.manifest().recipe
    values, chances = latents.arrays["latents"], latents.arrays["assignments"]
    seen = latents.arrays["view_clusters"]
    found = cluster_latents(
        values, recipe, seed=0, assignments=chances, views=Views(np.arange(60), clusters=seen)
    )
    assert np.array_equal(labels.arrays["labels"], found.labels)
    assert score(found.labels, chances.argmax(1)).accuracy == 1.0
    assert labels.details["view_agreement"] == found.view_agreement
    assert found.view_agreement == score(seen, found.labels).accuracy
    assert found.shares is not None
    assert np.array_equal(labels.arrays["shares"], found.shares)
    assert np.array_equal(labels.arrays["confidence"], found.shares.max(1))
    assert labels.details.items() >= {"checkpoint": "last", "epoch": 4, "k": 2}.items()
    assert labels.details["agreement"] == 1.0
    assert labels.parents == {**latents.parents, "latents": latents.digest}


def test_what_views_say_is_printed(cli: Cli, two_phase_run: RunFolder) -> None:
    answer = json.loads(cli("cluster", "--json", "--force").out)
    assert 0.5 <= answer["view_agreement"] <= 1
    assert cli("cluster").out == (
        f"aeclust-run/labels.h5: 60 images in clusters of {', '.join(map(str, answer['sizes']))};"
        f" mean confidence {answer['confidence']:.3f}, agreement of the members"
        f" {answer['agreement']:.3f}, of random views {answer['view_agreement']:.3f}"
        " (fresh, nothing to do)\n"
    )
    # both doubts together, and nothing else, make the confidence
    assert answer["confidence"] == pytest.approx(
        answer["agreement"] * answer["view_agreement"], abs=1e-4
    )


def test_latents_that_know_nothing_of_views_are_taken_as_they_are(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    """As an older version wrote them."""
    file = two_phase_run.latents_file
    latents = artifacts.read(file)
    arrays = {name: a for name, a in latents.arrays.items() if not name.startswith("view_")}
    artifacts.write(file, dataclasses.replace(latents, arrays=arrays))
    assert json.loads(cli("cluster", "--json").out)["view_agreement"] is None
    assert "random views" not in cli("cluster").out


def test_latents_with_too_few_views_are_refused(cli: Cli, two_phase_run: RunFolder) -> None:
    file = two_phase_run.latents_file
    latents = artifacts.read(file)
    views = {name: a[:3] for name, a in latents.arrays.items() if name.startswith("view_")}
    arrays = {**latents.arrays, **views}
    artifacts.write(file, dataclasses.replace(latents, arrays=arrays))
    assert one_error(cli("cluster", "-q")) == (
        "aeclust-run/latents.h5: knows 3 views; expected 60 of them;"
        " make it anew with aeclust embed --force"
    )


def test_another_k_goes_back_to_the_end_of_the_first_phase(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    code, out, err = cli("cluster", "-k", 3)
    assert code == 0
    assert err.splitlines()[:4] == [
        BACK,
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "labels are made anew: they were asked for with other flags",
        "clustering 60 latents: sphere > pca:20 > consensus, k = 3",
    ]
    latents, labels = artifacts.read(two_phase_run.latents_file), labels_of(two_phase_run)
    place = {"checkpoint": "end of the first phase", "epoch": 2}
    assert latents.details.items() >= place.items()
    assert labels.details.items() >= {**place, "k": 3}.items()
    digest = artifacts.read(two_phase_run.weights_file(2)).digest
    assert latents.parents["weights"] == labels.parents["weights"] == digest
    assert not {"assignments", "view_clusters"} & latents.arrays.keys()
    recipe = dataclasses.replace(two_phase_run.manifest().recipe, k=3)
    views = Views(np.arange(60), latents.arrays["view_latents"])
    found = cluster_latents(latents.arrays["latents"], recipe, seed=0, views=views)
    assert found.view_agreement is not None
    assert labels.details["view_agreement"] == found.view_agreement
    assert np.array_equal(labels.arrays["labels"], found.labels)
    assert np.bincount(found.labels).tolist() == labels_sizes(out)
    cli("embed", "--checkpoint", 2)
    by_number = artifacts.read(two_phase_run.latents_file).arrays["latents"]
    assert np.array_equal(by_number, latents.arrays["latents"])


def labels_sizes(text: str) -> list[int]:
    """The sizes that the command printed."""
    return [int(size) for size in text.split("clusters of ")[1].split(";")[0].split(", ")]


def test_going_back_is_done_once_and_undone_by_the_plain_command(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    first = files_of(two_phase_run.path)
    cli("cluster", "-k", 3)
    before = files_of(two_phase_run.path)
    code, out, err = cli("cluster", "-k", 3)
    assert (code, len(err.splitlines())) == (0, len(warnings_in(err)))
    assert out.endswith(FRESH)
    assert files_of(two_phase_run.path) == before
    # from one k to another there is no need to embed again
    err = cli("cluster", "-k", 4).err
    assert "going back" not in err
    assert files_of(two_phase_run.path)["latents.h5"] == before["latents.h5"]
    result = cli("cluster")
    assert "they were asked for with other flags\n" in result.err
    assert "going back" not in result.err
    after = files_of(two_phase_run.path)
    assert {n: content for n, (content, _) in after.items()} == {
        n: content for n, (content, _) in first.items()
    }


def test_other_flags_than_k_stay_with_the_last_checkpoint(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    latents = files_of(two_phase_run.path)["latents.h5"]
    first = labels_of(two_phase_run)
    flags = ["--clusterer", "kmeans", "--reduction", "sphere", "--seed", 3, "-k", 2]
    result = cli("cluster", *flags)
    assert result.code == 0, result.err
    assert "going back" not in result.err
    assert files_of(two_phase_run.path)["latents.h5"] == latents
    assert labels_of(two_phase_run).details["epoch"] == 4
    assert "shares" not in labels_of(two_phase_run).arrays
    cli("cluster", "--seed", 3)
    # another seed draws other members, but the network is the same
    assert np.array_equal(labels_of(two_phase_run).arrays["shares"], first.arrays["shares"])


def test_a_checkpoint_asked_for_by_number_is_kept_for_another_k(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    for epoch in (1, 3):
        cli("embed", "--checkpoint", epoch)
        result = cli("cluster", "-k", 3)
        assert result.code == 0
        assert "going back" not in result.err
        place = {"checkpoint": epoch, "epoch": epoch, "k": 3}
        assert labels_of(two_phase_run).details.items() >= place.items()


def test_a_lost_end_of_the_first_phase_is_named(cli: Cli, two_phase_run: RunFolder) -> None:
    two_phase_run.weights_file(2).unlink()
    before = files_of(two_phase_run.path)
    text = one_error(cli("cluster", "-k", 3, "-q"))
    assert text.startswith(
        "aeclust-run: there is no checkpoint of epoch 2; expected one of 0, 1, 3, 4; "
    )
    assert files_of(two_phase_run.path) == before
    assert cli("cluster").out.endswith(FRESH)


# -- an estimated number of clusters -----------------------------------------------------------


def test_auto_estimates_k_and_says_so(cli: Cli, full_run: RunFolder, data: Data) -> None:
    wanted = labels_of(full_run).arrays["labels"]
    code, out, err = cli("cluster", "-k", "auto")
    assert code == 0
    assert err.splitlines() == [
        "labels are made anew: they were asked for with other flags",
        "clustering 60 latents: pca:2 > kmeans, k = estimated",
        "estimated 2 clusters; state another number with -k",
        f"warning: {BY_COLOUR}",
        NEXT,
    ]
    labels = labels_of(full_run)
    assert np.array_equal(labels.arrays["labels"], wanted)
    assert labels.recipe["k"] == 0
    assert labels.details["k"] == 2
    before = files_of(full_run.path)
    fresh = cli("cluster", "-k", "auto")
    assert (fresh.out, fresh.err) == (out.replace("\n", FRESH), f"warning: {BY_COLOUR}\n")
    answer = json.loads(cli("cluster", "-k", "auto", "--json").out)
    assert (answer["k"], len(answer["sizes"]), answer["made"]) == (2, 2, False)
    assert files_of(full_run.path) == before
    # the number itself is another request
    assert "they were asked for with other flags\n" in cli("cluster", "-k", 2).err


def test_auto_says_when_it_tried_no_more(cli: Cli, full_run: RunFolder) -> None:
    corners = 100 * np.eye(6)[np.arange(60) % 6]  # as many as 60 images allow
    with_latents(full_run, corners + np.random.default_rng(0).normal(size=(60, 6)))
    told = (
        "estimated 6 clusters, the most that were tried, so there may be more;"
        " state another number with -k\n"
    )
    assert told in cli("cluster", "-k", "auto", "--reduction", "none").err


def test_auto_says_when_the_images_are_too_few(cli: Cli, data: Data) -> None:
    np.save("few.npy", np.load(data.images)[:29])
    assert cli("train", "few.npy", *RECIPE, "--epochs", 1).code == 0
    told = (
        "2 clusters, because the images are too few to estimate it; state another number with -k\n"
    )
    assert told in cli("cluster", "-k", "auto").err


def test_auto_finds_groups_that_stand_apart(cli: Cli, full_run: RunFolder) -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(60) % 5
    with_latents(full_run, 20 * np.eye(5)[groups] + rng.normal(0, 1, (60, 5)))
    for clusterer in ("kmeans", "consensus"):
        flags = ["-k", "auto", "--clusterer", clusterer, "--reduction", "pca:4"]
        result = cli("cluster", *flags, "--json")
        assert "estimated 5 clusters; state another number with -k\n" in result.err
        answer = json.loads(result.out)
        assert (answer["k"], answer["sizes"]) == (5, [12] * 5)
        found = labels_of(full_run).arrays["labels"]
        assert len(set(zip(found.tolist(), groups.tolist(), strict=True))) == 5


def test_auto_on_a_run_of_two_phases_goes_back_too(cli: Cli, two_phase_run: RunFolder) -> None:
    result = cli("cluster", "-k", "auto")
    assert result.code == 0
    assert result.err.startswith(f"{BACK}\n")
    text = "estimated 2 clusters; the network has learnt 2 of its own, which -k 2 takes\n"
    assert f"k = estimated\n{text}" in result.err
    place = {"checkpoint": "end of the first phase", "epoch": 2, "k": 2}
    assert labels_of(two_phase_run).details.items() >= place.items()
    assert cli("cluster", "-k", "auto").out.endswith(FRESH)


def test_a_run_trained_with_auto_needs_no_going_back(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", "auto").code == 0
    run = RunFolder(Path("aeclust-run"))
    result = cli("cluster")
    assert result.err.splitlines() == [
        "latents are missing: embedding first",
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "clustering 60 latents: sphere > pca:20 > consensus, k = estimated",
        "estimated 2 clusters; state another number with -k",
        "pca:20 of 60 latents with 8 values is pca:8",
        f"warning: {BY_COLOUR}",
        NEXT,
    ]
    latents = files_of(run.path)["latents.h5"]
    assert labels_of(run).details.items() >= {"checkpoint": "last", "epoch": 2, "k": 2}.items()
    assert "going back" not in cli("cluster", "-k", 3).err
    assert labels_of(run).details["k"] == 3
    assert files_of(run.path)["latents.h5"] == latents
    assert cli("cluster").out.startswith("aeclust-run/labels.h5: 60 images in clusters of ")
    assert labels_of(run).details["k"] == 2


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


def test_a_training_that_stopped_is_told_by_all_that_uses_it(cli: Cli, run: RunFolder) -> None:
    for epoch in range(4, 12):
        run.weights_file(epoch).unlink()
    told = (
        "warning: training stopped before its end, and these are the weights after epoch 3 of 11; "
        "go on with aeclust train --resume\n"
    )
    for command in (["embed"], ["cluster"], ["predict"], ["plot"], ["report"]):
        result = cli(*command)
        assert result.code == 0, result.err
        assert told in result.err
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "training stopped before its end" in page
