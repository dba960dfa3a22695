"""Do duplicates come out as such? Copies of photographs, changed in ten ways, among their originals.

    AECLUST_DATA=../shared/data python benchmarks/duplicates.py copies FOLDER [--of SET]
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

HOUSES = Path(os.environ.get("AECLUST_DATA", "../shared/data")) / "houses"
# of one half of the photographs the thresholds were chosen, on the other one they are judged
HALVES = {"chosen": (0, 100), "judged": (1, 300)}


def _crop(image: Image.Image, share: float, *, corner: bool = False) -> Image.Image:
    """Without a share of every side, or twice as much of two sides that meet."""
    w, h = image.size
    x, y = round(share * w), round(share * h)
    box = (2 * x, 2 * y, w, h) if corner else (x, y, w - x, h - y)
    return image.crop(box)


def _recoloured(image: Image.Image) -> Image.Image:
    """Brighter, with stronger colours and a warm tone."""
    bright = ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(1.3)).enhance(1.5)
    red, green, blue = bright.split()
    return Image.merge("RGB", (red, green, blue.point(lambda value: round(0.8 * value))))


def _rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Turned, without the corners that would be empty."""
    return _crop(image.rotate(degrees, Image.Resampling.BICUBIC), 0.06)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "same": lambda image: image,
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "jpeg 30": lambda image: image,
    "crop 5%": lambda image: _crop(image, 0.05),
    "crop 10%": lambda image: _crop(image, 0.10),
    "corner 10%": lambda image: _crop(image, 0.10, corner=True),
    "colour": _recoloured,
    "grey": lambda image: ImageOps.grayscale(image),
    "mirrored": ImageOps.mirror,
    "rotated 3": lambda image: _rotated(image, 3),
}
_QUALITY = {"jpeg 30": 30}


def make_copies(folder: Path, half: str, seed: int = 0) -> None:
    """Photographs of a half, and of each a copy of every kind."""
    files = sorted(HOUSES.glob("*.jpg"))
    which, count = HALVES[half]
    draw = np.random.default_rng(seed)
    some = np.sort(draw.choice(np.arange(which, len(files), 2), count, replace=False))
    folder.mkdir(parents=True)
    for file in (files[i] for i in some.tolist()):
        (folder / file.name).write_bytes(file.read_bytes())
        image = Image.open(file).convert("RGB")
        for kind, change in CHANGES.items():
            out = io.BytesIO()
            change(image).save(out, "JPEG", quality=_QUALITY.get(kind, 90))
            data = file.read_bytes() if kind == "same" else out.getvalue()
            name = f"{file.stem}-{kind.replace(' ', '-').replace('%', '')}.jpg"
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", default="judged")
    a = parser.parse_args()
    make_copies(a.folder, a.half)
