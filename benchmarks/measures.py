"""Which images a clustering has right, and what the features behind it hold, by labels.

Classes are read here, after the clustering: (n,) of a set, -1 where nobody knows.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from aeclust.clusters.neighbours import neighbour_vote
from aeclust.clusters.scores import best_names

Labels = NDArray[np.int64]
Points = NDArray[np.float32]
Right = NDArray[np.bool_]


def labelled(classes: Labels) -> Labels:
    """Rows (m,) of the images whose class is known: the first m // 2 are half a of them."""
    return np.random.default_rng(0).permutation(np.flatnonzero(classes >= 0))


def in_halves(values: NDArray[Any]) -> list[float]:
    """Means of values (m,) of the labelled images, but for NaN, in half a and in half b."""
    middle = len(values) // 2
    return [round(float(np.nanmean(half)), 4) for half in (values[:middle], values[middle:])]


def right_of(labels: Labels, classes: Labels) -> Right:
    """Which labels (m,) are right, under the best matching of clusters and classes (m,)."""
    inside = labels >= 0
    k = int(max(labels.max(), classes.max())) + 1
    names = best_names(labels[inside], classes[inside], k)
    return np.asarray(inside & (names[labels] == classes))


def probe(points: Points, classes: Labels) -> Right:
    """Which labelled images (m,) a logistic regression that learnt the other half gets right."""
    seen, middle = StandardScaler().fit_transform(points), len(points) // 2
    halves = slice(middle), slice(middle, None)
    right = np.zeros(len(classes), bool)
    for learnt, scored in (halves, halves[::-1]):
        model = LogisticRegression(C=250 / len(classes[learnt]), max_iter=300)
        found = model.fit(seen[learnt], classes[learnt]).predict(seen[scored])
        right[scored] = found == classes[scored]
    return right


def nearest(points: Points, classes: Labels) -> Right:
    """Which labelled images (m,) the 15 others nearest to them by angle get right."""
    directions = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    itself, k = np.arange(len(points)), int(classes.max()) + 1
    return np.equal(neighbour_vote(directions, directions, classes, k, exclude=itself)[0], classes)


def packed(right: Right) -> str:
    return base64.b85encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def unpacked(text: str, n: int) -> Right:
    bits = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    return np.unpackbits(bits, count=n).astype(bool)


def code_of(*modules: str) -> str:
    """A digest of modules and of all of aeclust that they import, but for comments and docstrings.

    The table of recipes does not count: whoever asks knows the settings.
    """
    found, left = {"aeclust.recipe.table": ""}, list(modules)
    while left:
        name = left.pop()
        if name in found or not name.startswith("aeclust"):
            continue
        try:
            file = getattr(find_spec(name), "origin", None)
        except ModuleNotFoundError:  # a name that a module exports
            file = None
        tree = ast.parse(Path(file).read_text(encoding="utf-8") if file else "")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                left += [f"{node.module}", *(f"{node.module}.{each.name}" for each in node.names)]
            elif isinstance(node, ast.Import):
                left += [each.name for each in node.names]
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""
        found[name] = ast.unparse(tree)
    text = "\n".join(found[name] for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
