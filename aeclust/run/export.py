"""What a run found, taken elsewhere: images by cluster, tables, weights, the encoder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import disk, memory
from aeclust.clusters.numbers import OUTLIER, OUTLIERS
from aeclust.errors import InputError, at, reason
from aeclust.images import Listing, Source, look, to_png
from aeclust.images.files import TABLE
from aeclust.images.written import rounded, to_csv, to_json
from aeclust.run.clustered import latents_of
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.encoders import sight
from aeclust.run.export_place import check_free, whole_folder
from aeclust.run.find.duplicates import singled_out
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import epoch_for, last_request
from aeclust.run.images import load_images
from aeclust.run.latents import load_network
from aeclust.run.manifest import Manifest
from aeclust.run.naming import current_names, name_column
from aeclust.run.predict import Prediction, check_confidence, label_present, log_added
from aeclust.run.previews import pictures_at

TABLES = (".csv", ".json", ".npz")
NETWORKS = (".safetensors", ".onnx")
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Exported:
    """What was written: the file or folder, its format, and in words what it holds.

    The format is ``folder``, ``csv``, ``json``, ``npz``, ``safetensors`` or ``onnx``.
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
    min_confidence: float | None = None,
    without_duplicates: bool = False,
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
    min_confidence : float, optional
        Images of less confidence are outliers, labelled -1.
    without_duplicates : bool
        Leave out copies of other images, see :func:`aeclust.run.find.duplicates.duplicates`.
    force : bool
        Replace a file, or a folder that holds nothing but what an export put there.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        If the destination cannot be what is asked for, or is there already.
    WriteError
        If something cannot be written; then nothing is, and what was there is unharmed.
    """
    ending = _ending(destination, link=link, checkpoint=checkpoint)
    check_confidence(min_confidence)
    _check_labelled(
        ending, min_confidence=min_confidence is not None, without_duplicates=without_duplicates
    )
    manifest = context.folder.manifest()
    place = _free_place(context, manifest, destination, ending, force=force)
    if ending in NETWORKS:
        manifest.check_network()
        content, data = _network(context, manifest, ending, checkpoint)
        disk.write_bytes(place, data)
        return Exported(destination, ending[1:], content)
    labels = current_labels(context, manifest)
    log_added(context, labels)
    names = current_names(context, labels)
    images, left_out = label_present(context, manifest, labels).confident(min_confidence), ""
    if without_duplicates:
        images, count = singled_out(context, images)
        left_out = f"; {count:,} duplicate{'s' * (count != 1)} left out"
    columns = _columns(images, names)
    if ending:
        disk.write_bytes(place, _table(context, images, columns, ending))
        return Exported(destination, ending[1:], f"{len(images.ids):,} images{left_out}")
    content = _folder(context, manifest, images, columns, names, place, link=link, force=force)
    return Exported(destination, "folder", f"{content}{left_out}")


def _ending(destination: str, *, link: bool, checkpoint: int | None) -> str:
    """The ending that says what is written, empty for a folder; InputError if it cannot be."""
    ending, name = Path(destination).suffix.lower(), Path(destination).name
    if destination.endswith(("/", os.sep)) or name in ("", ".."):
        ending = ""
    if destination == "-":
        mend = "use aeclust predict for a CSV on standard output"
        what, expected = "an export has a name", "a folder or a file"
        raise InputError(what, where="-", expected=expected, mend=mend)
    if ending not in ("", *TABLES, *NETWORKS):
        expected = f"{', '.join((*TABLES, *NETWORKS))}, or a folder"
        mend = "give a folder no ending, or a slash at its end"
        raise InputError(f"ends in {ending!r}", where=destination, expected=expected, mend=mend)
    if link and ending:
        what, mend = "a file holds no images", "leave it out"
        raise InputError(what, where="`link`", expected="a folder", mend=mend)
    if checkpoint is not None and ending not in NETWORKS:
        what, mend = "no network is exported", "leave it out, or embed with that `checkpoint` first"
        expected = f"a destination that ends in {' or '.join(NETWORKS)}"
        raise InputError(what, where="`checkpoint`", expected=expected, mend=mend)
    return ending


def _free_place(
    context: Context, manifest: Manifest, destination: str, ending: str, *, force: bool
) -> Path:
    """Where the export goes (InputError if it cannot)."""
    place = Path(os.path.abspath(destination))
    with at(place):
        if ending:
            place = disk.output_file(place)
        context.folder.check_foreign(place)
        check_free(place, folder=not ending, force=force)
        if not ending:
            _check_apart(manifest, place)
    if not ending and manifest.vectors and manifest.pictures is None:
        raise InputError(
            "the run has vectors, and no images to sort into folders",
            where=destination,
            expected=", ".join(TABLES),
            mend="export a table, or begin again with the images beside `features`",
        )
    return place


def _check_labelled(ending: str, **stated: bool) -> None:
    """Refuse settings about images where the network is exported."""
    settings = [name for name, is_stated in stated.items() if is_stated]
    if settings and ending in NETWORKS:
        what, mend = "no labels are exported", "leave it out"
        expected = f"a folder, or {', '.join(TABLES)}"
        raise InputError(what, where=f"`{settings[0]}`", expected=expected, mend=mend)


def _shown(manifest: Manifest) -> Source:
    """Where the images lie that an export shows: of vectors those that they were made of."""
    return manifest.pictures or manifest.source


def _check_apart(manifest: Manifest, place: Path) -> None:
    """An export in the place of the images would replace them; below them, it is none of them."""
    source = _shown(manifest).location.partition("::")[0]
    if source.startswith("demo:") or not os.path.isdir(source):
        return
    images, target = Path(os.path.realpath(source)), Path(os.path.realpath(place))
    if images.is_relative_to(target):
        what = "is or holds the folder of the run's images"
        raise InputError(what, expected="a place apart from it", mend="choose another")


# -- tables ------------------------------------------------------------------------------------


def _columns(images: Prediction, names: dict[int, str]) -> Columns:
    """Every image's id, label, confidence and, if any cluster has one, name."""
    columns: Columns = {"ids": images.ids, "labels": images.labels}
    columns["confidence"] = images.confidence
    return columns | ({"names": name_column(names, images.labels)} if names else {})


def _csv(columns: Columns, **more: NDArray[Any]) -> bytes:
    confidence = rounded(columns["confidence"])
    return to_csv(columns["ids"], columns["labels"], confidence=confidence, **more).encode()


def _table(context: Context, images: Prediction, columns: Columns, ending: str) -> bytes:
    if ending == ".csv":
        return _csv(columns, **({"name": columns["names"]} if "names" in columns else {}))
    if ending == ".json":
        return to_json(*columns.values()).encode()
    latents = latents_of(context, images)
    with at(context.folder.latents_file):
        memory.check(2.0 * latents.nbytes, "a copy of the latents", "read that file instead")
    out = BytesIO()
    # plain numbers and texts: no pickle; older numpy would store the flag that says so
    np.savez(out, latents=latents, **columns)  # type: ignore[arg-type]
    return out.getvalue()


# -- networks ----------------------------------------------------------------------------------


def _network(
    context: Context, manifest: Manifest, ending: str, checkpoint: int | None
) -> tuple[str, bytes]:
    """What a file of the network holds, in words, and its bytes."""
    from aeclust.network.interchange import to_onnx, to_safetensors

    # the one that latents and labels are of, or would be
    request = last_request(context.folder, manifest)
    epoch = epoch_for(context.folder, manifest, request) if checkpoint is None else checkpoint
    network, digest = load_network(context, manifest, epoch)
    part, convert = "decoder" if network.frozen else "network", to_safetensors
    if ending == ".onnx":
        see = sight(context, manifest).encoder.plain() if network.frozen else None
        part, convert = "encoder", partial(to_onnx, see=see)
    data = convert(network, manifest.recipe, epoch=epoch, digest=digest)
    return f"the {part} of recipe {manifest.recipe.name} after epoch {epoch}", data


# -- folders -----------------------------------------------------------------------------------


def _folder(
    context: Context,
    manifest: Manifest,
    images: Prediction,
    columns: Columns,
    names: dict[int, str],
    place: Path,
    *,
    link: bool,
    force: bool,
) -> str:
    """A folder of images for each cluster and the table of all, put in place when it is whole."""
    ids, clusters = columns["ids"], columns["labels"].tolist()
    source = _shown(manifest)
    listing = None if ids.dtype.kind != "U" else look(source.location, source.files)
    rows = manifest.vectors and not manifest.photographs
    if rows:
        load_images(context, source)  # or else there is nothing to write
    if link and (rows or ids.dtype.kind != "U"):
        what, mend = "the images are rows of an array", "leave it out: each row becomes a PNG"
        raise InputError(what, where="`link`", expected="images in a folder", mend=mend)
    n, digits = len(ids), len(str(len(ids) - 1))
    pixels = pictures_at(context, manifest, images.present, np.arange(n))  # if they are in an array
    folders = {cluster: _folder_name(cluster, names.get(cluster, "")) for cluster in set(clusters)}
    files: list[str] = []
    with whole_folder(place, force=force) as draft:
        for row, (name, cluster) in enumerate(zip(ids.tolist(), clusters, strict=True)):
            if isinstance(name, str) and not rows:
                below = _below(name) if listing is not None and listing.chosen else name
                path = folders[cluster] / _checked(below, context.folder)
                _place(source.location, listing, name, draft / path, link=link)
            else:
                path = PurePath(folders[cluster], f"{row:0{digits}d}.png")
                _write(draft / path, to_png(next(pixels)))
            files.append(path.as_posix())
            context.progress("export", row + 1, n)
        name_of = columns.get("names", np.full(n, ""))
        table = _csv(columns, name=name_of, file=np.array(files, dtype=np.str_))
        _write(draft / TABLE, table)
    return f"{n:,} images in {len(folders)} folders"


def _folder_name(cluster: int, name: str) -> PurePath:
    """The number of a cluster, and of its name what every file system takes."""
    if cluster == OUTLIER:
        return PurePath(OUTLIERS)
    safe = re.sub(r"[^\w.-]+", "-", name)[:40].strip("-. ")
    return PurePath(f"{cluster}-{safe}" if safe else str(cluster))


def _below(name: str) -> str:
    """The path of a file that was chosen, which may lead anywhere, as one below a folder."""
    parts = (part.strip("./\\:") and part for part in PurePath(name).parts)
    return PurePath(*(part or "_" for part in parts)).as_posix()


def _checked(name: str, folder: RunFolder) -> PurePath:
    """An id as a path that stays below the folder it is joined to."""
    path = PurePath(name)
    leads_out = path.is_absolute() or path.drive or ".." in path.parts
    if leads_out or path.as_posix() != name or "\0" in name or name == ".":
        what = f"id {name[:60]!r} leads out of the folder, or is no path of a file"
        expected = "ids as paths below the folder of the images"
        mend = f"run {folder.command('cluster --force')}"
        raise InputError(what, where=str(folder.labels_file), expected=expected, mend=mend)
    return path


def _place(location: str, listing: Listing | None, name: str, target: Path, *, link: bool) -> None:
    """Put a copy of an image's file, or a link to it, at `target`."""
    try:
        if listing is None:
            raise OSError("it is gone")
        with listing.open(name) as file:
            data = b"" if link else file.read()
    except OSError as error:
        what, mend = f"cannot be read ({reason(error)})", "restore it, or train with `force`"
        where = f"{location}{os.sep}{name}" if listing is None else listing.where(name)
        expected = "the images that the run was trained on"
        raise InputError(what, where=where, expected=expected, mend=mend) from error
    if link:
        path = listing.path(name)
        if path is None:
            what, mend = "the images lie in an archive", "leave it out: each is copied"
            raise InputError(what, where="`link`", expected="images in a folder", mend=mend)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    else:
        _write(target, data)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
