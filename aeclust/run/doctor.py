"""What this machine offers aeclust, and what will hurt."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aeclust import memory
from aeclust.run.context import choose_device

_LEAST_MEMORY = 4e9
_LEAST_DISK = 1e9
# what an optional extra adds; which extras there are, the package itself knows
_ADDS = {
    "tsne": "draws 5,000 to 100,000 points by t-SNE several times faster",
    "heic": "reads photographs as telephones keep them",
    "safetensors": "writes weights that other tools load, and reads features",
    "onnx": "writes networks that run without PyTorch, and takes encoders of others",
    "pretrained": "an encoder for photographs in colour, EfficientNet-Lite0",
    "timm": "takes any network of timm as encoder",
}


@dataclass(frozen=True)
class Extra:
    """An optional part: what it adds, and whether all that it needs is installed."""

    name: str
    adds: str
    there: bool


@dataclass(frozen=True)
class Device:
    """Where networks can compute; `memory` in bytes, None where it is not known."""

    kind: str
    name: str
    memory: int | None


@dataclass(frozen=True)
class Health:
    """What a machine offers, and what will hurt.

    Attributes
    ----------
    versions : dict of str to str
        Of Python, aeclust and all that it needs.
    system : str
        Operating system and processor.
    devices : list of Device
    auto : str
        What ``--device auto`` takes.
    precision : str
        What the default recipe trains in there.
    cores, threads : int
        Processors this process may use, and threads that PyTorch will use.
    memory : int or None
        Bytes that this machine or container has.
    run : str
        The run folder.
    run_state : {"none", "run", "no run in it"}
    writable : bool
        Whether the run folder, or the one that it would be made in, can be written to.
    disk_free : int
        Bytes free there.
    terminals : dict of str to bool
        Whether standard input, output and error are terminals.
    extras : list of Extra
    problems : list of str
        One sentence for everything that will hurt.
    """

    versions: dict[str, str]
    system: str
    devices: list[Device]
    auto: str
    precision: str
    cores: int
    threads: int
    memory: int | None
    run: str
    run_state: str
    writable: bool
    disk_free: int
    terminals: dict[str, bool]
    extras: list[Extra]
    problems: list[str]


def examine(run: Path) -> Health:
    """Look at libraries, devices, memory, disk and the run folder; nothing is changed.

    Parameters
    ----------
    run : Path
        The run folder, which need not be there.

    Returns
    -------
    Health
    """
    import torch

    from aeclust.network.training import precision_of
    from aeclust.recipe import DEFAULT_RECIPE, named

    versions, problems = _versions()
    auto = choose_device("auto")
    total = memory.machine()
    place = next(p for p in (run.absolute(), *run.absolute().parents) if p.exists())
    writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    free = shutil.disk_usage(place).free
    if total is not None and total < _LEAST_MEMORY:
        problems.append(
            f"this machine has {total / 1e9:.1f} GB of memory: t-SNE, kernel PCA and consensus of"
            " many images will be refused; use fewer images, or --reduction pca:20"
        )
    if free < _LEAST_DISK:
        problems.append(
            f"{place}: {free / 1e9:.1f} GB are free: checkpoints may not fit; free space, or choose"
            " another place with --run"
        )
    if not writable:
        problems.append(f"{place}: cannot be written to: choose another folder with --run")
    state = "run" if (run / "run.json").exists() else "no run in it" if run.exists() else "none"
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    return Health(
        versions=versions,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        devices=_devices(),
        auto=auto.type,
        precision=precision_of(named(DEFAULT_RECIPE), auto),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory=total,
        run=str(run),
        run_state=state,
        writable=writable,
        disk_free=free,
        terminals={name: bool(stream and stream.isatty()) for name, stream in streams.items()},
        extras=_extras(),
        problems=problems,
    )


def _versions() -> tuple[dict[str, str], list[str]]:
    """Versions of all that every installation needs, and what is wrong with them."""
    versions = {"python": platform.python_version(), "aeclust": metadata.version("aeclust")}
    problems = []
    for need in _requirements():
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        version = _version(need.name)
        versions[need.name] = version or "missing"
        mend = f"pip install '{need.name}{need.specifier}'"
        if version is None:
            problems.append(f"{need.name} is not installed: {mend}")
        elif not need.specifier.contains(version, prereleases=True):
            tested = f"outside the tested range {need.specifier}"
            problems.append(f"{need.name} {version} is {tested}: {mend}")
    return versions, problems


def _requirements() -> list[Any]:
    from packaging.requirements import Requirement  # matplotlib needs it too

    return [Requirement(text) for text in metadata.requires("aeclust") or []]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> list[Extra]:
    """The optional parts that users may want, without those of developers."""
    needs = [need for need in _requirements() if need.marker is not None]
    extras = []
    for name in metadata.metadata("aeclust").get_all("Provides-Extra") or []:
        packages = [need.name for need in needs if need.marker.evaluate({"extra": name})]
        if name != "dev":
            extras.append(Extra(name, _ADDS.get(name, ""), all(map(_version, packages))))
    return extras


def _devices() -> list[Device]:
    import torch

    devices = [Device("cpu", _processor(), None)]
    for i in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(i)
        devices.append(Device("cuda", card.name, int(card.total_memory)))
    if torch.backends.mps.is_available():
        devices.append(Device("mps", "Apple GPU", None))
    return devices


def _processor() -> str:
    """The processor's name as the system gives it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
