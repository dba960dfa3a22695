"""Random views of images, on tensors, and what a training step shows of a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from aeclust.recipe import Recipe

# Grey value of an RGB colour (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)

# Least share of the area that a view shows. Grey images are often glyphs or single objects that
# fill the picture, of which a quarter is something else.
_AREA = {1: 0.5, 3: 0.25}
# Share of the area that a small crop shows.
_PART = {1: (0.2, 0.6), 3: (0.1, 0.4)}
_DRAWN = 16  # images of a batch are decoded at least, if there are as many


@dataclass(frozen=True)
class Batch:
    """What a training step shows of n images.

    Attributes
    ----------
    images : Tensor of shape (v n, c, s, s)
        What the encoder takes: the images, or of every one a first view, then second ones.
    crops : Tensor of shape (m n, c, t, t) or None
        Small crops: one of every image, then another one of every image, and so on.
    every : int
        The decoder draws one in so many of the images or first views, beginning with the first.
    drawn : Tensor of shape (d, c, r, r)
        These, as large as the decoder draws them.
    """

    images: Tensor
    crops: Tensor | None
    every: int
    drawn: Tensor


def shown(images: Tensor, recipe: Recipe, source: Generator, *, whole: bool = False) -> Batch:
    """What a training step of a recipe shows of images (n, c, s, s).

    With a contrastive term these are random views. They are made smaller for the encoder, unless
    they are to be seen `whole`: what counts can be seen in fewer pixels, in far less time. The
    plain network takes nothing but whole images, so it gets neither smaller views nor crops.
    """
    every = decoded_of(len(images), recipe)
    if not recipe.contrast:
        return Batch(images, None, every, images[::every])
    views = torch.cat([random_view(images, source), random_view(images, source)])
    drawn = views[: len(images) : every]
    whole = whole or recipe.network == "plain"
    side = images.shape[2] if whole else _scaled(recipe.view_scale or 1.0, images)
    if side != images.shape[2]:
        views = F.interpolate(views, (side, side), mode="bilinear", antialias=True)
    part = _scaled(recipe.crop_scale, images)
    count = 0 if recipe.network == "plain" else recipe.crops
    crops = [small_crop(images, source, part) for _ in range(count)]
    return Batch(views, torch.cat(crops) if crops else None, every, drawn)


def decoded_of(n: int, recipe: Recipe) -> int:
    """The decoder draws one in so many of n images of a batch.

    Without a contrastive term all: an image that is not drawn would teach nothing.
    """
    return max(1, min(recipe.decoded, n // _DRAWN)) if recipe.contrast else 1


def _scaled(share: float, images: Tensor) -> int:
    """A share of the images' side, as an even number of pixels, which the encoder's stem needs."""
    return max(2, 2 * round(share * images.shape[2] / 2))


def random_view(images: Tensor, source: Generator) -> Tensor:
    """A random view of every image: crop, resize, and change of colours or brightness.

    Parameters
    ----------
    images : Tensor of shape (n, c, s, s)
        In [-1, 1]. RGB images (c = 3) are flipped too; grey ones are not, because they are often
        glyphs, whose mirror image means something else.
    source : Generator
        On the device of `images`.

    Returns
    -------
    Tensor of shape (n, c, s, s)
        In [-1, 1].
    """
    return _view(images, source, (_AREA[images.shape[1]], 1.0), images.shape[2])


def small_crop(images: Tensor, source: Generator, side: int) -> Tensor:
    """A random view of a small part of every image, `side` pixels a side."""
    return _view(images, source, _PART[images.shape[1]], side)


def _view(images: Tensor, source: Generator, area: tuple[float, float], side: int) -> Tensor:
    rgb = images.shape[1] == 3
    cropped = random_crop(images, source, flip=rgb, area=area, side=side)
    return random_colour(cropped, source) if rgb else random_brightness(cropped, source)


def mild_view(images: Tensor, source: Generator) -> Tensor:
    """A crop of half of each image (n, c, s, s) or more; of RGB images half are flipped."""
    return random_crop(images, source, flip=images.shape[1] == 3, area=(0.5, 1.0))


def random_crop(
    images: Tensor,
    source: Generator,
    *,
    flip: bool,
    area: tuple[float, float] = (0.25, 1.0),
    side: int | None = None,
) -> Tensor:
    """A random part of each image, resized (bilinear).

    Parameters
    ----------
    images : Tensor of shape (n, c, s, s)
    source : Generator
    flip : bool
        Mirror half of the images, left to right.
    area : (float, float)
        Range of the part's share of the area; its aspect ratio is between 3/4 and 4/3.
    side : int, optional
        Pixels a side of the result; those of the images, if it is not given.
    """
    n, channels, size, _ = images.shape
    side = side or size
    share = _uniform(source, (n,), *area)
    ratio = torch.exp(_uniform(source, (n,), math.log(3 / 4), math.log(4 / 3)))
    width, height = (share * ratio).sqrt().clamp(max=1), (share / ratio).sqrt().clamp(max=1)
    x = _uniform(source, (n,), -1, 1) * (1 - width)
    y = _uniform(source, (n,), -1, 1) * (1 - height)
    if flip:
        width = torch.where(_uniform(source, (n,), 0, 1) < 0.5, -width, width)
    zero = torch.zeros_like(x)
    affine = torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1)
    grid = F.affine_grid(affine, [n, channels, side, side], align_corners=False)
    return sampled(images, grid)


def sampled(images: Tensor, grid: Tensor) -> Tensor:
    """Values of images (n, c, h, w) at the places (n, s, t, 2), those of the border beyond it."""
    if images.device.type != "mps":
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    # which knows no border before PyTorch 2.13; the outermost pixels have their centres here
    x, y = (1 - 1 / side for side in (images.shape[3], images.shape[2]))
    inside = torch.stack([grid[..., 0].clamp(-x, x), grid[..., 1].clamp(-y, y)], -1)
    return F.grid_sample(images, inside, padding_mode="zeros", align_corners=False)


def random_colour(
    images: Tensor,
    source: Generator,
    *,
    strength: float = 0.4,
    hue: float = 0.1,
    jitter: float = 0.8,
    grey: float = 0.2,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of RGB images, and turn some grey.

    All of it is one affine map of colour space for each image, applied at once.

    Parameters
    ----------
    images : Tensor of shape (n, 3, h, w)
        In [-1, 1].
    source : Generator
    strength : float
        Brightness, contrast and saturation are scaled by factors within 1 +- strength.
    hue : float
        Largest turn of the hue, as a share of the full circle, about the grey axis.
    jitter, grey : float
        Share of the images changed at all, and share turned grey.

    Returns
    -------
    Tensor of shape (n, 3, h, w)
        In [-1, 1].
    """
    n, device = len(images), images.device
    # made on the device: a copy from here would be waited for
    red, green, blue = (torch.full((3,), w, dtype=torch.float32, device=device) for w in _LUMA)
    to_grey = torch.stack([red, green, blue], 1)
    eye = torch.eye(3, dtype=torch.float32, device=device)
    low, high = 1 - strength, 1 + strength
    brightness, contrast, saturation = (_uniform(source, (n, 1, 1), low, high) for _ in range(3))
    angle = _uniform(source, (n, 1, 1), -hue, hue) * 2 * math.pi
    # a turn about the grey axis (Rodrigues): K is the cross product with (1, 1, 1) / sqrt(3)
    k = (eye.roll(1, 0) - eye.roll(-1, 0)) / math.sqrt(3)
    turn = eye + torch.sin(angle) * k + (1 - torch.cos(angle)) * (k @ k)
    saturate = saturation * eye + (1 - saturation) * to_grey
    matrix = brightness * contrast * (saturate @ turn)
    # contrast turns about the mean grey value, brightness scales from black, which is -1
    mean = (images.mean((2, 3)) @ to_grey[0])[:, None, None]
    offset = brightness * (1 + (1 - contrast) * mean) - 1
    changed = _uniform(source, (n, 1, 1), 0, 1) < jitter
    matrix, offset = torch.where(changed, matrix, eye), torch.where(changed, offset, 0 * offset)
    greyed = _uniform(source, (n, 1, 1), 0, 1) < grey
    matrix = torch.where(greyed, to_grey @ matrix, matrix)
    mapped = torch.baddbmm(offset, matrix, images.flatten(2))
    return mapped.clamp(-1, 1).view_as(images)


def random_brightness(
    images: Tensor, source: Generator, *, strength: float = 0.5, jitter: float = 0.8
) -> Tensor:
    """Scale the brightness of grey images (n, 1, s, s) from black, which is -1.

    The factor lies within 1 +- `strength`, for a share `jitter` of the images.
    """
    shape = (len(images), 1, 1, 1)
    factor = _uniform(source, shape, 1 - strength, 1 + strength)
    changed = _uniform(source, shape, 0, 1) < jitter
    return torch.where(changed, ((images + 1) * factor - 1).clamp(-1, 1), images)


def _uniform(source: Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    numbers = torch.rand(shape, generator=source, device=source.device, dtype=torch.float32)
    return low + (high - low) * numbers
