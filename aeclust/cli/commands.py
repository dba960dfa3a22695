"""The aeclust command: parses, calls one function of :mod:`aeclust.run`, prints, exits."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from aeclust.cli import completion, streams
from aeclust.cli.answers import (
    clusters_text,
    curve_text,
    file_text,
    health_text,
    run_text,
    scores_text,
)
from aeclust.cli.options import (
    CHECK,
    DEFAULT_RUN,
    IMAGES,
    KNOWN,
    LOOK,
    OUTPUT,
    SHARE,
    WORK,
    BatchSize,
    Checkpoint,
    Clusterer,
    Command,
    Commands,
    Config,
    Data,
    Device,
    Epochs,
    Force,
    Json,
    K,
    KnownLabels,
    LabelsFile,
    Layout,
    LearningRate,
    Loss,
    Optimizer,
    OptionalSeed,
    Output,
    Perplexity,
    Precision,
    Quiet,
    Range,
    RecipeName,
    Reduction,
    Replace,
    Resume,
    Run,
    Seed,
    Settings,
    Size,
    SkipBad,
    Threads,
    TrainData,
    TrueLabels,
    ValImages,
    ValLabels,
    WriteConfig,
    absolute,
    chosen_recipe,
    flag_of,
    given,
    optional_source,
    parse_indices,
    parse_names,
    source_of,
)
from aeclust.cli.setup import (
    check_foreign,
    copy_to,
    emit,
    manifest_of,
    on_threads,
    print_result,
    run_folder,
    say_next,
    surroundings,
)
from aeclust.cli.streams import STREAM
from aeclust.cli.terminal import Terminated, deferred_signals, tell, terminable
from aeclust.errors import AeclustError, InputError, Interrupted, did_you_mean, printable

Handler = TypeVar("Handler", bound=Callable[..., None])

app = typer.Typer(
    name="aeclust",
    cls=Commands,
    help="Cluster images without labels: train an autoencoder, embed, cluster, see, export.\n\n"
    "First run: aeclust train && aeclust predict > submission.csv\n\n"
    "Your own images: aeclust train photos/ --size 32",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# -- commands ----------------------------------------------------------------------------------


def command(panel: str, name: str | None = None) -> Callable[[Handler], Handler]:
    """Make a function a command, in a panel of the help; its docstring ends with examples."""
    return app.command(name, cls=Command, rich_help_panel=panel)


@command(WORK)
def train(
    data: TrainData = None,
    recipe: RecipeName = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    loss: Loss = None,
    precision: Precision = None,
    set_: Settings = None,
    config: Config = None,
    write_config: WriteConfig = False,
    k: K = None,
    val_images: ValImages = None,
    val_labels: ValLabels = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    resume: Resume = False,
    force: Replace = False,
    run: Run = DEFAULT_RUN,
    seed: Seed = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn from unlabelled images; writes checkpoints into the run folder.

    aeclust train
    aeclust train photos/ --size 32 -k 5
    aeclust train demo:digits -k 10 --epochs 20 --run digits
    """
    flags = {
        "k": k,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "loss": loss,
        "precision": precision,
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
    begun = manifest_of(run) if resume else None
    base = None if begun is None else begun.recipe
    chosen = chosen_recipe(recipe, config, set_ or [], flags, begun=base)
    if write_config:
        from aeclust.recipe import to_toml

        emit(json.dumps(chosen.to_json()) + "\n" if as_json else to_toml(chosen))
        return
    source = optional_source(data, layout, range_, size, skip_bad)
    if begun is not None:
        source = source or begun.source
        seed = begun.seed if seed is None else seed
        val_images, val_labels = val_images or begun.val_images, val_labels or begun.val_labels
    with (
        deferred_signals() as signals,
        surroundings(
            run,
            device,
            threads,
            quiet,
            together=True,
            training=chosen,
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
        print_result(
            as_json,
            {
                "run": str(run),
                "recipe": chosen.name,
                "epochs": chosen.total_epochs,
                "checkpoints": trained.checkpoints,
                "trained": trained.did_train,
                "metrics": metrics,
            },
            f"{run}: {printable(chosen.name)}, {chosen.total_epochs} epochs,"
            + (f" loss {metrics['loss']:.4f}," if "loss" in metrics else "")
            + f" {len(trained.checkpoints)} checkpoints",
        )
        some = ",".join(map(str, range(1, min(4, trained.manifest.shape[0])))) or "0"
        say_next(context, "predict > submission.csv", f"reconstruct --idx {some}")


@command(WORK)
def embed(
    data: Data = None,
    checkpoint: Checkpoint = None,
    layout: Layout = None,
    range_: Range = None,
    size: Size = None,
    skip_bad: SkipBad = False,
    output: Output = None,
    force: Force = False,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn images into latents (latents.h5).

    aeclust embed
    aeclust embed --checkpoint 5
    aeclust embed demo:scenes-val -o val-latents.h5
    """
    source = optional_source(data, layout, range_, size, skip_bad)
    with (
        streams.writable(output, ".h5") as target,
        surroundings(run, device, threads, quiet, together=True) as context,
    ):
        from aeclust.run.latents import embed as embed_own
        from aeclust.run.latents import embed_others

        check_foreign(context, output)
        made = None
        file = context.folder.latents_file
        if source is not None:
            made = embed_others(context, source, target, checkpoint=checkpoint)
            file = target if made is not None and target is not None else file
        if made is None:
            made = embed_own(context, checkpoint=checkpoint, force=force)
            file = copy_to(file, target) if context.team.leads else file
        if not context.team.leads:
            return
        shape = made.artifact.arrays["latents"].shape
        epoch = made.artifact.details["epoch"]
        print_result(
            as_json,
            {"file": str(file), "shape": shape, "epoch": epoch, "made": not made.fresh},
            f"{file}: {shape[0]} latents of {shape[1]} values after epoch {epoch}"
            + (" (fresh, nothing to do)" if made.fresh else ""),
            output,
            quiet,
        )
        if not made.fresh and source is None:
            say_next(context, "cluster", "plot")


@command(WORK)
def cluster(
    k: K = None,
    reduction: Reduction = None,
    clusterer: Clusterer = None,
    perplexity: Perplexity = None,
    output: Output = None,
    force: Force = False,
    run: Run = DEFAULT_RUN,
    seed: OptionalSeed = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Group the latents (labels.h5).

    aeclust cluster -k 3
    aeclust cluster -k auto
    aeclust cluster --reduction pca:50 --clusterer kmeans
    """
    flags = {"k": k, "reduction": reduction, "clusterer": clusterer, "perplexity": perplexity}
    with (
        streams.writable(output, ".h5") as target,
        surroundings(run, device, threads, quiet) as context,
    ):
        import numpy as np

        from aeclust.run.clusters import cluster as cluster_run

        check_foreign(context, output)
        made = cluster_run(context, overrides=given(flags), seed=seed, force=force)
        file = copy_to(context.folder.labels_file, target)
        arrays, details = made.artifact.arrays, made.artifact.details
        sizes = np.bincount(arrays["labels"]).tolist()
        confidence = float(arrays["confidence"].mean())
        agreement, views = details.get("agreement"), details.get("view_agreement")
        result = {
            "file": str(file),
            "k": len(sizes),
            "sizes": sizes,
            "confidence": confidence,
            "agreement": agreement,
            "view_agreement": views,
            "members": details.get("members", {}),
            "warnings": details.get("warnings", []),
            "made": not made.fresh,
        }
        print_result(
            as_json,
            result,
            f"{file}: {len(arrays['labels'])} images in clusters of {', '.join(map(str, sizes))};"
            f" mean confidence {confidence:.3f}"
            + ("" if agreement is None else f", agreement of the members {agreement:.3f}")
            + ("" if views is None else f", of random views {views:.3f}")
            + (" (fresh, nothing to do)" if made.fresh else ""),
            output,
            quiet,
        )
        if not made.fresh:
            from aeclust.run.names import read_names

            names = read_names(context.folder)
            if names is not None and names.stale(context.folder):
                anew = context.folder.command("name")
                context.log(f"the names that clusters had are not theirs any more: {anew}")
            say_next(context, "plot", "predict > submission.csv")


@command(WORK)
def predict(
    data: Data = None,
    invert: Annotated[
        bool,
        typer.Option(
            "--invert",
            help="Swap the names of two clusters.",
            rich_help_panel=KNOWN,
        ),
    ] = False,
    names: Annotated[
        bool,
        typer.Option(
            "--names", help="Print the names that aeclust name gave.", rich_help_panel=KNOWN
        ),
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
    """Print id,label for every image, making what is missing or stale first.

    aeclust predict > submission.csv
    aeclust predict --names > named.csv
    aeclust predict - < new-images.npy
    """
    if names and (invert or val_images is not None or val_labels is not None):
        raise InputError(
            "the clusters have names already",
            where="--names",
            expected="neither --invert nor --val-images and --val-labels beside it",
            mend="leave out one of them",
        )
    source = optional_source(data, layout, range_, size, skip_bad)
    with surroundings(run, device, threads, quiet) as context:
        check_foreign(context, output)
        texts = None
        if names:
            from aeclust.run.names import predict_names

            found, texts = predict_names(context, source)
        else:
            from aeclust.run.predict import predict as predict_run

            found = predict_run(
                context,
                source,
                invert=invert,
                val_images=optional_source(val_images),
                val_labels=val_labels,
            )
        from aeclust.images.truth import to_csv, to_json

        if as_json:
            text = to_json(found.ids, found.labels, found.confidence, texts)
        else:
            text = to_csv(found.ids, found.labels if texts is None else texts)
        emit(text, None if output == STREAM else output)


@command(SHARE)
def name(
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLUSTER=NAME]...", help="As 0=landscape; 0= removes a name."),
    ] = None,
    labels: KnownLabels = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all names.", rich_help_panel=OUTPUT)
    ] = False,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Name the clusters (names.json), or list them with their names, sizes and confidence.

    aeclust name 0=landscape 1=other
    aeclust name --labels known.csv
    aeclust name
    """
    if sum([bool(assignments), labels is not None, clear]) > 1:
        raise InputError(
            "they exclude each other", where="CLUSTER=NAME, --labels, --clear",
            expected="one of them",
        )  # fmt: skip
    wanted = parse_names(assignments or [])
    with surroundings(run, device, threads, quiet) as context:
        from aeclust.run import names

        if labels is not None:
            found = names.names_by_labels(context, labels)
        elif clear:
            found = names.clear_names(context)
        elif wanted:
            found = names.give_names(context, wanted)
        else:
            found = names.list_clusters(context)
        print_result(as_json, asdict(found), clusters_text(found))


@command(SHARE, "export")
def export_(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DEST",
            help="A folder (no ending) of images by cluster, or a file that ends in .csv, .json,"
            " .npz, .safetensors (the network) or .onnx (its encoder).",
            autocompletion=completion.paths,
        ),
    ],
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="Link to the images instead of copying them.", rich_help_panel=OUTPUT
        ),
    ] = False,
    checkpoint: Checkpoint = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace what an export left there.", rich_help_panel=OUTPUT),
    ] = False,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take clusters, latents or the network elsewhere; what DEST ends in decides.

    aeclust export sorted
    aeclust export clusters.csv
    aeclust export encoder.onnx
    """
    with surroundings(run, device, threads, quiet) as context:
        from aeclust.run.export import export

        made = export(context, destination, link=link, checkpoint=checkpoint, force=force)
        print_result(as_json, asdict(made), f"{made.file}: {made.content}")


@command(LOOK)
def reconstruct(
    data: Data = None,
    idx: Annotated[
        str,
        typer.Option(
            help="Row numbers, in any order, repeats kept.",
            metavar="1,2,3",
            rich_help_panel=IMAGES,
        ),
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
    """Draw originals above reconstructions (reconstruction.png).

    aeclust reconstruct --idx 1,2,3,6,7,9
    aeclust reconstruct demo:scenes-val --idx 0,1 -o unseen.svg
    """
    source = optional_source(data, layout, range_, size, skip_bad)
    indices = parse_indices(idx)
    with (
        streams.writable(output, ".png") as target,
        surroundings(run, device, threads, quiet) as context,
    ):
        from aeclust.run.pictures import reconstruct as reconstruct_run

        drawn = reconstruct_run(context, indices, source, checkpoint=checkpoint, output=target)
        print_result(
            as_json,
            {"file": str(drawn.file), "epoch": drawn.epoch, "ids": drawn.ids, "mse": drawn.errors},
            f"{drawn.file}: {len(indices)} images after epoch {drawn.epoch},"
            f" mean MSE {sum(drawn.errors) / len(drawn.errors):.4f}",
            output,
            quiet,
        )


@command(LOOK, "checkpoint-curve")
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
    """Show how reconstruction error and validation accuracy move through training.

    aeclust checkpoint-curve
    aeclust checkpoint-curve --val-images demo:scenes-val --val-labels demo:scenes-val
    """
    with (
        streams.writable(output, ".png") as target,
        surroundings(run, device, threads, quiet) as context,
    ):
        from aeclust.run.pictures import checkpoint_curve as curve_run

        made = curve_run(
            context,
            val_images=optional_source(val_images),
            val_labels=val_labels,
            seed=seed,
            output=target,
        )
        # what goes with a stream is its picture alone
        table = None if output == STREAM else str(made.table)
        files = f"{made.picture} and {table}" if table else str(made.picture)
        result = {"picture": str(made.picture), "table": table, **asdict(made.curve)}
        print_result(
            as_json, result, f"{curve_text(made.curve, made.validated)}\n{files}", output, quiet
        )


@command(LOOK)
def plot(
    data: Data = None,
    labels: TrueLabels = None,
    thumbnails: Annotated[
        bool,
        typer.Option(
            "--thumbnails",
            help="Lay some of the images over their points.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    gallery: Annotated[
        bool,
        typer.Option(
            "--gallery",
            help="Typical, doubtful and random images of each cluster (gallery.png) instead.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
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
    """Draw the 2-D embedding by cluster and by true label (embedding.png), or a gallery.

    aeclust plot --gallery
    aeclust plot --labels demo:scenes
    aeclust plot demo:scenes-val -o - > unseen.png
    """
    source = optional_source(data, layout, range_, size, skip_bad)
    if gallery and (thumbnails or labels is not None):
        raise InputError(
            "a gallery has neither points nor true labels",
            where="--gallery",
            expected="it without --thumbnails and --labels",
            mend="run aeclust plot once for each picture",
        )
    with (
        streams.writable(output, ".png") as target,
        surroundings(run, device, threads, quiet) as context,
    ):
        from aeclust.run.pictures import gallery as gallery_run
        from aeclust.run.pictures import plot as plot_run

        if gallery:
            shown = gallery_run(context, source, seed=seed, output=target)
            pictured = {**asdict(shown), "file": str(shown.file)}
            print_result(as_json, pictured, str(shown.file), output, quiet)
            return
        drawn = plot_run(
            context, source, truth=labels, thumbnails=thumbnails, seed=seed, output=target
        )
        result: dict[str, Any] = {"file": str(drawn.file)}
        line = str(drawn.file)
        if drawn.scores is not None:
            result |= asdict(drawn.scores)
            line += f"\n{scores_text(drawn.scores)}"
        print_result(as_json, result, line, output, quiet)


@command(LOOK)
def report(
    output: Output = None,
    run: Run = DEFAULT_RUN,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the run on one HTML page to look through and to send (report.html).

    aeclust report
    aeclust report -o clusters.html
    """
    with (
        streams.writable(output, ".html", binary=False) as target,
        surroundings(run, device, threads, quiet) as context,
    ):
        from aeclust.run.page import report as report_run

        made = report_run(context, output=target)
        print_result(
            as_json,
            {"file": str(made.file), "bytes": made.size},
            f"{made.file}: {made.images} images in {made.clusters} clusters,"
            f" {made.size / 1e6:.1f} MB",
            output,
            quiet,
        )


@command(CHECK)
def evaluate(
    predicted: LabelsFile,
    truth: LabelsFile,
    as_json: Json = False,
) -> None:
    """Score labels against the truth: accuracy by best matching, NMI, ARI, cluster sizes.

    aeclust evaluate submission.csv demo:scenes
    aeclust predict demo:scenes-val | aeclust evaluate - demo:scenes-val
    """
    from aeclust.clusters import scores as metrics
    from aeclust.images import truth as labels

    found, known = (labels.load(each, texts=True) for each in (predicted, truth))
    clusters, classes = labels.pair(found, known)
    scores = metrics.score(clusters, classes)
    text = scores_text(scores)
    if len(classes) < len(found):
        text = f"{len(classes)} of {len(found)} images are labelled; of these\n{text}"
    print_result(as_json, {"n": len(classes), **asdict(scores)}, text)


@command(CHECK)
def info(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|RUN",
            help="An artifact or a run folder.",
            show_default="the run",
            autocompletion=completion.paths,
        ),
    ] = None,
    run: Run = DEFAULT_RUN,
    as_json: Json = False,
) -> None:
    """Say what a file or a run is, verify it, and list what is stale and why.

    aeclust info
    aeclust info aeclust-run/labels.h5
    aeclust info --json
    """
    from aeclust.run.info import file_info, run_info

    if target is not None and not target.is_dir():
        found = file_info(target)
        print_result(as_json, asdict(found), file_text(found))
        return
    folder = run_folder(run if target is None else target)
    whole = run_info(folder)
    print_result(as_json, asdict(whole), run_text(whole, folder.command("train --resume")))
    if whole.damaged:
        raise InputError("; ".join(whole.damaged))


@command(CHECK)
def doctor(run: Run = DEFAULT_RUN, threads: Threads = None, as_json: Json = False) -> None:
    """Say what this machine offers, and what will hurt.

    aeclust doctor
    aeclust doctor --run results --json
    """
    from aeclust.run.doctor import examine

    with on_threads(threads):
        health = examine(run)
    print_result(as_json, asdict(health), health_text(health))
    if health.problems:
        raise typer.Exit(2)


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


# -- from exceptions to exit codes -------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on standard error."""
    if os.environ.get("_AECLUST_COMPLETE") == "complete_bash":
        return _complete_for_bash()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names and ids may be in any script
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        with terminable():
            code = app(args=arguments, standalone_mode=False, prog_name="aeclust")
        if code == 130:  # typer's own answer to Ctrl-C, without a word
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Interrupted as stop:
        tell(f"{_speaker()}{stop}")
        return 128 + stop.signal_number
    except AeclustError as error:
        tell(f"{_speaker()}error: {streams.spoken(error.line(flag_of))}")
        return error.exit_code
    except typer.TyperException as error:
        if error.format_message():  # or else a bare aeclust has shown its help
            tell(f"error: {_usage_text(error)}")
        return 2
    except OSError as error:
        if error.filename is not None:  # a path that the system does not take
            place = printable(os.fsdecode(error.filename))
            tell(f"error: {place}: cannot be used ({error.strerror})")
            return 2
        if error.errno == errno.ENOENT:  # asked for by whatever makes a path absolute
            tell("error: the working folder is gone; change to another one")
            return 2
        # typer's own printing of help
        tell(f"error: standard output: could not be written ({error.strerror})")
        return 4
    except (KeyboardInterrupt, typer.Abort):
        tell("interrupted")
        return 130
    except Terminated:
        tell("terminated")
        return 143


def _complete_for_bash() -> int:
    """Offer what typer does, for a shell that takes ``demo:scenes`` for three words."""
    words = completion.rejoin(os.environ["COMP_WORDS"], int(os.environ["COMP_CWORD"]))
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = shlex.join(words), str(len(words) - 1)
    with redirect_stdout(io.StringIO()) as offered, suppress(SystemExit):
        app(args=[], prog_name="aeclust")
    values = offered.getvalue().splitlines()
    if not any(map(completion.needs_quotes, values)):
        for value in values:
            print(completion.remaining(value, words[-1]))
    return 0  # without an offer bash completes names of files itself, and quotes them


def _usage_text(error: typer.TyperException) -> str:
    """What typer has against a request, in one line that ends with how to mend it."""
    context = getattr(error, "ctx", None)
    mend = f"see {context.command_path if context else 'aeclust'} --help"
    text, _, meant = " ".join(error.format_message().split()).partition(". Did you mean ")
    if meant:
        mend = f"did you mean {meant.split(chr(39))[1]}?"
    if getattr(error, "possibilities", None):
        text = error.message
        mend = did_you_mean(getattr(error, "option_name", ""), error.possibilities, mend)  # type: ignore[attr-defined]
    return f"{text.rstrip('.')}; {mend}"


def _speaker() -> str:
    """Which of several processes says something; empty for the first and for one alone."""
    rank = os.environ.get("RANK", "0")
    return "" if rank == "0" else f"process {rank}: "


if __name__ == "__main__":
    sys.exit(main())
