"""Labels that somebody knows of some images, and pairs of images that belong together or not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from aeclust.errors import InputError, at, did_you_mean
from aeclust.images import truth
from aeclust.images.columns import as_texts, rows_of
from aeclust.images.written import table_of

PAIRS = ["a", "b", "same|different"]  # the header of pairs
_LABELS = ["id", "label"]
_EXPECTED = f"the header {','.join(_LABELS)} or {','.join(PAIRS)}"
_UNKNOWN = ("", "-1")
_AS_FLOAT = re.compile(r"(-?\d+)\.0+")  # a whole number by a program that had gaps to fill


@dataclass(frozen=True)
class Given:
    """The known labels and pairs of n images, as files give them.

    Attributes
    ----------
    labels : dict of int to str
        The label of every image that has one, by its place among the n, in the order of the files.
    pairs : dict of (int, int) to bool
        Whether two images belong together, by their places, the lower one first.
    gone : tuple of str
        Ids of images that are no more and of which something is said, which is left out.
    """

    labels: dict[int, str] = field(default_factory=dict)
    pairs: dict[tuple[int, int], bool] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """One row: an image and its label, or two images and whether they belong together."""

    ids: tuple[str, ...]
    word: str
    place: str
    may_be_unknown: bool = False


def read_known(
    locations: Sequence[str],
    ids: NDArray[Any],
    *,
    gone: Collection[str] = (),
    former: Mapping[str, str] | None = None,
) -> Given:
    """Read known labels and pairs of images.

    A CSV has rows below a header ``id,label``, where a label is any text and further columns are
    not looked at, or below a header ``a,b,same|different``; it may have both, one below the other.
    Rows without a label are left out, so that a file may be filled in bit by bit. Any other source
    that :func:`aeclust.images.truth.load` reads has a label for each image. A label of -1 is none.

    Parameters
    ----------
    locations : sequence of str
    ids : ndarray of shape (n,)
        Of the images.
    gone : collection of str
        Ids of images that were there once.
    former : mapping of str to str, optional
        What images are called now, by former ids.

    Raises
    ------
    InputError
        If a file cannot be read, speaks of an unknown image, contradicts itself or another one, or
        if none of them says anything.
    """
    said = [each for location in locations for each in _read(location, ids)]
    names = [*dict.fromkeys(name for each in said for name in each.ids)]
    rows = rows_of(as_texts(names), ids, former).tolist() if names else []
    row_of = dict(zip(names, rows, strict=True))
    labels: dict[int, _Row] = {}
    pairs: dict[tuple[int, int], _Row] = {}
    left_out: dict[str, None] = {}
    for each in said:
        missing = [name for name in each.ids if row_of[name] < 0]
        if missing and each.may_be_unknown:
            continue
        if missing and missing[0] in gone:
            left_out[missing[0]] = None
        elif missing:
            what = f"id {missing[0]!r} is not among the images"
            mend = "correct it, or remove the row"
            raise InputError(what, where=each.place, expected="ids of the run's images", mend=mend)
        elif len(each.ids) == 1:
            _put(labels, row_of[each.ids[0]], each)
        else:
            one, other = sorted(row_of[name] for name in each.ids)
            _put(pairs, (one, other), each)
    if not (labels or pairs):
        whose = " of an image that is there" * bool(said)
        mend = "fill in its column label"
        raise InputError(f"holds no known label{whose}", where=", ".join(locations), mend=mend)
    same = {pair: each.word == "same" for pair, each in pairs.items()}
    return Given({row: each.word for row, each in labels.items()}, same, tuple(left_out))


def _put(known: dict[Any, _Row], key: Any, said: _Row) -> None:
    """Note what a row says, which may not be other than what another one said."""
    former = known.setdefault(key, said)
    if former.word != said.word:
        who = " and ".join(map(repr, said.ids))
        raise InputError(
            f"{who} {'is' if len(said.ids) == 1 else 'are'} {said.word!r} here and"
            f" {former.word!r} in {former.place}",
            where=said.place,
            expected="one of them",
            mend="remove the other row",
        )


def _read(location: str, ids: NDArray[Any]) -> Iterator[_Row]:
    table = truth.table_at(location)
    if table is not None:
        yield from _of_table(table)
        return
    labels = truth.load(location, texts=True, gaps=True)
    words = [*map(str, labels.values.tolist())]
    if labels.names is not None and (labels.names != "").any():
        words = labels.names.tolist()
    names = labels.ids
    if names is None:
        with at(location):
            labels.aligned(ids)  # is there one for each?
        names = ids
    for row, (name, word) in enumerate(zip(map(str, names.tolist()), words, strict=True)):
        if word not in _UNKNOWN:
            yield _Row((name,), word, f"{location}, row {row}", labels.files)


def _of_table(path: str) -> Iterator[_Row]:
    """What the rows of a CSV say, without those that say nothing."""
    header: list[str] | None = None
    for number, row in enumerate(truth.all_rows(path, _EXPECTED), 1):
        place = f"{path}, row {number}"
        cells = [cell.strip() for cell in row]
        while cells and not cells[-1]:  # a spreadsheet fills up rows
            cells.pop()
        lower = [cell.lower() for cell in cells]
        if lower[:2] == _LABELS or lower == PAIRS:
            header = row if lower[:2] == _LABELS else PAIRS
        elif header is None:
            what = f"starts with {','.join(row)[:60]!r}"
            raise InputError(what, where=path, expected=_EXPECTED, mend="add it as the first row")
        elif not cells:
            continue
        elif len(cells) > len(header) or not cells[0]:
            what, expected = f"reads {','.join(row)[:60]!r}", f"{','.join(header)}"
            mend = "correct that row; an id or label with a comma stands in quotes"
            raise InputError(what, where=place, expected=expected, mend=mend)
        elif header is PAIRS:
            yield from _pair(row, cells, place)
        else:
            label = cells[1] if len(cells) > 1 else ""
            if whole := _AS_FLOAT.fullmatch(label):
                label = whole[1]
            if label not in _UNKNOWN:
                yield _Row((row[0],), label, place)


def _pair(row: list[str], cells: list[str], place: str) -> Iterator[_Row]:
    """Two images that are the same or different, if a row says it."""
    if len(cells) < 3:
        return
    word = cells[2].lower()
    if word not in ("same", "different") or row[0] == row[1]:
        what = f"reads {','.join(row)[:60]!r}"
        mend = did_you_mean(word, ("same", "different"), "correct that row")
        expected = "two images, and same or different"
        raise InputError(what, where=place, expected=expected, mend=mend)
    yield _Row((row[0], row[1]), word, place)


# -- writing -------------------------------------------------------------------------------------


def to_csv(
    columns: Mapping[str, Sequence[Any]], pairs: Sequence[tuple[str | int, str | int, bool]]
) -> str:
    """A file of known labels: columns, of which the first are ``id`` and ``label``, and pairs."""
    rows: list[Sequence[Any]] = [[*columns], *zip(*columns.values(), strict=True)]
    rows += [PAIRS] * bool(pairs)
    rows += [(a, b, "same" if same else "different") for a, b, same in pairs]
    return table_of(rows)
