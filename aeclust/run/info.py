"""What a file or a whole run is, whether it is intact, and what in it is stale and why."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError, listed
from aeclust.run.context import Context
from aeclust.run.curve import stale_curve
from aeclust.run.edits.applied import correction
from aeclust.run.edits.file import read_edits
from aeclust.run.encoders import other_features
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import (
    Request,
    epoch_for,
    last_request,
    recipe_of,
    stale_ancestry,
    stale_labels,
    stale_latents,
)
from aeclust.run.manifest import Manifest
from aeclust.run.names import Names, read_names
from aeclust.run.present import present_images
from aeclust.run.verdict import verdict


@dataclass(frozen=True)
class FileInfo:
    """One verified artifact, or the names of clusters, or the edits.

    Attributes
    ----------
    file : str
    kind : str
    digest : str
        SHA-256, verified.
    arrays : dict of str to (str, tuple of int)
        dtype and shape of every dataset.
    recipe : dict
    seed : int
    parents, versions : dict of str to str
    details : dict
    stale : str
        Why it is stale in its run; empty if it is fresh or was looked at alone.
    """

    file: str
    kind: str
    digest: str
    arrays: dict[str, tuple[str, tuple[int, ...]]]
    recipe: dict[str, Any]
    seed: int
    parents: dict[str, str]
    versions: dict[str, str]
    details: dict[str, Any]
    stale: str = ""


@dataclass(frozen=True)
class RunInfo:
    """A whole run, every artifact of it verified.

    Attributes
    ----------
    folder : str
    manifest : dict
        The content of ``run.json``.
    finished : bool
        Whether the last epoch has its checkpoint.
    process : int or None
        The one that works in it now.
    files : list of FileInfo
    damaged : list of str
        One line for every file that is invalid.
    changes : list of str
        What has become of the images since the run took them in; empty if all is as it was.
    verdict : str
        How good the clusters are, in a sentence; empty without labels that are up to date.
    """

    folder: str
    manifest: dict[str, Any]
    finished: bool
    process: int | None = None
    files: list[FileInfo] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    verdict: str = ""


def file_info(file: Path) -> FileInfo:
    """Read and verify one artifact."""
    return _describe(file, artifact.read(file, mapped=True), "")


def run_info(folder: RunFolder) -> RunInfo:
    """Read and verify everything in a run folder; damage is listed, not raised."""
    manifest, epochs = folder.manifest(), folder.checkpoints()
    files = [
        *(folder.weights_file(epoch) for epoch in epochs),
        *(folder.start_file, folder.resume_file, folder.images_file, folder.previews_file),
        folder.features_file,
        *(folder.latents_file, folder.labels_file),
        *(folder.embedding_file, folder.curve_file),
    ]
    intact: list[tuple[Path, Artifact]] = []
    damaged: list[str] = []
    for file in filter(Path.exists, files):
        try:
            intact.append((file, artifact.read(file, mapped=True)))
        except InputError as error:
            damaged.append(str(error))
    try:
        request = last_request(folder, manifest)
    except InputError:  # of a damaged file, which is listed
        request = Request(recipe=manifest.recipe, seed=manifest.seed)
    infos = []
    for file, made in intact:
        try:
            infos.append(_describe(file, made, _stale(folder, manifest, made, request)))
        except InputError as error:  # of what it says of itself, or of a checkpoint that it needs
            infos.append(_describe(file, made, error.what))
    try:
        names = read_names(folder)
        infos += [] if names is None else [_describe_names(folder, manifest, names)]
    except InputError as error:
        damaged.append(str(error))
    try:
        infos += _describe_edits(folder, manifest, [made for _, made in intact])
    except InputError as error:
        damaged.append(str(error))
    kept = manifest.checkpoints
    finished = {*kept[-1:]} <= {*epochs} and not folder.resume_file.exists()
    if finished:
        damaged += [
            f"{folder.weights_file(epoch)}: is missing; expected a checkpoint for each of"
            f" {listed(kept)}; restore it, or train again with --force"
            for epoch in kept
            if epoch not in epochs
        ]
    changes = [] if damaged else _changes(folder, manifest)
    state = (manifest.to_json(), finished, folder.worker())
    sentence = "" if damaged else _verdict(folder, intact, infos)
    return RunInfo(str(folder.path), *state, infos, damaged, changes, sentence)


def _verdict(
    folder: RunFolder, intact: Sequence[tuple[Path, Artifact]], infos: list[FileInfo]
) -> str:
    """The verdict on labels that are up to date; empty without any."""
    labels = next((made for file, made in intact if file == folder.labels_file), None)
    if labels is None or any(each.stale for each in infos if each.kind == "labels"):
        return ""
    edited = correction(folder, labels)
    names = read_names(folder)
    known = names.names if names is not None and names.fit(labels) else {}
    return verdict(folder, labels if edited is None else edited.labels, known).sentence


def _changes(folder: RunFolder, manifest: Manifest) -> list[str]:
    """What has become of the run's images, in words."""
    lines: list[str] = []
    try:
        present_images(Context(folder, log=lines.append), manifest)
    except InputError as error:  # none of them is there, say
        lines.append(str(error))
    return lines


def _stale(folder: RunFolder, manifest: Manifest, made: Artifact, request: Request) -> str:
    """Why an artifact is not what the run would make now; empty if it is."""
    if made.kind == "curve":
        return stale_curve(folder, manifest, made)
    if made.kind in ("latents", "labels", "embedding"):
        if not (manifest.vectors or folder.checkpoints()):
            return "the weights are missing"
        epoch = epoch_for(folder, manifest, request)
        if made.kind == "latents":
            last = max(folder.checkpoints(), default=0)
            if made.details.get("epoch") == last:  # what embed makes
                epoch = last
            return stale_latents(folder, manifest, made.parents, made.details, epoch)
        if made.kind == "labels":
            return stale_labels(folder, manifest, made, request)
        return stale_ancestry(folder, manifest, made, epoch)
    if made.kind == "features" and other_features(recipe_of(made), manifest.recipe):
        return "made by another encoder, or from images of another size"
    if made.kind not in ("images", "previews", "features") and recipe_of(made) != manifest.recipe:
        return "made by another recipe than the run's"
    learnt = made.kind in ("weights", "resume")
    if made.parents.get("data") != (manifest.weights_digest if learnt else manifest.data_digest):
        return "made from other images than the run's"
    return ""


def _describe(file: Path, made: Artifact, stale: str) -> FileInfo:
    return FileInfo(
        file=str(file),
        kind=made.kind,
        digest=made.digest,
        arrays={name: (str(a.dtype), a.shape) for name, a in made.arrays.items()},
        recipe=made.recipe,
        seed=made.seed,
        parents=made.parents,
        versions=made.versions,
        details=made.details,
        stale=stale,
    )


def _describe_names(folder: RunFolder, manifest: Manifest, names: Names) -> FileInfo:
    details = {"names": names.to_json()["names"]}
    made = _plain(folder.names_file, "names", manifest, names.labels, details)
    return dataclasses.replace(made, stale=names.stale(folder))


def _describe_edits(
    folder: RunFolder, manifest: Manifest, intact: Sequence[Artifact]
) -> list[FileInfo]:
    """The edits, and which of them are not in force."""
    edits = read_edits(folder)
    if edits is None:
        return []
    labels = next((made for made in intact if made.kind == "labels"), None)
    found = None if labels is None else correction(folder, labels)
    listed = [] if found is None else found.edits
    off = [f"{each}: {each.off}" for each in listed if each.off]
    details = {"edits": len(edits.edits), "not_in_force": off}
    made = _plain(folder.edits_file, "edits", manifest, edits.labels, details)
    stale = f"{len(off):,} of {len(listed):,} are not in force; {off[0]}" if off else ""
    return [dataclasses.replace(made, stale="the labels are missing" if found is None else stale)]


def _plain(
    file: Path, kind: str, manifest: Manifest, labels: str, details: dict[str, Any]
) -> FileInfo:
    """A file of texts that belongs to labels."""
    return FileInfo(
        file=str(file),
        kind=kind,
        digest=hashlib.sha256(file.read_bytes()).hexdigest(),
        arrays={},
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"labels": labels},
        versions={},
        details=details,
    )
