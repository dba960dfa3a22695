"""Copies of drawn pictures are found whatever was done to them, and other pictures are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aeclust.clusters.duplicates import (
    ALIKE,
    SIDE,
    Pairs,
    alikeness,
    equal_pairs,
    groups,
    near_pairs,
)
from aeclust.images import grey_square

N = 24
PAIR = np.array([[0, 1]])


def scene(seed: int) -> Image.Image:
    """Patches of all sizes, as photographs have them."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((96, 128))
    for cells in (3, 6, 12, 24, 48):
        patch = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        layers += np.asarray(patch.resize((128, 96), Image.Resampling.BICUBIC)) / cells**0.5
    low, high = layers.min(), layers.max()
    return Image.fromarray((255 * (layers - low) / (high - low)).astype(np.uint8))


def square(image: Image.Image) -> NDArray[np.uint8]:
    return grey_square(np.asarray(image)[:, :, None], SIDE)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: image.resize((64, 48)),
    "cropped": lambda image: image.crop((13, 10, 115, 86)),
    "a corner": lambda image: image.crop((20, 15, 128, 96)),
    "brighter": lambda image: image.point(lambda value: min(255, round(1.3 * value))),
    "mirrored": ImageOps.mirror,
    "turned": lambda image: image.rotate(3, Image.Resampling.BICUBIC).crop((8, 8, 120, 88)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_is_alike_to_what_was_made_of_it_in_either_order(change: str) -> None:
    for seed in range(2):
        image = scene(seed)
        both = np.stack([square(image), square(CHANGES[change](image))])
        assert alikeness(both, PAIR)[0] > 0.75
        assert alikeness(both[::-1], PAIR)[0] > 0.75


def test_other_pictures_are_not_alike() -> None:
    every = np.stack([square(scene(seed)) for seed in range(N)])
    i, j = np.triu_indices(N, 1)
    assert alikeness(every, np.stack([i, j], 1)).max() < 0.7 * ALIKE


def test_plain_pictures_are_alike_for_no_reason() -> None:
    plain = np.full((2, SIDE, SIDE), 90, np.uint8)
    framed = plain.copy()
    framed[:, :4] = framed[:, -4:] = 255  # bars, as a screen adds them
    spotted = plain.copy()
    spotted[:, 14:17, 15:17] = 20  # a bird in the sky
    for pair in (plain, framed, spotted):
        pair[1] += np.random.default_rng(0).integers(0, 3, (SIDE, SIDE)).astype(np.uint8)
        assert alikeness(pair, PAIR)[0] < ALIKE


def test_copies_are_found_among_others_by_their_latents_or_by_their_looks() -> None:
    scenes = [scene(seed) for seed in range(N)]
    copies = [CHANGES["cropped"](scenes[3]), CHANGES["mirrored"](scenes[5])]
    squares = np.stack([square(image) for image in [*scenes, *copies]])
    latents = np.random.default_rng(0).normal(size=(N + 2, 3)).astype(np.float32)
    latents[N] = latents[3]  # the crop by its latent; the mirrored one is nowhere near
    found = near_pairs(latents, squares, seed=0)
    assert found.rows.tolist() == [[3, N], [5, N + 1]]
    assert (found.alike > 0.75).all()
    assert near_pairs(latents[:N], squares[:N], seed=0).rows.size == 0


def test_where_all_pictures_are_alike_a_copy_must_be_more_so() -> None:
    common = scene(0)
    images = [Image.blend(common, scene(seed), 0.2) for seed in range(1, N)]
    squares = np.stack([square(image) for image in [*images, CHANGES["half"](images[3])]])
    assert alikeness(squares, PAIR)[0] > ALIKE
    latents = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    assert near_pairs(latents, squares, seed=0).rows.tolist() == [[3, N - 1]]


def test_pairs_make_groups() -> None:
    equal = equal_pairs(np.array([7, 8, 7, 9, 8, 7], np.uint64))
    assert equal.rows.tolist() == [[0, 2], [1, 4], [0, 5]]
    assert equal.alike.tolist() == [1, 1, 1]
    near = Pairs(np.array([[3, 4]]), np.array([0.8]))
    assert [part.tolist() for part in groups(7, equal, near)] == [[0, 2, 5], [1, 3, 4]]
    assert groups(3, Pairs(np.empty((0, 2), np.int64), np.empty(0))) == []
