"""The checkpoint curve of a run: measured when missing or stale, kept in ``curve.h5``."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifacts, labels
from aeclust.artifacts import Artifact
from aeclust.choosing import INDICATORS, Indicators
from aeclust.curve import Curve, Point, checkpoint_curve, summarise
from aeclust.errors import BusyError, InputError, WriteError
from aeclust.images import Source
from aeclust.models import Autoencoder
from aeclust.run.caches import (
    check_channels,
    check_data,
    load_network,
    other_images,
    run_images,
)
from aeclust.run.context import Context
from aeclust.run.folder import Manifest, RunFolder


@dataclass(frozen=True)
class Validation:
    """Labelled images: pixels (m, h, w, c), classes (m,) int64, and the SHA-256 of both."""

    pixels: NDArray[Any]
    classes: NDArray[np.int64]
    digest: str


def load_validation(
    context: Context, manifest: Manifest, val_images: Source | None, val_labels: str | None
) -> Validation | None:
    """Labelled images as asked for now or at training; None if there are none."""
    if val_images is None and val_labels is None and manifest.val_images is not None:
        val_images, val_labels = Source(location=manifest.val_images), manifest.val_labels
    if val_images is None and val_labels is None:
        return None
    if val_images is None or val_labels is None:
        raise InputError(
            "only one of the two is given",
            where="--val-images, --val-labels",
            expected="both",
            mend="add the other",
        )
    images = other_images(context, manifest, val_images)
    check_channels(images, manifest)
    rows, classes = labels.load(val_labels, texts=True).aligned(images.ids)
    decisive = hashlib.sha256(images.digest().encode())
    decisive.update(rows.astype("<i8").tobytes() + classes.astype("<i8").tobytes())
    return Validation(images.pixels[rows], classes, decisive.hexdigest())


def current_curve(
    context: Context, manifest: Manifest, *, seed: int, validation: Validation | None
) -> Curve:
    """Error, accuracy and indicators of every checkpoint, measured if missing or stale."""
    wanted = _request(context.folder, manifest, seed, validation)
    file = context.folder.curve_file
    if file.exists():
        artifact = artifacts.read(file, "curve")
        if artifact.details == wanted:
            check_data(context, manifest)
            return _curve(artifact)
        context.say("checkpoints are measured anew: they were measured for something else")
    images = run_images(context, manifest)
    epochs = context.folder.checkpoints()

    def networks() -> Iterator[tuple[int, Autoencoder]]:
        for i, epoch in enumerate(epochs):
            context.progress("checkpoints", i, len(epochs))
            yield epoch, load_network(context, manifest, epoch)[0]
        context.progress("checkpoints", len(epochs), len(epochs))

    found = checkpoint_curve(
        networks(),
        images.pixels,
        manifest.recipe,
        seed=seed,
        device=context.device,
        validation=None if validation is None else (validation.pixels, validation.classes),
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(context.folder.lock())
        except (BusyError, WriteError) as error:
            # a run that still trains, or is only to be read: its numbers are for everybody
            context.say(f"what was measured is not kept: {error}")
            return found
        artifacts.write(file, _artifact(manifest, found, seed, wanted))
    return found


def kept_curve(context: Context, manifest: Manifest) -> Curve | None:
    """The curve as it was last measured, if it is of these checkpoints."""
    file = context.folder.curve_file
    if not file.exists():
        return None
    artifact = artifacts.read(file, "curve")
    return None if stale_curve(context.folder, manifest, artifact) else _curve(artifact)


def stale_curve(folder: RunFolder, manifest: Manifest, artifact: Artifact) -> str:
    """Why a curve is stale, or an empty text."""
    same = artifact.details.get("weights") == _weights(folder)
    same &= artifact.details.get("run") == manifest.identity
    return "" if same else "the checkpoints have changed"


def _request(
    folder: RunFolder, manifest: Manifest, seed: int, validation: Validation | None
) -> dict[str, object]:
    return {
        "run": manifest.identity,
        "weights": _weights(folder),
        "seed": seed,
        "validation": "" if validation is None else validation.digest,
    }


def _weights(folder: RunFolder) -> str:
    """One SHA-256 for all checkpoints and their epochs."""
    names = [
        f"{epoch} {artifacts.claimed_digest(folder.weights_file(epoch))}\n"
        for epoch in folder.checkpoints()
    ]
    return hashlib.sha256("".join(names).encode()).hexdigest()


def _artifact(manifest: Manifest, curve: Curve, seed: int, details: dict[str, object]) -> Artifact:
    arrays: dict[str, NDArray[Any]] = {
        "epochs": np.array([p.epoch for p in curve.points], np.int64),
        "errors": np.array([p.error for p in curve.points]),
    }
    for name in INDICATORS:
        arrays[name] = np.array([getattr(p.indicators, name) for p in curve.points], np.float64)
    accuracies = [p.accuracy for p in curve.points if p.accuracy is not None]
    if accuracies:
        arrays["accuracies"] = np.array(accuracies)
    return Artifact(
        kind="curve",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=seed,
        parents={"data": manifest.data_digest},
        details=details,
    )


def _curve(artifact: Artifact) -> Curve:
    arrays = {name: values.tolist() for name, values in artifact.arrays.items()}
    accuracies = arrays.get("accuracies", [None] * len(arrays["epochs"]))
    return summarise(
        [
            Point(epoch, error, accuracy, Indicators(*known))
            for epoch, error, accuracy, *known in zip(
                arrays["epochs"],
                arrays["errors"],
                accuracies,
                *(arrays[name] for name in INDICATORS),
                strict=True,
            )
        ]
    )
