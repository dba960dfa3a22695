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
from itertools import pairwise
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aeclust import disk
from aeclust.artifact import MAX_SEED
from aeclust.errors import AeclustError, BusyError, InputError, WriteError, at, reason
from aeclust.images import FITS, Source
from aeclust.recipe import Recipe
from aeclust.run.checkpoints import checkpoint_epochs

_FORMAT = 1
_MAX_BYTES = 1 << 20
_MAX_THREADS = 1024
# What is written under the lock alone.
_FILES = re.compile(
    r"run\.json(\.next)?|names\.json|metrics\.jsonl"
    r"|(resume|start|images|previews|latents|labels|embedding|curve|epoch-\d{4,9})\.h5"
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run was started for: the content of ``run.json``.

    Attributes
    ----------
    source : Source
        The training images.
    data_digest : str
        SHA-256 of the images that the run has now, see :meth:`aeclust.images.Images.digest`.
    shape : tuple of int
        Their shape (n, h, w, c).
    recipe : Recipe
    seed : int
    val_images, val_labels : str or None
        Labelled images for reporting and naming.
    kept : tuple of int or None
        The epochs that have a checkpoint; None for all of
        :func:`~aeclust.run.checkpoints.checkpoint_epochs` without a wish.
    flattened : bool
        Whether the images were rows of values, see :class:`aeclust.AutoencoderClusterer`.
    trained_on : str
        SHA-256 of the images that the weights learnt from, if ``aeclust update`` has taken in
        others since; else empty.
    former : str
        The :attr:`identity` of the run whose weights this one began with; else empty.
    threads : int or None
        That it is trained with, and that later commands take; None where nobody chose.
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
    trained_on: str = ""
    former: str = ""
    threads: int | None = None

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the images that the weights learnt from."""
        return self.trained_on or self.data_digest

    @property
    def identity(self) -> str:
        """What the weights depend on, as one SHA-256: requests made of another run are void."""
        decisive = [self.recipe.to_json(), self.seed, self.weights_digest]
        decisive += [self.former] if self.former else []
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
            # most runs have none of these
            **({} if self.kept is None else {"kept": list(self.kept)}),
            **({"flattened": True} if self.flattened else {}),
            **({"trained_on": self.trained_on} if self.trained_on else {}),
            **({"former": self.former} if self.former else {}),
            **({} if self.threads is None else {"threads": self.threads}),
        }

    @classmethod
    def from_json(cls, values: Any) -> Manifest:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        InputError
            If the format or the recipe is unknown.
        Exception
            Any other, if the values are not those of a manifest.
        """
        if values["format"] != _FORMAT:
            raise InputError(
                f"is of format {values['format']!r}",
                expected=f"format {_FORMAT}",
                mend="read it with the aeclust that wrote it",
            )
        data, validation = dict(values["data"]), dict(values["validation"])
        n, height, width, channels = map(int, data.pop("shape"))
        if min(n, height, width) < 1 or channels not in (1, 3):
            raise ValueError("no images have such a shape")
        if not 0 <= int(values["seed"]) <= MAX_SEED:
            raise ValueError("seed is not in 0 to 2^32 - 1")
        if type(data.get("size")) not in (int, type(None)):
            raise TypeError("size is of another kind")
        if "kept" in values and not values["kept"]:
            raise ValueError("no epoch is kept")
        threads = values.get("threads")
        if threads is not None and not (type(threads) is int and 1 <= threads <= _MAX_THREADS):
            raise ValueError("threads is no number of threads")
        texts = (data.get("layout"), data.get("range"), validation["images"], validation["labels"])
        if type(data.get("skip_bad", False)) is not bool or not isinstance(data["location"], str):
            raise TypeError("location or skip_bad is of another kind")
        if not all(isinstance(name, str) for name in data.get("files", ())):
            raise TypeError("a file is no text")
        if data.get("fit", FITS[0]) not in FITS:
            raise ValueError("fit is of another kind")
        if not all(text is None or isinstance(text, str) for text in texts):
            raise TypeError("layout, range or validation is no text")
        return cls(
            data_digest=str(data.pop("sha256")),
            shape=(n, height, width, channels),
            source=Source(**data),
            recipe=Recipe.from_json(values["recipe"]),
            seed=int(values["seed"]),
            val_images=validation["images"],
            val_labels=validation["labels"],
            kept=tuple(map(int, values["kept"])) if "kept" in values else None,
            flattened=values.get("flattened", False) is True,
            trained_on=str(values.get("trained_on", "")),
            former=str(values.get("former", "")),
            threads=threads,
        )


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
        self.previews_file = path / "previews.h5"
        self.start_file = path / "start.h5"
        self.latents_file = path / "latents.h5"
        self.labels_file = path / "labels.h5"
        self.embedding_file = path / "embedding.h5"
        self.curve_file = path / "curve.h5"
        self.names_file = path / "names.json"
        self._worker_file = path / ".worker"
        self._lock = FileLock(path / ".lock", timeout=0)

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
            If `file` is one of the run's files.
        """
        place, home = Path(os.path.realpath(file)), Path(os.path.realpath(self.path))
        if place.parent in (home, home / "weights") and _FILES.fullmatch(place.name):
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

    def last_checkpoint(self) -> int:
        """The epoch of the newest weights.

        Raises
        ------
        InputError
            If there are none.
        """
        epochs = self.checkpoints()
        if not epochs:
            raise InputError(
                "the run has no checkpoint",
                where=str(self.path),
                expected="a finished or interrupted training",
                mend=f"run {self.command('train --resume')}",
            )
        return epochs[-1]

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
        """What the run was started for.

        While a run is being replaced, it is what the next one is started for.

        Raises
        ------
        InputError
            If there is no run, or ``run.json`` is damaged.
        """
        if not self.exists():
            raise InputError(
                "there is no run here",
                where=str(self.path),
                expected="a folder made by aeclust train",
                mend="run aeclust train first, or name the folder with `run`",
            )
        file = self.next_file if self.next_file.exists() else self.manifest_file
        with at(file):
            try:
                with open(file, "rb") as handle:
                    # a path may hold bytes that are no text
                    text = handle.read(_MAX_BYTES).decode("utf-8-sig", "surrogateescape")
                return Manifest.from_json(_found(self.path, json.loads(text)))
            except AeclustError:
                raise
            except Exception as error:  # whatever the values of a stranger's file stumble over
                raise InputError(
                    f"is damaged ({type(error).__name__}: {reason(error)})",
                    expected="the file as aeclust train wrote it",
                    mend="restore a copy, or train again with `force`",
                ) from error

    def begin(self, manifest: Manifest) -> None:
        """Make this the folder of a new run.

        What a former run left is removed once the new manifest is safe in ``run.json.next``, which
        takes its place at last: whenever the process dies, the folder belongs to one of the two.
        """
        self._write(self.next_file, manifest)
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
                f"the former run cannot be replaced ({reason(error)})",
                where=str(self.path),
                mend="check permissions and space, and repeat",
            ) from error

    def write_manifest(self, manifest: Manifest) -> None:
        """The same run from now on with this manifest, whose images may be or lie elsewhere."""
        self._write(self.manifest_file, manifest)

    def _write(self, file: Path, manifest: Manifest) -> None:
        text = json.dumps(_with_near(self.path, manifest.to_json()), indent=2, ensure_ascii=False)
        # a path may hold bytes that are no text
        disk.write_bytes(file, f"{text}\n".encode(errors="surrogateescape"))

    def metrics(self) -> list[dict[str, float]]:
        """The lines of ``metrics.jsonl``, one for each epoch; none where there is no such file.

        Raises
        ------
        InputError
            If it is damaged, or its epochs are not in order.
        """
        if not self.metrics_file.exists():
            return []
        try:
            text = self.metrics_file.read_text(encoding="utf-8")
            lines = [json.loads(line) for line in text.splitlines()]
            # the first epochs may be missing, if somebody deleted a damaged file
            if any(b["epoch"] != a["epoch"] + 1 for a, b in pairwise(lines)):
                raise ValueError("its epochs are not in order")
            if not all(isinstance(line["epoch"], int) for line in lines):
                raise ValueError("an epoch is no whole number")
            if not all(abs(float(line["loss"])) < float("inf") for line in lines):
                raise ValueError("a loss is not finite")
        except AeclustError:  # a signal that ends the command
            raise
        except Exception as error:  # whatever a damaged line stumbles over
            raise InputError(
                f"is damaged ({type(error).__name__}: {reason(error)})",
                where=str(self.metrics_file),
                expected="one JSON object an epoch, as aeclust train wrote it",
                mend="delete it",
            ) from error
        return lines

    def worker(self) -> int | None:
        """The process that holds the folder for writing, as far as can be known."""
        if sys.platform == "win32":  # where asking whether a process lives would end it
            return None
        try:
            number = int(self._worker_file.read_text(encoding="utf-8")[:9])
            os.kill(number, 0)
        except PermissionError:  # it lives, and is somebody else's
            return number
        except (OSError, ValueError):
            return None
        return number

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for writing; what a killed holder left half-written is removed.

        The lock belongs to the process and is freed by the operating system however it ends. A
        process may take it several times.

        Raises
        ------
        BusyError
            If another process holds it.
        WriteError
            If the folder cannot be written to.
        """
        first = not self._lock.is_locked
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                if self.worker() is not None:
                    raise
                # whoever holds it is about to write its number, or to end
                self._lock.acquire(timeout=0.5, poll_interval=0.01)
        except Timeout as error:
            raise BusyError(
                f"another process works here (process {self.worker() or 'unknown'})",
                where=str(self.path),
                mend="wait for it to end, or use another folder",
            ) from error
        except (OSError, NotImplementedError) as error:  # the latter where nothing can be locked
            raise WriteError(
                f"cannot be written to ({reason(error)})",
                where=str(self.path),
                mend="choose another folder",
            ) from error
        try:
            if first:
                with contextlib.suppress(OSError):  # a full disk: held all the same
                    self._worker_file.write_text(str(os.getpid()), encoding="utf-8")
                for place in (self.path, self.path / "weights"):
                    disk.remove_leftovers(place, _FILES)
            yield
        finally:
            if first:
                with contextlib.suppress(OSError):
                    self._worker_file.unlink()
            self._lock.release()


# Where run.json has paths, which may have a second form beside them: relative to the run folder.
_PATHS = (("data", "location"), ("validation", "images"), ("validation", "labels"))
_NEAR = "near_"


def _with_near(home: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The content of ``run.json`` with relative paths of what lies where the run folder lies.

    Who moves both together then has a whole run at the new place.
    """
    home = Path(os.path.abspath(home))
    for part, name in _PATHS:
        path, colons, key = (values[part][name] or "demo:").partition("::")
        if not path.startswith("demo:") and Path(path).is_relative_to(home.parent):
            near = Path(os.path.relpath(path, home)).as_posix()
            values[part][_NEAR + name] = f"{near}{colons}{key}"
    return values


def _found(home: Path, values: Any) -> Any:
    """The content of ``run.json`` with paths of what is there, beside the run folder first."""
    for part, name in _PATHS:
        near = dict(values[part]).get(_NEAR + name)
        values[part] = {key: v for key, v in values[part].items() if key != _NEAR + name}
        if near is not None:
            place = os.path.abspath(os.path.join(home, str(near)))
            if os.path.exists(place.partition("::")[0]):
                values[part][name] = place
    return values
