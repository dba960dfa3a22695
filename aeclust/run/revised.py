"""A model in memory with other labels: corrected by hand, or steered by what is known."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aeclust.recipe import Recipe
from aeclust.run.clusters import labels_of
from aeclust.run.edits.applied import Correction, followed, with_parts
from aeclust.run.edits.kinds import Drop, Edit, Edits, Move, Split
from aeclust.run.freshness import Request
from aeclust.run.known import Steering
from aeclust.run.model import Model
from aeclust.run.steering import worth_labelling


def corrected(model: Model, edit: Edit) -> Model:
    """A model with one more edit, in which images are named by their rows.

    Raises
    ------
    InputError
        If the edit makes no sense.
    """
    latents = model.latents.arrays["latents"]
    now = Correction(model.labels, Edits(model.labels.digest), lambda: latents)
    if isinstance(edit, Move | Drop):
        edit = dataclasses.replace(edit, ids=tuple(now.ids[int(row)] for row in edit.ids))
    now.apply(with_parts(now, edit, latents) if isinstance(edit, Split) else edit)
    return dataclasses.replace(model, labels=followed(now.labels))


def clustered(model: Model, steering: Steering | None) -> Model:
    """A model whose latents are clustered anew, steered by what is known or by nothing."""
    recipe, seed = Recipe.from_json(model.labels.recipe), model.labels.seed
    request = Request(recipe=recipe, seed=seed, steering=steering)
    labels = labels_of(model.latents, request)
    return dataclasses.replace(model, labels=labels)


def asked(model: Model, count: int) -> NDArray[np.int64]:
    """Rows of the images most worth labelling, of those that are not known."""
    latents, known = model.latents.arrays["latents"], model.labels.arrays.get("known")
    barred = np.zeros(len(latents), bool) if known is None else known >= 0
    seed = model.manifest.seed
    return np.array(
        worth_labelling(model.labels, latents, count=count, seed=seed, known=barred), np.int64
    )
