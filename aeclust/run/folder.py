"""The run folder: where its files lie, what it was made for, and who may write in it."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from filelock import FileLock, Timeout

from aeclust import disk
from aeclust.errors import AeclustError, BusyError, InputError, WriteError, at, reason
from aeclust.run import DEFAULT_RUN
from aeclust.run.manifest import Manifest, found_again, to_text, with_near

_MAX_BYTES = 1 << 28  # millions of known labels
# What is written under the lock alone.
_FILES = re.compile(
    r"run\.json(\.next)?|names\.json|edits\.json|metrics\.jsonl"
    r"|(resume|start|images|previews|features|latents|labels|embedding|curve|epoch-\d{4,9})\.h5"
)


_NAME = re.compile(r"(edit|find) \w+|\S+")  # of a command, with its verb


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
        self.features_file = path / "features.h5"
        self.latents_file = path / "latents.h5"
        self.labels_file = path / "labels.h5"
        self.embedding_file = path / "embedding.h5"
        self.curve_file = path / "curve.h5"
        self.names_file = path / "names.json"
        self.edits_file = path / "edits.json"
        self._worker_file = path / ".worker"
        self._lock = FileLock(path / ".lock", timeout=0)

    def command(self, words: str) -> str:
        """A command line for this run.

        >>> RunFolder(Path("other"), " --run other").command("train --resume")
        'aeclust train --run other --resume'
        >>> RunFolder(Path("other"), " --run other").command("find duplicates")
        'aeclust find duplicates --run other'
        """
        return f"aeclust {_NAME.sub(lambda name: name[0] + self.flag, words, count=1)}"

    def as_seen_beside(self) -> RunFolder:
        """The same folder, for commands that are run in the folder that holds it.

        >>> RunFolder(Path("/some/where/other")).as_seen_beside().command("update")
        'aeclust update --run other'
        """
        beside = copy.copy(self)
        name = os.path.basename(os.path.abspath(self.path))
        beside.flag = "" if name == DEFAULT_RUN else f" --run {shlex.quote(name)}"
        return beside

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
        last, wanted = max(self.checkpoints(), default=0), max(manifest.checkpoints, default=0)
        if last >= wanted:
            return ""
        if (process := self.worker()) not in (None, os.getpid()):
            return (
                f"training still runs (process {process}): this is the network after epoch {last}"
                f" of {wanted}"
            )
        return (
            f"training stopped early: this is the network after epoch {last} of {wanted}; continue"
            f" with {self.command('train --resume')}"
        )

    def refuse_run(self) -> None:
        """Refuse to begin a run where there is one; what can be done depends on how far it is."""
        if not self.exists():
            return
        what, go_on = "a run is here already", "train it further with `continue`, "
        with contextlib.suppress(AeclustError):  # of a damaged one nothing is known
            manifest = self.manifest()
            last, wanted = max(self.checkpoints(), default=0), manifest.recipe.total_epochs
            if manifest.vectors:
                go_on = ""
            elif (process := self.worker()) not in (None, os.getpid()):
                what, go_on = f"process {process} works on a run here", "wait for it, "
            elif last < wanted:
                done = f"after epoch {last} of {wanted}" if last else "in its first epoch"
                what = f"a run is here already, interrupted {done}"
                go_on = "go on with `resume`, "
        raise InputError(
            what,
            where=str(self.path),
            expected="an empty or new folder",
            mend=f"{go_on}replace it with `force`, or change `run`",
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
                    data = disk.read_start(handle, _MAX_BYTES)
                text = data.decode("utf-8-sig", "surrogateescape")
                return Manifest.from_json(found_again(self.path, json.loads(text)))
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
            for file in (self.metrics_file, self.edits_file, *self.state_files()):
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
        text = to_text(with_near(self.path, manifest.to_json()))
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
