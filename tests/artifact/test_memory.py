"""What is refused for want of memory, and estimates against what the system counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import give_memory

from aeclust import artifact as artifacts
from aeclust import images, memory
from aeclust.errors import InputError
from aeclust.images import Source


def test_a_step_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give_memory(monkeypatch, 4e9)
    memory.check(4e9, "it", "use less")
    with pytest.raises(InputError) as caught:
        memory.check(5.4e9, "it", "use less")
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "it needs about 5 GB of memory; expected at most 4 GB, all that this machine has; use less"
    )


def test_a_system_that_does_not_tell_its_memory_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert memory.machine() is None
    memory.check(1e30, "it", "use less")


@pytest.mark.parametrize(("limit", "there"), [("max", 12_000), ("5000", 5_000), ("99999", 12_000)])
def test_a_container_has_what_it_is_given(
    limit: str, there: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes = {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 3_000}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    assert memory.machine() == there


@pytest.mark.parametrize("name", ["x.npz", "folder"])
def test_images_ask_before_they_take_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), dtype=np.uint8)
    where, step, mend = tmp_path / name, "'x'", "save it as .npy, which is read in parts"
    needed = pixels.nbytes
    if name == "x.npz":
        np.savez(where, x=pixels)
    else:
        where.mkdir()
        for i, image in enumerate(pixels):
            Image.fromarray(image).save(where / f"{i}.png")
        step, mend = "4 images of 8 x 6", "make them smaller, for example size 32"
    give_memory(monkeypatch, needed)
    assert images.load(Source(location=str(where))).pixels.shape == pixels.shape
    give_memory(monkeypatch, needed - 1)
    with pytest.raises(InputError) as caught:
        images.load(Source(location=str(where)))
    assert str(caught.value) == (
        f"{where}: {step} needs about 0 GB of memory;"
        f" expected at most 0 GB, all that this machine has; {mend}"
    )


def test_a_folder_counts_again_when_a_colour_image_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "b.png")
    give_memory(monkeypatch, 2 * 16 * 4)  # both at a time, for a moment
    assert images.load(Source(location=str(tmp_path))).pixels.shape == (2, 4, 4, 3)
    give_memory(monkeypatch, 2 * 16 * 4 - 1)
    with pytest.raises(InputError, match="2 images of 4 x 4 needs about 0 GB"):
        images.load(Source(location=str(tmp_path)))


def test_images_of_other_sizes_are_refused_before_all_are_taken(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    Image.new("L", (5, 4)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"never looked at")
    with pytest.raises(InputError, match=r"different sizes \(a.png is 4 x 4, b.png is 4 x 5\)"):
        images.load(Source(location=str(tmp_path)))


def test_a_stated_range_asks_before_it_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8, 3), np.int16))
    source = Source(location=str(tmp_path / "x.npy"), range="0:255")
    give_memory(monkeypatch, 4 * 3 * 192)
    assert images.load(source).pixels.dtype == np.float32
    give_memory(monkeypatch, 4 * 3 * 192 - 1)
    with pytest.raises(InputError, match=r"its copy in \[0, 1\] needs about 0 GB of memory"):
        images.load(source)


# -- against the system ------------------------------------------------------------------------

# The most that a process has ever held, before and after one step. The step is taken on little
# data first, so that loading libraries is not counted.
MEASURE = """
import re
import numpy as np
from aeclust import images
from aeclust import memory
from aeclust.clusters.chain import cluster
from aeclust.images import Source
from aeclust.clusters.reduction import reduce

def peak():
    status = open("/proc/self/status").read()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024

def points(n, d):
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)

step = {step}
step({small})
before = peak()
step({large})
print(peak() - before)
"""


def counted(step: str, small: object, large: object) -> float:
    """Bytes that a step took beside its input, by the system's count."""
    code = MEASURE.format(step=step, small=small, large=large)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    return float(done.stdout)


linux = pytest.mark.skipif(sys.platform != "linux", reason="the count is in /proc")


STEPS: dict[str, tuple[str, Callable[[int], float]]] = {
    "kernel PCA": (
        "lambda n: reduce(points(n, 256), ['kpca:200'], seed=0)",
        lambda n: memory.kernel_pca(n, 256),
    ),
    "spectral": (
        "lambda n: cluster(points(n, 20), 10, 'spectral', seed=0)",
        lambda n: memory.spectral(n, 20, 10),
    ),
    "agglomerative": (
        "lambda n: cluster(points(n, 20), 10, 'agglomerative', seed=0)",
        lambda n: memory.agglomerative(n, 20),
    ),
    "t-SNE": (
        "lambda n: reduce(points(n, 20), ['tsne:2'], seed=0)",
        lambda n: memory.tsne(n, 20, 30),
    ),
}
LATER = pytest.mark.endurance


@linux
@pytest.mark.parametrize(
    ("name", "n"),
    [
        *(("kernel PCA", n) for n in (1_200, 1_800, 2_600)),
        *(pytest.param("spectral", n, marks=LATER) for n in (2_500, 5_000, 10_000)),
        *(pytest.param("agglomerative", n, marks=LATER) for n in (1_500, 2_000, 3_000)),
        *(pytest.param("t-SNE", n, marks=LATER) for n in (4_000, 6_000, 8_000)),
    ],
)
def test_a_step_takes_what_was_estimated(name: str, n: int) -> None:
    step, estimate = STEPS[name]
    assert counted(step, 300, n) == pytest.approx(estimate(n), rel=0.3)


@linux
@pytest.mark.endurance
@pytest.mark.parametrize("n", [5_000, 10_000, 20_000])
@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_an_array_takes_what_was_estimated(n: int, kind: str, tmp_path: Path) -> None:
    for count in (10, n):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        if kind == "npz":
            np.savez(tmp_path / f"{count}.npz", x=pixels)
        else:
            import h5py

            with h5py.File(tmp_path / f"{count}.h5", "w") as file:
                file["x"] = pixels
    step = "lambda path: images.load(Source(location=path))"
    small, large = (repr(str(tmp_path / f"{count}.{kind}")) for count in (10, n))
    assert counted(step, small, large) == pytest.approx(n * 3_072, rel=0.3)


@linux
@pytest.mark.endurance
@pytest.mark.parametrize("side", [300, 450, 600])
def test_a_folder_takes_what_was_estimated(side: int, tmp_path: Path) -> None:
    for name, count, size in (("small", 2, 8), ("large", 40, side)):
        (tmp_path / name).mkdir()
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        for i in range(count):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png", compress_level=0)
    step = "lambda path: images.load(Source(location=path))"
    small, large = (repr(str(tmp_path / name)) for name in ("small", "large"))
    assert counted(step, small, large) == pytest.approx(40 * 3 * side**2, rel=0.3)


def test_artifacts_are_read_whatever_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # they were written on such a machine, and hold no more than their own bytes
    made = artifacts.Artifact("embedding", {
        "embedding": np.zeros((3, 2), np.float32), "ids": np.arange(3),
    }, {}, 0, {}, {})  # fmt: skip
    artifacts.write(tmp_path / "e.h5", made)
    give_memory(monkeypatch, 1)
    assert artifacts.read(tmp_path / "e.h5").kind == "embedding"
