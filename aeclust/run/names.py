"""Names of clusters as ``names.json`` keeps them.

Names belong to the numbers in the ``labels.h5`` that they were given for, and to no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from aeclust import artifact, disk
from aeclust.artifact import Artifact
from aeclust.errors import InputError, Interrupted, reason
from aeclust.images.columns import NO_CLUSTER
from aeclust.run.folder import RunFolder

_FORMAT = 1
_MAX_BYTES = 1 << 24
MAX_LENGTH = 100


@dataclass(frozen=True)
class Names:
    """The content of ``names.json``.

    Attributes
    ----------
    labels : str
        SHA-256 of the labels that the names were given for.
    names : dict of int to str
        By cluster, ascending; clusters without a name are missing.
    """

    labels: str
    names: dict[int, str] = field(default_factory=dict)

    def stale(self, folder: RunFolder) -> str:
        """Why they do not name the clusters in a run's ``labels.h5``, or an empty text."""
        if not self.names:
            return ""
        if not folder.labels_file.exists():
            return "the labels are missing"
        if artifact.claimed_digest(folder.labels_file) == self.labels:
            return ""
        labels = artifact.read(folder.labels_file, "labels")
        return "" if self.fit(labels) else "the labels have changed"

    def fit(self, labels: Artifact) -> bool:
        """Whether they name the clusters of labels, which may have the numbers of former ones."""
        return self.labels in (labels.digest, labels.details.get("former"))

    def to_json(self) -> dict[str, object]:
        """As ``names.json`` has it."""
        return {
            "format": _FORMAT,
            "labels": self.labels,
            "names": {str(cluster): name for cluster, name in sorted(self.names.items())},
        }


def read_names(folder: RunFolder) -> Names | None:
    """What ``names.json`` says, stale or not; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    file = folder.names_file
    if not file.exists():
        return None
    try:
        with open(file, "rb") as handle:
            values = json.loads(disk.read_start(handle, _MAX_BYTES))
        names = {int(cluster): str(name) for cluster, name in values["names"].items()}
        stored = Names(str(values["labels"]), names)
        if stored.to_json() != values:
            raise ValueError("not as it would be written")
        for name in names.values():
            check_name(name)
    except Interrupted:
        raise
    except Exception as error:  # whatever a damaged file stumbles over
        raise InputError(
            f"is damaged ({type(error).__name__}: {reason(error)})",
            where=str(file),
            expected="the file as aeclust name wrote it",
            mend="restore a copy, or delete it and name the clusters again",
        ) from error
    return stored


def write_names(folder: RunFolder, labels: str, names: Mapping[int, str]) -> None:
    """Keep names for the labels of this digest; only for who locks the folder."""
    text = json.dumps(Names(labels, dict(names)).to_json(), indent=2, ensure_ascii=False)
    disk.write_bytes(folder.names_file, f"{text}\n".encode())


def check_name(name: str) -> None:
    """Refuse what is empty, not for one line, longer than 100 characters, or -1 (outliers)."""
    plain = name.isprintable() and name == name.strip() and name != NO_CLUSTER
    if not (0 < len(name) <= MAX_LENGTH and plain):
        raise InputError(
            f"the name is {name[: MAX_LENGTH + 1]!r}",
            expected=f"1 to {MAX_LENGTH} printable characters" + ", not -1" * (name == NO_CLUSTER),
            mend="choose another",
        )
