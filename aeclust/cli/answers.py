"""What commands print: a text and a JSON object each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeclust.errors import printable, to_install
from aeclust.recipe import Recipe, to_toml

if TYPE_CHECKING:
    from aeclust.clusters.curve import Curve
    from aeclust.clusters.scores import Scores
    from aeclust.run.doctor import Health
    from aeclust.run.export import Exported
    from aeclust.run.info import FileInfo, RunInfo
    from aeclust.run.latents import Made
    from aeclust.run.maps import Plotted
    from aeclust.run.page import Reported
    from aeclust.run.pictures import CurveFiles, Reconstructed, Shown
    from aeclust.run.train import Trained

# Checkpoints below which a rank correlation of one may well be chance (p > 0.01).
_FEW = 6
_KEEPS = "view_neighbours, the share of its nearest images that an image keeps when seen in part,"
FRESH = " (up to date, nothing to do)"


@dataclass(frozen=True)
class Answer:
    """The result of a command: lines for people, and the object that --json prints."""

    text: str
    json: Mapping[str, Any]


def renamed(values: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """The same under keys that say what they are to somebody who sees no more than the JSON."""
    return {names.get(key, key): value for key, value in values.items()}


def recipe_answer(recipe: Recipe) -> Answer:
    """A recipe as a file of its fields."""
    return Answer(to_toml(recipe).rstrip("\n"), recipe.to_json())


def trained_answer(run: Path, trained: Trained) -> Answer:
    """Recipe, epochs, last loss and checkpoints of a training."""
    recipe, metrics = trained.manifest.recipe, trained.metrics
    loss = f", last loss {metrics['loss']:.4f}" if "loss" in metrics else ""
    return Answer(
        f"{run}: trained by recipe {printable(recipe.name)} for {recipe.total_epochs} epochs{loss};"
        f" {len(trained.checkpoints)} checkpoints",
        {
            "run": str(run),
            "recipe": recipe.name,
            "epochs": recipe.total_epochs,
            "checkpoints": trained.checkpoints,
            "trained": trained.did_train,
            "metrics": metrics,
        },
    )


def latents_answer(file: Path, made: Made) -> Answer:
    """Shape of latents, and the epoch of the network that made them."""
    shape = made.artifact.arrays["latents"].shape
    epoch = made.artifact.details["epoch"]
    given = made.artifact.recipe["network"] == "none"
    after = "as they were given" if given else f"after epoch {epoch}"
    return Answer(
        f"{file}: {shape[0]:,} vectors of {shape[1]:,} values {after}" + FRESH * made.fresh,
        {"file": str(file), "shape": shape, "epoch": epoch, "made": not made.fresh},
    )


def and_outliers(count: int) -> str:
    """How many images are in no cluster, behind a sentence; nothing if there is none."""
    return f" and {count:,} outlier{'s' * (count != 1)}" if count else ""


def export_answer(exported: Exported) -> Answer:
    """What was written where."""
    return Answer(f"{exported.file}: {exported.content}", asdict(exported))


def reconstruction_answer(drawn: Reconstructed) -> Answer:
    """Mean error of the reconstructions."""
    error = sum(drawn.errors) / len(drawn.errors)
    return Answer(
        f"{drawn.file}: {len(drawn.ids)} images above their reconstructions by the network"
        f" after epoch {drawn.epoch}; mean squared error {error:.4f}",
        {"file": str(drawn.file), "epoch": drawn.epoch, "ids": drawn.ids, "mse": drawn.errors},
    )


def curve_answer(made: CurveFiles, *, streamed: bool) -> Answer:
    """The curve and its files; a picture that goes to standard output has no table beside it."""
    table = None if streamed else str(made.table)
    files = f"{made.picture} and {table}" if table else str(made.picture)
    return Answer(
        f"{curve_text(made.curve)}\n{files}",
        {"picture": str(made.picture), "table": table, **asdict(made.curve)},
    )


def curve_text(curve: Curve) -> str:
    """A row for every checkpoint, rank correlations with accuracy, and its largest fall."""
    lines = ["epoch   error  accuracy  view_neighbours"]
    for point in curve.points:
        accuracy = "" if point.accuracy is None else f"{point.accuracy:.3f}"
        views = point.indicators.view_neighbours
        lines.append(f"{point.epoch:5d}  {point.error:.4f}  {accuracy:>8s}  {views:15.3f}")
    shares = [point.indicators.view_neighbours for point in curve.points]
    best = curve.points[shares.index(max(shares))].epoch
    if min(shares) < max(shares):
        lines.append(f"{_KEEPS} is highest after epoch {best}")
    elif len(shares) > 1:
        lines.append(f"{_KEEPS} does not change")
    if curve.points[0].accuracy is not None:
        few = f" ({len(shares)} checkpoints are too few to mean much)" * (len(shares) < _FEW)
        lines.append(f"rank correlation with accuracy, from -1 to 1{few}:")
        for name, rho in curve.correlations.items():
            lines.append(f"  {name:16s} {'undefined' if rho is None else f'{rho:+.2f}'}")
        lines.append(
            "accuracy never falls by more than two standard errors of a difference"
            if curve.fall is None
            else f"largest fall of accuracy: {100 * curve.fall[2]:.1f} points,"
            f" from epoch {curve.fall[0]} to {curve.fall[1]}"
        )
        mean = sum(point.accuracy or 0.0 for point in curve.points) / len(curve.points)
        n = curve.validated
        error = (mean * (1 - mean) / n) ** 0.5
        lines.append(f"one standard error of an accuracy on {n:,} images: {100 * error:.1f} points")
    return "\n".join(lines)


def plot_answer(drawn: Plotted) -> Answer:
    """The picture, and scores where there are true labels."""
    text = f"{drawn.file}{_and(drawn.added)}"
    json = {"file": str(drawn.file), "by_hand": drawn.added}
    if drawn.scores is None:
        return Answer(text, json)
    return Answer(
        f"{text}\n{scores_text(drawn.scores, drawn.names)}", {**json, **asdict(drawn.scores)}
    )


def gallery_answer(shown: Shown) -> Answer:
    """The picture and what is on it."""
    text = f"{shown.file}{_and(shown.added)}"
    clusters = [renamed(asdict(each), confidence="mean_confidence") for each in shown.clusters]
    return Answer(text, {"file": str(shown.file), "clusters": clusters, "by_hand": shown.added})


def _and(added: str) -> str:
    """What people added to labels, behind a file."""
    return f": {added}" if added else ""


def report_answer(made: Reported) -> Answer:
    """The page and its size."""
    return Answer(
        f"{made.file}: {made.images:,} images in {made.clusters} clusters"
        f"{and_outliers(made.outliers)}, {made.size / 1e6:.1f} MB"
        + (f"; {made.added}" if made.added else ""),
        {"file": str(made.file), "bytes": made.size, "by_hand": made.added},
    )


def scores_text(
    scores: Scores, names: Mapping[int, str] | None = None, as_written: float | None = None
) -> str:
    """Accuracy with and, if it differs, without matching; NMI, ARI and cluster sizes."""
    called = {j: f"{j} ({printable(name)})" for j, name in (names or {}).items() if name}
    sizes = ", ".join(f"{called.get(j, j)}: {count}" for j, count in scores.sizes.items())
    sizes = sizes or "none"
    if scores.outliers:
        count = "counts" if scores.outliers == 1 else "count"
        sizes += f"; {scores.outliers} in no cluster, which {count} as wrong"
    written = "" if as_written is None else f"  without matching {as_written:.4f}"
    return (
        f"accuracy {scores.accuracy:.4f}{written}  NMI {scores.nmi:.4f}  ARI {scores.ari:.4f}\n"
        f"cluster sizes {sizes}"
    )


def file_answer(info: FileInfo) -> Answer:
    """All that an artifact holds about itself."""
    lines = [f"{info.file}: {info.kind}, intact, sha256 {info.digest}"]
    lines += [f"  {name}: {dtype} {shape}" for name, (dtype, shape) in info.arrays.items()]
    for title in ("parents", "details", "recipe", "versions"):
        pairs = ", ".join(f"{k}={v}" for k, v in getattr(info, title).items())
        lines.append(f"  {title}: {pairs}")
    return Answer(_printable([*lines, f"  seed: {info.seed}"]), asdict(info))


def run_answer(info: RunInfo, resume: str) -> Answer:
    """A run: recipe, images, and every file with its digest and why it is stale.

    `resume` is the command that continues it.
    """
    recipe = Recipe.from_json(info.manifest["recipe"])
    data, pictures = info.manifest["data"], info.manifest.get("pictures")
    state = "finished" if info.finished else f"interrupted: continue with {resume}"
    if info.process is not None:
        state = f"process {info.process} works here"
    what, trained = "images", f"{recipe.total_epochs} epochs, seed {info.manifest['seed']}, {state}"
    if data.get("features"):
        what, trained = "vectors", "nothing to train"
    encoder = []
    if recipe.encoder:
        encoder = [f"encoder: {recipe.encoder}, sha256 {recipe.encoder_sha256[:12]}"]
    lines = [
        f"{info.folder}: {recipe.name}, {trained}",
        f"{what}: {data['location']} {tuple(data['shape'])}, sha256 {data['sha256'][:12]}",
        *([f"images: {pictures['location']}"] if pictures else []),
        *encoder,
        *info.changes,
        *filter(None, [info.verdict]),
    ]
    lines += [
        f"{Path(f.file).relative_to(info.folder)}: {_counted(f)}, intact, sha256 {f.digest[:12]}"
        + (f", OUT OF DATE: {f.stale}" if f.stale else "")
        for f in info.files
    ]
    return Answer(_printable(lines), asdict(info))


def _counted(info: FileInfo) -> str:
    """The kind of a file; of edits how many there are, of labels what steered them."""
    from aeclust.run.steering import in_words

    steered = in_words(info.details.get("known", {})) if info.kind == "labels" else ""
    n = info.details["edits"] if info.kind == "edits" else 0
    return f"{n:,} edit{'s' * (n != 1)}" if n else f"{info.kind}{f' {steered}' if steered else ''}"


def health_answer(health: Health) -> Answer:
    """What a machine offers, and what will hurt."""

    def size(count: int | None) -> str:
        return "" if count is None else f", {count / 1e9:.1f} GB"

    versions = [f"{name} {version}" for name, version in health.versions.items()]
    state = {"none": "not there yet", "run": "holds a run"}.get(health.run_state, health.run_state)
    lines = [
        f"versions   {', '.join(versions[:5])}",
        f"           {', '.join(versions[5:])}",
        f"system     {health.system}",
        *(f"device     {each.kind}: {each.name}{size(each.memory)}" for each in health.devices),
        f"computing  on {health.auto}, with {health.threads} of {health.cores} cores; number format"
        f" of training: {health.precision}",
        f"memory     {'unknown' if health.memory is None else size(health.memory)[2:]}",
        f"run        {health.run}: {state}, {'writable' if health.writable else 'NOT writable'},"
        f" {size(health.disk_free)[2:]} free",
        *(
            f"extra      {extra.name}{f' ({extra.adds})' if extra.adds else ''}: "
            + ("installed" if extra.there else f"not installed; {to_install(extra.name)}")
            for extra in health.extras
        ),
        *(f"problem    {problem}" for problem in health.problems),
    ]
    text = _printable(lines if health.problems else [*lines, "all is well"])
    return Answer(text, asdict(health))


def _printable(lines: Sequence[str]) -> str:
    """Lines whose text may come from a file, safe for a terminal."""
    return "\n".join(printable(line) for line in lines)
