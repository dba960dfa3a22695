"""Built-in image sets: small, drawn by numpy from a seed, needing neither files nor network.

``scenes`` holds landscapes and objects.  Both classes draw their colours from the same palettes
and pass through the same random exposure, so pixel values say little about the class and the
layout says nearly everything: the easy split of these images, by brightness, is a wrong one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

# A field broadcasts to (FINE, FINE); a colour is (3, 1, 1), an image (3, FINE, FINE), about 0..1.
Array = NDArray[np.floating[Any]]

_SCENES = {"scenes": (2000, 0), "scenes-val": (500, 1)}  # how many, and the seed
NAMES: tuple[str, ...] = (*_SCENES, "digits")

SIDE = 32
FINE = 2 * SIDE  # painted at twice the size and averaged, which smooths every edge
X: Array = ((np.arange(FINE, dtype=np.float32) + 0.5) / SIDE - 1)[None]
Y: Array = X.T  # -1 at the top, 1 at the bottom

# Zenith, horizon, far, near, accent: a light and a place, or a backdrop and the things on it.
COLOURS = (
    "2f6fb3 cfe3ee 7c98ad 3f6b3a f2c14e",  # summer noon
    "4a90c9 e9f0ea 8fa9a0 6c8f3c d9483b",  # spring meadow
    "27406f f2a65a 7a5870 2c2a44 ffd98a",  # sunset
    "5b4a8a f7b2a0 8d6f9c 3d3560 ffe2b8",  # dusk
    "0e1a38 35507f 22345a 0d1526 e8e6d0",  # night
    "8b99a6 d5d9da 9aa5aa 5c6b66 b9503c",  # overcast
    "7fb2d6 f4efe4 b9c9d8 e6ebf0 c2452d",  # snow
    "6db0d8 f5deb3 d39b5f b5713a 7a2e1d",  # desert
    "b9c8c0 ece8da a9b7a4 55684e d88c3a",  # mist
    "1f8fa8 bfeae0 4fa3a5 e0c890 f27059",  # lagoon
    "c2543d f6c28b 94503f 40221f ffe9a8",  # red evening
    "3c7a57 d9e8b0 6d9a63 274d33 e9b44c",  # forest
    "a5668b f3d3bd 8c6a86 4b3b57 f7ede2",  # heather
    "5c6784 c9d6df 52616b 1e2022 f0a500",  # storm
)
PALETTES: Array = np.array(
    [[list(bytes.fromhex(colour)) for colour in row.split()] for row in COLOURS], np.float32
)[..., None, None] / np.float32(255)

# Half-widths of turned silhouettes at even heights from the top to the foot.
PROFILES = (
    (0.16, 0.16, 0.15, 0.2, 0.4, 0.46, 0.46, 0.46, 0.46, 0.44),  # bottle
    (0.3, 0.22, 0.2, 0.36, 0.55, 0.62, 0.58, 0.46, 0.34, 0.36),  # vase
    (0.08, 0.22, 0.3, 0.34, 0.42, 0.6, 0.7, 0.72, 0.64, 0.36),  # pear
    (0.55, 0.56, 0.54, 0.46, 0.28, 0.07, 0.06, 0.06, 0.12, 0.46),  # goblet
    (0.24, 0.34, 0.44, 0.54, 0.64, 0.08, 0.08, 0.08, 0.1, 0.42),  # lamp
    (0.62, 0.64, 0.6, 0.56, 0.54, 0.52, 0.5, 0.48, 0.46, 0.42),  # pot
)


@dataclass(frozen=True)
class DemoSet:
    """Images (n, h, w, 1 or 3) and their true labels (n,) from 0, which are only to score with.

    `classes` has the name of each label.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def load(name: str) -> DemoSet:
    """The set with one of the `NAMES`; KeyError for any other."""
    if name == "digits":
        return digits()
    n, seed = _SCENES[name]
    return scenes(n, seed=seed)


def classes(name: str) -> NDArray[np.int64]:
    """The labels of :func:`load` alone, without painting an image for each."""
    if name == "digits":
        return digits().labels
    n, seed = _SCENES[name]
    return _kinds(n, np.random.default_rng(seed))


def digits() -> DemoSet:
    """The 1797 handwritten digits of scikit-learn, (1797, 8, 8, 1)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    return DemoSet(pixels, bunch.target.astype(np.int64), tuple("0123456789"))


def scenes(n: int, *, seed: int) -> DemoSet:
    """Paint objects (0) and landscapes (1), half of each, in random order.

    The generator is numpy's own of `seed` and no named stream of :mod:`aeclust.seeds`: the pictures
    are published, so their bytes must stay.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Equal seeds give equal bytes.

    Returns
    -------
    DemoSet
        Of pixels (n, 32, 32, 3).
    """
    rng = np.random.default_rng(seed)
    labels = _kinds(n, rng)
    pixels = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for i, child in enumerate(rng.spawn(n)):
        paint = _landscape if labels[i] else _object
        pixels[i] = _develop(child, paint(child, _palette(child)))
    return DemoSet(pixels, labels, ("object", "landscape"))


def _kinds(n: int, rng: Generator) -> NDArray[np.int64]:
    return rng.permutation(np.arange(n, dtype=np.int64) % 2)


# ---- light and texture, shared by both classes --------------------------------------------------


def _palette(rng: Generator) -> Array:
    """Five colours ``(5, 3, 1, 1)``: a palette leaning a little towards another."""
    first, second = PALETTES[rng.integers(len(PALETTES), size=2)]
    jitter = rng.normal(0, 0.025, first.shape).astype(np.float32)
    mixed: Array = first + rng.uniform(0, 0.3) * (second - first) + jitter
    return mixed.clip(0, 1)


def _develop(rng: Generator, image: Array) -> NDArray[np.uint8]:
    """Balance, expose, tint and grain an image averaged to ``(SIDE, SIDE, 3)`` uint8.

    Exposure and contrast are drawn without regard to what is shown: no class is the bright one.
    """
    tall = image[:, ::2] + image[:, 1::2]
    small: Array = (tall[..., ::2] + tall[..., 1::2]) / 4
    small = (small * (small.mean() / small.mean((1, 2), keepdims=True)) ** 0.4).clip(0.01, 0.99)
    small **= math.log(rng.uniform(0.25, 0.68)) / math.log(small.mean())
    mean, spread = float(small.mean()), float(small.std())
    small = mean + (small - mean) * min(max(rng.uniform(0.13, 0.26) / (spread + 1e-3), 0.7), 1.7)
    small = small * rng.normal(1, 0.07, (3, 1, 1)) + rng.normal(0, 0.01, small.shape)
    return (small.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def _blend(below: Array, above: Array | float, mask: Array | float) -> Array:
    """Lay a colour or an image over another where ``mask`` is 1."""
    return below + (above - below) * mask


def _cover(distance: Array, soft: float = 1 / SIDE) -> Array:
    """Turn a signed distance into a mask, 1 where negative, that fades over ``soft``."""
    return (0.5 - distance / soft).clip(0, 1)


@cache
def _lerp(cells: int) -> Array:
    """Weights ``(FINE, cells + 1)`` that smoothly interpolate a lattice along one axis."""
    away = np.abs(np.arange(FINE)[:, None] * cells / FINE - np.arange(cells + 1))
    near: Array = np.maximum(1 - away, 0).astype(np.float32)
    return near * near * (3 - 2 * near)


def _noise(rng: Generator, down: int, across: int, octaves: int) -> Array:
    """Fractal noise ``(FINE, FINE)`` in 0..1 with ``down`` x ``across`` coarse cells.

    Its first row alone serves as the outline of a ridge.
    """
    total: Array = np.zeros((FINE, FINE), np.float32)
    for k in range(octaves):
        rows, columns = (_lerp(min(cells << k, SIDE)) for cells in (down, across))
        lattice = rng.random((rows.shape[1], columns.shape[1]), np.float32)
        total += rows @ lattice @ columns.T * 0.5**k
    return total / (2 - 0.5 ** (octaves - 1))


# ---- landscapes ---------------------------------------------------------------------------------


def _landscape(rng: Generator, palette: Array) -> Array:
    horizon, sun = rng.uniform(-0.3, 0.5), rng.uniform(-0.8, 0.8)
    image = _sky(rng, palette, horizon, sun)
    if rng.random() < 0.75:
        image = _ridges(rng, image, palette, horizon)
    ground = (_sea, _plain, _folds, _folds)[rng.integers(4)]
    image = ground(rng, image, palette, horizon, sun)
    if rng.random() < 0.4:
        image = _trees(rng, image, palette, horizon)
    if rng.random() < 0.3:  # fog lies on the horizon
        bank = np.exp(-(((Y - horizon) / rng.uniform(0.15, 0.5)) ** 2))
        image = _blend(image, palette[1], bank * rng.uniform(0.4, 0.8))
    return image


def _sky(rng: Generator, palette: Array, horizon: float, sun: float) -> Array:
    """A gradient to the horizon with, by chance, stars, a sun or moon, and clouds."""
    height = np.clip((Y + 1) / (horizon + 1), 0, 1) ** rng.uniform(0.7, 1.8)
    image = _blend(palette[0], palette[1], np.tile(height, FINE))
    if palette[0].mean() < 0.3:
        stars = rng.random((FINE, FINE), np.float32) > 0.99
        image = _blend(image, 1, stars * (1 - height))
    if rng.random() < 0.6:
        away = np.hypot(X - sun, Y - rng.uniform(-0.8, horizon))
        glow = 0.5 * np.exp(-3 * away) + _cover(away - rng.uniform(0.08, 0.18), 0.06)
        image = _blend(image, 0.55 + 0.45 * palette[4], np.minimum(glow, 1))
    if rng.random() < 0.65:
        dense = np.clip((_noise(rng, int(rng.integers(3, 8)), 2, 4) - 0.5) * 4 + 0.2, 0, 1)
        lit = 0.35 + 0.65 * palette[1]
        image = _blend(image, _blend(lit, palette[2], 0.6 * dense**3), 0.9 * dense)
    return image


def _ridges(rng: Generator, image: Array, palette: Array, horizon: float) -> Array:
    """Mountain ranges, each nearer one lower and less hazy, perhaps with snow on the heights."""
    count, tall, snowy = int(rng.integers(1, 4)), rng.uniform(0.3, 0.8), rng.random() < 0.4
    for k in range(count):
        rough = _noise(rng, 6, 6, 3)
        crest = horizon - tall * (1 - k / count) * (2 * _noise(rng, 1, 3, 4)[0] - 0.3)
        rock = _blend(palette[1], palette[2], 0.5 + 0.5 * (k + 1) / count)
        if snowy:
            rock = _blend(rock, 0.6 + 0.4 * palette[1], _cover(Y - crest - rough + 0.35, 0.1))
        relief = 1 + 1.1 * (rough - np.roll(rough, 3, 1))  # lit from the left
        image = _blend(image, rock * relief, _cover(crest - Y))
    return image


def _sea(rng: Generator, image: Array, palette: Array, horizon: float, sun: float) -> Array:
    """Water: the sky upside down and darker, rippled, with a glitter path below the sun."""
    depth = np.maximum(Y - horizon, 0)
    ripple = _noise(rng, 16, 3, 2)
    water = _blend(palette[1], palette[0], np.minimum(0.3 + depth, 1)) * (0.6 + 0.4 * ripple)
    path = np.exp(-(((X - sun) / (0.1 + 0.3 * depth)) ** 2)) * np.clip(6 * ripple - 3, 0, 1)
    water = _blend(water, 0.55 + 0.45 * palette[4], path * rng.uniform(0, 0.9))
    return _blend(image, water, _cover(horizon - Y))


def _plain(rng: Generator, image: Array, palette: Array, horizon: float, sun: float) -> Array:
    """A field, perhaps with furrows that run to a vanishing point, perhaps with flowers."""
    depth = np.clip((Y - horizon) / (1 - horizon), 0.02, 1)
    ground = _blend(palette[2], palette[3], np.sqrt(depth)) * (0.75 + 0.5 * _noise(rng, 8, 3, 3))
    if rng.random() < 0.5:
        rows = np.sin((X - sun) * rng.uniform(5, 9) / (depth + 0.1))
        ground = ground * (1 + 0.25 * rows * np.sqrt(depth))
    if rng.random() < 0.4:
        flowers = rng.random((FINE, FINE), np.float32) < 0.1
        ground = _blend(ground, palette[4], flowers * np.minimum(0.2 + depth, 0.9))
    return _blend(image, ground, _cover(horizon + 0.05 * _noise(rng, 1, 3, 2)[0] - Y))


def _folds(rng: Generator, image: Array, palette: Array, horizon: float, sun: float) -> Array:
    """Rolling ground: wooded hills, or dunes of sand or snow that are lit along their crests."""
    wooded = rng.random() < 0.5
    for k in range(4):
        rise = 0.4 * _noise(rng, 1, 2, 4 if wooded else 1)[0] - 0.2
        depth = Y - (horizon + (0.9 - horizon) * k / 4 + rise)
        leaves = _noise(rng, 12, 12, 2) if wooded else 0.75 + 0.15 * math.copysign(1, sun) * X
        colour = _blend(palette[2 if wooded else 1], palette[3], 0.3 + 0.2 * k)
        light = 0.75 + 0.5 * leaves - np.clip((0.3 if wooded else 1.4) * depth, 0, 0.5)
        image = _blend(image, colour * light, _cover(-depth))
    return image


def _trees(rng: Generator, image: Array, palette: Array, horizon: float) -> Array:
    """A row of conifers along some line of the ground."""
    count, foot = int(rng.integers(4, 16)), horizon + rng.uniform(0.02, 0.5) * (1 - horizon)
    tall = rng.uniform(0.4, 1, (count, 1)) * rng.uniform(0.3, 0.7)
    away = np.abs(X - rng.uniform(-1.1, 1.1, (count, 1))) / rng.uniform(0.25, 0.4)
    top = foot - np.maximum(tall - away, 0).max(0) - 0.06 * _noise(rng, 1, 16, 2)[0]
    shade = palette[3] * (0.45 + 0.3 * _noise(rng, 12, 12, 1))
    return _blend(image, shade, _cover(top - Y) * _cover(Y - foot, 0.1))


# ---- objects ------------------------------------------------------------------------------------


def _object(rng: Generator, palette: Array) -> Array:
    palette = palette[rng.permutation(5)]
    layout = rng.random()
    if layout < 0.12:
        return _closeup(rng, palette)
    image = _backdrop(rng, palette)
    if layout < 0.4:  # on a table, whose edge is as level as any horizon
        floor, size = rng.uniform(0.1, 0.6), rng.uniform(0.5, 0.75)
        grain = 0.85 + 0.3 * _noise(rng, 10, 2, 2)
        image = _blend(image, palette[1] * grain, _cover(floor - Y))
        return _thing(rng, image, palette[2:], rng.uniform(-0.3, 0.3), floor + 0.2 - size, size)
    if layout < 0.8:
        x, y = rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)
        return _thing(rng, image, palette[2:], x, y, rng.uniform(0.5, 0.85))
    count, turn = int(rng.integers(2, 4)), rng.uniform(0, math.tau)
    for k in range(count):
        angle = turn + math.tau * k / count
        x, y, size = 0.5 * math.cos(angle), 0.5 * math.sin(angle), rng.uniform(0.3, 0.45)
        image = _thing(rng, image, np.roll(palette[2:], k, 0), x, y, size)
    return image


def _turned(rng: Generator) -> tuple[Array, Array]:
    """Coordinates under a random rotation."""
    angle = rng.uniform(0, math.tau)
    c, s = math.cos(angle), math.sin(angle)
    return c * X + s * Y, c * Y - s * X


def _pattern(rng: Generator) -> Array:
    """A texture in 0..1, at any angle."""
    u, v = (rng.uniform(6, 16) * axis for axis in _turned(rng))
    match rng.choice(("checks", "stripes", "dots", "weave", "fur")):
        case "checks":
            return _cover(np.sin(u) * np.sin(v), 0.3)
        case "stripes":
            return _cover(np.sin(u), 0.5)
        case "dots":
            return _cover(0.6 - np.sin(u) - np.sin(v), 0.4)
        case "weave":
            return abs(np.where(np.sin(u) * np.sin(v) > 0, np.sin(2 * u), np.sin(2 * v)))
        case _:
            return 0.5 + 0.5 * np.sin(u + 12 * _noise(rng, 4, 4, 3))


def _backdrop(rng: Generator, palette: Array) -> Array:
    """A plain, shaded or patterned background, darker in the corners."""
    image = _blend(palette[0], palette[1], rng.uniform(0, 0.25) * (_turned(rng)[0] + 1))
    if rng.random() < 0.35:
        image = _blend(image, palette[1], _pattern(rng) * rng.uniform(0.1, 0.5))
    return image * (1.1 - 0.2 * (X**2 + Y**2))


def _outline(rng: Generator, u: Array, v: Array) -> Array:
    """Signed distance, negative inside, to a random figure that about fills the unit disc."""
    kind = rng.choice(("ring", "cross", "mug", "vessel", "vessel", "disc", "polygon", "star"))
    some, points = rng.random(), int(rng.integers(3, 8))
    radius, across, down = np.hypot(u, v), np.abs(u), np.abs(v)
    angle = np.arctan2(v, u) / math.tau + some
    corner = 2 * np.abs(angle * points % 1 - 0.5)  # 1 at a corner, 0 halfway to the next
    distance: Array = radius - 1
    if kind == "ring":
        distance = np.abs(radius - 0.85 + 0.15 * some) - 0.15 - 0.15 * some
    elif kind == "cross":
        bar = np.minimum(across, down) - 0.2 - 0.2 * some
        distance = np.maximum(bar, np.maximum(across, down) - 0.95)
    elif kind == "mug":
        cup = np.maximum(np.abs(u + 0.2) - 0.5 - 0.15 * some, down - 0.9)
        distance = np.minimum(cup, np.abs(np.hypot(u - 0.45, v) - 0.38) - 0.1)
    elif kind == "vessel":
        widths = PROFILES[rng.integers(len(PROFILES))]
        half = np.interp(v, np.linspace(-1, 1, len(widths)), widths)
        distance = np.maximum(across - half, down - 1)
    elif kind == "polygon":
        distance = radius - math.cos(math.pi / points) / np.cos(corner * math.pi / points)
    elif kind == "star":
        distance = radius - 0.5 / (1 - 0.5 * corner)
    return distance


def _thing(rng: Generator, image: Array, colours: Array, x: float, y: float, size: float) -> Array:
    """Draw one solid thing with its shadow, shading, highlight and perhaps a pattern."""
    side = 1 if rng.random() < 0.5 else -1  # where the light comes from
    u, v = side * (X - x) / size, (Y - y) / size
    distance = _outline(rng, u, v)
    at = np.arange(FINE)
    shadow = _cover(distance, 0.4)[np.maximum(at - 4, 0)][:, (at + 5 * side).clip(0, FINE - 1)]
    body = colours[0]
    if rng.random() < 0.35:
        body = _blend(body, colours[1], _pattern(rng))
    body = body * (1 + rng.uniform(0.15, 0.4) * (u - v)) * (1 - 0.3 * _cover(-distance - 0.08, 0.2))
    gloss = rng.uniform(0, 0.7) * np.exp(-8 * ((u - 0.3) ** 2 + (v + 0.4) ** 2))
    return _blend(image * (1 - 0.45 * shadow), _blend(body, 1, gloss), _cover(distance, 0.06))


def _closeup(rng: Generator, palette: Array) -> Array:
    """A surface that fills the frame: cloth or fur, the cut face of a fruit, or an eye."""
    kind = rng.integers(3)
    if kind == 0:
        return _blend(palette[0], palette[1], _pattern(rng)) * (1.1 - 0.2 * _turned(rng)[0])
    x, y = X - rng.uniform(-0.2, 0.2), Y - rng.uniform(-0.2, 0.2)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    size = rng.uniform(0.65, 0.9)
    image = _blend(palette[0], palette[1], _noise(rng, 3, 3, 3))
    disc = _cover(radius - size)
    image = _blend(image * (1 - 0.3 * _cover(radius - size, 0.5)), palette[2], disc)
    if kind == 1:
        wedges = np.abs(np.sin(angle * int(rng.integers(6, 12)) / 2)) * radius
        image = _blend(image, 0.7 + 0.3 * palette[3], _cover(radius - 0.9 * size))
        return _blend(image, palette[2], _cover(radius - 0.8 * size) * _cover(0.06 - wedges, 0.1))
    fibres = np.cos(angle * 24) * _noise(rng, 8, 8, 2)
    image = image * (1 + 0.4 * fibres * disc)
    image = _blend(image, 0.1 * palette[3], _cover(radius - size * rng.uniform(0.3, 0.6), 0.1))
    return _blend(image, 1, _cover(np.hypot(x + 0.25, y + 0.25) - 0.12, 0.1))
