"""What tells photographs in colour from drawings and noise: the looks of every set and class.

    python benchmarks/photographs.py       # half a minute

Labels only part the sets. ``train`` names recipe ``pretrained`` where a set looks like photographs.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sets import SETS

from aeclust.images.pixels import like_photographs, looks

N, SIDE = 500, 96


def drawings(kind: str) -> NDArray[np.uint8]:
    """Flat shapes, lines or letters on a ground, in any colours."""
    draw, images = np.random.default_rng(0), []
    for _ in range(N):
        image = Image.new("RGB", (SIDE, SIDE), tuple(draw.integers(256, size=3).tolist()))
        pen = ImageDraw.Draw(image)
        for _ in range(draw.integers(1, 6)):
            start = draw.integers(-SIDE // 4, SIDE, 2)
            box = (*start.tolist(), *draw.integers(start + SIDE // 8, 2 * SIDE).tolist())
            colour = tuple(draw.integers(256, size=3).tolist())
            if kind == "shapes":
                pen.ellipse(box, fill=colour)
            elif kind == "lines":
                pen.line(box, fill=colour, width=SIDE // 20)
            else:
                pen.text(box[:2], chr(draw.integers(65, 91)), fill=colour, font_size=SIDE // 2)
        images.append(np.asarray(image))
    return np.stack(images)


def show(name: str, pixels: NDArray[np.uint8], classes: NDArray[np.int64] | None = None) -> None:
    if pixels.shape[3] != 3:
        print(f"| {name} | grey | | | no |")
        return
    colour, tails = looks(pixels)
    of_classes = ""
    if classes is not None:
        each = [looks(pixels[classes == one])[1] for one in np.unique(classes[classes >= 0])]
        of_classes = f"{min(each):.1f} to {max(each):.1f}"
    said = "yes" if like_photographs(pixels) else "no"
    print(f"| {name} | {colour:.0f} | {tails:.1f} | {of_classes} | {said} |", flush=True)


def main() -> None:
    print("| images | colour | tails | tails of the classes | said |")
    print("| --- | --- | --- | --- | --- |")
    for name, read in SETS.items():
        try:
            data = read()
        except FileNotFoundError as error:
            print(f"{name} is left out: {error.filename} is absent", file=sys.stderr)
            continue
        show(name, data.pixels, data.classes)
    for kind in ("shapes", "lines", "letters"):
        show(f"drawn {kind}", drawings(kind))
    noise = np.random.default_rng(0).integers(256, size=(N, SIDE, SIDE, 3), dtype=np.uint8)
    show("noise", noise)


if __name__ == "__main__":
    main()
