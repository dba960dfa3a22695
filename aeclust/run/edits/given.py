"""Edits that people bring in a file: what a report page downloads, or a CSV of id,label."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from aeclust import disk
from aeclust.clusters.numbers import OUTLIER
from aeclust.errors import InputError, at
from aeclust.images.columns import NO_CLUSTER
from aeclust.images.truth import read_rows
from aeclust.run.context import Context
from aeclust.run.edits.applied import Correction, latents_of
from aeclust.run.edits.file import MAX_BYTES, parse_edits
from aeclust.run.edits.kinds import Drop, Edit, Edits, Merge, Move, Name, Split
from aeclust.run.edits.verbs import Edited, Session, editing


def apply_file(context: Context, location: str) -> Edited:
    """Apply the edits in a file, all of them or none.

    Parameters
    ----------
    context : Context
    location : str
        Edits as a report page or ``aeclust edit`` writes them, of which those that were applied
        before are passed over; or a CSV whose column `label` has for each image the number or the
        name of a cluster, or -1: what is in another cluster is moved.

    Raises
    ------
    InputError
        If it cannot be read, was made for other clusters, or something in it makes no sense.
    """
    data, _ = disk.read_whole(Path(location), MAX_BYTES)
    with at(location):
        start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if Path(location).suffix.lower() != ".json" and start not in (b"{", b"["):
            table = read_rows(location)[1:]
            with editing(context) as session:
                return _apply_table(session, table)
        given = parse_edits(data)
        with editing(context) as session:
            return _apply_edits(session, given)


# -- a report page's -------------------------------------------------------------------------------


def _apply_edits(session: Session, given: Edits) -> Edited:
    edits = _of_these_labels(session, given)
    since = session.stored.edits[given.after :]
    fresh = edits[_applied_already(since, edits) :]
    if edits and not fresh:
        return session.answer(f"nothing to do: all {_count(len(edits))} are in force already")
    reserved = {number for each in fresh for number in _numbers(each)}
    split_off: set[int] = set()
    skipped = 0
    for place, each in enumerate(fresh, len(edits) - len(fresh) + 1):
        try:
            now = _with_images(session, _with_new(session, each, split_off))
            if now is None:
                skipped += 1
                continue
            made = session.apply(now, reserved)
        except InputError as error:
            error.what = f"edit {place} ({each}): {error.what}"
            raise
        if isinstance(made, Split):
            split_off |= {*made.parts} - {made.cluster}
    done = f"applied {_count(len(fresh) - skipped)}"
    if len(fresh) < len(edits):
        done += f" ({_count(len(edits) - len(fresh))} before them were in force already)"
    return session.save(done)


def _count(edits: int) -> str:
    return f"{edits:,} edit{'s' * (edits != 1)}"


def _of_these_labels(session: Session, given: Edits) -> tuple[Edit, ...]:
    """Edits whose numbers are those of the clusters as they are.

    Those that name no labels are meant for these. Others are translated as far as their clusters
    are there, if the file says which images were in them and the run has no edits yet.
    """
    found, folder = session.found, session.folder
    if given.labels in ("", found.digest, found.details.get("former")):
        if given.after > len(session.stored.edits):
            raise InputError(
                f"it was made after {_count(given.after)}, and the run has"
                f" {len(session.stored.edits):,} now",
                expected="corrections of the clusters as they are",
                mend=f"write the page anew with {folder.command('report')}, and correct that",
            )
        return given.edits
    if not given.clusters or session.stored.edits:
        raise InputError(
            "it was made for other clusters than the run has now",
            expected="corrections of these clusters",
            mend=f"write the page anew with {folder.command('report')}, and correct that",
        )
    names = [each for each in given.edits if isinstance(each, Name)]
    kept = dataclasses.replace(given, edits=tuple(e for e in given.edits if e not in names))
    translated = Correction(found, kept, latents_of(folder, found)).edits
    off = [each for each in translated if each.off]
    for each in off:
        session.context.log(f"left out: {each}: {each.off}")
    return tuple(each for each in translated if not each.off)


def _applied_already(stored: tuple[Edit, ...], edits: tuple[Edit, ...]) -> int:
    """How many edits, from the first, are the last ones of the run since the page was written.

    A page that goes on after a download downloads them again.
    """
    theirs = [each for each in edits if not isinstance(each, Name)]
    for count in range(min(len(stored), len(theirs)), 0, -1):
        pairs = zip(stored[-count:], theirs[:count], strict=True)
        if all(_same(ours, each) for ours, each in pairs):
            whole = count == len(theirs)
            return len(edits) if whole else 1 + edits.index(theirs[count - 1])
    return 0


def _same(ours: Edit, theirs: Edit) -> bool:
    """Whether an edit of the run is what somebody asked for; images that it left out may differ."""
    if isinstance(ours, Merge) and isinstance(theirs, Merge):
        return ours.clusters == theirs.clusters
    if isinstance(ours, Split) and isinstance(theirs, Split):
        return (ours.cluster, ours.k) == (theirs.cluster, theirs.k)
    if not isinstance(ours, Move | Drop) or type(ours) is not type(theirs):
        return False
    fits = True
    if isinstance(ours, Move) and isinstance(theirs, Move):
        fits = theirs.to == ours.to or (ours.new and theirs.to is None)
    return fits and {*map(str, ours.ids)} <= {*map(str, theirs.ids)}


def _numbers(edit: Edit) -> set[int]:
    """The clusters that an edit names."""
    if isinstance(edit, Merge):
        return {*edit.clusters}
    if isinstance(edit, Move):
        return set() if edit.to is None else {edit.to}
    return {edit.cluster} if isinstance(edit, Split | Name) else set()


def _with_new(session: Session, edit: Edit, split_off: set[int]) -> Edit:
    """A move to the number that a page gives to the next new cluster makes it.

    The page does not know the numbers of what is split off.
    """
    if isinstance(edit, Move) and not edit.new and edit.to not in (None, *session.now.numbers):
        used = {*session.now.numbers} - split_off
        if edit.to == next(number for number in range(len(used) + 1) if number not in used):
            return dataclasses.replace(edit, new=True)
    return edit


def _with_images(session: Session, edit: Edit) -> Edit | None:
    """An edit of the images that the run has; None if none of them is left."""
    if not isinstance(edit, Move | Drop):
        return edit
    ids = session.known(edit.ids, some=True)
    return dataclasses.replace(edit, ids=ids) if ids else None


# -- a table ---------------------------------------------------------------------------------------


def _apply_table(session: Session, table: list[list[str]]) -> Edited:
    """Move the images whose label is another now."""
    if not table:
        raise InputError("holds no labels", expected="rows after the header")
    seen: set[str] = set()
    for place, row in enumerate(table, 2):
        if len(row) < 2 or not row[1].strip() or row[0] in seen:
            what = "repeats an id" if row[0] in seen else "has no label"
            raise InputError(
                f"row {place} {what}: {','.join(row)[:60]!r}",
                expected="each id once, with the number or name of a cluster, or -1",
            )
        seen.add(row[0])
    wanted = _targets(session, [row[1].strip() for row in table])
    rows = session.rows([row[0] for row in table], some=True)
    there = rows >= 0
    labels, wanted, rows = session.now.partition.labels[rows[there]], wanted[there], rows[there]
    count, names = 0, dict(session.names)
    for to in sorted({*wanted[labels != wanted].tolist()}):
        moved = rows[(wanted == to) & (labels != wanted)].tolist()
        ids = tuple(session.now.ids[row] for row in moved)
        # of clusters that swap their images, one is empty meanwhile
        new = to not in session.now.numbers
        session.apply(Drop(ids) if to == OUTLIER else Move(ids, to, new=new))
        count += len(moved)
    session.names = {j: names[j] for j in session.now.numbers if j in names}
    if not count:
        return session.answer("nothing to do: all images have these labels")
    return session.save(f"moved {count:,} image{'s' * (count != 1)}")


def _targets(session: Session, labels: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of a cluster for each label; the lowest free ones are those of new clusters."""
    number: dict[str, int] = {NO_CLUSTER: OUTLIER}
    free: list[int] = []
    texts = sorted({*labels} - {NO_CLUSTER}, key=lambda text: (len(text), text))
    for text in texts:
        next_one = session.now.partition.free(taken=free)
        if text == str(next_one) and not session.named(text):
            number[text] = next_one
            free.append(next_one)
        else:
            number[text] = session.cluster(text)
    return np.array([number[text] for text in labels], np.int64)
