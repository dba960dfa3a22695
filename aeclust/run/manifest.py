"""What a run was started for: the content of ``run.json``."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import MAX_SEED
from aeclust.errors import InputError
from aeclust.images import FITS, Source
from aeclust.recipe import AUTO_K, FIELDS, LATER, Recipe
from aeclust.run.checkpoints import checkpoint_epochs
from aeclust.run.known import Steering

_FORMAT, _SOME = 1, 8
_MAX_THREADS = 1024


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a run was started for: the content of ``run.json``.

    Attributes
    ----------
    source : Source
        The training images, or vectors that somebody else made of images.
    data_digest : str
        SHA-256 of the images that the run has now, see :meth:`aeclust.images.Images.digest`.
    shape : tuple of int
        Their shape (n, h, w, c); of vectors (n, d).
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
    some : tuple of str
        Ids of a few of the images, if they are files: where one of them is, the others are.
    former : tuple of str
        The :attr:`identity` of every run that this one learnt on from, the first one first.
    threads : int or None
        That it is trained with, and that later commands take; None where nobody chose.
    pictures : Source or None
        The images that the vectors were made of, for people to look at.
    steering : Steering or None
        Known labels that training and clusters follow, said of the images that it learnt from.
    encoder_file : str or None
        The path of the file with the frozen encoder or its weights, if they are in one.
    minutes : float or None
        For which the recipe was chosen, see :class:`aeclust.run.budget.Budget`.
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
    some: tuple[str, ...] = ()
    trained_on: str = ""
    former: tuple[str, ...] = ()
    threads: int | None = None
    pictures: Source | None = None
    encoder_file: str | None = None
    steering: Steering | None = None
    minutes: float | None = None

    @property
    def vectors(self) -> bool:
        """Whether the run is of vectors that somebody else made: nothing is trained or drawn."""
        return self.recipe.network == "none"

    @property
    def photographs(self) -> bool:
        """Whether the vectors were made of images in files, rather than of those of an array."""
        return self.pictures is not None and self.pictures.size is not None

    def check_network(self) -> None:
        """Refuse what needs a network, if the run has none."""
        if self.vectors:
            raise InputError(
                "the run has no network, only vectors that were made elsewhere",
                where=self.source.location,
                expected="a network that learnt from images",
                mend="train one, in a run of its own",
            )

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the images that the weights learnt from."""
        return self.trained_on or self.data_digest

    @property
    def identity(self) -> str:
        """What the weights depend on, as one SHA-256: requests made of another run are void."""
        fields = self.recipe.to_json().items()
        # of a recipe that could have been written before there were later fields: as it was then
        recipe = {name: value for name, value in fields if value or name not in LATER}
        decisive = [recipe, self.seed, self.weights_digest]
        decisive += [list(self.former)] if self.former else []
        decisive += [] if self.steering is None else [self.steering.to_json()]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    @property
    def checkpoints(self) -> list[int]:
        """The epochs that a finished run has a checkpoint of, ascending."""
        if self.vectors:
            return []
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
            **({"some": list(self.some)} if self.some else {}),
            **({"trained_on": self.trained_on} if self.trained_on else {}),
            **({"former": list(self.former)} if self.former else {}),
            **({} if self.threads is None else {"threads": self.threads}),
            **({} if self.minutes is None else {"minutes": self.minutes}),
            **({} if self.pictures is None else {"pictures": self.pictures.to_json()}),
            **({} if self.encoder_file is None else {"encoder": {"file": self.encoder_file}}),
            **({} if self.steering is None else {"known": self.steering.to_json()}),
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
        recipe, shape = Recipe.from_json(values["recipe"]), tuple(map(int, data.pop("shape")))
        axes = 2 if recipe.network == "none" else 4
        if len(shape) != axes or min(shape) < 1 or (axes == 4 and shape[3] not in (1, 3)):
            raise ValueError("no images have such a shape")
        if (data.get("features", False) is True) != (axes == 2):
            raise ValueError("features and recipe are of different kinds")
        if not 0 <= int(values["seed"]) <= MAX_SEED:
            raise ValueError("seed is not in 0 to 2^32 - 1")
        encoder_file = dict(values.get("encoder", {})).get("file")
        if not isinstance(encoder_file, str | None):
            raise TypeError("the file of the encoder is no text")
        if "kept" in values and not values["kept"]:
            raise ValueError("no epoch is kept")
        threads = values.get("threads")
        if threads is not None and not (type(threads) is int and 1 <= threads <= _MAX_THREADS):
            raise ValueError("threads is no number of threads")
        minutes = values.get("minutes")
        if minutes is not None and not (type(minutes) in (int, float) and minutes > 0):
            raise ValueError("minutes is no number above 0")
        if not {*map(type, validation.values())} <= {str, type(None)}:
            raise TypeError("validation is no text")
        steering = Steering.from_json(values["known"]) if "known" in values else None
        if steering is not None and steering.data == data["sha256"] and steering.beyond(shape[0]):
            raise ValueError("known labels are of other images")
        return cls(
            data_digest=str(data.pop("sha256")),
            shape=shape,
            source=_source_of(data),
            recipe=recipe,
            seed=int(values["seed"]),
            val_images=validation["images"],
            val_labels=validation["labels"],
            kept=tuple(map(int, values["kept"])) if "kept" in values else None,
            flattened=values.get("flattened", False) is True,
            some=tuple(map(str, values.get("some", ()))),
            trained_on=str(values.get("trained_on", "")),
            former=tuple(map(str, values.get("former", ()))),
            threads=threads,
            pictures=_source_of(values["pictures"]) if "pictures" in values else None,
            encoder_file=encoder_file,
            steering=steering,
            minutes=minutes,
        )


def check_trains(recipe: Recipe) -> None:
    """Refuse a recipe that has no network to train."""
    if recipe.network == "none":
        raise InputError(
            f"recipe {recipe.name} trains nothing",
            where="`recipe`",
            expected="one with a network",
            mend="begin a run of vectors of your own by aeclust embed `features` FILE",
        )


def refuse_other(old: Manifest, new: Manifest, folder: Path) -> None:
    """An interrupted run goes on with the request it was started with, or not at all."""

    def shown(recipe: Recipe, name: str) -> str:
        value = getattr(recipe, name)
        return "'auto'" if (name, value) == ("k", AUTO_K) else repr(value)

    changes = [
        f"{name} was {shown(old.recipe, name)} and is {shown(new.recipe, name)}"
        for name in FIELDS
        if getattr(old.recipe, name) != getattr(new.recipe, name)
    ]
    if old.minutes != new.minutes:
        changes.append(f"minutes was {_or_none(old.minutes)} and is {_or_none(new.minutes)}")
    if old.seed != new.seed:
        changes.append(f"seed was {old.seed} and is {new.seed}")
    if old.data_digest != new.data_digest:
        changes.append("the images are others")
    if (old.val_images, old.val_labels) != (new.val_images, new.val_labels):
        changes.append("the validation data are others")
    if old.steering != new.steering:
        changes.append("the known labels are others")
    if not changes and old.checkpoints != new.checkpoints:
        kept = [len(manifest.checkpoints) for manifest in (old, new)]
        changes.append(f"it keeps {kept[0]} checkpoints and would keep {kept[1]}")
    if changes:
        raise InputError(
            f"this run was started otherwise: {'; '.join(changes[:4])}",
            where=str(folder),
            expected="the flags of its start",
            mend="repeat those, or replace the run with `force`",
        )


def _or_none(minutes: float | None) -> str:
    return "none" if minutes is None else f"{minutes:g}"


def _source_of(values: Any) -> Source:
    """A source from its JSON values; any exception if they are of another kind."""
    data = dict(values)
    if type(data.get("size")) not in (int, type(None)):
        raise TypeError("size is of another kind")
    if type(data.get("skip_bad", False)) is not bool or not isinstance(data["location"], str):
        raise TypeError("location or skip_bad is of another kind")
    if not all(isinstance(name, str) for name in data.get("files", ())):
        raise TypeError("a file is no text")
    if data.get("fit", FITS[0]) not in FITS:
        raise ValueError("fit is of another kind")
    if not {type(data.get(name)) for name in ("layout", "range")} <= {str, type(None)}:
        raise TypeError("layout or range is no text")
    return Source(**data)


def to_text(values: dict[str, Any]) -> str:
    """The content of ``run.json`` for people to read; what may be long stands in one line."""
    known = values.get("known")
    short = {name: value for name, value in values.items() if name != "known"}
    text = json.dumps(short, indent=2, ensure_ascii=False)
    if known is None:
        return text
    return text.removesuffix("\n}") + f',\n  "known": {json.dumps(known, ensure_ascii=False)}\n}}'


# Where run.json has paths, which may have a second form beside them: relative to the run folder.
_PATHS = (
    *(("data", "location"), ("pictures", "location"), ("encoder", "file")),
    *(("validation", "images"), ("validation", "labels")),
)
_NEAR = "near_"


def some_of(ids: NDArray[Any]) -> tuple[str, ...]:
    """Ids of a few images in files, from all over; none of rows of an array."""
    if ids.dtype.kind != "U":
        return ()
    return tuple(ids[np.unique(np.linspace(0, len(ids) - 1, _SOME).astype(int))].tolist())


def with_near(home: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The content of ``run.json`` with relative paths of what lies where the run folder lies.

    Who moves both together then has a whole run at the new place.
    """
    home = Path(os.path.abspath(home))
    for part, name in _PATHS:
        path, colons, key = (values.get(part, {}).get(name) or "demo:").partition("::")
        if not path.startswith("demo:") and Path(path).is_relative_to(home.parent):
            near = Path(os.path.relpath(path, home)).as_posix()
            values[part][_NEAR + name] = f"{near}{colons}{key}"
    return values


def found_again(home: Path, values: Any) -> Any:
    """The content of ``run.json`` with paths of what is there, beside the run folder first.

    A folder there that has none of the images is another one.
    """
    some = [str(name) for name in dict(values).get("some", ())]
    for part, name in _PATHS:
        if part not in values:
            continue
        near = dict(values[part]).get(_NEAR + name)
        values[part] = {key: v for key, v in values[part].items() if key != _NEAR + name}
        if near is None:
            continue
        place = os.path.abspath(os.path.join(home, str(near)))
        path = place.partition("::")[0]
        ours = not some or any(os.path.lexists(os.path.join(path, each)) for each in some)
        if os.path.exists(path) and (ours or not os.path.isdir(path)):
            values[part][name] = place
    return values
