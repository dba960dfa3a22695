"""Known labels that steer the clusters of a run, as ``labels.h5`` keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters import Callback
from aeclust.clusters.ask import worth_asking
from aeclust.clusters.known import check_classes
from aeclust.clusters.neighbours import votes_of_others
from aeclust.errors import InputError, at, listed
from aeclust.images.columns import is_whole
from aeclust.images.known import Given, read_known
from aeclust.recipe import AUTO_K
from aeclust.run.images import known_fingerprints, match
from aeclust.run.known import Steering
from aeclust.run.names import check_name
from aeclust.run.present import present_images

if TYPE_CHECKING:
    from aeclust.images import Images
    from aeclust.run.context import Context
    from aeclust.run.folder import RunFolder
    from aeclust.run.manifest import Manifest

_LONGEST_NAMES = 50_000  # of which the header of a file has room


def steering_of(labels: Artifact) -> Steering | None:
    """What steered labels, if anything did."""
    if "known" not in labels.details:
        return None
    known, pairs = (labels.arrays.get(name, np.empty((0, 3))) for name in ("known", "pairs"))
    rows = np.flatnonzero(known >= 0)
    names, gone = labels.details["known"].get("names", {}), labels.arrays.get("gone")
    return Steering(
        data=labels.parents.get("data", ""),
        labels=tuple(zip(rows.tolist(), known[rows].tolist(), strict=True)),
        pairs=tuple((int(a), int(b), int(same)) for a, b, same in pairs),
        names=tuple(sorted((int(number), str(name)) for number, name in names.items())),
        gone=() if gone is None else tuple(map(str, artifact.decode_ids(gone).tolist())),
    )


def known_images(labels: Artifact) -> NDArray[np.bool_] | None:
    """Which images (n,) have a known label or pair; None if none has."""
    steering = steering_of(labels)
    if steering is None:
        return None
    return steering.known(len(labels.arrays["labels"]))[0].closed.classes >= 0


def steered_by(labels: Artifact) -> str:
    """What steered labels, in words; empty if nothing did.

    >>> steered_by(Artifact("labels", {}, {}, 0, {}, {"known": {"labels": 20, "pairs": 1}}))
    'steered by 20 labels and 1 pair'
    """
    return in_words(labels.details.get("known", {}))


def in_words(details: Mapping[str, Any]) -> str:
    """The same by what labels say of it."""
    words = _counted(details.get("labels", 0), details.get("pairs", 0))
    return f"steered by {words}" if words else ""


def _counted(labels: int, pairs: int) -> str:
    counts = ((labels, "label"), (pairs, "pair"))
    return " and ".join(f"{n:,} {what}{'s' * (n != 1)}" for n, what in counts if n)


def lost_in_words(before: Steering, now: Steering) -> str:
    """What is known of images no more, as some are gone; empty if nothing is lost."""
    labels, pairs = (len(before.labels) - len(now.labels), len(before.pairs) - len(now.pairs))
    files = sorted({*now.gone} - {*before.gone})
    which = f" ({listed(files)})" if files else ""
    lost = _counted(labels, pairs)
    return f"left out with the images that are gone{which}: {lost}" if lost else ""


# -- from files ----------------------------------------------------------------------------------


def read_steering(
    context: Context, manifest: Manifest, locations: Sequence[str], k: int
) -> Steering:
    """Known labels and pairs of a run's images, for so many clusters.

    Labels that all are numbers from 0 to k - 1 are those of the clusters. Others are names, and
    the clusters are numbered in the order in which these come first in the files.

    Raises
    ------
    InputError
        As for :func:`~aeclust.images.known.read_known`; if it contradicts itself, says more kinds
        of labels than `k`, or speaks of images that the run has not taken in.
    """
    present = present_images(context, manifest)
    with at(", ".join(locations)):
        before = _gone(context.folder)
        gone = {*present.gone, *before}
        given = read_known(locations, present.ids, gone=gone, former=present.former)
        if given.gone:
            are = "is" if len(given.gone) == 1 else "are"
            context.log(f"{len(given.gone):,} of the known images {are} gone: {given.gone[0]}")
        rows = present.rows
        new = next((row for row in _places(given) if rows[row] < 0), None)
        if new is not None:
            raise InputError(
                f"{str(present.ids[new])!r} is new, or has other content than when it was taken in",
                expected="known labels of the run's images",
                mend=f"take it in first with {context.folder.command('update')}",
            )
        ids = np.full(manifest.shape[0], None, object)
        ids[rows[rows >= 0]] = present.ids[rows >= 0]
        steering = numbered(given, rows, ids, manifest.data_digest, k, log=context.log)
        # other files may still speak of them
        return replace(steering, gone=tuple(sorted({*steering.gone, *before})))


def _gone(folder: RunFolder) -> tuple[str, ...]:
    """Ids of known images that an update has found gone."""
    with suppress(InputError):  # labels that are damaged, and may be replaced by force
        if folder.labels_file.exists():
            steering = steering_of(artifact.read(folder.labels_file, "labels"))
            return () if steering is None else steering.gone
    return ()


def _places(given: Given) -> set[int]:
    return {*given.labels, *(row for pair in given.pairs for row in pair)}


def numbered(
    given: Given,
    rows: NDArray[np.int64],
    ids: NDArray[Any],
    data: str,
    k: int,
    *,
    log: Callback = lambda line: None,
) -> Steering:
    """What was given of images, with the numbers of clusters for its labels.

    Parameters
    ----------
    given : Given
    rows : ndarray of shape (m,)
        The row of each of the images that it speaks of.
    ids : ndarray of shape (n,)
        By row, for errors.
    data : str
        SHA-256 of the images.
    k : int
    log : callable
        Takes one line for the user.
    """
    words = [*dict.fromkeys(given.labels.values())]
    whole = bool(words) and all(map(is_whole, words))
    kinds = len({int(word) for word in words} if whole else words)
    check_classes(kinds, k)
    most = kinds if k == AUTO_K else k
    if whole and all(0 <= int(word) < most for word in words):
        number, names = {word: int(word) for word in words}, {}
    else:
        for word in words:
            check_name(word)
        number = {word: i for i, word in enumerate(words)}
        names = dict(enumerate(words))
        if len(json.dumps(names)) > _LONGEST_NAMES:
            raise InputError(
                f"the {len(words):,} different known labels have too many characters",
                expected=f"at most {_LONGEST_NAMES:,} in all",
                mend="shorten them",
            )
        if whole:
            log(f"known labels are used as names: not all are cluster numbers from 0 to {most - 1}")
    pairs = ((*sorted((int(rows[a]), int(rows[b]))), int(s)) for (a, b), s in given.pairs.items())
    steering = Steering(
        data=data,
        labels=tuple(sorted((int(rows[i]), number[word]) for i, word in given.labels.items())),
        pairs=tuple(sorted((a, b, same) for a, b, same in pairs)),
        names=tuple(names.items()),
        gone=tuple(sorted(given.gone)),
    )
    steering.known(len(ids))[0].check(ids)
    return steering


# -- what to label next ---------------------------------------------------------------------------


def worth_labelling(
    labels: Artifact, latents: NDArray[Any], *, count: int, seed: int, known: NDArray[np.bool_]
) -> list[int]:
    """Rows of the images most worth labelling, by :func:`worth_asking`.

    `latents` (n, d) are those that the labels are of, and `known` (n,) whom nobody asks for.
    """
    arrays = labels.arrays
    clusters, shares = arrays["labels"], arrays.get("shares")
    if shares is None:  # the votes for no cluster come first
        k = int(clusters.max()) + 2
        shares = votes_of_others(latents, clusters + 1, arrays["references"], k)[:, 1:]
    rows = worth_asking(latents, clusters, shares, count=count, seed=seed, known=known)
    return [*map(int, rows)]


# -- from one state of the images to the next ----------------------------------------------------


def carried(steering: Steering, labels: Artifact | None, latents: Artifact) -> Steering | None:
    """What steered labels, said of the images that latents are of; None if none of these is known.

    Images are known again by content and name, for which the labels must be there.
    """
    data = latents.parents["data"]
    if steering.data == data or labels is None:
        return steering if steering.data == data else None
    known = tuple(labels.arrays[name] for name in ("ids", "fingerprints"))
    rows = match((known[0], known[1]), latents.arrays["ids"], latents.arrays["fingerprints"])
    return steering.moved(rows, artifact.decode_ids(known[0]), data)


def steering_at_start(
    context: Context,
    manifest: Manifest,
    images: Images,
    locations: Sequence[str],
    former: Manifest | None,
    *,
    learn_on: bool,
) -> Steering | None:
    """What steers a training: what files say, or else what steered the run that is there.

    Parameters
    ----------
    context, manifest, images
        Of the training that begins or goes on.
    locations : sequence of str
        Where known labels are.
    former : Manifest or None
        Of the run that is there, if it goes on or is learnt on from.
    learn_on : bool
    """
    if locations:
        n, ids = len(images), images.ids
        with at(", ".join(locations)):
            given = read_known(locations, ids)
            digest, k = manifest.data_digest, manifest.recipe.k
            return numbered(given, np.arange(n), ids, digest, k, log=context.log)
    steering = None if former is None else former.steering
    if former is None or steering is None or not learn_on or steering.data == manifest.data_digest:
        return steering
    known = known_fingerprints(context, former)
    if known is None or steering.data != former.data_digest:
        raise InputError(
            "the run was steered by known labels of images that are others now",
            where="`known`",
            expected="known labels of the images as they are",
            mend="give them",
        )
    rows = match(known, images.ids, images.fingerprints)
    return steering.moved(rows, known[0], manifest.data_digest)
