"""The pipeline as a scikit-learn estimator: images in, labels out, no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from aeclust import clustering, inference, nearest, recipes, training
from aeclust.errors import InputError
from aeclust.images import from_array


class AutoencoderClusterer(ClusterMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster images with an autoencoder.

    Parameters
    ----------
    n_clusters : int or "auto"
        ``auto`` estimates it from the latents.
    recipe : str
        ``hybrid``, ``baseline``, ``vae`` or ``deep``, see :mod:`aeclust.recipes`.
    settings : mapping, optional
        Recipe fields to replace, such as ``{"epochs": 20}``.
    random_state : int, RandomState or None
        An int gives the same result every time on the same machine, versions and threads.
    device : {"cpu", "cuda", "mps"} or torch.device

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        int64, 0 to n_clusters - 1, by falling cluster size.
    confidence_ : ndarray of shape (n,)
        float32 in [0, 1], see :func:`aeclust.clustering.confidence`.
    n_clusters_ : int
    agreement_ : float or None
        Of the consensus' members with it, in [0, 1].
    network_ : aeclust.models.Autoencoder
    recipe_ : aeclust.recipes.Recipe

    Examples
    --------
    >>> from aeclust import AutoencoderClusterer, demo
    >>> images = demo.scenes(200, seed=0).pixels
    >>> model = AutoencoderClusterer(n_clusters=2, settings={"epochs": 1}).fit(images)
    >>> model.labels_.shape
    (200,)
    """

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = 2,
        *,
        recipe: str = recipes.DEFAULT_RECIPE,
        settings: Mapping[str, object] | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.n_clusters = n_clusters
        self.recipe = recipe
        self.settings = settings
        self.random_state = random_state
        self.device = device

    def fit(self, X: NDArray[Any], y: object = None) -> AutoencoderClusterer:
        """Train on images, embed and cluster them.

        Parameters
        ----------
        X : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
            uint8, or float in [0, 1]; c is 1 or 3.
        y : ignored

        Raises
        ------
        InputError, DivergedError
            See :func:`aeclust.training.train` and :func:`aeclust.clustering.cluster`.
        """
        pixels = from_array(np.asarray(X))
        settings = {**(self.settings or {}), "k": self.n_clusters}
        self.recipe_ = recipes.named(self.recipe).override(settings, where="settings")
        if len(pixels) < self.recipe_.k:
            raise InputError(
                f"{len(pixels)} images cannot form {self.recipe_.k} clusters",
                where="X",
                expected=f"at least {self.recipe_.k} images",
                mend="add images or lower n_clusters",
            )
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(2**31 - 1)
        device = torch.device(self.device)
        self.network_ = training.train(pixels, self.recipe_, seed=int(seed), device=device)
        latents = self._embed(pixels)
        assignments = None
        if self.recipe_.total_epochs > self.recipe_.epochs:
            assignments = inference.assign(self.network_, latents, device=device)
        found = clustering.cluster_latents(
            latents, self.recipe_, seed=int(seed), assignments=assignments
        )
        self.labels_, self.agreement_ = found.labels, found.agreement
        self.n_clusters_ = found.k
        self._references, self._reference_labels, self.confidence_ = clustering.confidence(
            latents, found, seed=int(seed)
        )
        kept = nearest.references(len(latents), seed=int(seed))
        self._reference_shares = None if found.tempered is None else found.tempered[kept]
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[np.int64]:
        """Labels (n,) of other images, by the vote of their nearest training latents."""
        labels, _ = nearest.neighbour_vote(
            self.transform(X),
            self._references,
            self._reference_labels,
            self.n_clusters_,
            reference_shares=self._reference_shares,
        )
        return labels

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Latents (n, d) of images."""
        check_is_fitted(self, "network_")
        pixels = from_array(np.asarray(X))
        if pixels.shape[3] != self.network_.image_channels:
            raise InputError(
                f"has {pixels.shape[3]} channels",
                where="X",
                expected=f"{self.network_.image_channels}, as in training",
                mend="convert the images",
            )
        return self._embed(pixels)

    def inverse_transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Images (n, s, s, c) in [0, 1] that the decoder draws for latents (n, d)."""
        check_is_fitted(self, "network_")
        return inference.decode(self.network_, X, device=torch.device(self.device))

    def _embed(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        return inference.embed(
            self.network_,
            pixels,
            image_size=self.recipe_.image_size,
            device=torch.device(self.device),
        )
