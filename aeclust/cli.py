"""The aeclust command: parses, calls one function of :mod:`aeclust.run`, prints, exits."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aeclust.errors import AeclustError, InputError, Interrupted, WriteError, printable
from aeclust.flags import (
    DATA,
    DEFAULT_RUN,
    Checkpoint,
    Data,
    Device,
    Json,
    K,
    Layout,
    OptionalSeed,
    Output,
    Quiet,
    Range,
    Run,
    Seed,
    Size,
    SkipBad,
    Threads,
    ValImages,
    ValLabels,
    absolute,
    chosen_recipe,
    given,
    optional_source,
    parse_indices,
    source_of,
)
from aeclust.terminal import Signals, Terminal, Terminated, deferred_signals, terminable

if TYPE_CHECKING:
    from aeclust.metrics import Scores
    from aeclust.run.context import Context
    from aeclust.run.folder import Manifest
    from aeclust.run.info import FileInfo

app = typer.Typer(
    name="aeclust",
    help="Cluster images without labels: train an autoencoder, embed, cluster, see, export.\n\n"
    "First run: aeclust train && aeclust predict > submission.csv",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# -- commands ----------------------------------------------------------------------------------


@app.command()
def train(
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help=f"{DATA}; demo:scenes if absent.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="baseline, vae, deep or hybrid (the default).")
    ] = None,
    k: K = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the images; hybrid adds its label_epochs to them."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw, sgd or muon.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    loss: Annotated[str | None, typer.Option(help="mse or elbo.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other recipe field; repeatable.", metavar="FIELD=VALUE"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Recipe fields from a TOML file.", metavar="FILE.toml")
    ] = None,
    val_images: ValImages = None,
    val_labels: ValLabels = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run, or start one.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is there.")] = False,
    run: Run = DEFAULT_RUN,
    seed: Seed = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn from unlabelled images; writes checkpoints into the run folder."""
    flags = {
        "k": k,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "loss": loss,
    }
    if (val_images is None) != (val_labels is None):
        raise InputError(
            "only one of the two is given",
            where="--val-images, --val-labels",
            expected="both or neither",
            mend="add the other",
        )
    if resume and force:
        raise InputError(
            "they exclude each other", where="--resume, --force", expected="one of them"
        )
    # what is not repeated is as it was when the run began
    begun = _begun(run) if resume else None
    base = None if begun is None else begun.recipe
    chosen = chosen_recipe(recipe, config, set_ or [], flags, begun=base)
    source = optional_source(data, layout, range_, size, skip_bad)
    if begun is not None:
        source = source or begun.source
        seed = begun.seed if seed is None else seed
        val_images, val_labels = val_images or begun.val_images, val_labels or begun.val_labels
    with (
        deferred_signals() as signals,
        _context(
            run,
            device,
            threads,
            quiet,
            together=True,
            epochs=chosen.total_epochs,
            signals=signals,
        ) as context,
    ):
        from aeclust.run.train import train as train_run

        trained = train_run(
            context,
            source or source_of("demo:scenes"),
            chosen,
            seed=0 if seed is None else seed,
            val_images=None if val_images is None else absolute(val_images),
            val_labels=None if val_labels is None else absolute(val_labels),
            resume=resume,
            force=force,
        )
        if not context.team.leads:
            return
        metrics = trained.metrics
        _print_result(
            as_json,
            {
                "run": str(run),
                "recipe": chosen.name,
                "epochs": chosen.total_epochs,
                "checkpoints": trained.checkpoints,
                "trained": trained.did_train,
                "metrics": metrics,
            },
            f"{run}: {chosen.name}, {chosen.total_epochs} epochs,"
            f" loss {metrics.get('loss', 0):.4f}, {len(trained.checkpoints)} checkpoints",
        )
        context.say("next: aeclust predict > submission.csv, or aeclust reconstruct --idx 1,2,3")


@app.command()
def embed(
    data: Data = None,
    checkpoint: Checkpoint = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    output: Output = None,
    force: Annotated[bool, typer.Option("--force", help="Make them anew in any case.")] = False,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn images into latents (latents.h5)."""
    source = optional_source(data, layout, range_, size, skip_bad)
    with _context(run, device, threads, quiet, together=True) as context:
        from aeclust.run.caches import embed as embed_own
        from aeclust.run.caches import embed_others

        made = None
        file = context.folder.latents_file
        if source is not None:
            made = embed_others(context, source, output, checkpoint=checkpoint)
            file = output if made is not None and output is not None else file
        if made is None:
            made = embed_own(context, checkpoint=checkpoint, force=force)
            file = _copy(file, output) if context.team.leads else file
        if not context.team.leads:
            return
        shape = made.artifact.arrays["latents"].shape
        epoch = made.artifact.details["epoch"]
        _print_result(
            as_json,
            {"file": str(file), "shape": shape, "epoch": epoch, "made": not made.fresh},
            f"{file}: {shape[0]} latents of {shape[1]} values after epoch {epoch}"
            + (" (fresh, nothing to do)" if made.fresh else ""),
        )


@app.command()
def cluster(
    k: K = None,
    reduction: Annotated[
        str | None,
        typer.Option(
            help="Steps before clustering: pca, kpca, tsne with sizes, or none.",
            metavar="kpca:200,tsne:2",
        ),
    ] = None,
    clusterer: Annotated[
        str | None,
        typer.Option(
            help="consensus, kmeans, minibatch-kmeans, gmm, gmm-tied, spectral or agglomerative."
        ),
    ] = None,
    perplexity: Annotated[float | None, typer.Option(help="Of t-SNE.")] = None,
    output: Output = None,
    force: Annotated[bool, typer.Option("--force", help="Make them anew in any case.")] = False,
    run: Run = DEFAULT_RUN,
    seed: OptionalSeed = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Group the latents (labels.h5)."""
    flags = {"k": k, "reduction": reduction, "clusterer": clusterer, "perplexity": perplexity}
    with _context(run, device, threads, quiet) as context:
        import numpy as np

        from aeclust.run.caches import cluster as cluster_run

        made = cluster_run(context, overrides=given(flags), seed=seed, force=force)
        file = _copy(context.folder.labels_file, output)
        arrays, details = made.artifact.arrays, made.artifact.details
        sizes = np.bincount(arrays["labels"]).tolist()
        confidence = float(arrays["confidence"].mean())
        agreement = details.get("agreement")
        result = {
            "file": str(file),
            "k": len(sizes),
            "sizes": sizes,
            "confidence": confidence,
            "agreement": agreement,
            "members": details.get("members", {}),
            "warnings": details.get("warnings", []),
            "made": not made.fresh,
        }
        _print_result(
            as_json,
            result,
            f"{file}: {len(arrays['labels'])} images in clusters of {', '.join(map(str, sizes))};"
            f" mean confidence {confidence:.3f}"
            + ("" if agreement is None else f", agreement of the members {agreement:.3f}")
            + (" (fresh, nothing to do)" if made.fresh else ""),
        )


@app.command()
def predict(
    data: Data = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap the names of two clusters.")
    ] = False,
    val_images: ValImages = None,
    val_labels: ValLabels = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    output: Output = None,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print id,label for every image, making what is missing or stale first."""
    source = optional_source(data, layout, range_, size, skip_bad)
    with _context(run, device, threads, quiet) as context:
        from aeclust.run.caches import predict as predict_run

        found = predict_run(
            context,
            source,
            invert=invert,
            val_images=optional_source(val_images),
            val_labels=val_labels,
        )
        from aeclust.labels import to_csv

        text = to_csv(found.ids, found.labels)
        if as_json:
            columns = {
                "ids": found.ids.tolist(),
                "labels": found.labels.tolist(),
                "confidence": [round(c, 6) for c in found.confidence.tolist()],
            }
            text = json.dumps(columns) + "\n"
        _emit(text, output)


@app.command()
def reconstruct(
    data: Data = None,
    idx: Annotated[
        str, typer.Option(help="Row numbers, in any order, repeats kept.", metavar="1,2,3")
    ] = ...,  # type: ignore[assignment]
    checkpoint: Checkpoint = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    output: Output = None,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw originals above reconstructions (reconstruction.png)."""
    source = optional_source(data, layout, range_, size, skip_bad)
    indices = parse_indices(idx)
    with _context(run, device, threads, quiet) as context:
        from aeclust.run.figures import reconstruct as reconstruct_run

        drawn = reconstruct_run(context, indices, source, checkpoint=checkpoint, output=output)
        _print_result(
            as_json,
            {"file": str(drawn.file), "epoch": drawn.epoch, "ids": drawn.ids, "mse": drawn.errors},
            f"{drawn.file}: {len(indices)} images after epoch {drawn.epoch},"
            f" mean MSE {sum(drawn.errors) / len(drawn.errors):.4f}",
        )


@app.command("checkpoint-curve")
def checkpoint_curve(
    val_images: ValImages = None,
    val_labels: ValLabels = None,
    output: Output = None,
    run: Run = DEFAULT_RUN,
    seed: OptionalSeed = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how reconstruction error and validation accuracy move through training."""
    with _context(run, device, threads, quiet) as context:
        from aeclust.run.figures import checkpoint_curve as curve_run

        made = curve_run(
            context,
            val_images=optional_source(val_images),
            val_labels=val_labels,
            seed=seed,
            output=output,
        )
        curve = made.curve
        lines = ["epoch     MSE  accuracy  view_neighbours"]
        for point in curve.points:
            accuracy = "" if point.accuracy is None else f"{point.accuracy:.3f}"
            views = point.indicators.view_neighbours
            lines.append(f"{point.epoch:5d}  {point.error:.4f}  {accuracy:>8s}  {views:15.3f}")
        best = max(curve.points, key=lambda point: point.indicators.view_neighbours)
        lines.append(f"view_neighbours, which needs no labels, is highest after epoch {best.epoch}")
        if curve.points[0].accuracy is not None:
            lines.append("Spearman correlation with accuracy:")
            for name, rho in curve.correlations.items():
                lines.append(f"  {name:16s} {'undefined' if rho is None else f'{rho:+.2f}'}")
            lines.append(
                "accuracy never falls"
                if curve.fall is None
                else f"largest fall of accuracy: {100 * curve.fall[2]:.1f} points,"
                f" from epoch {curve.fall[0]} to {curve.fall[1]}"
            )
        lines.append(f"{made.picture} and {made.table}")
        result = {"picture": str(made.picture), "table": str(made.table), **asdict(curve)}
        _print_result(as_json, result, "\n".join(lines))


@app.command()
def plot(
    data: Data = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="True labels of the images: .npy, .npz, .h5, a CSV of id,label, or demo:NAME.",
            metavar="FILE",
        ),
    ] = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    output: Output = None,
    run: Run = DEFAULT_RUN,
    seed: OptionalSeed = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the 2-D embedding by cluster and by true label (embedding.png)."""
    source = optional_source(data, layout, range_, size, skip_bad)
    with _context(run, device, threads, quiet) as context:
        from aeclust.run.figures import plot as plot_run

        drawn = plot_run(context, source, truth=labels, seed=seed, output=output)
        result: dict[str, Any] = {"file": str(drawn.file)}
        line = str(drawn.file)
        if drawn.scores is not None:
            result |= asdict(drawn.scores)
            line += f"\n{_scores_text(drawn.scores)}"
        _print_result(as_json, result, line)


@app.command()
def report(
    output: Output = None,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the run on one HTML page to look through and to send (report.html)."""
    with _context(run, device, threads, quiet) as context:
        from aeclust.run.report import report as report_run

        made = report_run(context, output=output)
        _print_result(
            as_json,
            {"file": str(made.file), "bytes": made.size},
            f"{made.file}: {made.images} images in {made.clusters} clusters,"
            f" {made.size / 1e6:.1f} MB",
        )


@app.command()
def evaluate(
    predicted: Annotated[str, typer.Argument(help="Labels: .h5, .csv, .npy or .npz.")],
    truth: Annotated[str, typer.Argument(help="True labels: .csv, .npy, .npz, .h5 or demo:NAME.")],
    as_json: Json = False,
) -> None:
    """Score labels against the truth: accuracy by best matching, NMI, ARI, cluster sizes."""
    from aeclust import labels, metrics

    clusters, classes = labels.pair(labels.load(predicted), labels.load(truth))
    scores = metrics.scores(clusters, classes)
    _print_result(as_json, {"n": len(classes), **asdict(scores)}, _scores_text(scores))


@app.command()
def info(
    target: Annotated[
        Path | None, typer.Argument(metavar="FILE|RUN", help="The run folder if absent.")
    ] = None,
    run: Run = DEFAULT_RUN,
    as_json: Json = False,
) -> None:
    """Say what a file or a run is, verify it, and list what is stale and why."""
    from aeclust.recipes import Recipe
    from aeclust.run.folder import RunFolder
    from aeclust.run.info import file_info, run_info

    if target is not None and not target.is_dir():
        found = file_info(target)
        _print_result(as_json, asdict(found), _file_text(found))
        return
    target = run if target is None else target
    whole = run_info(RunFolder(target))
    recipe = Recipe.from_json(whole.manifest["recipe"], where=str(target))
    data = whole.manifest["data"]
    state = "finished" if whole.finished else "interrupted: continue with aeclust train --resume"
    lines = [
        f"{target}: {recipe.name}, {recipe.total_epochs} epochs,"
        f" seed {whole.manifest['seed']}, {state}",
        f"images: {data['location']} {tuple(data['shape'])}, sha256 {data['sha256'][:12]}",
    ]
    lines += [
        f"{Path(f.file).relative_to(target)}: {f.kind}, intact, sha256 {f.digest[:12]}"
        + (f", STALE: {f.stale}" if f.stale else "")
        for f in whole.files
    ]
    _print_result(as_json, asdict(whole), "\n".join(lines))
    if whole.damaged:
        raise InputError("; ".join(whole.damaged))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"aeclust {version('aeclust')}")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


# -- from requests to results -------------------------------------------------------------------


def _begun(folder: Path) -> Manifest | None:
    """What the run in a folder was started for, if there is one."""
    from aeclust.run.folder import RunFolder

    found = RunFolder(folder)
    return found.manifest() if found.exists() else None


@contextmanager
def _context(
    run: Path,
    device: str,
    threads: int | None,
    quiet: bool,
    *,
    together: bool = False,
    epochs: int = 0,
    signals: Signals | None = None,
) -> Iterator[Context]:
    """The surroundings of a command; the terminal is left tidy whatever happens.

    Only what can be done `together` may be started as several processes, of which one speaks.
    """
    from aeclust.run.context import Context, alone, choose_device
    from aeclust.run.folder import RunFolder

    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started > 1 and not together:
        raise InputError(
            f"{started} processes were started",
            where="torchrun",
            expected="several for aeclust train and aeclust embed alone",
            mend="run this command without torchrun",
        )

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    signals = signals or Signals()  # without a sender: what ends other commands ends them at once
    with ExitStack() as stack:
        assemble, speaks = cache(partial(alone, device)), True
        if started > 1:
            from aeclust.distributed import joined

            place = int(os.environ.get("LOCAL_RANK", "0"))
            joining = joined(choose_device(device), size=started, local_rank=place)
            team = stack.enter_context(joining)
            assemble, speaks = cache(lambda: team), team.leads
        elif device not in ("auto", "cpu"):
            assemble()  # is it there?
        terminal = Terminal(quiet=quiet or not speaks, epochs=epochs)
        stack.callback(terminal.close)
        yield Context(
            folder=RunFolder(run),
            assemble=assemble,
            say=terminal.say,
            observe=terminal.observe,
            progress=terminal.progress,
            signal=signals.noted,
            rest=signals.rest,
        )


# -- from results to streams -------------------------------------------------------------------


def _print_result(as_json: bool, result: dict[str, Any], text: str) -> None:
    _emit((json.dumps(result) if as_json else text) + "\n", None)


def _emit(text: str, output: Path | None) -> None:
    """Text to a file, whole, or to standard output."""
    if output is not None:
        from aeclust.artifacts import write_bytes

        write_bytes(output, text.encode())
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has seen enough; keep the interpreter from failing again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise WriteError(
            f"could not be written ({error.strerror})", where="standard output",
            mend="free space or write elsewhere with -o",
        ) from error  # fmt: skip


def _copy(file: Path, output: Path | None) -> Path:
    if output is None:
        return file
    from aeclust.artifacts import write_bytes

    write_bytes(output, file.read_bytes())
    return output


def _scores_text(scores: Scores) -> str:
    sizes = ", ".join(f"{name}: {count}" for name, count in scores.sizes.items())
    return (
        f"accuracy {scores.accuracy:.4f}  NMI {scores.nmi:.4f}  ARI {scores.ari:.4f}\n"
        f"cluster sizes {sizes}"
    )


def _file_text(found: FileInfo) -> str:
    lines = [f"{found.file}: {found.kind}, intact, sha256 {found.digest}"]
    lines += [f"  {name}: {dtype} {shape}" for name, (dtype, shape) in found.arrays.items()]
    for title in ("parents", "details", "recipe", "versions"):
        pairs = ", ".join(f"{k}={v}" for k, v in getattr(found, title).items())
        lines.append(f"  {title}: {pairs}")
    return printable_lines([*lines, f"  seed: {found.seed}"])


def printable_lines(lines: list[str]) -> str:
    """Lines whose text may come from a file, safe for a terminal."""
    return "\n".join(printable(line) for line in lines)


# -- from exceptions to exit codes -------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on standard error."""
    try:
        with terminable():
            code = app(args=arguments, standalone_mode=False, prog_name="aeclust")
        if code == 130:  # typer's own answer to Ctrl-C, without a word
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Interrupted as stop:
        typer.echo(f"{_speaker()}{stop}", err=True)
        return 128 + stop.signal_number
    except AeclustError as error:
        typer.echo(f"{_speaker()}error: {error}", err=True)
        return error.exit_code
    except typer.TyperException as error:
        message = " ".join(error.format_message().split()).rstrip(".")
        if not message:  # a bare aeclust has shown its help
            return 2
        typer.echo(f"error: {message}; see aeclust --help", err=True)
        return 2
    except OSError as error:  # typer's own printing of help
        typer.echo(f"error: standard output: could not be written ({error.strerror})", err=True)
        return 4
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        return 130
    except Terminated:
        typer.echo("terminated", err=True)
        return 143


def _speaker() -> str:
    """Which of several processes says something; empty for the first and for one alone."""
    rank = os.environ.get("RANK", "0")
    return "" if rank == "0" else f"process {rank}: "


if __name__ == "__main__":
    sys.exit(main())
