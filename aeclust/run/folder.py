"""The run folder: where its files lie, what it was made for, and who may write in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeclust import disk
from aeclust.artifact import MAX_SEED
from aeclust.errors import BusyError, InputError, WriteError
from aeclust.images import Source
from aeclust.recipe import Recipe, checkpoint_epochs

_FORMAT = 1
_MAX_BYTES = 1 << 20
# what is written under the lock alone
_OWN = re.compile(
    r"run\.json(\.next)?|names\.json|metrics\.jsonl"
    r"|(resume|images|latents|labels|embedding|curve|epoch-\d{4,9})\.h5"
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run was started for: the content of ``run.json``.

    Attributes
    ----------
    source : Source
        The training images.
    data_digest : str
        Their SHA-256, see :meth:`aeclust.images.Images.digest`.
    shape : tuple of int
        Their shape (n, h, w, c).
    recipe : Recipe
    seed : int
    val_images, val_labels : str or None
        Labelled images for reporting and naming.
    kept : tuple of int or None
        The epochs that have a checkpoint; None for all of
        :func:`~aeclust.recipe.checkpoint_epochs`, as ``aeclust train`` keeps them.
    flattened : bool
        Whether the images were rows of values, see :class:`aeclust.AutoencoderClusterer`.
    """

    source: Source
    data_digest: str
    shape: tuple[int, ...]
    recipe: Recipe
    seed: int
    val_images: str | None = None
    val_labels: str | None = None
    kept: tuple[int, ...] | None = None
    flattened: bool = False

    @property
    def identity(self) -> str:
        """What the weights depend on, as one SHA-256: requests made of another run are void."""
        decisive = [self.recipe.to_json(), self.seed, self.data_digest]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    @property
    def checkpoints(self) -> list[int]:
        """The epochs that a finished run has a checkpoint of, ascending."""
        return checkpoint_epochs(self.recipe) if self.kept is None else sorted(self.kept)

    def to_json(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        return {
            "format": _FORMAT,
            "data": {**self.source.to_json(), "sha256": self.data_digest, "shape": self.shape},
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "validation": {"images": self.val_images, "labels": self.val_labels},
            # most runs have neither
            **({} if self.kept is None else {"kept": list(self.kept)}),
            **({"flattened": True} if self.flattened else {}),
        }


class RunFolder:
    """Paths, manifest, checkpoints and lock of a run folder.

    Parameters
    ----------
    path : Path
        It need not exist yet.
    flag : str
        By which a command line finds it, with a space before it; empty where none is needed.
    """

    def __init__(self, path: Path, flag: str = "") -> None:
        self.path, self.flag = path, flag
        self.manifest_file = path / "run.json"
        self.next_file = path / "run.json.next"
        self.resume_file = path / "resume.h5"
        self.metrics_file = path / "metrics.jsonl"
        self.images_file = path / "images.h5"
        self.latents_file = path / "latents.h5"
        self.labels_file = path / "labels.h5"
        self.embedding_file = path / "embedding.h5"
        self.curve_file = path / "curve.h5"
        self.names_file = path / "names.json"
        self._held = 0

    def command(self, words: str) -> str:
        """A command line for this run.

        >>> RunFolder(Path("other"), " --run other").command("train --resume")
        'aeclust train --run other --resume'
        """
        name, space, rest = words.partition(" ")
        return f"aeclust {name}{self.flag}{space}{rest}"

    def check_foreign(self, file: Path) -> None:
        """Refuse to write what somebody asked for over what the run keeps.

        Raises
        ------
        InputError
            If `file` is one of the run's own.
        """
        place = Path(os.path.realpath(file))
        home = Path(os.path.realpath(self.path))
        if place.parent in (home, home / "weights") and _OWN.fullmatch(place.name):
            raise InputError(
                "it belongs to the run",
                where=str(file),
                expected="another file",
                mend="choose another name or folder",
            )

    def weights_file(self, epoch: int) -> Path:
        """Where the weights after an epoch lie, or would lie."""
        return self.path / "weights" / f"epoch-{epoch:04d}.h5"

    def state_files(self) -> list[Path]:
        """What training has written: the weights, and the state to resume."""
        return [*(self.weights_file(epoch) for epoch in self.checkpoints()), self.resume_file]

    def checkpoints(self) -> list[int]:
        """Epochs that have a weights file, ascending."""
        names = (re.fullmatch(r"epoch-(\d{4,9})\.h5", p.name) for p in self.path.glob("weights/*"))
        return sorted(int(match[1]) for match in names if match)

    def unfinished(self, manifest: Manifest) -> str:
        """What is missing of the run's training, or an empty text."""
        last, wanted = max(self.checkpoints(), default=0), manifest.checkpoints[-1]
        if last >= wanted:
            return ""
        return (
            f"training stopped before its end, and these are the weights after epoch {last} of"
            f" {wanted}; go on with {self.command('train --resume')}"
        )

    def exists(self) -> bool:
        """Whether a run was ever begun here."""
        return self.manifest_file.exists() or self.next_file.exists()

    def manifest(self) -> Manifest:
        """What the run was started for; InputError without a run or with a damaged one.

        While a run is being replaced, it is what the next one is started for.
        """
        file = self.next_file if self.next_file.exists() else self.manifest_file
        where = str(file)
        if not self.exists():
            raise InputError(
                "there is no run here",
                where=str(self.path),
                expected="a folder made by aeclust train",
                mend="run aeclust train first, or name the folder with --run",
            )
        try:
            with open(file, "rb") as handle:
                # a path may hold bytes that are no text
                values = json.loads(handle.read(_MAX_BYTES).decode("utf-8-sig", "surrogateescape"))
            if values["format"] != _FORMAT:
                raise InputError(
                    f"is of format {values['format']!r}",
                    where=where,
                    expected=f"format {_FORMAT}",
                    mend="read it with the aeclust that wrote it",
                )
            data = dict(values["data"])
            n, height, width, channels = map(int, data.pop("shape"))
            if min(n, height, width) < 1 or channels not in (1, 3):
                raise ValueError("no images have such a shape")
            seed, told = int(values["seed"]), values["validation"]
            if not 0 <= seed <= MAX_SEED:
                raise ValueError("seed is not in 0 to 2^32 - 1")
            size, skip_bad = data.get("size"), data.get("skip_bad", False)
            if type(size) not in (int, type(None)) or type(skip_bad) is not bool:
                raise TypeError("size or skip_bad is of another kind")
            stated = (data.get("layout"), data.get("range"), told["images"], told["labels"])
            if not (isinstance(data["location"], str) and all(map(_is_text_or_none, stated))):
                raise TypeError("location, layout, range or validation is no text")
            return Manifest(
                data_digest=str(data.pop("sha256")),
                shape=(n, height, width, channels),
                source=Source(**data),
                recipe=Recipe.from_json(values["recipe"], where=where),
                seed=seed,
                val_images=told["images"],
                val_labels=told["labels"],
                kept=_epochs(values["kept"]) if "kept" in values else None,
                flattened=values.get("flattened", False) is True,
            )
        except (
            OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError
        ) as error:  # fmt: skip
            raise InputError(
                f"is damaged ({type(error).__name__}: {error})",
                where=where,
                expected="the file as aeclust train wrote it",
                mend="restore a copy, or train again with --force",
            ) from error

    def begin(self, manifest: Manifest) -> None:
        """Make this the folder of a new run.

        What a former run left is removed once the new manifest is safe in ``run.json.next``, which
        takes its place at last: whenever the process dies, the folder belongs to one of the two.
        """
        _write(self.next_file, manifest)
        self.finish_replacing()

    def finish_replacing(self) -> None:
        """Go on where a process died while it replaced a run; nothing if none did."""
        if not self.next_file.exists():
            return
        try:
            for file in (self.metrics_file, *self.state_files()):
                file.unlink(missing_ok=True)
            os.replace(self.next_file, self.manifest_file)
        except OSError as error:
            raise WriteError(
                f"the former run cannot be replaced ({error.strerror})",
                where=str(self.path),
                mend="check permissions and space, and repeat",
            ) from error

    def worker(self) -> int | None:
        """The process that holds the folder for writing, as far as it can be told."""
        if sys.platform == "win32":  # where asking whether a process lives would end it
            return None
        try:
            number = int((self.path / ".lock").read_text(encoding="utf-8")[:9])
        except (OSError, ValueError):
            return None
        try:
            os.kill(number, 0)
        except PermissionError:  # it lives, and is somebody else's
            return number
        except OSError:
            return None
        return number

    def write_manifest(self, manifest: Manifest) -> None:
        """The same run from now on with this manifest, whose images may lie elsewhere."""
        _write(self.manifest_file, manifest)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for writing; a second process gets a BusyError naming the first.

        The lock belongs to the process and is freed by the operating system however it ends. What
        a killed holder left half-written is removed.
        """
        if self._held:
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1
            return
        with self._open_lock() as file:
            self._held = 1
            for place in (self.path, self.path / "weights"):
                disk.remove_leftovers(place, _OWN)
            try:
                yield
            finally:
                self._held = 0
                file.truncate(0)

    @contextlib.contextmanager
    def _open_lock(self) -> Iterator[Any]:
        name = self.path / ".lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(name, "a+", encoding="utf-8")  # noqa: SIM115 - closed by the with below
        except OSError as error:
            raise WriteError(
                f"cannot be written to ({error.strerror})",
                where=str(self.path),
                mend="choose another folder with --run",
            ) from error
        with file:
            try:
                _acquire(file.fileno())
            except OSError as error:
                file.seek(0)
                holder = file.read(100).strip() or "unknown"
                raise BusyError(
                    f"another process works here (process {holder})",
                    where=str(self.path),
                    mend="wait for it to end, or use another folder with --run",
                ) from error
            with contextlib.suppress(OSError):  # a full disk: held all the same, by an unknown
                file.truncate(0)
                os.write(file.fileno(), str(os.getpid()).encode())
            yield file


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _epochs(values: list[Any]) -> tuple[int, ...]:
    if not values:
        raise ValueError("no epoch is kept")
    return tuple(map(int, values))


def _write(file: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=False)
    # a path may hold bytes that are no text
    disk.write_bytes(file, f"{text}\n".encode(errors="surrogateescape"))


if sys.platform == "win32":
    import msvcrt

    def _acquire(handle: int) -> None:
        # one byte far beyond the text, so that others can still read the holder's number
        os.lseek(handle, 1 << 20, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _acquire(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
