"""What a file or a whole run is, whether it is intact, and what in it is stale and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeclust import artifact as artifacts
from aeclust.artifact import Artifact
from aeclust.errors import InputError
from aeclust.images import listing
from aeclust.recipe import Recipe
from aeclust.run.caches import stale_ancestry, stale_latents
from aeclust.run.curve import stale_curve
from aeclust.run.folder import Manifest, RunFolder
from aeclust.run.names import Names, read_names


@dataclass(frozen=True)
class FileInfo:
    """One verified artifact, or the names of clusters.

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
    """

    folder: str
    manifest: dict[str, Any]
    finished: bool
    process: int | None = None
    files: list[FileInfo] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def file_info(file: Path) -> FileInfo:
    """Read and verify one artifact."""
    return _describe(file, artifacts.read(file, mapped=True), "")


def run_info(folder: RunFolder) -> RunInfo:
    """Read and verify everything in a run folder; damage is listed, not raised."""
    manifest = folder.manifest()
    epochs = folder.checkpoints()
    files = [folder.weights_file(epoch) for epoch in epochs]
    files += [
        folder.resume_file,
        folder.images_file,
        folder.latents_file,
        folder.labels_file,
        folder.embedding_file,
        folder.curve_file,
    ]
    found: list[FileInfo] = []
    damaged: list[str] = []
    for file in files:
        if file.exists():
            try:
                artifact = artifacts.read(file, mapped=True)
                found.append(_describe(file, artifact, _stale(folder, manifest, artifact)))
            except InputError as error:
                damaged.append(str(error))
    try:
        names = read_names(folder)
    except InputError as error:
        damaged.append(str(error))
    else:
        found += [] if names is None else [_describe_names(folder, manifest, names)]
    kept = manifest.checkpoints
    finished = kept[-1] in epochs and not folder.resume_file.exists()
    if finished:
        damaged += [
            f"{folder.weights_file(epoch)}: is missing; expected a checkpoint for each of"
            f" {', '.join(map(str, kept))}; restore it, or train again with --force"
            for epoch in kept
            if epoch not in epochs
        ]
    return RunInfo(str(folder.path), manifest.to_json(), finished, folder.worker(), found, damaged)


def _stale(folder: RunFolder, manifest: Manifest, artifact: Artifact) -> str:
    if artifact.kind == "latents":
        return stale_latents(folder, manifest, artifact.parents, artifact.details)
    if artifact.kind in ("labels", "embedding"):
        return stale_ancestry(folder, manifest, artifact)
    if artifact.kind == "curve":
        return stale_curve(folder, manifest, artifact)
    if artifact.kind == "images" and artifact.parents.get("data") == manifest.data_digest:
        now = listing(manifest.source)
        return "the folder has changed" if now not in ("", artifact.details.get("listing")) else ""
    if Recipe.from_json(artifact.recipe, where=artifact.kind) != manifest.recipe:
        return "it is of another recipe than the run"
    if artifact.parents.get("data") != manifest.data_digest:
        return "it is of other images than the run's"
    return ""


def _describe(file: Path, artifact: Artifact, stale: str) -> FileInfo:
    return FileInfo(
        file=str(file),
        kind=artifact.kind,
        digest=artifact.digest,
        arrays={name: (str(a.dtype), a.shape) for name, a in artifact.arrays.items()},
        recipe=artifact.recipe,
        seed=artifact.seed,
        parents=artifact.parents,
        versions=artifact.versions,
        details=artifact.details,
        stale=stale,
    )


def _describe_names(folder: RunFolder, manifest: Manifest, names: Names) -> FileInfo:
    content = names.to_json()
    return FileInfo(
        file=str(folder.names_file),
        kind="names",
        digest=hashlib.sha256(folder.names_file.read_bytes()).hexdigest(),
        arrays={},
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"labels": names.labels},
        versions={},
        details={"names": content["names"]},
        stale=names.stale(folder),
    )
