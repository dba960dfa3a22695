"""What training starts from: the images, the frozen encoder, and the recipe that fits both."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeclust.errors import at
from aeclust.images import Images, Source, check_enough, is_files
from aeclust.recipe import Recipe
from aeclust.run import encoders
from aeclust.run.budget import Budget
from aeclust.run.context import Context
from aeclust.run.images import load_images, run_images
from aeclust.run.manifest import Manifest
from aeclust.run.present import present_images
from aeclust.run.previews import as_images
from aeclust.run.update import moved_to, shared

if TYPE_CHECKING:
    from aeclust.network.pretrained import Encoder


@dataclass(frozen=True)
class Start:
    """What training starts from.

    `former` is the run that goes on or is learnt on from, if there is one.
    """

    former: Manifest | None
    source: Source
    images: Images
    recipe: Recipe
    encoder: Encoder | None
    encoder_file: str | None

    def planned(self, context: Context, budget: Budget, seed: int) -> Recipe:
        """The recipe for a budget; a network that learns on stays as large as it is."""
        with at(self.source.location):
            check_enough(self.images.pixels, self.recipe.k)
            same = [self.images.digest(), self.recipe.to_json(), budget.minutes]
            context.check_same(json.dumps(same))  # or what they measure together would hang
        context.progress("measuring how long training takes here", 0, 0)
        return budget.planned(
            self.images.pixels,
            self.recipe,
            seed=seed,
            team=context.team,
            see=self.encoder,
            sized=self.former is not None,
            log=context.log,
        )


def begin(
    context: Context,
    former: Manifest | None,
    source: Source,
    recipe: Recipe,
    encoder_file: str | None = None,
    *,
    learn_on: bool = False,
) -> Start:
    """Load the encoder and the images.

    Parameters are those of :func:`aeclust.run.train.train`, but for the run that is there already.
    """
    recipe, encoder_file = encoders.separated(recipe, encoder_file)
    encoder = encoders.begun(recipe, encoder_file, context.device) if recipe.encoder else None
    if encoder is not None:
        context.encoders[encoder.sha256] = encoder
        if encoder.image_size and is_files(source.location):
            source = dataclasses.replace(source, size=encoder.image_size)
    if former is None:
        images = load_images(context, source, preview=True)
    elif learn_on:
        images = _images_now(context, former, source)
    else:
        former, images = _images_of(context, former, source)
    if encoder is not None:
        in_files = is_files(source.location)
        recipe = encoders.completed(recipe, encoder, images.pixels.shape, in_files=in_files)
        recipe = encoders.named_as_in(former, recipe)
    return Start(former, source, images, recipe, encoder, encoder_file)


def _images_of(context: Context, manifest: Manifest, source: Source) -> tuple[Manifest, Images]:
    """The manifest of the run at hand, whose images may have moved, and these."""
    here = source.way == manifest.source.way and shared(context, manifest, source)
    if not 2 * here >= manifest.shape[0]:  # other pixels, and so another request
        return manifest, load_images(context, source, preview=True)
    moved = moved_to(context, manifest, source)
    present_images(context, moved)
    return moved, run_images(context, moved)


def _images_now(context: Context, manifest: Manifest, source: Source) -> Images:
    """The images of a run as they are now, or others."""
    if source.way != manifest.source.way:
        return load_images(context, source, preview=True)
    moved = moved_to(context, manifest, source)
    return as_images(context, moved, present_images(context, moved, taking=True))
