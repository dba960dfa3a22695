"""Random views of a batch: one geometric and one colour transform for each image, on tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from aeclust.network.batches import Draws

# Grey value of an RGB colour (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


# Least share of the area that a view shows. Grey images are often glyphs or single objects that
# fill the picture, of which a quarter is something else.
_AREA = {1: 0.5, 3: 0.25}


def view(images: Tensor, draws: Draws) -> Tensor:
    """A random view of every image: crop, resize, and change of colours or brightness.

    Parameters
    ----------
    images : Tensor of shape (n, c, s, s)
        In [-1, 1]. RGB images (c = 3) are flipped too; grey ones are not, because they are often
        glyphs, whose mirror image means something else.
    draws : Draws
        On the device of `images`.

    Returns
    -------
    Tensor of shape (n, c, s, s)
        In [-1, 1].
    """
    rgb = images.shape[1] == 3
    area = (_AREA[images.shape[1]], 1.0)
    cropped = random_crop(images, draws, flip=rgb, area=area)
    return random_colour(cropped, draws) if rgb else random_brightness(cropped, draws)


def random_crop(
    images: Tensor,
    draws: Draws,
    *,
    flip: bool,
    area: tuple[float, float] = (0.25, 1.0),
) -> Tensor:
    """Crop a random part of each image, flip half of them, and resize to the old size (bilinear).

    The part has a share of the area drawn from `area` and an aspect ratio between 3/4 and 4/3.
    """
    n = len(images)
    share = draws.uniform((n,), *area)
    ratio = torch.exp(draws.uniform((n,), math.log(3 / 4), math.log(4 / 3)))
    width, height = (share * ratio).sqrt().clamp(max=1), (share / ratio).sqrt().clamp(max=1)
    x = draws.uniform((n,), -1, 1) * (1 - width)
    y = draws.uniform((n,), -1, 1) * (1 - height)
    if flip:
        width = torch.where(draws.uniform((n,), 0, 1) < 0.5, -width, width)
    zero = torch.zeros_like(x)
    affine = torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def random_colour(
    images: Tensor,
    draws: Draws,
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
    draws : Draws
    strength : float
        Brightness, contrast and saturation are scaled by factors within 1 +- strength.
    hue : float
        Largest turn of the hue, as a share of the full circle, about the grey axis.
    jitter, grey : float
        Share of the images changed at all, and share turned grey.
    """
    n, device = len(images), images.device
    luma = torch.tensor(_LUMA, device=device)
    eye = torch.eye(3, device=device)
    to_grey = luma.expand(3, 3)
    low, high = 1 - strength, 1 + strength
    brightness, contrast, saturation = (draws.uniform((n, 1, 1), low, high) for _ in range(3))
    angle = draws.uniform((n, 1, 1), -hue, hue) * 2 * math.pi
    # a turn about the grey axis (Rodrigues): K is the cross product with (1, 1, 1) / sqrt(3)
    k = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=device) / math.sqrt(3)
    turn = eye + torch.sin(angle) * k + (1 - torch.cos(angle)) * (k @ k)
    saturate = saturation * eye + (1 - saturation) * to_grey
    matrix = brightness * contrast * (saturate @ turn)
    # contrast turns about the mean grey value, brightness scales from black, which is -1
    mean = (images.mean((2, 3)) @ luma)[:, None, None]
    offset = brightness * (1 + (1 - contrast) * mean) - 1
    changed = draws.uniform((n, 1, 1), 0, 1) < jitter
    matrix, offset = torch.where(changed, matrix, eye), torch.where(changed, offset, 0 * offset)
    greyed = draws.uniform((n, 1, 1), 0, 1) < grey
    matrix = torch.where(greyed, to_grey @ matrix, matrix)
    mapped = torch.baddbmm(offset, matrix, images.flatten(2))
    return mapped.clamp(-1, 1).view_as(images)


def random_brightness(
    images: Tensor, draws: Draws, *, strength: float = 0.5, jitter: float = 0.8
) -> Tensor:
    """Scale the brightness of grey images (n, 1, s, s) from black, which is -1.

    The factor lies within 1 +- `strength`, for a share `jitter` of the images.
    """
    shape = (len(images), 1, 1, 1)
    factor = draws.uniform(shape, 1 - strength, 1 + strength)
    changed = draws.uniform(shape, 0, 1) < jitter
    return torch.where(changed, ((images + 1) * factor - 1).clamp(-1, 1), images)
