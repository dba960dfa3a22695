"""The commands as a scikit-learn estimator: images in, labels out, files only where asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import Tags, check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from aeclust.clusters.indicators import shared_neighbours
from aeclust.clusters.neighbours import references
from aeclust.clusters.numbers import in_use
from aeclust.errors import InputError, at
from aeclust.estimator.arguments import argument_errors, steering_in
from aeclust.estimator.corrections import Corrections
from aeclust.images import Images, Source, bounds, check_enough, from_array, from_features
from aeclust.network import inference
from aeclust.recipe import AUTO_K, DEFAULT_RECIPE, Recipe
from aeclust.run import model as models
from aeclust.run.curve import SAMPLE
from aeclust.run.manifest import Manifest
from aeclust.run.predict import label_by_run

_SCORE_SEED = 0  # the same views of the images for every model
_LOCATION = "the array given to fit"


class AutoencoderClusterer(
    Corrections,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Cluster images with an autoencoder.

    Images are arrays of shape (n, h, w), (n, h, w, c) or (n, c, h, w), where c is 1 or 3; uint8,
    or float in [0, 1]. With `image_shape` they are rows of shape (n, features) instead, as in a
    Pipeline. With `value_range` they have values of any real dtype in that range. By the recipe
    ``features`` nothing is trained: rows are vectors that somebody else made of images, and are
    clustered as they are.

    Parameters
    ----------
    n_clusters : int or "auto"
        ``auto`` estimates it from the latents; clusterer ``hdbscan`` finds its own in any case.
    recipe : str
        ``hybrid``, ``baseline``, ``vae``, ``deep``, ``pretrained`` or ``features``, see
        :mod:`aeclust.recipe`.
    settings : mapping, optional
        Recipe fields to replace, such as ``{"epochs": 20}`` or ``{"encoder": "clip.onnx"}``, and
        ``encoder_weights``, the path of a file with the weights of ``timm:NAME``.
    image_shape : tuple of int, optional
        Rows are images flattened from this shape, (h, w) or (h, w, c); one number may be -1,
        which the length of the rows decides.
    value_range : (float, float), optional
        The values that mean black and white; others beyond them are an error.
    random_state : int, RandomState or None
        An int gives the same result every time on the same machine, versions and threads.
    epochs : int, optional
        Of training in all, shared among its phases as by :meth:`aeclust.recipe.Recipe.lasting`;
        ``settings`` sets those of each phase by themselves.
    minutes : float, optional
        That training may take instead, see :func:`aeclust.recipe.budget.affordable`; embedding
        and clustering come after it. ``recipe_`` is what was chosen.
    verbose : int
        Above 0, print a line after each epoch, and one a minute during other work.
    device : str or torch.device
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        int64, 0 to n_clusters_ - 1, by falling cluster size; -1 of outliers, which clusterer
        ``hdbscan`` leaves in no cluster.
    confidence_ : ndarray of shape (n,)
        float32 in [0, 1], see :class:`aeclust.clusters.clustering.Clustering`.
    n_clusters_ : int
        Clusters that have an image.
    names_ : dict of int to str
        What known labels call clusters.
    agreement_ : float or None
        Of the consensus' members with it, in [0, 1].
    view_agreement_ : float or None
        Share of images that stay in their cluster by a random view of them, in [0, 1]; of
        clusterers consensus and heads, if the recipe learns from views or has a frozen encoder.
    warnings_ : list of str
        That `value_range` is hardly used, and what :func:`aeclust.clusters.doubts.doubts` warns of.
    network_ : aeclust.network.model.Autoencoder or None
        None by the recipe ``features``.
    recipe_ : aeclust.recipe.Recipe
    n_features_in_ : int
        Values of an image, h * w * c, or of a vector.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Of rows whose columns have names.

    Notes
    -----
    Images that are given as such may have another size than those of `fit`: all are resized to
    ``recipe_.image_size``, as the commands do. Rows must be as long as those of `fit`.

    Wrong arguments are an :class:`~aeclust.errors.ArgumentError`, which is an ``InputError`` and a
    ``ValueError``, or what scikit-learn itself raises.

    Examples
    --------
    >>> from aeclust import AutoencoderClusterer
    >>> from aeclust.images import demo
    >>> images = demo.scenes(200, seed=0).pixels
    >>> model = AutoencoderClusterer(n_clusters=2, settings={"epochs": 1}).fit(images)
    >>> model.labels_.shape
    (200,)
    """

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = 2,
        *,
        recipe: str = DEFAULT_RECIPE,
        settings: Mapping[str, object] | None = None,
        image_shape: tuple[int, int] | tuple[int, int, int] | None = None,
        value_range: tuple[float, float] | None = None,
        random_state: int | np.random.RandomState | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        verbose: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.n_clusters = n_clusters
        self.recipe = recipe
        self.settings = settings
        self.image_shape = image_shape
        self.value_range = value_range
        self.random_state = random_state
        self.epochs = epochs
        self.minutes = minutes
        self.verbose = verbose
        self.device = device

    @argument_errors()
    def fit(self, X: NDArray[Any], y: object = None, known: object = None) -> Self:
        """Train on images, embed and cluster them.

        Parameters
        ----------
        X : ndarray
            At least two images, and one for each cluster.
        y : array-like of shape (n,), optional
            Labels of some images, -1 for the others, which steer the clusters. Without any -1 it
            is ignored, because searches and pipelines hand true labels over for scores.
        known : mapping, array-like of shape (n,), path or list of Path, optional
            The same as a mapping from rows to labels, which may be any text, and from pairs of
            rows to ``"same"`` or ``"different"``: ``{0: "cat", 7: "dog", (3, 4): "same"}``; as an
            array, -1 for the others; or files as ``aeclust cluster --known`` reads them. Whole
            numbers from 0 to k - 1 are those of the clusters; others are names, see `names_`.

        Raises
        ------
        ArgumentError, DivergedError
            See :func:`aeclust.network.training.train` and
            :func:`aeclust.clusters.chain.cluster_latents`.
        """
        remarks: list[str] = []
        pixels = self._pixels(X, reset=True, least=2, log=remarks.append)
        budget = models.budget_of(self.minutes, self.epochs, self.settings)
        recipe, weights = models.asked(self.recipe, self.settings, self.n_clusters, self.epochs)
        models.check_kind(pixels, recipe)
        with at("X"):
            check_enough(pixels, recipe.k)
        device = torch.device(self.device)
        recipe, sight = models.sighted(recipe, weights, pixels.shape, device)
        seed, write = models.seed_of(self.random_state), print if self.verbose else None
        if budget is not None:
            recipe = models.planned(budget, pixels, recipe, seed, device, sight, write)
        stated, vectors = models.stated_range(self.value_range), recipe.network == "none"
        source = Source(location=_LOCATION, range=stated, features=vectors)
        images = Images(pixels, np.arange(len(pixels)), source)
        manifest = Manifest(
            source=source,
            data_digest=images.digest(),
            shape=pixels.shape,
            recipe=recipe,
            seed=seed,
            flattened=self.image_shape is not None,
            encoder_file=None if sight is None else sight.file,
            minutes=None if budget is None else budget.minutes,
        )
        n, data, said = len(pixels), manifest.data_digest, list[str]()
        steering = steering_in(y, known, n, data, recipe.k, said.append)
        made = models.fit(images, manifest, device, sight=sight, steering=steering, write=write)
        return self._take(made, remarks, said)

    @argument_errors()
    def predict(self, X: NDArray[Any]) -> NDArray[np.int64]:
        """Labels (n,) of images, as in training or by the clusters found there."""
        check_is_fitted(self)
        pixels, model = self._pixels(X), self._model
        latents, assigned = self._embed(pixels), None
        if self.network_ is not None and "assignments" in model.latents.arrays:
            assigned = inference.assign(self.network_, latents)
        return label_by_run(pixels, latents, assigned, model.latents, model.labels)[0]

    @argument_errors()
    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Latents (n, d) of images."""
        check_is_fitted(self)
        return self._embed(self._pixels(X))

    @available_if(models.has_network)  # type: ignore[untyped-decorator]
    @argument_errors()
    def inverse_transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Images that the decoder draws for latents.

        Parameters
        ----------
        X : ndarray of shape (n, d)

        Returns
        -------
        ndarray of shape (n, s, s, c) or (n, features)
            float32 in [0, 1] or in `value_range`; s is ``network_.drawn_size``, which is
            ``recipe_.image_size`` unless the encoder is frozen. Rows, if the model was fitted to
            rows, of images resized to the shape of those.
        """
        check_is_fitted(self)
        latents = check_array(X, dtype=np.float32, input_name="X", estimator=self)
        width = self._n_features_out
        if latents.shape[1] != width:
            what = f"has latents of {latents.shape[1]} values"
            raise InputError(what, where="X", expected=f"{width}, as transform gives them")
        manifest = self._model.manifest
        size = manifest.shape[1:3] if manifest.flattened else None
        images = inference.decode(self.network_, latents, size=size)
        if manifest.flattened:
            images = images.reshape(len(images), -1)
        low, high = self.value_range or (0.0, 1.0)
        return (low + (high - low) * images).astype(np.float32, copy=False)

    @available_if(models.has_network)  # type: ignore[untyped-decorator]
    @argument_errors()
    def score(self, X: NDArray[Any], y: object = None) -> float:
        """How well the latents recognise an image, without any label.

        The share of an image's ten nearest neighbours in `X` that a random view of it has too
        (``view_neighbours`` in ``checkpoint-curve``), of at most 1,000 images and with the same
        views every time. Of the numbers that need no labels it goes with accuracy best; the
        reconstruction error does not go with it at all.

        Parameters
        ----------
        X : ndarray
            At least two images, which need not be those of `fit`.
        y : ignored

        Returns
        -------
        float
            In [0, 1]; higher is better. Compare it on equally many images.
        """
        check_is_fitted(self)
        pixels = self._pixels(X, least=2)
        rows = references(len(pixels), seed=_SCORE_SEED, limit=SAMPLE, purpose="indicators")
        views = inference.embed_views(self.network_, pixels[rows], seed=_SCORE_SEED)
        return shared_neighbours(self._embed(pixels[rows]), views)

    def save(self, folder: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fitted model as a run folder, for :meth:`load` and for the commands.

        It has ``run.json``, the last weights, ``latents.h5`` and ``labels.h5``, but not the images:
        ``predict``, ``embed``, ``reconstruct`` and ``plot`` of other images work on it.

        Parameters
        ----------
        folder : path
        overwrite : bool, replaces the run that may be there

        Raises
        ------
        AeclustError
            See :func:`aeclust.run.model.save`.
        """
        check_is_fitted(self)
        models.save(self._model, Path(folder), overwrite=overwrite)

    @classmethod
    def load(
        cls, folder: str | PathLike[str], *, device: str | torch.device = "cpu"
    ) -> AutoencoderClusterer:
        """A fitted model from a run folder, made by :meth:`save` or by the commands.

        Clusters have their numbers, not the names that ``predict --val-labels`` gives them.

        Raises
        ------
        AeclustError
            See :func:`aeclust.run.model.load`.
        """
        model = models.load(Path(folder), torch.device(device))
        manifest = model.manifest
        recipe = Recipe.from_json(model.labels.recipe)
        changed = models.settings_of(recipe, manifest)
        stated = manifest.source.range
        loaded = cls(
            "auto" if recipe.k == AUTO_K else recipe.k,
            recipe=recipe.name,
            settings=changed,
            image_shape=models.image_shape(manifest),
            value_range=bounds(stated) if stated else None,
            random_state=manifest.seed,
            device=device,
        )
        loaded.n_features_in_ = math.prod(manifest.shape[1:])
        return loaded._take(model)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit came to its end; rows leave their number of features before."""
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn should know: rows or images, and latents in single precision."""
        tags = super().__sklearn_tags__()
        rows = self.image_shape is not None or self.recipe == models.FEATURES
        tags.input_tags.two_d_array = rows
        tags.input_tags.three_d_array = not rows
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _embed(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Latents (n, d) of images, or vectors as they are."""
        if self.network_ is None:
            return pixels.astype(np.float32)
        return inference.embed(self.network_, pixels)

    def _take(
        self, model: models.Model, remarks: Sequence[str] = (), said: Sequence[str] = ()
    ) -> Self:
        """Take over what a model holds, with remarks on the images and the known labels."""
        labels = model.labels
        self._model, self._remarks = model, remarks
        names = labels.details.get("known", {}).get("names", {})
        self.names_ = {int(j): name for j, name in names.items()}
        self.network_: Any = model.network
        self.recipe_ = Recipe.from_json(labels.recipe)
        self.labels_ = np.array(labels.arrays["labels"])
        self.confidence_ = np.array(labels.arrays["confidence"])
        self.n_clusters_ = len(in_use(self.labels_))
        self.agreement_ = labels.details.get("agreement")
        self.view_agreement_ = labels.details.get("view_agreement")
        self.warnings_ = [*remarks, *said, *labels.details.get("warnings", [])]
        self._n_features_out = model.latents.arrays["latents"].shape[1]
        return self

    def _pixels(
        self,
        X: NDArray[Any],
        *,
        reset: bool = False,
        least: int = 1,
        log: Callable[[str], None] = lambda line: None,
    ) -> NDArray[Any]:
        """Images (n, h, w, c), or vectors, as the stages take them; with `reset`, the first."""
        rules = {"dtype": "numeric", "ensure_all_finite": False, "ensure_min_samples": least}
        if self.recipe == models.FEATURES:
            settings = "image_shape", "value_range", "epochs", "minutes"
            models.refuse_of_images({name: getattr(self, name) for name in settings})
            with at("X"):
                return from_features(validate_data(self, X, reset=reset, **rules))
        if self.image_shape is not None:
            rows = validate_data(self, X, reset=reset, **rules)
            shape = models.shape_of_rows(rows.shape[1], self.image_shape)
            layout, images = "nhw" if len(shape) == 2 else "nhwc", rows.reshape(-1, *shape)
        else:
            rules |= {"allow_nd": True, "ensure_2d": False, "input_name": "X"}
            layout, images = None, check_array(X, estimator=self, **rules)
            if images.ndim == 2:
                mend = "reshape it, state the image_shape of its rows, or recipe='features'"
                shapes = "(n, h, w), (n, h, w, c) or (n, c, h, w)"
                raise InputError(f"has shape {images.shape}", where="X", expected=shapes, mend=mend)
        stated = models.stated_range(self.value_range)
        with at("X"):
            pixels = from_array(images, layout=layout, range=stated, log=log)
            if not reset:
                models.check_channels(pixels, self.network_)
        if reset and self.image_shape is None:
            self.n_features_in_ = math.prod(pixels.shape[1:])
        return pixels
