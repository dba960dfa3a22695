"""What a run found, taken elsewhere: images by cluster, tables, weights, the encoder."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust import disk, memory
from aeclust.artifact import Artifact
from aeclust.errors import InputError, WriteError
from aeclust.images import to_png
from aeclust.images import truth as labels
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.folder import Manifest, RunFolder
from aeclust.run.freshness import epoch_for, last_request
from aeclust.run.images import run_images
from aeclust.run.latents import load_network
from aeclust.run.names import current_names, name_column

TABLES = (".csv", ".json", ".npz")
NETWORKS = (".safetensors", ".onnx")
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file managers leave in any folder
_COLUMNS = ["id", "label", "confidence", "name", "file"]  # of the table in an exported folder


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    file : str
        The file or folder.
    format : str
        ``folder``, ``csv``, ``json``, ``npz``, ``safetensors`` or ``onnx``.
    content : str
        What it holds, in words.
    """

    file: str
    format: str
    content: str


def export(
    context: Context,
    destination: str,
    *,
    link: bool = False,
    checkpoint: int | None = None,
    force: bool = False,
) -> Exported:
    """Write images by cluster, a table of them, or the network; the ending says which.

    Labels and latents are made if missing or stale. Clusters have the numbers of ``labels.h5``.

    Parameters
    ----------
    context : Context
    destination : str
        A folder if it has no ending or ends in a slash.
    link : bool
        Link to the images of a folder instead of copying them.
    checkpoint : int, optional
        Epoch of the network; the last kept, if None.
    force : bool
        Replace a file, or a folder that holds nothing but what an export put there.

    Raises
    ------
    InputError
        If the destination cannot be what is asked for, or is there already.
    WriteError
        If something cannot be written; then nothing is, and what was there is unharmed.
    """
    place, ending = Path(os.path.abspath(destination)), Path(destination).suffix.lower()
    if destination.endswith(("/", os.sep)) or Path(destination).name in ("", ".."):
        ending = ""
    if ending not in ("", *TABLES, *NETWORKS):
        raise InputError(
            f"ends in {ending!r}",
            where=destination,
            expected=f"{', '.join((*TABLES, *NETWORKS))}, or a folder",
            mend="give a folder no ending, or a slash at its end",
        )
    if link and ending:
        raise InputError(
            "a file holds no images", where="--link", expected="a folder", mend="leave it out"
        )
    if checkpoint is not None and ending not in NETWORKS:
        raise InputError(
            "no network is exported",
            where="--checkpoint",
            expected=f"DEST to end in {' or '.join(NETWORKS)}",
            mend="leave it out, or choose the latents' own with"
            f" {context.folder.command('embed --checkpoint')} {checkpoint}",
        )
    manifest = context.folder.manifest()
    if destination == "-":
        raise InputError(
            "an export has a name", where="-", expected="a folder or a file",
            mend="use aeclust predict for a CSV on standard output",
        )  # fmt: skip
    if ending:
        place = disk.meant(place)
    context.folder.check_foreign(place)
    _check_free(place, folder=not ending, force=force)
    if ending in NETWORKS:
        content = _network_file(context, manifest, place, ending, checkpoint)
    else:
        if not ending:
            _check_apart(manifest, place)
        artifact = current_labels(context, manifest)
        names = current_names(context, artifact)
        found = _Columns.of(artifact, names)
        if ending:
            disk.write_bytes(place, _table(context, artifact, found, ending))
            content = f"{len(found.ids)} images"
        else:
            content = _folder(context, manifest, found, names, place, link=link, force=force)
    return Exported(destination, ending.removeprefix(".") or "folder", content)


def _check_free(place: Path, *, folder: bool, force: bool) -> None:
    _restore(place)
    if not os.path.lexists(place):
        return
    if not force:
        raise InputError(
            "is there already", where=str(place), expected="a new name",
            mend="choose another, or replace it with --force",
        )  # fmt: skip
    if not folder:
        return  # what stands there is a file: `meant` refuses the rest
    owned = place.is_dir() and not place.is_symlink()
    if foreign := _foreign(place) if owned else "a file":
        raise InputError(
            f"is or holds what no export like this put there ({foreign})",
            where=str(place),
            expected="nothing else where --force replaces",
            mend="choose another name, or remove it yourself",
        )


def _restore(place: Path) -> None:
    """Take back what a process that was killed while it replaced `place` had put aside."""
    former = sorted(place.parent.glob(f".{glob.escape(place.name)}.*.old"))
    if former and not os.path.lexists(place):
        with contextlib.suppress(OSError):
            os.rename(former[0], place)


def _foreign(folder: Path) -> str:
    """What a folder holds that did not come from an export, or an empty text."""
    table = folder / labels.TABLE
    try:
        header, *rows = labels.read_rows(str(table)) if not table.is_symlink() else [[]]
    except InputError:
        header, rows = [], []
    if header != _COLUMNS:
        return f"no {labels.TABLE} of an export"
    own = {row[-1] for row in rows} | {labels.TABLE}
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted((*files, *links)):
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if path not in own and name not in _LITTER:
                return path
    return ""


def _check_apart(manifest: Manifest, place: Path) -> None:
    """An export among the images would change them, or replace them."""
    source = manifest.source.location.partition("::")[0]
    if manifest.source.location.startswith("demo:") or not os.path.isdir(source):
        return
    first, second = Path(os.path.realpath(source)), Path(os.path.realpath(place))
    if first == second or first in second.parents or second in first.parents:
        raise InputError(
            "is, holds or lies in the folder of the run's images",
            where=str(place),
            expected="a place apart from it",
            mend="choose another",
        )


# -- tables ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """Every image's id, cluster, confidence and name; no names if no cluster has one."""

    ids: NDArray[Any]
    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]
    names: NDArray[np.str_] | None

    @classmethod
    def of(cls, artifact: Artifact, names: dict[int, str]) -> _Columns:
        values = artifact.arrays["labels"]
        return cls(
            artifacts.decode_ids(artifact.arrays["ids"]),
            values,
            artifact.arrays["confidence"],
            name_column(names, values) if names else None,
        )

    def rounded(self) -> NDArray[np.float64]:
        return self.confidence.astype(np.float64).round(6)


def _table(context: Context, artifact: Artifact, found: _Columns, ending: str) -> bytes:
    named = {} if found.names is None else {"name": found.names}
    if ending == ".csv":
        return labels.to_csv(found.ids, found.labels, confidence=found.rounded(), **named).encode()
    if ending == ".json":
        return labels.to_json(found.ids, found.labels, found.confidence, found.names).encode()
    latents = artifacts.read(context.folder.latents_file, "latents", mapped=True).arrays["latents"]
    where = str(context.folder.latents_file)
    memory.check(2.0 * latents.nbytes, "a copy of the latents", where, "read that file instead")
    out = BytesIO()
    arrays = {"ids": found.ids, "labels": found.labels, "confidence": found.confidence}
    if found.names is not None:
        arrays["names"] = found.names
    # plain numbers and texts: no pickle; older numpy would store the flag that says so
    np.savez(out, latents=latents, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


# -- networks ----------------------------------------------------------------------------------


def _network_file(
    context: Context, manifest: Manifest, place: Path, ending: str, checkpoint: int | None
) -> str:
    from aeclust.network.interchange import to_onnx, to_safetensors

    # the one that latents and labels are of, or would be
    request = last_request(context.folder, manifest)
    epoch = epoch_for(context.folder, manifest, request) if checkpoint is None else checkpoint
    network, digest = load_network(context, manifest, epoch)
    convert = to_onnx if ending == ".onnx" else to_safetensors
    data = convert(network, manifest.recipe, epoch=epoch, digest=digest)
    disk.write_bytes(place, data)
    part = "encoder" if ending == ".onnx" else "network"
    return f"the {part} of recipe {manifest.recipe.name} after epoch {epoch}"


# -- folders -----------------------------------------------------------------------------------


def _folder(
    context: Context,
    manifest: Manifest,
    found: _Columns,
    names: dict[int, str],
    place: Path,
    *,
    link: bool,
    force: bool,
) -> str:
    """A folder of images for each cluster and the table of all, put in place when it is whole."""
    from_folder = found.ids.dtype.kind == "U"
    if link and not from_folder:
        raise InputError(
            "the images are rows of an array", where="--link", expected="images in a folder",
            mend="leave it out: each row becomes a PNG",
        )  # fmt: skip
    pixels = None if from_folder else run_images(context, manifest).pixels
    n, digits = len(found.ids), len(str(len(found.ids) - 1))
    if pixels is not None and not np.array_equal(found.ids, np.arange(len(pixels))):
        raise InputError(
            "the labels have other ids than the images", where=str(context.folder.labels_file),
            expected="row numbers from 0", mend=f"run {context.folder.command('cluster --force')}",
        )  # fmt: skip
    folders = {c: _folder_name(c, names.get(c, "")) for c in np.unique(found.labels).tolist()}
    files: list[str] = []
    with _whole_folder(place, force=force) as draft:
        for row, (name, cluster) in enumerate(
            zip(found.ids.tolist(), found.labels.tolist(), strict=True)
        ):
            if pixels is None:
                relative = _checked(name, context.folder)
                _place(Path(manifest.source.location) / relative,
                       draft / folders[cluster] / relative, link=link)  # fmt: skip
            else:
                relative = PurePath(f"{row:0{digits}d}.png")
                _write(draft / folders[cluster] / relative, to_png(np.asarray(pixels[row])))
            files.append(f"{folders[cluster]}/{relative.as_posix()}")
            context.progress("export", row + 1, n)
        texts = np.full(n, "") if found.names is None else found.names
        table = labels.to_csv(
            found.ids,
            found.labels,
            confidence=found.rounded(),
            name=texts,
            file=np.array(files, dtype=np.str_),
        )
        _write(draft / labels.TABLE, table.encode())
    return f"{n} images in {len(folders)} folders"


def _folder_name(cluster: int, name: str) -> str:
    """The number of a cluster, and of its name what every file system takes."""
    safe = re.sub(r"[^\w.-]+", "-", name)[:40].strip("-. ")
    return f"{cluster}-{safe}" if safe else str(cluster)


def _checked(name: str, folder: RunFolder) -> PurePath:
    """An id as a path that stays below the folder it is joined to."""
    path = PurePath(name)
    if path.is_absolute() or path.drive or ".." in path.parts or path.as_posix() != name \
            or "\0" in name or name == ".":  # fmt: skip
        raise InputError(
            f"id {name[:60]!r} leads out of the folder, or is no path of a file",
            where=str(folder.labels_file),
            expected="ids as paths below the folder of the images",
            mend=f"run {folder.command('cluster --force')}",
        )
    return path


def _place(source: Path, target: Path, *, link: bool) -> None:
    try:
        data = b"" if link and source.is_file() else source.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})",
            where=str(source),
            expected="the images that the run was trained on",
            mend="restore them, or train again with --force",
        ) from error
    if link:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    else:
        _write(target, data)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


@contextlib.contextmanager
def _whole_folder(place: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill, beside `place`, whose name it takes if the body ends well.

    Whatever else happens it is removed, and what was there before is still there.
    """
    token = secrets.token_hex(4)
    draft, former = (place.parent / f".{place.name}.{token}.{kind}" for kind in ("tmp", "old"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        yield draft
        _check_free(place, folder=True, force=force)  # it took a while
        try:
            if place.exists():
                os.rename(place, former)
            os.rename(draft, place)
        except BaseException:
            if former.exists() and not place.exists():
                os.rename(former, place)
            raise
    except OSError as error:
        raise WriteError(
            f"could not be written ({error.strerror or error})",
            where=str(place),
            mend="free space or choose another place; what was there before is unharmed",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if place.exists():  # or else the former is all there is
            shutil.rmtree(former, ignore_errors=True)
