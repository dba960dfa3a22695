"""Do copies come out as such? Photographs among copies of them, which were changed in ten ways.

    python benchmarks/duplicates.py make FOLDER         # 3,300 files of 300 photographs
    aeclust train FOLDER --recipe pretrained --epochs 1 -k 4 --run RUN
    python benchmarks/duplicates.py aeclust FOLDER RUN  # by latents and pixels of a run
    python benchmarks/duplicates.py imagededup FOLDER   # after pip install imagededup
    python benchmarks/duplicates.py table

``houses`` is read from ``AECLUST_DATA`` (or ``../shared/data``). Thresholds were chosen with
``make --half chosen``. Each kind of change is judged by itself: all photographs and one copy of
each. A pair that a method names is right if both came from one photograph.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rows import append_row, read_rows

HOUSES = Path(os.environ.get("AECLUST_DATA", "../shared/data")) / "houses"
HALVES = {"chosen": (0, 100), "judged": (1, 300)}  # where it begins, photographs of it
QUALITY = {"jpeg-30": 30}
DISTANCES = (4, 10)  # bits of 64 that may differ; 10 is what imagededup takes
COSINES = (0.9, 0.95)  # 0.9 is what imagededup takes
Pair = tuple[str, str]


def crop(image: Image.Image, share: float, *, corner: bool = False) -> Image.Image:
    """Without a share of every side, or twice as much of two sides that meet."""
    w, h = image.size
    x, y = round(share * w), round(share * h)
    return image.crop((2 * x, 2 * y, w, h) if corner else (x, y, w - x, h - y))


def recoloured(image: Image.Image) -> Image.Image:
    """Brighter, with stronger colours and a warm tone."""
    bright = ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(1.3)).enhance(1.5)
    red, green, blue = bright.split()
    return Image.merge("RGB", (red, green, blue.point(lambda value: round(0.8 * value))))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "same": lambda image: image,
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "jpeg-30": lambda image: image,
    "crop-5": lambda image: crop(image, 0.05),
    "crop-10": lambda image: crop(image, 0.10),
    "corner-10": lambda image: crop(image, 0.10, corner=True),
    "colour": recoloured,
    "grey": ImageOps.grayscale,
    "mirrored": ImageOps.mirror,
    # without the corners that would be empty
    "rotated-3": lambda image: crop(image.rotate(3, Image.Resampling.BICUBIC), 0.06),
}


def make(folder: Path, half: str) -> None:
    """Photographs of a half, and of each a copy of every kind."""
    files = sorted(HOUSES.glob("*.jpg"))
    start, count = HALVES[half]
    draw = np.random.default_rng(0)
    some = np.sort(draw.choice(np.arange(start, len(files), 2), count, replace=False))
    folder.mkdir(parents=True)
    for file in (files[i] for i in some.tolist()):
        (folder / file.name).write_bytes(file.read_bytes())
        image = Image.open(file).convert("RGB")
        for kind, change in CHANGES.items():
            out = io.BytesIO()
            change(image).save(out, "JPEG", quality=QUALITY.get(kind, 90))
            data = file.read_bytes() if kind == "same" else out.getvalue()
            (folder / f"{file.stem}-{kind}.jpg").write_bytes(data)


def origin(name: str) -> str:
    """The photograph that a file came from: ``photo-0001-half.jpg`` is of photo-0001."""
    return name[: len("photo-0000")]


def kind_of(name: str) -> str:
    return name[len("photo-0000-") : -len(".jpg")]


def judge(method: str, names: Iterable[str], find: Callable[[list[str]], set[Pair]]) -> None:
    """Keep a row for every kind: how many copies are found, and how many pairs are right."""
    names = sorted(names)
    whole = [name for name in names if not kind_of(name)]
    for kind in CHANGES:
        copies = [name for name in names if kind_of(name) == kind]
        pairs = find(whole + copies)
        right = [pair for pair in pairs if origin(pair[0]) == origin(pair[1])]
        row: dict[str, Any] = {"method": method, "kind": kind, "copies": len(copies)}
        wrong = sorted(pair for pair in pairs if origin(pair[0]) != origin(pair[1]))
        row |= {"recall": len(right) / len(copies), "pairs": len(pairs)}
        row |= {"precision": len(right) / max(1, len(pairs)), "wrong": wrong[:5]}
        append_row("duplicates", row)


def by_aeclust(folder: Path, run: Path) -> None:
    """The pairs of :mod:`aeclust.clusters.duplicates` by latents and pictures of a run."""
    from aeclust.clusters.duplicates import SIDE, equal_pairs, near_pairs
    from aeclust.images import grey_square
    from aeclust.run.context import Context
    from aeclust.run.find.found import found
    from aeclust.run.folder import RunFolder
    from aeclust.run.previews import pictures_at

    of = found(Context(RunFolder(run)))
    names, present = of.ids.tolist(), of.clustered.prediction.present
    pictures = pictures_at(of.context, of.manifest, present, np.arange(len(names)))
    squares = np.stack([grey_square(picture, SIDE) for picture in pictures])
    row_of = {name: row for row, name in enumerate(names)}

    def find(some: list[str]) -> set[Pair]:
        rows = np.array([row_of[name] for name in some])
        latents = np.asarray(of.latents[rows])
        near = near_pairs(latents, squares[rows], seed=of.manifest.seed)
        pairs = np.concatenate([near.rows, equal_pairs(of.contents[rows]).rows])
        return {(some[i], some[j]) for i, j in pairs.tolist()}

    judge(f"aeclust {of.manifest.recipe.name}", names, find)
    if of.manifest.recipe.encoder:  # as imagededup does with its own
        vectors = dict(zip(names, np.asarray(of.latents), strict=True))
        by_cosine(f"cosine of {of.manifest.recipe.encoder}", vectors)


def by_imagededup(folder: Path) -> None:
    """The pairs of each hash of imagededup, and of its CNN."""
    from imagededup.methods import (  # type: ignore[import-not-found]
        CNN,
        AHash,
        DHash,
        PHash,
        WHash,
    )

    names = [file.name for file in folder.glob("*.jpg")]
    for make_hash in (PHash, DHash, AHash, WHash):
        hashes = make_hash(verbose=False).encode_images(str(folder), num_enc_workers=0)
        bits = {name: int(text, 16) for name, text in hashes.items()}
        for most in DISTANCES:

            def find(some: list[str], bits: dict[str, int] = bits, most: int = most) -> set[Pair]:
                both = itertools.combinations(some, 2)
                return {(a, b) for a, b in both if (bits[a] ^ bits[b]).bit_count() <= most}

            judge(f"imagededup {make_hash.__name__} {most}", names, find)
    try:
        features = CNN(verbose=False).encode_images(str(folder), num_enc_workers=0)
    except OSError as error:
        print(f"imagededup's CNN is left out, because its weights are not to be had: {error}")
        return
    by_cosine("imagededup CNN", {name: each.ravel() for name, each in features.items()})


def by_cosine(method: str, vectors: dict[str, Any]) -> None:
    """The pairs that imagededup would name by these vectors: their cosine is large."""
    units = {name: vector / np.linalg.norm(vector) for name, vector in vectors.items()}
    for least in COSINES:

        def find(some: list[str], least: float = least) -> set[Pair]:
            every = np.stack([units[name] for name in some])
            pairs = np.argwhere(np.triu(every @ every.T >= least, 1)).tolist()
            return {(some[i], some[j]) for i, j in pairs}

        judge(f"{method} {least}", units, find)


def table() -> None:
    """Of each method what share of the copies it finds, and of all its pairs how many are right."""
    rows = {(row["method"], row["kind"]): row for row in read_rows("duplicates")}
    print("|", " | ".join(["method", *CHANGES, "right"]), "|")
    print("|", " | ".join(["---"] * (len(CHANGES) + 2)), "|")
    for method in dict.fromkeys(method for method, _ in rows):
        of = [rows[method, kind] for kind in CHANGES]
        shares = [f"{row['recall']:.2f}" for row in of]
        pairs = sum(row["pairs"] for row in of)
        right = sum(row["precision"] * row["pairs"] for row in of) / max(1, pairs)
        print("|", " | ".join([method, *shares, f"{right:.3f}"]), "|")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("make", "aeclust", "imagededup", "table"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("copies"))
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--half", choices=HALVES, default="judged")
    options = parser.parse_args()
    if options.what == "make":
        make(options.folder, options.half)
    elif options.what == "aeclust":
        by_aeclust(options.folder, options.run)
    elif options.what == "imagededup":
        by_imagededup(options.folder)
    else:
        table()


if __name__ == "__main__":
    main()
