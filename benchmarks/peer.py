"""Rows of a deep clustering peer, ClustPy's IDEC, for the table of ``accuracy.py``.

    python -m venv .peer && .peer/bin/pip install . clustpy
    .peer/bin/python benchmarks/peer.py --data demo:digits --seeds 0 1 2

ClustPy brings many packages, hence an environment of its own. Its defaults are kept: a fully
connected autoencoder on the pixels in [0, 1], 100 epochs of pretraining and 150 of clustering.
"""

from __future__ import annotations

import argparse

import numpy as np
from accuracy import known, measure
from clustpy.deep import IDEC  # type: ignore[import-not-found]
from methods import METHODS, Found, flat
from sets import SETS, Set


def idec(data: Set, seed: int) -> Found:
    return Found(np.asarray(IDEC(data.k, random_state=seed).fit(flat(data)).labels_, np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    METHODS["ClustPy IDEC"] = idec
    for name in asked.data:
        data = SETS[name]()
        for seed in asked.seeds:
            if not known(name, "ClustPy IDEC", seed):
                measure(name, data, "ClustPy IDEC", seed)


if __name__ == "__main__":
    main()
