"""The methods of ``accuracy.py``: a set and a seed in, labels of its images out.

Methods on features cluster those of the frozen encoder of recipe ``pretrained``, of images as large
as it takes them: k-means and the consensus with each value brought to mean 0 and variance 1, as the
recipe itself does, UMAP as they come. Features and UMAP are computed once for a set, and their
time counts for every method.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sets import Set
from sklearn.cluster import HDBSCAN
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from aeclust import artifact
from aeclust.cli import main as command
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.reduction import reduce
from aeclust.estimator import AutoencoderClusterer
from aeclust.images import Source, load
from aeclust.network.inference import encode_frozen
from aeclust.network.pretrained import load_encoder
from aeclust.recipe import LATER, named
from aeclust.run.encoders import completed

Points = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """Labels (n,) of a set's images and, where the method says, how sure they are.

    `minutes` are its own account of its time, and `notes` what else its row says.
    """

    labels: Labels
    confidence: Points | None = None
    minutes: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)


Method = Callable[[Set, int], Found]


def flat(data: Set) -> Points:
    return np.asarray(data.pixels.reshape(len(data.pixels), -1) / 255, np.float32)


def pixels_kmeans(data: Set, seed: int) -> Found:
    return Found(cluster(flat(data), data.k, "kmeans", seed=seed))


def pca_kmeans(data: Set, seed: int) -> Found:
    points = reduce(flat(data), ("pca:50",), seed=seed)
    return Found(cluster(points, data.k, "kmeans", seed=seed))


# -- recipes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """A recipe of aeclust with some fields changed.

    By the estimator or, of photographs in a folder and with a frozen encoder, by the commands.
    """

    name: str
    settings: dict[str, object]

    def __call__(self, data: Set, seed: int) -> Found:
        if data.folder is not None or named(self.name).encoder:
            return self._by_commands(data, seed)
        model = AutoencoderClusterer(
            data.k, recipe=self.name, settings=self.settings, random_state=seed
        ).fit(data.pixels)
        return Found(model.labels_, model.confidence_)

    def _by_commands(self, data: Set, seed: int) -> Found:
        """``aeclust train IMAGES --recipe NAME -k K --seed SEED && aeclust cluster``."""
        with tempfile.TemporaryDirectory() as place:
            run, images = Path(place) / "run", data.folder
            if images is None:
                images = Path(place) / "images.npy"
                np.save(images, data.pixels)
            settings = [f"--set={name}={value}" for name, value in self.settings.items()]
            flags = ["--seed", seed, "--threads", torch.get_num_threads(), "--run", run]
            aeclust("train", images, "--recipe", self.name, "-k", data.k, *settings, *flags)
            aeclust("cluster", "--run", run)
            made = artifact.read(run / "labels.h5", "labels").arrays
            return Found(np.array(made["labels"]), np.array(made["confidence"]))


def aeclust(*arguments: object) -> None:
    """Run one command, whose output is shown only where it fails."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = command([*map(str, arguments)])
    if code:
        sys.exit(f"aeclust {' '.join(map(str, arguments))}: {err.getvalue()}")


def recipe(name: str, **settings: object) -> Trained:
    return Trained(name, settings)


def umap_gmm(data: Set, seed: int) -> Found:
    """N2D's idea (McConville et al., 2019): autoencoder, UMAP to k dimensions, Gaussian mixture."""
    import umap  # an extra of this benchmark alone

    model = AutoencoderClusterer(
        data.k,
        recipe="baseline",
        settings={
            "epochs": 20,
            "lr": 1e-3,
            "precision": "auto",
            "reduction": "pca:50",
            "clusterer": "kmeans",
        },
        random_state=seed,
    ).fit(data.pixels)
    points = umap.UMAP(
        n_components=data.k, n_neighbors=20, min_dist=0.0, random_state=seed
    ).fit_transform(model.transform(data.pixels))
    return Found(cluster(points, data.k, "gmm", seed=seed))


# -- on the features of the frozen encoder ---------------------------------------------------------


@lru_cache(maxsize=1)
def features_of(data: Set) -> tuple[Points, float]:
    """Features (n, d) of a set's images by the encoder of ``pretrained``, and the minutes."""
    started = time.monotonic()
    ours, pixels = named("pretrained"), data.pixels
    encoder = load_encoder(ours.encoder, device=torch.device("cpu"))
    if data.folder is not None:
        pixels = load(Source(location=str(data.folder), size=ours.image_size)).pixels
    size = completed(ours, encoder, pixels.shape, in_files=data.folder is not None).image_size
    features = encode_frozen(encoder, pixels, size)
    return features, (time.monotonic() - started) / 60


@lru_cache(maxsize=8)
def embedded(data: Set, seed: int) -> tuple[Points, float]:
    """UMAP of the features to ten dimensions, and the minutes from the images to it."""
    import umap  # an extra of this benchmark alone

    features, minutes = features_of(data)
    started = time.monotonic()
    mapper = umap.UMAP(n_components=10, n_neighbors=30, min_dist=0.0, random_state=seed, n_jobs=1)
    points = np.asarray(mapper.fit_transform(features), np.float32)
    return points, minutes + (time.monotonic() - started) / 60


@dataclass(frozen=True)
class OnFeatures:
    """A way to find k clusters of points (n, d) by a seed, and where the points come from."""

    find: Callable[[Points, int, int], Found]
    points: Callable[[Set, int], tuple[Points, float]] = lambda data, seed: features_of(data)

    def __call__(self, data: Set, seed: int) -> Found:
        points, minutes = self.points(data, seed)
        started = time.monotonic()
        found = self.find(points, data.k, seed)
        return replace(found, minutes=minutes + (time.monotonic() - started) / 60)


def standardised(features: Points) -> Points:
    spread = np.maximum(features.std(0, dtype=np.float64), 1e-6)
    return np.asarray((features - features.mean(0, dtype=np.float64)) / spread, np.float32)


def kmeans(features: Points, k: int, seed: int) -> Found:
    return Found(cluster(standardised(features), k, "kmeans", seed=seed))


def consensus(features: Points, k: int, seed: int) -> Found:
    """The consensus of `hybrid`, of latents that nobody trained and without views."""
    ours = named("hybrid").override({"k": k})
    found = cluster_latents(standardised(features), ours, seed=seed)
    return Found(found.labels, found.confidence)


def mixture(points: Points, k: int, seed: int) -> Found:
    shares = GaussianMixture(k, n_init=3, random_state=seed).fit(points).predict_proba(points)
    return Found(shares.argmax(1), shares.max(1).astype(np.float32))


def hdbscan(points: Points, k: int, seed: int) -> Found:
    """HDBSCAN finds the number of clusters itself, each of a hundredth of the images or more.

    What it calls noise goes to the cluster of the nearest image that is none.
    """
    labels = HDBSCAN(min_cluster_size=max(10, len(points) // 100), copy=True).fit_predict(points)
    noise = labels < 0
    if noise.any() and not noise.all():
        near = NearestNeighbors(n_neighbors=1).fit(points[~noise])
        labels[noise] = labels[~noise][near.kneighbors(points[noise])[1][:, 0]]
    share = round(float(noise.mean()), 4)
    return Found(np.maximum(labels, 0).astype(np.int64), notes={"noise": share})


def settings_of(method: object) -> dict[str, Any] | None:
    """What of a recipe a method depends on; None if on nothing.

    Fields that came later count only where they say something.
    """
    if isinstance(method, OnFeatures):
        ours = named("pretrained").to_json()
        return {name: ours[name] for name in ("encoder", "encoder_input", "image_size", "enlarge")}
    if isinstance(method, Trained):
        values = named(method.name).override(method.settings).to_json()
        return {name: value for name, value in values.items() if value or name not in LATER}
    return None


SHORT = {"epochs": 20, "precision": "auto"}
METHODS: dict[str, Method] = {
    "pixels, k-means": pixels_kmeans,
    "PCA 50, k-means": pca_kmeans,
    "hybrid": recipe("hybrid"),
    "pretrained": recipe("pretrained"),
    "features, k-means": OnFeatures(kmeans),
    "features, consensus": OnFeatures(consensus),
    "features, UMAP, mixture": OnFeatures(mixture, embedded),
    "features, UMAP, HDBSCAN": OnFeatures(hdbscan, embedded),
    "hybrid, 8 + 3 epochs": recipe("hybrid", epochs=8, label_epochs=3),
    "hybrid, 60 + 6 epochs": recipe("hybrid", epochs=60, label_epochs=6),
    "baseline, 20 epochs": recipe("baseline", **SHORT),
    "vae, 20 epochs": recipe("vae", **SHORT),
    "deep, 20 epochs": recipe("deep", **SHORT),
    "baseline": recipe("baseline", precision="auto"),
    "vae": recipe("vae", precision="auto"),
    "deep": recipe("deep", precision="auto"),
    "umap": umap_gmm,
    "hybrid, first phase alone": recipe("hybrid", label_epochs=0),
    "hybrid, k-means": recipe("hybrid", clusterer="kmeans"),
}
