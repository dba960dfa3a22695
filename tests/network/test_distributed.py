"""Processes that work together: what they exchange, and that together they equal one alone."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elsewhere import gpu
from encoders import SETTINGS, colour_encoder, counted
from hypothesis import given
from hypothesis import strategies as st
from support import Cli, Data, normal, refused, tiny
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from aeclust import artifact as artifacts
from aeclust.errors import InputError, Interrupted
from aeclust.images import Source
from aeclust.network import inference, parallel
from aeclust.network.losses import objective
from aeclust.network.model import Autoencoder, build, state_arrays
from aeclust.network.parallel import ALONE, Team, joined
from aeclust.network.place import Place
from aeclust.network.shared_norm import share_statistics
from aeclust.network.training import Moment, train
from aeclust.recipe import Recipe, named
from aeclust.run.budget import Budget
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.latents import embed
from aeclust.run.train import train as train_run

CPU = torch.device("cpu")
ROWS = 7  # not even

# A fork has everything loaded already; from Python 3.12 on it warns of threads, which wait here.
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def member(rank: int, port: int, work: Callable[[Team], Any], answers: Any) -> None:
    torch.set_num_threads(1)
    try:
        with joined(CPU, Place(rank, 2, "127.0.0.1", port)) as team:
            answers.put((rank, work(team)))
    except Interrupted as stop:
        answers.put((rank, (str(stop), stop.signal_number)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def together(work: Callable[[Team], Any]) -> list[Any]:
    """What `work` returns in each of two processes."""
    port = free_port()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [
        context.Process(target=member, args=(rank, port, work, answers)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    results = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return [results[rank] for rank in range(2)]


# -- shares ------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 20))
def test_shares_make_up_the_whole_and_differ_by_one_at_most(total: int, size: int) -> None:
    shares = [range(total)[Team(rank, size).rows(total)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(total))
    sizes = Team(0, size).sizes(total)
    assert [len(share) for share in shares] == sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


def test_one_alone_has_everything() -> None:
    rows, network = normal(5, 2), build(tiny(), 3, seed=0)
    assert ALONE.gather(rows, 5) is rows
    assert torch.equal(ALONE.shared(torch.from_numpy, rows.numpy()), rows)
    assert ALONE.parallel(network) is network
    assert (ALONE.broadcast("this"), ALONE.maximum(3), ALONE.leads) == ("this", 3, True)


# -- what two processes exchange ---------------------------------------------------------------


def test_the_leaders_value_the_largest_number_and_all_rows_reach_everyone() -> None:
    whole = np.arange(14.0).reshape(ROWS, 2)

    def work(team: Team) -> Any:
        doubled = team.shared(lambda rows: torch.from_numpy(2 * rows), whole)
        return team.broadcast({"from": team.rank}), team.maximum(5 - team.rank), doubled.numpy()

    for value, largest, doubled in together(work):
        assert (value, largest) == ({"from": 0}, 5)
        np.testing.assert_array_equal(doubled, 2 * whole)


def test_gathered_rows_give_back_their_gradients() -> None:
    """The gradient of a row is the sum over all processes that used it."""
    whole, factors = normal(ROWS, 3), normal(2, ROWS, 3, seed=1)

    def work(team: Team) -> Any:
        share = whole[team.rows(ROWS)].clone().requires_grad_()
        everyone = team.gather(share, ROWS)
        (everyone * factors[team.rank]).sum().backward()  # type: ignore[no-untyped-call]
        assert share.grad is not None
        return everyone.detach().numpy(), share.grad.numpy()

    (first, gradient), (second, rest) = together(work)
    np.testing.assert_array_equal(first, whole)
    np.testing.assert_array_equal(second, whole)
    np.testing.assert_allclose(np.concatenate([gradient, rest]), factors.sum(0).numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["deep", "hybrid"])
def test_output_gradients_and_statistics_are_those_of_the_whole_batch(name: str) -> None:
    """Of one view, and of two; normalisations of images, and of vectors."""
    recipe = tiny(name, contrast=1, variational=name == "deep")
    images, noise = normal(2 * ROWS, 3, 8, 8).clamp(-1, 1), normal(2 * ROWS, 6, seed=1)
    targets = normal(ROWS, 2, seed=2).softmax(1)
    crops = normal(3 * ROWS, 3, 4, 4, seed=3) if name == "hybrid" else None

    def work(team: Team) -> Any:
        network = build(recipe, 3, seed=0)
        parallel = team.parallel(network)
        rows = slice(0, None, 2)
        output = parallel(images, noise if recipe.variational else None, crops, rows)
        drawn = images[: len(images) // network.views][rows]
        loss = objective(output, drawn, recipe, targets if network.head else None)
        loss.total.backward()  # type: ignore[no-untyped-call]
        gradients = {n: p.grad.numpy() for n, p in network.named_parameters() if p.grad is not None}
        outputs = {n: x.detach().numpy() for n, x in vars(output).items() if x is not None}
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        latents = network.eval().encode(images).detach().numpy()
        return loss.values().numpy(), outputs, gradients, state, latents

    alone = work(ALONE)
    assert len(alone[2]) > 10
    for loss, *groups, latents in together(work):
        np.testing.assert_allclose(loss, alone[0], rtol=1e-5)
        for wanted, group in zip(alone[1:4], groups, strict=True):
            assert group.keys() == wanted.keys()
            for key, value in wanted.items():
                np.testing.assert_allclose(group[key], value, rtol=1e-3, atol=1e-5, err_msg=key)
        np.testing.assert_allclose(latents, alone[4], rtol=1e-3, atol=1e-5)


def test_a_lost_process_ends_the_others() -> None:
    def work(team: Team) -> str:
        if not team.leads:
            return "left"
        team.maximum(1)
        return "unreachable"

    stop, other = together(work)
    assert other == "left"
    assert stop == ("another process of this job has ended; see what it said", signal.SIGTERM)


def test_a_process_that_waits_for_the_leader_obeys_signals() -> None:
    """While the leader clusters, which takes minutes."""

    def stop(number: int, frame: object) -> None:
        raise Interrupted(number, "obeyed")

    def work(team: Team) -> Any:
        started = time.monotonic()
        if team.leads:
            time.sleep(3)
            return team.broadcast("clustered")
        signal.signal(signal.SIGTERM, stop)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            team.broadcast("nothing")
        except Interrupted as stopped:
            return stopped.what, stopped.signal_number, time.monotonic() - started < 2.5
        return "not obeyed"

    assert together(work)[1] == ("obeyed", signal.SIGTERM, True)


def test_devices_without_a_way_to_exchange_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(what="2 processes cannot work together on mps", where="`device`"):
        joined(torch.device("mps"), Place(0, 2, "", 1)).__enter__()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with refused(what="process 1 of this machine has no GPU", expected="at most 1 processes"):
        joined(torch.device("cuda"), Place(1, 2, "", 1, local_rank=1)).__enter__()


# -- training ----------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"batch_size": 10, "epochs": 2, "precision": "float32"}
RECIPES: dict[str, Recipe] = {
    "baseline": tiny("baseline", **SMALL, lr=1e-3),
    "vae": tiny("vae", **SMALL, lr=1e-3, loss="elbo"),
    "deep": tiny("deep", **SMALL, lr=0.01),
    # slow enough that the rounding of other processors is not blown up by batches of three
    "hybrid": tiny("hybrid", **SMALL, label_epochs=2, optimizer="sgd", lr=1e-3),
}


def pixels(n: int = 33) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Two kinds of images, 33 of them: batches of 10, 10, 10 and 3."""
    noise = np.random.default_rng(0).random((n, 8, 8, 3)) * 60
    dark = np.where(np.arange(n) % 2, 20, 150)[:, None, None, None]
    return (noise + dark).astype(np.uint8)


def trained(recipe: Recipe, team: Team = ALONE) -> tuple[list[float], Autoencoder]:
    losses: list[float] = []

    def observe(moment: Moment) -> None:
        if moment.images:
            losses.append(moment.loss)

    network = train(pixels(), recipe, seed=0, device=CPU, team=team, observe=observe)
    return losses, network


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_train_as_one_does(name: str) -> None:
    recipe = RECIPES[name]
    losses, network = trained(recipe)
    assert len(losses) == 4 * recipe.total_epochs

    def work(team: Team) -> Any:
        losses, network = trained(recipe, team)
        latents = inference.embed(network, pixels(), team=team)
        return losses, {k: v.numpy() for k, v in network.state_dict().items()}, latents

    latents = inference.embed(network, pixels())
    for shared_losses, state, shared_latents in together(work):
        np.testing.assert_allclose(shared_losses, losses, rtol=1e-4)
        assert state.keys() == network.state_dict().keys()
        for key, value in network.state_dict().items():
            np.testing.assert_allclose(state[key], value, rtol=1e-2, atol=1e-4, err_msg=key)
        np.testing.assert_allclose(shared_latents, latents, rtol=1e-2, atol=1e-3)


def test_two_processes_with_gpus_train_as_two_without() -> None:
    """With tensors that say that they lie there, see tests/elsewhere.py."""
    recipe, images = (
        tiny(batch_size=8, epochs=1, label_epochs=1, clusterer="kmeans"),
        normal(16, 8, 8, 3),
    )
    recipe = recipe.override({"reduction": "sphere,pca:4", "precision": "float32"})

    def work(team: Team) -> Any:
        return state_arrays(
            train(images.sigmoid().numpy(), recipe, seed=0, device=team.device, team=team)
        )

    def there(team: Team) -> Any:
        with gpu("cuda") as mode:
            return work(dataclasses.replace(team, device=mode.device))

    (expected, _), both = together(work), together(there)
    for name, value in expected.items():
        for weights in both:
            np.testing.assert_array_equal(weights[name], value, err_msg=name)


def test_gpus_share_statistics_by_torchs_own_norm() -> None:
    network, plain = (build(tiny("deep"), 3, seed=0).eval() for _ in range(2))
    for _ in range(2):  # as before each phase
        share_statistics(network, Team(0, 2, torch.device("cuda")))
    kinds = {type(module) for module in network.modules() if "running_mean" in dir(module)}
    assert kinds == {torch.nn.SyncBatchNorm}
    states = zip(network.state_dict().items(), plain.state_dict().items(), strict=True)
    assert all(name == other and torch.equal(v, w) for (name, v), (other, w) in states)
    assert torch.equal(network.encode(normal(2, 3, 8, 8)), plain.encode(normal(2, 3, 8, 8)))


def test_a_batch_with_fewer_images_than_processes_is_refused() -> None:
    recipe = RECIPES["baseline"].override({"batch_size": 15})  # 15, 15 and 3
    with refused(what="a batch of 3 images cannot be shared by 4 processes"):
        train(pixels(), recipe, seed=0, device=CPU, team=Team(0, 4))


# -- the command -------------------------------------------------------------------------------

TINY = ["--set", "channels=4,8", "--set", "image_size=8", "--batch-size", "16", "--set", "epochs=2"]
TINY += ["--set", "label_epochs=2", "--set", "precision=float32", "--optimizer", "adamw"]
TINY += ["--lr", "0.001"]


def torchrun(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """A command as two processes, started as docs/distributed.md says."""
    page = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text("utf-8")
    command = re.search(r"^(torchrun .* aeclust) train images.npy --run shared-run$", page, re.M)
    assert command, "the page has lost its first command"
    start = command[1].replace("torchrun", f"{sys.executable} -m torch.distributed.run").split()
    return subprocess.Popen(
        [*start, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def curve(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


# -- where the others are not there --------------------------------------------------------------


def environment(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_whoever_comes_first_says_whom_it_waits_for_and_gives_up() -> None:
    port, lines = free_port(), list[str]()
    where = f"127.0.0.1:{port}"
    first = joined(CPU, Place(0, 4, "127.0.0.1", port), log=lines.append, patience=0.6)
    with refused(
        what="3 of 4 processes did not come within 0.01 minutes",
        where=where,
        expected="4 processes, as WORLD_SIZE says",
        mend="start them, or unset WORLD_SIZE",
    ):
        first.__enter__()
    assert lines == [
        f"waiting for 3 of 4 processes at {where}, as WORLD_SIZE says;"
        " start them, or unset WORLD_SIZE"
    ]
    lines.clear()
    where = f"127.0.0.1:{(port := free_port())}"
    other = joined(CPU, Place(2, 4, "127.0.0.1", port), log=lines.append, patience=0.6)
    with refused(what="process 0 of 4 did not come within 0.01 minutes", where=where):
        other.__enter__()
    assert lines == [
        f"waiting for process 0 of 4 at {where}, as WORLD_SIZE says; start it, or unset WORLD_SIZE"
    ]


def test_a_port_of_another_program_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for rank in (0, 1):  # which would listen there, and which would ask there
            with refused(what="another program uses this port", where=f"127.0.0.1:{port}"):
                joined(CPU, Place(rank, 2, "127.0.0.1", port), patience=0.5).__enter__()


def test_two_processes_of_one_number_are_refused() -> None:
    port, refusals = free_port(), list[str]()
    server = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    place = Place(1, 2, "127.0.0.1", port)
    for _ in range(2):
        try:
            joined(CPU, place, patience=0.5).__enter__()
        except InputError as error:
            refusals.append(error.what)
    assert refusals == [
        "1 of 2 processes did not come within 0.0083 minutes",
        "another process has RANK 1, too",
    ]
    del server


def test_a_command_gives_up_with_one_line(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    environment(monkeypatch, WORLD_SIZE=4, RANK=1, MASTER_ADDR="localhost", MASTER_PORT=port)
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    code, out, err = cli("train", data.images, *TINY)
    assert (code, out) == (2, "")
    waiting, refusal = err.splitlines()
    assert waiting == (
        f"process 1: waiting for process 0 of 4 at localhost:{port}, as WORLD_SIZE says;"
        " start it, or unset WORLD_SIZE"
    )
    assert refusal.startswith(f"process 1: error: localhost:{port}: process 0 of 4 did not come")
    assert not Path("aeclust-run").exists()


@pytest.mark.parametrize(
    ("rank", "number", "code", "said"),
    [
        (0, signal.SIGINT, 130, "interrupted while it waited for other processes"),
        (1, signal.SIGTERM, 143, "process 1: interrupted while it waited for other processes"),
    ],
)
def test_signals_end_the_wait(
    rank: int, number: int, code: int, said: str, data: Data, tmp_path: Path
) -> None:
    stated = {"WORLD_SIZE": "2", "RANK": str(rank)}
    stated |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "aeclust", "train", str(data.images), *TINY],
        cwd=tmp_path,
        env={**os.environ, **stated},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "waiting for" in process.stderr.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (code, f"{said}; nothing was changed\n")
    assert not any(tmp_path.iterdir())


def test_torchrun_is_refused_for_what_one_process_does(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, WORLD_SIZE=2, RANK=1, MASTER_ADDR="localhost", MASTER_PORT=29500)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    result = cli("cluster")
    assert result.code == 2
    assert result.err == (
        "process 1: error: torchrun: 2 processes were started; expected several for aeclust train "
        "and aeclust embed alone; run this command without torchrun\n"
    )


@pytest.mark.parametrize("size", ["4", "abc"])
def test_a_jobs_variables_are_nothing_to_what_one_process_does(
    size: str, cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = cli("predict")
    environment(monkeypatch, WORLD_SIZE=size, RANK=0)
    assert cli("predict") == wanted
    assert cli("info").code == 0
    assert cli("cluster", "-k", 3).code == 0


def test_one_process_in_all_is_alone(cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, WORLD_SIZE=1, RANK=0)
    assert cli("train", data.images, *TINY).code == 0


# -- the command together --------------------------------------------------------------------------


def test_torchrun_trains_and_embeds_by_the_word_of_one(
    cli: Cli, data: Data, tmp_path: Path
) -> None:
    assert cli("train", data.images, *TINY, "--run", "one").code == 0
    assert cli("embed", "--run", "one").code == 0
    process = torchrun(tmp_path, "train", data.images, *TINY, "--run", "two")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    line = r"two: trained by recipe hybrid for 4 epochs, last loss \d\.\d{4}; 5 checkpoints\n"
    assert re.fullmatch(line, out)
    assert err.count("images, 8 x 8 RGB, uint8") == 1
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-4)
    process = torchrun(tmp_path, "embed", "--run", "two")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == "two/latents.h5: 60 vectors of 8 values after epoch 4\n"
    one, two = (artifacts.read(tmp_path / run / "latents.h5", "latents") for run in ("one", "two"))
    np.testing.assert_array_equal(two.arrays["ids"], one.arrays["ids"])
    np.testing.assert_array_equal(two.arrays["fingerprints"], one.arrays["fingerprints"])
    for name in ("latents", "view_latents"):
        np.testing.assert_allclose(two.arrays[name], one.arrays[name], rtol=1e-2, atol=1e-2)
    assert (two.arrays["view_clusters"] == one.arrays["view_clusters"]).mean() > 0.9


def test_a_signal_to_one_process_ends_all_once_the_state_is_saved(
    data: Data, tmp_path: Path
) -> None:
    source, recipe = Source(location=str(data.images)), RECIPES["baseline"]
    folder = RunFolder(tmp_path / "run")

    def work(team: Team) -> Any:
        steps = 0

        def observe(moment: Moment) -> None:
            nonlocal steps
            steps += 1

        def noted() -> int | None:
            return signal.SIGTERM if not team.leads and steps == 3 else None

        folder = RunFolder(tmp_path / "run")  # a lock is of the process that made it
        context = Context(folder=folder, assemble=lambda: team, observe=observe, signal=noted)
        try:
            train_run(context, source, recipe, seed=0)
        except Interrupted as stop:
            return stop.signal_number, steps
        return "finished", steps

    assert together(work) == [(signal.SIGTERM, 4)] * 2
    assert folder.resume_file.exists()
    assert folder.checkpoints() == [0]
    # alone it goes on where the two stopped
    train_run(Context(folder=folder), source, recipe, seed=0, resume=True)
    alone = RunFolder(tmp_path / "alone")
    train_run(Context(folder=alone), source, recipe, seed=0)
    np.testing.assert_allclose(curve(folder.path), curve(alone.path), rtol=1e-4)


def test_processes_with_other_images_are_refused(data: Data, tmp_path: Path) -> None:
    def work(team: Team) -> Any:
        location = str(data.images if team.leads else data.other)
        try:
            train_run(
                Context(folder=RunFolder(tmp_path / "run"), assemble=lambda: team),
                Source(location=location),
                RECIPES["baseline"],
                seed=0,
            )
        except InputError as error:
            return str(error)
        return "trained"

    said = "the processes have different images or settings; expected the same for all of them; "
    said += "start all with the same files and flags"
    assert together(work) == [f"{data.images}: {said}", f"{data.other}: {said}"]
    assert not (tmp_path / "run").exists(), "refused before anything is written"


def test_processes_agree_on_what_their_minutes_buy(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aeclust.run.budget._LONGEST", 0.0)  # a step of each phase is enough here
    pixels = np.load(data.images)

    def work(team: Team) -> Any:
        if not team.leads:
            time.sleep(0.3)  # whose clock is another
        budget, lines = Budget(2, ("channels",)), list[str]()
        recipe = tiny("hybrid", batch_size=16)
        return budget.planned(pixels, recipe, seed=0, team=team, log=lines.append), lines

    (first, said), second = together(work)
    assert (first, said) == second
    assert f"{first.epochs} + {first.label_epochs} epochs with channels 4,8" in said[0]


def test_the_leader_alone_has_features_that_are_kept(data: Data, tmp_path: Path) -> None:
    """The others see no run folder, or an old one of their own: all take what the leader knows."""
    file = colour_encoder(tmp_path / "colours.onnx")
    recipe = named("pretrained").override({**SETTINGS, "encoder": str(file)})
    source = Source(location=str(data.images))

    def folder(rank: int) -> RunFolder:
        return RunFolder(tmp_path / f"run-{rank}")

    for rank, location in enumerate((data.images, data.other)):
        train_run(Context(folder(rank)), Source(location=str(location)), recipe, seed=0)
    kept = [folder(rank).features_file.read_bytes() for rank in range(2)]

    def work(team: Team) -> Any:
        context = Context(folder(team.rank), assemble=lambda: team)
        with counted() as seen:
            train_run(context, source, recipe, seed=1, force=True)
        return seen, folder(team.rank).manifest().seed

    assert together(work) == [([], 1), ([], 0)]  # and only the leader's run is another one
    assert [folder(rank).features_file.read_bytes() for rank in range(2)] == kept


def test_a_decoder_is_trained_and_features_embedded_together_as_alone(
    data: Data, tmp_path: Path
) -> None:
    file = colour_encoder(tmp_path / "colours.onnx")
    recipe = named("pretrained").override({**SETTINGS, "encoder": str(file)})
    source = Source(location=str(data.images))

    def work(team: Team) -> Any:
        context = Context(RunFolder(tmp_path / "two"), assemble=lambda: team)
        with counted() as seen:
            train_run(context, source, recipe, seed=0)
        return seen, embed(context, force=True).artifact.arrays.get("latents")

    (first, latents), (second, nothing) = together(work)
    assert (first, second, nothing) == ([30], [30], None)
    one = RunFolder(tmp_path / "one")
    train_run(Context(one), source, recipe, seed=0)
    np.testing.assert_array_equal(latents, embed(Context(one)).artifact.arrays["latents"])
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(one.path), rtol=1e-3)
    kept = [(tmp_path / name / "features.h5").read_bytes() for name in ("one", "two")]
    assert kept[0] == kept[1]


def test_a_killed_worker_ends_the_job_and_resume_goes_on(
    cli: Cli, data: Data, tmp_path: Path
) -> None:
    longer = [*TINY, "--set", "epochs=60", "--set", "label_epochs=0"]
    process = torchrun(tmp_path, "train", data.images, *longer, "--run", "two")
    metrics = tmp_path / "two" / "metrics.jsonl"
    until = time.monotonic() + 60
    while not metrics.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    workers = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    )
    os.kill(max(map(int, workers.stdout.split())), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "aeclust/" not in err, "no traceback through the package"
    info = cli("info", "two")
    assert info.code == 0
    assert "interrupted: continue with aeclust train --run two --resume" in info.out
    assert cli("train", "--resume", "--run", "two").code == 0
    assert cli("train", data.images, *longer, "--run", "one").code == 0
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-3)
