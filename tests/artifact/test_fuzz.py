"""Whatever bytes a file holds, reading it gives a value or one line, and nothing else."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from image_files import RGB, VALID
from samples import HEADER, SAMPLES, artifact, encode, sign
from support import within

from aeclust import artifact as artifacts
from aeclust import images
from aeclust import recipe as recipes
from aeclust.errors import InputError
from aeclust.images import Source
from aeclust.images import truth as labels
from aeclust.recipe import named
from aeclust.run.folder import RunFolder
from aeclust.run.manifest import Manifest
from aeclust.run.names import Names, read_names

TOML = b"""recipe = "hybrid"
lr = 3e-3
channels = [4, 8]
epochs = 5
reduction = ["sphere", "pca:20"]
clusterer = "consensus"
schedule = "one-cycle"
"""
CSV = b'id,label\n0,1\n1,0\n"a,b",2\n\xc3\xa9.png,3\n'
NAMES = json.dumps(Names("ab" * 32, {0: "sea", 12: "é"}).to_json()).encode()
EXPORTED = b'{"ids": ["a", "b"], "labels": [0, 1], "confidence": [1.0, 0.5], "names": ["x", ""]}'


@dataclass(frozen=True)
class Kind:
    """A valid file, how it is read, and whether its digest is made to fit what was damaged."""

    content: bytes
    read: Callable[[Path], object]
    signed: bool = False


def read_images(path: Path) -> object:
    location = str(path.parent if path.parent.name == "in" else path)
    pixels = images.load(Source(location=location)).pixels
    assert pixels.ndim == 4
    assert pixels.dtype.kind in "uf"
    assert pixels.shape[3] in (1, 3)
    return pixels.shape


def read_listed(path: Path) -> object:
    image = path.parent / "in" / "a.png"
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(VALID["in/a.png"])
    try:
        return images.load(Source(location=str(path))).ids.tolist()
    finally:
        image.unlink()


def read_labels(path: Path) -> object:
    return labels.load(str(path)).values.dtype


def read_recipe(path: Path) -> object:
    fields = recipes.read_toml(path)
    return named(str(fields.pop("recipe", "hybrid"))).override(fields)


def read_exported(path: Path) -> object:
    loaded, texts = labels.load_named(str(path))
    return texts if loaded.ids is None else loaded.ids.tolist()


def made(write: Callable[[io.BytesIO], object]) -> bytes:
    """The bytes that a library writes into a file."""
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def mixed() -> bytes:
    """HDF5 behind bytes of others, with what is no array of images beside these."""
    with h5py.File(out := io.BytesIO(), "w", userblock_size=1_024) as file:
        file["x"] = RGB / np.float16(255)
        file["names"], file["group/table"] = ["a", "b"], np.zeros(3, "u1,f4")
        file["link"] = h5py.SoftLink("/x")
    return out.getvalue()


IMAGES = VALID | {
    "swapped": made(lambda out: np.save(out, (RGB / 255).astype(">f4"))),
    "archive": made(lambda out: np.savez(out, x=RGB > 9, names=np.array(["a"]))),
}
ARCHIVE = {"ids": np.array(["a.png", "é"]), "labels": np.arange(2), "names": np.array(["x", ""])}
MANIFEST = Manifest(
    source=Source(location="demo:scenes", range="0:255"),
    data_digest="ab" * 32,
    shape=(3, 8, 8, 3),
    recipe=named("hybrid"),
    seed=3,
    val_labels="labels.npy",
)
ARTIFACTS = {kind: encode(artifact(kind))[0] for kind in SAMPLES}
KINDS = {
    **{name: Kind(content, read_images) for name, content in IMAGES.items()},
    "list.csv": Kind(b'path,label\n"in/a.png",1\n', read_listed),
    "list.txt": Kind(b"in/a.png\r\n", read_listed),
    **{f"{kind}.h5": Kind(data, artifacts.read, True) for kind, data in ARTIFACTS.items()},
    "labels.csv": Kind(CSV, read_labels),
    "labels.npy": Kind(made(lambda out: np.save(out, np.arange(5))), read_labels),
    "texts.npy": Kind(made(lambda out: np.save(out, np.array(["a", "é"]))), read_exported),
    "mixed": Kind(mixed(), lambda path: read_images(Path(f"{path}::x"))),
    "labels-of-a-run.h5": Kind(ARTIFACTS["labels"], read_labels, True),
    "recipe.toml": Kind(TOML, read_recipe),
    "run/run.json": Kind(
        json.dumps(MANIFEST.to_json(), indent=2).encode(),
        lambda path: RunFolder(path.parent).manifest(),
    ),
    "run/names.json": Kind(NAMES, lambda path: read_names(RunFolder(path.parent))),
    "exported.json": Kind(EXPORTED, read_exported),
    "exported.npz": Kind(made(lambda out: np.savez(out, **ARCHIVE)), read_exported),  # type: ignore[arg-type]
}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """One to four of: other bytes, extreme numbers, a part cut out, doubled, or put in."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((1, 2, 4, 8, 64))
        some = bytes(data[at : at + length])
        data[at : at + (0 if rng.random() < 0.2 else length)] = rng.choice(
            (
                rng.randbytes(length),
                bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * length,
                b"",
                some + some,
                rng.choice((b"\x1b[2J", b"[" * 400, b"{" * 400, b"nan", b"-1", b"9" * 400, b"\n")),
            )
        )
    return bytes(data)


def feed(name: str, kind: Kind, folder: Path, seed: int) -> bool:
    """Damage a file, read it, and say whether it was refused in one line."""
    rng = random.Random(f"{name} {seed}")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind.signed:
        path.write_bytes(kind.content[:512] + damaged(kind.content[512:], rng))
        sign(path)
    else:
        path.write_bytes(damaged(kind.content, rng))
    try:
        with within(20):
            kind.read(path)
    except InputError as error:
        line = str(error)
        assert line.isprintable()
        assert len(line) < 2_000, f"{name}, seed {seed}"
        return True
    except Exception as error:
        raise AssertionError(f"{name}, seed {seed}: {type(error).__name__}: {error}") from error
    finally:
        path.unlink()
    return False


def feed_all(folder: Path, seeds: range) -> dict[str, float]:
    """Share of the inputs of each kind that were refused."""
    return {
        name: float(np.mean([feed(name, kind, folder, seed) for seed in seeds]))
        for name, kind in KINDS.items()
    }


def test_the_files_to_be_damaged_are_read(tmp_path: Path) -> None:
    for name, kind in KINDS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kind.content)
        assert kind.read(path) is not None
        if path.parent.name == "in":
            path.unlink()
    assert artifacts.read(tmp_path / "weights.h5").seed == HEADER["seed"]


def test_damaged_files_of_every_kind_are_read_or_refused(tmp_path: Path) -> None:
    seeds = range(30)
    assert len(KINDS) * len(seeds) >= 500
    refused = feed_all(tmp_path, seeds)
    assert min(refused.values()) > 0, f"never refused: {refused}"


@pytest.mark.endurance
@pytest.mark.parametrize("start", range(0, 1_200, 100))
def test_twenty_thousand_damaged_files_are_read_or_refused(tmp_path: Path, start: int) -> None:
    assert len(KINDS) * 1_200 >= 20_000
    feed_all(tmp_path, range(1_000 + start, 1_100 + start))
