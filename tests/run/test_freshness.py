"""What a command makes, keeps and says, given what was done before and which files are there.

Only what is missing or stale is made, and what comes out is what was last asked for: a number of
clusters, a chain, a seed, a checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support import RECIPE, TWO_PHASES, Cli, Data, Result, files_of, run_quietly

RUN = Path("aeclust-run")
ALWAYS = {  # what is written whenever it is asked for
    *("embedding.png", "embedding-of-val.png", "report.html", "names.json"),
    *("checkpoint-curve.png", "checkpoint-curve.csv", "reconstruction.png"),
}

# what a command may say of all this; what stands in no row is not said
SAYS = {
    "fresh": "nothing to do",
    "missing": " missing: ",
    "anew": " is out of date",
    "back": ", before it learnt ",
    "pinned": ", as embed --checkpoint asked",
    "stopped": "training stopped early",
    "gone": " is gone; labels made before are used as they are",
    "unnamed": "so the names are not used",
}


@dataclass(frozen=True)
class Row:
    """What is done, of which the last command is looked at, and what comes of that.

    Attributes
    ----------
    run : str
        What is there first: `trained`, `full` (with latents and labels), or `two` (the same, of a
        training of two phases that labelled itself with two clusters).
    steps : str
        Commands and changes of files.
    made : str
        All files that are written; with ``=``, to the bytes of a full run's. Others stay untouched.
    latents, labels : int or None
        The epochs that these are of; None where there are none.
    says : str
        Names in `SAYS`.
    k, seed : int
        Of the labels.
    stale : str
        What `info` calls stale afterwards.
    refused : str
        The end of the place that an error names; then nothing is written.
    """

    run: str
    steps: str
    made: str = ""
    latents: int | None = None
    labels: int | None = None
    says: str = ""
    k: int = 2
    seed: int = 0
    stale: str = ""
    refused: str = ""


BOTH = "latents.h5= labels.h5="
PINNED = "embed --checkpoint 5;"
USES = {  # commands that take the labels as they are, and what each writes in any case
    "predict": "",
    "predict {val}": "",
    "plot": "embedding.png",
    "plot {val} --seed 1": "embedding-of-val.png",
    "report": "report.html",
    "name": "",
    "export out.csv": "",
}
QUICK = {use: "" for use in USES if "p" not in use or "predict" in use}

ROWS = [
    # -- nothing has been made yet
    Row("trained", "embed", "latents.h5=", 11),
    Row("trained", "cluster", BOTH, 11, 11, "missing"),
    *(Row("trained", u, f"{BOTH} {w}", 11, 11, "missing") for u, w in USES.items()),
    Row("trained", "name 0=a", f"{BOTH} names.json", 11, 11, "missing"),
    Row("trained", "info"),
    Row("trained", "reconstruct --idx 0", "reconstruction.png"),
    Row("trained", "checkpoint-curve", "curve.h5 checkpoint-curve.png checkpoint-curve.csv"),
    # -- everything is there
    Row("full", "embed", "", 11, 11, "fresh"),
    Row("full", "cluster", "", 11, 11, "fresh"),
    *(Row("full", u, w, 11, 11) for u, w in USES.items()),
    Row("full", "info", "", 11, 11),
    Row("full", "embed --force", "latents.h5=", 11, 11),
    Row("full", "cluster --force", "labels.h5=", 11, 11),
    # -- one of the two is missing
    *(Row("full", f"rm latents.h5; {u}", f"latents.h5= {w}", 11, 11, "missing")
      for u, w in QUICK.items()),
    Row("full", "rm latents.h5; cluster", "latents.h5=", 11, 11, "missing fresh"),
    Row("full", "rm latents.h5; info", "", None, 11, stale="labels.h5"),
    *(Row("full", f"rm labels.h5; {u}", f"labels.h5= {w}", 11, 11, "missing")
      for u, w in QUICK.items()),
    Row("full", "rm labels.h5; cluster", "labels.h5=", 11, 11),
    # -- another checkpoint is asked for: all that follows takes it, until embed goes back
    Row("full", "embed --checkpoint 5", "latents.h5", 5, 11, "anew", stale="labels.h5"),
    Row("full", f"{PINNED} embed --checkpoint 5", "", 5, 11, "fresh", stale="labels.h5"),
    Row("full", f"{PINNED} embed", "latents.h5=", 11, 11, "anew"),
    Row("full", f"{PINNED} cluster", "labels.h5", 5, 5, "anew pinned"),
    Row("full", f"{PINNED} cluster --force", "labels.h5", 5, 5, "pinned"),
    *(Row("full", f"{PINNED} {u}", f"labels.h5 {w}", 5, 5,
          "anew pinned" if "predict" in u else "anew") for u, w in USES.items()),
    Row("full", f"{PINNED} cluster; cluster", "", 5, 5, "fresh pinned"),
    Row("full", f"{PINNED} cluster; embed --force", "latents.h5=", 11, 5, stale="labels.h5"),
    Row("full", f"{PINNED} cluster; embed; predict", "labels.h5=", 11, 11, "anew"),
    Row("full", f"{PINNED} cluster -k 3; rm latents.h5; predict", "latents.h5", 5, 5,
        "missing pinned", k=3),
    Row("full", f"{PINNED} cluster -k 3; rm labels.h5; predict", "labels.h5", 5, 5,
        "missing pinned"),
    Row("full", f"{PINNED} rm 5; cluster", "latents.h5=", 11, 11,
        "anew fresh"),
    Row("full", f"{PINNED} cluster; rm 5; predict", BOTH, 11, 11, "anew"),
    # -- other clusters are asked for: all that follows takes them, until cluster goes back
    Row("full", "cluster -k 3", "labels.h5", 11, 11, "anew", k=3),
    Row("full", "cluster -k 3; cluster -k 3", "", 11, 11, "fresh", k=3),
    Row("full", "cluster -k 3; cluster", "labels.h5=", 11, 11, "anew"),
    *(Row("full", f"cluster -k 3; {u}", w, 11, 11, k=3) for u, w in USES.items()),
    Row("full", "cluster -k auto; cluster -k auto", "", 11, 11, "fresh", k=0),
    Row("full", "cluster -k auto; cluster -k 2", "labels.h5=", 11, 11, "anew"),
    *(Row("full", f"{before}cluster {flags}", made, 11, 11, says)
      for flags in ("--reduction pca:3", "--clusterer agglomerative", "--perplexity 7")
      for before, made, says in (("", "labels.h5", "anew"), (f"cluster {flags}; ", "", "fresh"))),
    Row("full", "cluster --seed 3", "labels.h5", 11, 11, "anew", seed=3),
    Row("full", "cluster --seed 3; cluster --seed 3", "", 11, 11, "fresh", seed=3),
    Row("full", "cluster -k 3 --seed 4; embed --checkpoint 5; predict", "labels.h5", 5, 5,
        "anew pinned", k=3, seed=4),
    Row("full", "cluster -k 3; rm labels.h5; predict", "labels.h5=", 11, 11, "missing"),
    # -- the end of the first phase suits any k, the last checkpoint the one that was learnt
    Row("two", "cluster -k 3", "latents.h5 labels.h5", 2, 2, "anew back", k=3),
    Row("two", "cluster -k 3; cluster -k 3", "", 2, 2, "fresh", k=3),
    Row("two", "cluster -k 3; cluster -k 4", "labels.h5", 2, 2, "anew", k=4),
    Row("two", "cluster -k 3; cluster", BOTH, 4, 4, "anew"),
    *(Row("two", f"cluster -k 3; {u}", w, 2, 2, k=3)
      for u, w in QUICK.items()),
    Row("two", "cluster -k 3; plot {val}", "embedding-of-val.png", 2, 2, k=3),
    Row("two", "cluster -k 3; embed", "latents.h5=", 4, 2, "anew", k=3, stale="labels.h5"),
    Row("two", "cluster -k 3; embed; predict", "latents.h5", 2, 2, "anew back", k=3),
    Row("two", "cluster -k 3; embed; plot {val}", "latents.h5 embedding-of-val.png", 2, 2,
        "anew back", k=3),
    Row("two", "cluster -k 3; rm latents.h5; predict", "latents.h5", 2, 2, "missing", k=3),
    Row("two", "cluster -k 3; rm labels.h5; predict", BOTH, 4, 4, "missing anew"),
    Row("two", "cluster -k auto", "latents.h5 labels.h5", 2, 2, "anew back", k=0),
    Row("two", "cluster -k auto; cluster -k auto", "", 2, 2, "fresh", k=0),
    Row("two", "cluster -k auto; embed; predict", "latents.h5", 2, 2, "anew back", k=0),
    Row("two", "cluster -k auto; rm latents.h5; predict", "latents.h5", 2, 2, "missing", k=0),
    Row("two", "rm latents.h5; predict", "latents.h5=", 4, 4, "missing"),
    Row("two", "rm latents.h5; rm labels.h5; predict", BOTH, 4, 4, "missing"),
    Row("two", "cluster -k 2 --clusterer kmeans --reduction sphere --seed 3", "labels.h5", 4, 4,
        "anew", seed=3),
    *(Row("two", f"embed --checkpoint {e}; cluster -k 3", "labels.h5", e, e, "anew pinned", k=3)
      for e in (1, 2, 3)),
    Row("two", "embed --checkpoint 1; cluster -k 3; cluster", "labels.h5", 1, 1, "anew pinned"),
    Row("two", "embed --checkpoint 1; cluster -k auto", "labels.h5", 1, 1, "anew pinned", k=0),
    Row("two", "embed --checkpoint 1; predict {val}", "labels.h5", 1, 1, "anew pinned"),
    Row("two", "embed --checkpoint 1; embed; cluster", "", 4, 4, "fresh"),
    Row("two", "embed --checkpoint 3; cluster -k 3; rm latents.h5; predict", "latents.h5", 3, 3,
        "missing pinned", k=3),
    Row("two", "rm 2; cluster -k 3", refused="aeclust-run"),
    Row("two", "rm 2; cluster", "", 4, 4, "fresh"),
    # -- a training that had stopped goes on
    Row("full", "hide 11; predict", "latents.h5 labels.h5", 10, 10, "anew stopped"),
    Row("full", "hide 11; embed", "latents.h5", 10, 11, "anew stopped", stale="labels.h5"),
    Row("full", "hide 11; embed; show 11; embed", "latents.h5=", 11, 11, "anew"),
    Row("full", "hide 11; predict; show 11; predict", BOTH, 11, 11, "anew"),
    Row("full", "hide 11; predict; show 11; info", "", 10, 10, stale="latents.h5 labels.h5"),
    Row("full", "embed --checkpoint 5; hide 11; predict; show 11; predict", "", 5, 5, "pinned"),
    Row("two", "hide 3 4; cluster", "latents.h5 labels.h5", 2, 2, "anew stopped"),
    Row("two", "hide 3 4; cluster -k 3", "latents.h5 labels.h5", 2, 2, "anew stopped", k=3),
    Row("two", "hide 3 4; cluster -k 3; show 3 4; cluster -k 3", "", 2, 2, "fresh", k=3),
    Row("two", "hide 3 4; cluster; show 3 4; cluster", BOTH, 4, 4, "anew"),
    # -- train begins, goes on and replaces
    Row("full", "train {images} {recipe}", refused="aeclust-run"),
    Row("full", "train --resume", "", 11, 11, "fresh"),
    Row("full", "train --resume --seed 1", refused="aeclust-run"),
    Row("full", "train --resume --epochs 12", refused="aeclust-run"),
    Row("full", "rm 11; train --resume",
        "weights= run.json metrics.jsonl", 11, 11),
    Row("full", "rm run.json; train {images} {recipe}", refused="aeclust-run"),
    Row("full", "train {images} {recipe} --force", "weights= run.json metrics.jsonl", 11, 11),
    Row("full", "train {images} {recipe} --force; predict", "", 11, 11),
    Row("two", "hide 3 4; train --resume", "weights= run.json metrics.jsonl", 4, 4),
    Row("two", "train {images} {two} -k auto --force; cluster", "latents.h5 labels.h5", 2, 2,
        "anew", k=0),
    Row("two", "train {images} {two} -k auto --force; cluster; cluster -k 3", "labels.h5", 2, 2,
        "anew", k=3),
    # -- another run's requests are void
    Row("full", f"{PINNED} cluster -k 3; train {{images}} {{recipe}} --seed 1 --force; info", "",
        5, 5, k=3, stale="latents.h5 labels.h5"),
    Row("full", f"{PINNED} cluster -k 3; train {{images}} {{recipe}} --seed 1 --force; predict",
        "latents.h5 labels.h5", 11, 11, "anew", seed=1),
    Row("full", "cluster -k 3; train {other} {recipe} --force; predict", "latents.h5 labels.h5",
        11, 11, "anew"),
    Row("full", "cluster -k 3; train {other} {recipe} --force; embed", "latents.h5", 11, 11,
        "anew", k=3, stale="labels.h5"),
    Row("two", "cluster -k 3; train {images} {two} --seed 1 --force; predict",
        "latents.h5 labels.h5", 4, 4, "anew", seed=1),
    Row("two", "cluster -k 3; train {images} {recipe} --epochs 2 --force; cluster -k 3",
        "latents.h5 labels.h5", 2, 2, "anew", k=3),
    # -- one weights file is replaced
    *(Row("full", f"swap 11; {u}", "latents.h5 labels.h5", 11, 11, "anew")
      for u in ("cluster", *QUICK)),
    Row("full", "swap 11; info", "", 11, 11, stale="latents.h5 labels.h5"),
    Row("full", "swap 5; predict", "", 11, 11),
    # -- the images changed, or are gone
    *(Row("full", f"change; {c}", refused="images.npy")
      for c in ("embed", "cluster", "predict", "plot", "report", "name", "export out.csv",
                "checkpoint-curve")),
    Row("full", "change; train --resume", refused="aeclust-run"),
    *(Row("full", f"lose; {u}", w, 11, 11, "" if u == "predict {val}" else "gone")
      for u, w in USES.items() if u != "report"),
    Row("full", "lose; cluster", "", 11, 11, "gone fresh"),
    Row("full", "lose; info", "", 11, 11, "gone"),
    *(Row("full", f"lose; {c}", refused="images.npy")
      for c in ("embed --force", "report", "plot --thumbnails", "checkpoint-curve")),
    Row("full", "lose; rm latents.h5; predict", refused="images.npy"),
    # -- damage is named, and nothing is made instead
    *(Row("full", f"flip labels.h5; {c}", refused="labels.h5")
      for c in ("cluster", *USES, "name 0=a")),
    *(Row("full", f"spoil latents.h5; {c}", refused="latents.h5")
      for c in ("embed", "cluster", *USES)),
    *(Row("full", f"flip latents.h5; {c}", refused="latents.h5") for c in ("embed", "cluster")),
    *(Row("trained", f"flip 11; {c}", refused="epoch-0011.h5")
      for c in ("embed", "predict", "reconstruct --idx 0", "checkpoint-curve")),
    *(Row("full", f"spoil run.json; {c}", refused="run.json")
      for c in ("embed", "cluster", *USES, "info", "train --resume")),
    Row("full", "flip labels.h5; cluster --force", "labels.h5=", 11, 11),
    Row("full", "flip latents.h5; embed --force", "latents.h5=", 11, 11),
    Row("full", "cluster --reduction none; plot; flip embedding.h5; plot", refused="embedding.h5"),
    Row("full", "checkpoint-curve; flip curve.h5; checkpoint-curve", refused="curve.h5"),
    Row("full", "name 0=a; spoil names.json; name", refused="names.json"),
    # -- names belong to the labels that they were given for
    Row("full", "name 0=a; name", "", 11, 11),
    Row("full", "name 0=a 1=b; rm labels.h5; predict --names", "labels.h5=", 11, 11, "missing"),
    Row("full", "name 0=a; cluster -k 3; name", "", 11, 11, "unnamed", k=3, stale="names.json"),
    Row("full", "name 0=a; cluster -k 3; cluster; name", "", 11, 11),
    Row("full", "name 0=a; cluster -k 3; name 1=b", "names.json", 11, 11, k=3),
    Row("full", f"name 0=a; {PINNED} name 1=b", "labels.h5 names.json", 5, 5, "anew"),
    # -- a picture in two dimensions is kept for the latents
    Row("full", "cluster --reduction none; plot", "embedding.h5 embedding.png", 11, 11),
    Row("full", "cluster --reduction none; plot; plot", "embedding.png", 11, 11),
    Row("full", "cluster --reduction none; plot; cluster --reduction none -k 3; plot",
        "embedding.png", 11, 11, k=3),
    Row("full", f"cluster --reduction none; plot; {PINNED} info", "", 5, 11,
        stale="labels.h5 embedding.h5"),
    Row("full", f"cluster --reduction none; plot; {PINNED} plot",
        "labels.h5 embedding.h5 embedding.png", 5, 5, "anew"),
    Row("full", "cluster --reduction none; plot; rm embedding.h5; plot",
        "embedding.h5 embedding.png", 11, 11),
    # -- the checkpoint curve is kept for the checkpoints, the seed and the labelled images
    *(Row("full", f"checkpoint-curve; {before}checkpoint-curve {flags}",
          f"{made} checkpoint-curve.png checkpoint-curve.csv", 11, 11, says)
      for before, flags, made, says in (
          ("", "", "", ""),
          ("", "--seed 1", "curve.h5", "anew"),
          ("", "--val-images {val} --val-labels {val_labels}", "curve.h5", "anew"),
          ("rm 5; ", "", "curve.h5", "anew"),
          ("rm curve.h5; ", "", "curve.h5", ""),
      )),
    Row("full", "checkpoint-curve; swap 5; info", "", 11, 11,
        stale="curve.h5"),
]  # fmt: skip


@pytest.fixture(scope="session")
def swapped(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the same recipe and images, but another seed; not to be touched."""
    run = tmp_path_factory.mktemp("swapped") / "run"
    assert run_quietly("train", data.images, *RECIPE, "--seed", 1, "--run", run).code == 0
    return run


@pytest.fixture
def full(
    row: Row, data: Data, trained: Path, labelled: Path, self_labelled: Path, tmp_path: Path
) -> Path:
    """Make `aeclust-run` what a row begins with, of images that may be changed; the full run."""
    shutil.copytree({"trained": trained, "full": labelled, "two": self_labelled}[row.run], RUN)
    shutil.copy(data.images, "images.npy")
    manifest = json.loads((RUN / "run.json").read_text())
    manifest["data"]["location"] = str(tmp_path / "images.npy")
    (RUN / "run.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return self_labelled if row.run == "two" else labelled


@pytest.fixture
def perform(cli: Cli, data: Data, full: Path, swapped: Path) -> Callable[[str], Result | None]:
    """Do one step; the answer, if it is a command."""
    shutil.copy(data.val_images, "val.npy")
    values: dict[str, Sequence[object]] = {
        "{images}": ["images.npy"],
        "{other}": [data.other],
        "{val}": ["val.npy"],
    }
    values |= {"{val_labels}": [data.val_labels], "{recipe}": RECIPE, "{two}": TWO_PHASES}

    def perform(step: str) -> Result | None:
        operation, *names = step.split()
        files = [RUN / (f"weights/epoch-{int(n):04d}.h5" if n.isdigit() else n) for n in names]
        match operation:
            case "rm":
                files[0].unlink()
            case "flip":
                content = bytearray(files[0].read_bytes())
                content[-1] ^= 1
                files[0].write_bytes(content)
            case "spoil":
                files[0].write_bytes(b'{"format": 1}')
            case "swap":
                shutil.copy(swapped / files[0].relative_to(RUN), files[0])
            case "hide" | "show":
                for file in files:
                    pair = (file, file.name)
                    shutil.move(*(pair if operation == "hide" else reversed(pair)))
            case "change":
                np.save("images.npy", 255 - np.load("images.npy"))
            case "lose":
                Path("images.npy").unlink()
            case _:
                return cli(operation, *(word for n in names for word in values.get(n, [n])))
        return None

    return perform


def written(before: dict[str, tuple[bytes, int]], full: Path) -> set[str]:
    """Files of the run that were written since, with ``=`` where they equal those of a full run."""
    equal: dict[str, bool] = {}
    for name, content in files_of(RUN).items():
        # images.h5 remembers when the images were last looked at
        if name != "images.h5" and content != before.get(name):
            same = (full / name).exists() and (full / name).read_bytes() == content[0]
            group = name.split("/")[0]  # all weights together
            equal[group] = equal.get(group, True) and same
    return {f"{name}=" if same else name for name, same in equal.items()}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.run}: {row.steps}" for row in ROWS])
def test_what_is_made_kept_and_said(
    cli: Cli, perform: Callable[[str], Result | None], full: Path, row: Row
) -> None:
    *before, last = row.steps.split("; ")
    for step in before:
        result = perform(step)
        assert result is None or result.code == 0, result.err
    there = files_of(RUN)
    result = perform(last)
    assert result is not None
    if row.refused:
        assert result.code == 2
        assert result.error is not None
        assert Path(result.error.where).name == row.refused
        assert not written(there, full)
        return
    assert result.code == 0, result.err
    assert written(there, full) == set(row.made.split())
    said = {name for name, text in SAYS.items() if text in result.out + result.err}
    assert said == set(row.says.split())
    files = {Path(f["file"]).name: f for f in json.loads(cli("info", "--json").out)["files"]}
    latents, labels = files.get("latents.h5"), files.get("labels.h5")
    assert (latents and latents["details"]["epoch"]) == row.latents
    assert (labels and labels["details"]["epoch"]) == row.labels
    assert not labels or (labels["recipe"]["k"], labels["seed"]) == (row.k, row.seed)
    assert {name for name, file in files.items() if file["stale"]} == set(row.stale.split())
    # once more, all is fresh
    if row.made and not {"--force", "export", "checkpoint-curve"} & set(last.split()):
        there = files_of(RUN)
        result = perform(last)
        assert result is not None
        assert result.code == 0, result.err
        assert written(there, full) <= ALWAYS
