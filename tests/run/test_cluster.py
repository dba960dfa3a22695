"""aeclust cluster: the labels of any chain, their doubts, and an estimated number of clusters."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import BACK, BY_COLOUR, RECIPE, TWO_PHASES, Cli, Data, check_error

from aeclust import artifact as artifacts
from aeclust.clusters import clusterers, reduction
from aeclust.clusters.chain import ENSEMBLES, cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.consensus import Member
from aeclust.clusters.evidence import estimate_k
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import score
from aeclust.recipe import HDBSCAN, Recipe, choices
from aeclust.run import clusters
from aeclust.run.folder import RunFolder

FRESH = " (up to date, nothing to do)\n"
HELD = "Only one method (kmeans) made these clusters, so how many labels hold is not known."
NEXT = [
    "next: look at the clusters  aeclust report",
    "      name the clusters     aeclust name 0=... 1=...",
    "      export                aeclust export labels.csv",
]


def labels_of(run: RunFolder) -> artifacts.Artifact:
    return artifacts.read(run.labels_file, "labels")


def latents_of(run: RunFolder) -> Mapping[str, NDArray[Any]]:
    return artifacts.read(run.latents_file, "latents").arrays


def with_latents(run: RunFolder, values: NDArray[Any]) -> None:
    """Other latents of the same weights."""
    latents = artifacts.read(run.latents_file)
    arrays = {**latents.arrays, "latents": values.astype(np.float32)}
    artifacts.write(run.latents_file, dataclasses.replace(latents, arrays=arrays))


# -- what it makes -----------------------------------------------------------------------------


def test_what_is_done_is_said_in_order(cli: Cli, run: RunFolder, data: Data) -> None:
    code, out, err = cli("cluster")
    assert code == 0
    assert err.splitlines() == [
        "latents.h5 is missing: embedding the images first",
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "clustering 60 images into 2 clusters",
        f"warning: {BY_COLOUR}",
        *NEXT,
    ]
    labels = labels_of(run)
    sizes = np.bincount(labels.arrays["labels"]).tolist()
    text = f"aeclust-run/labels.h5: 60 images in 2 clusters of {sizes[0]} and {sizes[1]}"
    assert out == f"{text}\n{HELD}\n"
    assert cli("cluster") == (0, f"{text}{FRESH}{HELD}\n", f"warning: {BY_COLOUR}\n")  # once more


def test_labels_are_those_of_the_recipes_chain(full_run: RunFolder, data: Data) -> None:
    latents, labels = artifacts.read(full_run.latents_file), labels_of(full_run)
    points = reduce(latents.arrays["latents"], ("pca:2",), seed=0)
    wanted = cluster(points, 2, "kmeans", seed=0)
    assert np.array_equal(labels.arrays["labels"], wanted)
    assert np.array_equal(labels.arrays["embedding"], points)
    assert labels.arrays["references"].tolist() == list(range(60))
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
        "clusters": [0, 1],
        "sizes": sizes,
        "outliers": 0,
        "verdict": HELD,
        "should_hold": None,
        "look_first": [],
        "to_check": 0,
        "next": [
            {"what": "name the clusters", "command": "aeclust name 0=... 1=..."},
            {"what": "export", "command": "aeclust export labels.csv"},
        ],
        "mean_confidence": 1.0,
        "agreement": None,
        "view_agreement": None,
        "members": {},
        "warnings": [BY_COLOUR],
        "steered_by": None,
        "edits": 0,
        "made": True,
        "plot": None,
        "estimated": None,
        "tried": [],
        "merges": [{"left": [0], "right": [1], "kept": 0.0}],
    }
    assert json.loads(cli("cluster", "--json").out) == {**answer, "made": False}


@pytest.mark.parametrize("clusterer", [c for c in choices("clusterer") if c != HDBSCAN])
def test_every_clusterer_can_be_asked_for(cli: Cli, full_run: RunFolder, clusterer: str) -> None:
    assert cli("cluster", "--clusterer", clusterer, "-k", 3).code == 0
    labels = labels_of(full_run)
    assert labels.recipe["clusterer"] == clusterer
    assert set(labels.arrays["labels"].tolist()) == {0, 1, 2}
    voted = clusterer in ENSEMBLES
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
        ("kpca:20,tsne:2", ["kpca:20", "tsne:2"]),
    ],
)
def test_every_reduction_can_be_asked_for(
    cli: Cli, full_run: RunFolder, reduction: str, steps: list[str]
) -> None:
    result = cli("cluster", "--reduction", reduction, "--perplexity", 7)
    assert "clustering 60 images into 2 clusters\n" in result.err
    labels = labels_of(full_run)
    assert labels.recipe["reduction"] == steps
    assert labels.recipe["perplexity"] == 7.0
    assert ("embedding" in labels.arrays) is ("tsne:2" in steps)


def test_what_stood_in_for_what_is_printed_and_recorded(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "substitutions" not in labels_of(full_run).details
    monkeypatch.setattr(reduction, "KERNEL_POINTS", 59)
    monkeypatch.setattr(reduction, "LANDMARKS", 40)
    monkeypatch.setitem(clusterers.MOST, "spectral", 50)
    result = cli("cluster", "--reduction", "kpca:3", "--clusterer", "spectral")
    assert result.code == 0
    lines = labels_of(full_run).details["substitutions"]
    assert len(lines) == 2
    assert "approximated by Nystroem with 40 landmarks" in lines[0]
    assert lines[1].startswith("50 random images decide the clusters; the other 10 follow ")
    assert result.err.splitlines()[2:4] == lines
    shown = json.loads(cli("info", full_run.labels_file, "--json").out)
    assert shown["details"]["substitutions"] == lines


def test_o_copies_the_labels(cli: Cli, full_run: RunFolder) -> None:
    assert cli("cluster", "-o", "mine.h5").out.startswith("mine.h5: 60 images in 2 clusters of ")
    assert Path("mine.h5").read_bytes() == full_run.labels_file.read_bytes()


# -- members and warnings ----------------------------------------------------------------------


def test_members_vote_and_their_agreement_is_kept(cli: Cli, full_run: RunFolder) -> None:
    flags = ["--reduction", "pca:6", "--clusterer", "consensus", "-k", 3]
    cli("cluster", *flags)
    labels = labels_of(full_run)
    recipe = Recipe.from_json(labels.recipe)
    wanted = cluster_latents(latents_of(full_run)["latents"], recipe, seed=0)
    assert wanted.shares is not None
    assert np.array_equal(labels.arrays["labels"], wanted.labels)
    assert np.array_equal(labels.arrays["shares"], wanted.shares)
    assert np.array_equal(labels.arrays["confidence"], wanted.shares.max(1))
    kinds = ("kmeans", "gmm", "gmm-tied", "spectral")
    names = [f"{kind} in {size} dimensions" for size in (6, 3) for kind in kinds]
    assert labels.details["members"].keys() == set(names)
    assert labels.details["members"] == {m.name: m.agreement for m in wanted.members}
    assert (labels.details["agreement"], labels.details["k"]) == (wanted.agreement, 3)
    # each with the labels, so that their mean is the agreement of all
    assert np.mean([m.agreement for m in wanted.members]) == pytest.approx(wanted.agreement)
    answer = json.loads(cli("cluster", "--json", *flags).out)
    for name in ("k", "agreement", "members", "warnings"):
        assert answer[name] == labels.details[name]


def test_all_doubts_are_had_once_printed_in_order_and_kept(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Clustering, NDArray[Any]]] = []

    def doubting(result: Clustering, colours: NDArray[Any], *, seed: int) -> list[str]:
        seen.append((result, colours))
        return ["one", "two"]

    monkeypatch.setattr(clusters, "doubts", doubting)
    printed = "warning: one\nwarning: two\n"
    result = cli("cluster", "--clusterer", "consensus")
    assert f"into 2 clusters\n{printed}{NEXT[0]}\n" in result.err
    assert labels_of(full_run).details["warnings"] == ["one", "two"]
    fresh = cli("cluster", "--clusterer", "consensus", "--json")
    assert (json.loads(fresh.out)["warnings"], fresh.err) == (["one", "two"], printed)
    ((clustering, colours),) = seen
    assert np.array_equal(clustering.labels, labels_of(full_run).arrays["labels"])
    assert all(isinstance(member, Member) for member in clustering.members)
    assert np.array_equal(colours, latents_of(full_run)["colours"])


# -- two phases --------------------------------------------------------------------------------


def test_after_self_labelling_the_network_has_its_say(two_phase_run: RunFolder) -> None:
    latents, labels = latents_of(two_phase_run), labels_of(two_phase_run)
    views = Views(latents["view_rows"], latents["view_latents"], latents["view_clusters"])
    assert views.rows.tolist() == list(range(60))
    wanted = cluster_latents(
        latents["latents"],
        two_phase_run.manifest().recipe,
        seed=0,
        assignments=latents["assignments"],
        views=views,
    )
    assert np.array_equal(labels.arrays["labels"], wanted.labels)
    assert score(wanted.labels, latents["assignments"].argmax(1)).accuracy == 1.0
    assert labels.details["view_agreement"] == wanted.view_agreement
    assert wanted.view_agreement == score(latents["view_clusters"], wanted.labels).accuracy
    assert wanted.shares is not None
    assert np.array_equal(labels.arrays["shares"], wanted.shares)
    assert np.array_equal(labels.arrays["confidence"], wanted.shares.max(1))
    assert labels.details["agreement"] == 1.0


def test_members_and_views_say_how_many_labels_should_hold(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    answer = json.loads(cli("cluster", "--json", "--force").out)
    assert 0.5 <= answer["view_agreement"] <= 1
    assert cli("cluster").out.endswith(f"{FRESH}{answer['verdict']}\n")
    assert " labels should hold" in answer["verdict"]
    # both doubts together, and nothing else, make the confidence
    assert answer["should_hold"] == answer["mean_confidence"]
    assert answer["should_hold"] == pytest.approx(
        answer["agreement"] * answer["view_agreement"], abs=1e-4
    )


def test_another_k_takes_the_latents_of_the_first_phase(
    cli: Cli, two_phase_run: RunFolder, data: Data
) -> None:
    code, out, err = cli("cluster", "-k", 3)
    assert code == 0
    assert err.splitlines()[:4] == [
        BACK,
        f"{data.images}: 60 images, 8 x 8 RGB, uint8",
        "labels.h5 is out of date (made with -k 2): clustering again",
        "clustering 60 images into 3 clusters",
    ]
    latents, labels = latents_of(two_phase_run), labels_of(two_phase_run)
    digest = artifacts.read(two_phase_run.weights_file(2)).digest
    assert labels.parents["weights"] == digest
    assert not {"assignments", "view_clusters"} & latents.keys()
    recipe = dataclasses.replace(two_phase_run.manifest().recipe, k=3)
    views = Views(latents["view_rows"], latents["view_latents"])
    wanted = cluster_latents(latents["latents"], recipe, seed=0, views=views)
    assert wanted.view_agreement is not None
    assert labels.details["view_agreement"] == wanted.view_agreement
    assert np.array_equal(labels.arrays["labels"], wanted.labels)
    first, second, third = np.bincount(wanted.labels)
    assert f" in 3 clusters of {first}, {second} and {third}\n" in out
    cli("embed", "--checkpoint", 2)
    assert np.array_equal(latents_of(two_phase_run)["latents"], latents["latents"])


def test_another_seed_draws_other_members_but_the_network_is_the_same(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    first = labels_of(two_phase_run)
    assert cli("cluster", "--seed", 3).code == 0
    assert np.array_equal(labels_of(two_phase_run).arrays["shares"], first.arrays["shares"])


# -- an estimated number of clusters -----------------------------------------------------------


def test_auto_estimates_k_and_says_so(cli: Cli, full_run: RunFolder) -> None:
    wanted = labels_of(full_run).arrays["labels"]
    code, out, err = cli("cluster", "-k", "auto", "--plot", "choice.svg")
    assert code == 0
    assert out.endswith("\nchoice.svg\n")
    assert "<svg" in Path("choice.svg").read_text(encoding="utf-8")[:500]
    out = out.replace("choice.svg\n", "")
    assert err.splitlines()[1:3] == [
        "clustering 60 images; -k auto finds how many clusters there are",
        "estimated 2 clusters; choose another number with -k",
    ]
    labels = labels_of(full_run)
    assert np.array_equal(labels.arrays["labels"], wanted)
    assert (labels.recipe["k"], labels.details["k"]) == (0, 2)
    assert cli("cluster", "-k", "auto").out == out.replace("\n", FRESH, 1)
    answer = json.loads(cli("cluster", "-k", "auto", "--json").out)
    assert (answer["k"], len(answer["sizes"]), answer["made"]) == (2, 2, False)
    points = reduce(artifacts.read(full_run.latents_file).arrays["latents"], ("pca:2",), seed=0)
    estimate = estimate_k(points, seed=0)
    assert (answer["estimated"], answer["tried"]) == (2, estimate.rows())
    assert [each["k"] for each in answer["tried"]] == [2, 3, 4, 5, 6]
    # the report has them too, and does not compute them again
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aeclust.clusters.chain.estimate_k", None)
        assert cli("report").code == 0
    page = (full_run.path / "report.html").read_text(encoding="utf-8")
    assert "How many clusters" in page
    assert f"2: {estimate.tried[2].score:.3f}, 3: " in page


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (["--plot", "tree.txt"], {"what": "ends in '.txt'", "mend": "change `plot`"}),
        (["--plot", "aeclust-run/labels.h5"], {"what": "ends in '.h5'"}),
        (["--plot", "-", "-o", "-"], {"what": "they exclude each other"}),
    ],
)
def test_a_picture_that_cannot_be_is_refused_first(
    cli: Cli, full_run: RunFolder, flags: list[str], fields: dict[str, str]
) -> None:
    result = cli("cluster", "-k", "3", *flags)
    assert result.code == 2
    check_error(result.error, **fields)
    assert labels_of(full_run).details["k"] == 2


def test_auto_says_when_it_tried_no_more(cli: Cli, full_run: RunFolder) -> None:
    corners = 100 * np.eye(6)[np.arange(60) % 6]  # as many as 60 images allow
    with_latents(full_run, corners + np.random.default_rng(0).normal(size=(60, 6)))
    text = "estimated 6 clusters, the most that were tried, so there may be more; choose another"
    assert text in cli("cluster", "-k", "auto", "--reduction", "none").err


def test_auto_says_when_the_images_are_too_few(cli: Cli, data: Data) -> None:
    np.save("few.npy", np.load(data.images)[:29])
    assert cli("train", "few.npy", *RECIPE, "--epochs", 1).code == 0
    text = "2 clusters, because the images are too few to estimate it; choose another number with"
    assert text in cli("cluster", "-k", "auto").err


def test_auto_finds_groups_that_stand_apart(cli: Cli, full_run: RunFolder) -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(60) % 5
    with_latents(full_run, 20 * np.eye(5)[groups] + rng.normal(0, 1, (60, 5)))
    for clusterer in ("kmeans", "consensus"):
        flags = ["-k", "auto", "--clusterer", clusterer, "--reduction", "pca:4"]
        answer = json.loads(cli("cluster", *flags, "--json").out)
        assert (answer["k"], answer["sizes"]) == (5, [12] * 5)
        labels = labels_of(full_run).arrays["labels"]
        assert len(set(zip(labels.tolist(), groups.tolist(), strict=True))) == 5


def test_auto_says_what_the_network_has_learnt(cli: Cli, two_phase_run: RunFolder) -> None:
    text = "estimated 2 clusters; the network learnt 2 in training, too: use -k 2\n"
    assert text in cli("cluster", "-k", "auto").err


def test_a_run_trained_with_auto_has_one_phase(cli: Cli, data: Data) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", "auto").code == 0
    run = RunFolder(Path("aeclust-run"))
    text = cli("cluster").err
    assert "estimated 2 clusters; choose another number with -k\n" in text
    assert "pca:20 becomes pca:8: 60 images of 8 values allow no more\n" in text
    assert labels_of(run).details.items() >= {"epoch": 2, "k": 2}.items()
    assert "learnt" not in cli("cluster", "-k", 3).err
    assert labels_of(run).details.items() >= {"epoch": 2, "k": 3}.items()


# -- what it has to work with ------------------------------------------------------------------


def test_every_command_says_of_a_training_that_it_stopped(cli: Cli, run: RunFolder) -> None:
    for epoch in range(4, 12):
        run.weights_file(epoch).unlink()
    text = (
        "warning: training stopped early: this is the network after epoch 3 of 11; "
        "continue with aeclust train --resume\n"
    )
    for command in ("embed", "cluster", "predict", "plot", "report"):
        result = cli(command)
        assert result.code == 0, result.err
        assert text in result.err
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "training stopped early" in page
