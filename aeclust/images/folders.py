"""Images in files below a folder."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aeclust import memory
from aeclust.errors import InputError, at, printable, reason

ENDINGS = (".png", ".jpg", ".jpeg")
# images all the same, which are not read: fewer decoders, fewer surprises
_OTHER_ENDINGS = (".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2")
_MAX_IMAGE_PIXELS = 64_000_000
_MAX_SIDE = 4_096
# Files decoded beside each other, and taken from a folder at once: Pillow lets other threads work
# while it decodes, and a few large photographs fit in memory.
_AT_A_TIME, _AHEAD = min(4, os.cpu_count() or 1), 16


class Decoded(NamedTuple):
    """What the files of a folder hold: pixels (n, h, w, c) uint8, and what was left out and why."""

    pixels: NDArray[np.uint8]
    names: list[str]
    skipped: list[str]


def read_folder(
    folder: Path, *, size: int | None, skip_bad: bool, progress: Callable[[int, int], None]
) -> Decoded:
    """Decode every image below a folder, in the order of :func:`image_files`.

    `size` and `skip_bad` are those of :class:`~aeclust.images.Source`; `progress` takes (done,
    total) of the files.

    Raises
    ------
    InputError
        If there are no images, their sizes differ, or one cannot be read.
    """
    if size is not None and not 1 <= size <= _MAX_SIDE:
        expected = f"1 to {_MAX_SIDE} pixels"
        raise InputError(f"size is {size}", where="`size`", expected=expected)
    with at(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about sizes, which _decode caps
        files, *others = _below(folder)
        skipped = _left_out(*others)
        if not files:
            raise _no_files(*others)
        pixels = np.empty((0, 0, 0, 0), np.uint8)
        names: list[str] = []
        for done, (name, image) in enumerate(_decoded(folder, files, size), 1):
            progress(done, len(files))
            if isinstance(image, Exception):
                if not skip_bad:
                    raise _undecodable(folder / name, image) from image
                skipped.append(f"{printable(name)}: {printable(reason(image))}")
                continue
            # at once, and not after all of them have been taken into memory
            if names and image.shape[:2] != pixels.shape[1:3]:
                raise InputError(
                    f"images have different sizes ({names[0]} is {_by(pixels.shape[1:])},"
                    f" {name} is {_by(image.shape)})",
                    expected="one size",
                    mend="resize all of them with `size`, for example `size` 32",
                )
            if image.shape[2] > pixels.shape[3]:  # grey among RGB becomes RGB
                pixels = _room_for(pixels, len(names), (len(files), *image.shape))
            pixels[len(names)] = image
            names.append(name)
        if not names:
            raise InputError(f"none of its {len(files)} images can be read", expected="images")
    return Decoded(pixels[: len(names)], names, skipped)


def image_files(folder: Path) -> list[str]:
    """Relative POSIX paths of all images below, sorted bytewise; hidden ones are left alone."""
    return _below(folder).files


class _Below(NamedTuple):
    """Relative POSIX paths below a folder, sorted bytewise, without hidden ones."""

    files: list[str]
    others: list[str]  # images of kinds that are not read
    linked: list[str]  # folders that are not followed: they may lead anywhere


def _below(folder: Path) -> _Below:
    result = _Below([], [], [])
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        visible = [name for name in names if not name.startswith(".")]
        images = [name for name in visible if name.lower().endswith(ENDINGS)]
        others = [name for name in visible if name.lower().endswith(_OTHER_ENDINGS)]
        place = Path(parent).relative_to(folder)
        for paths, here in zip(result, (images, others, links), strict=True):
            paths += [(place / name).as_posix() for name in here]
    for path in result.files + result.others:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise InputError("a file name is not UTF-8", where=path, mend="rename it") from error
    for paths in result:
        paths.sort(key=os.fsencode)
    return result


def _refuse_folder(error: OSError) -> None:
    place, mend = str(error.filename), "check its permissions"
    raise InputError(f"cannot be read ({reason(error)})", where=place, mend=mend) from error


def _left_out(others: list[str], linked: list[str]) -> list[str]:
    """What below a folder is not read, in words."""
    lines = []
    if others:
        kinds = ", ".join(sorted({os.path.splitext(name)[1].lower() for name in others}))
        lines.append(f"{len(others)} image{'s' * (len(others) != 1)} of other kinds ({kinds})")
    if linked:
        first = printable(linked[0])
        lines.append(f"{len(linked)} linked folder{'s' * (len(linked) != 1)} ({first})")
    return lines


def _no_files(others: list[str], linked: list[str]) -> InputError:
    but = ", but " * bool(others or linked) + " and ".join(_left_out(others, linked))
    mends = ["convert them"] * bool(others) + ["name what is linked to"] * bool(linked)
    what, expected = f"holds no PNG or JPEG file{but}", "images ending in .png or .jpg"
    return InputError(what, expected=expected, mend=" and ".join(mends))


def _undecodable(path: Path, error: Exception) -> InputError:
    what, expected = f"cannot be read ({reason(error)})", "a whole PNG or JPEG image"
    mend = "remove it, or leave such files out with `skip_bad`"
    return InputError(what, where=str(path), expected=expected, mend=mend)


def _room_for(pixels: NDArray[np.uint8], used: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A new array that starts with the images so far; grey ones are spread over its channels."""
    what = f"{shape[0]} images of {_by(shape[1:])}"
    mend = "make them smaller, for example `size` 32"
    memory.check(math.prod(shape) + pixels.size, what, mend)
    result = np.empty(shape, np.uint8)
    if used:
        result[:used] = pixels[:used]
    return result


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]}"


def _decoded(
    folder: Path, names: list[str], size: int | None
) -> Iterator[tuple[str, NDArray[np.uint8] | Exception]]:
    """Every image in its place, or what is wrong with it; a few at a time."""
    decode = partial(_decode_or_fault, size=size)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for start in range(0, len(names), _AHEAD):
            some = names[start : start + _AHEAD]
            yield from zip(some, pool.map(decode, (folder / name for name in some)), strict=True)


def _decode_or_fault(path: Path, size: int | None) -> NDArray[np.uint8] | Exception:
    try:
        return _decode(path, size)
    except Exception as error:  # whatever Pillow raises on bytes that are no image
        return error


def _decode(path: Path, size: int | None) -> NDArray[np.uint8]:
    """One image as (h, w, 1 or 3): upright, alpha on white, 8 bits."""
    if not path.is_file():  # a FIFO or a device would hang or never end
        raise OSError("not a regular file")
    with Image.open(path, formats=["PNG", "JPEG"]) as file:
        if file.width * file.height > _MAX_IMAGE_PIXELS:
            raise ValueError(f"{file.width} x {file.height} is over {_MAX_IMAGE_PIXELS} pixels")
        if size is not None:  # a JPEG need not be unfolded to more than twice the size asked for
            file.draft(None, (2 * size, 2 * size))
        file.load()
        # in place: the pixels are turned before anything is amiss with other parts of the EXIF
        with suppress(Exception):  # broken EXIF beside sound pixels is no reason to refuse these
            ImageOps.exif_transpose(file, in_place=True)
        image: Image.Image = file
    if image.mode.startswith("I"):  # 16-bit grey
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[..., np.newaxis] if array.ndim == 2 else array
