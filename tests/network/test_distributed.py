"""Processes that work together: what they exchange, and that together they equal one alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import Cli, Data
from torch import Tensor, nn

from aeclust import artifact as artifacts
from aeclust.errors import InputError, Interrupted
from aeclust.images import Source
from aeclust.network import inference
from aeclust.network.batches import step_draws
from aeclust.network.losses import nt_xent
from aeclust.network.model import Autoencoder, build
from aeclust.network.parallel import ALONE, Share, Team, joined
from aeclust.network.training import Moment, train
from aeclust.recipe import Recipe, named
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.train import train as train_run

CPU = torch.device("cpu")
ROWS = 7  # not even

# A fork has everything loaded already; from Python 3.12 on it warns of threads, which wait here.
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def member(rank: int, port: int, work: Callable[[Team], Any], answers: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        with joined(CPU, size=2) as team:
            answers.put((rank, work(team)))
    except Interrupted as stop:
        answers.put((rank, (str(stop), stop.signal_number)))


def together(work: Callable[[Team], Any]) -> list[Any]:
    """What `work` returns in each of two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [
        context.Process(target=member, args=(rank, port, work, answers)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return [found[rank] for rank in range(2)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# -- shares ------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 20))
def test_shares_make_up_the_whole_and_differ_by_one_at_most(total: int, size: int) -> None:
    shares = [Team(rank, size).share(total) for rank in range(size)]
    rows = [row for share in shares for row in range(total)[share.rows]]
    assert rows == list(range(total))
    sizes = shares[0].sizes
    assert [len(range(total)[share.rows]) for share in shares] == sizes
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    # a mean of means, weighted so, is the mean of all
    means = [np.arange(total)[s.rows].mean() if total >= size else 0 for s in shares]
    if total >= size:
        weighted = [s.weight * m for s, m in zip(shares, means, strict=True)]
        assert np.mean(weighted) == pytest.approx(np.arange(total).mean())


def test_one_alone_has_everything() -> None:
    share = ALONE.share(5)
    assert (share.rows, share.weight, share.sizes) == (slice(0, 5), 1.0, [5])
    rows, values = normal(5, 2), np.arange(3.0)
    assert share.gather(rows) is rows
    assert share.mean(values) is values
    both, own = ALONE.share(2).gather_views(rows[:4])
    assert torch.equal(both, rows[:4])
    assert own.tolist() == [0, 1, 2, 3]
    network = nn.Linear(1, 1)
    assert ALONE.parallel(network) is network
    assert (ALONE.tell("this"), ALONE.most(3), ALONE.leads) == ("this", 3, True)


@given(st.integers(1, 40), st.integers(1, 6))
def test_an_image_gets_the_same_numbers_however_the_batch_is_shared(total: int, size: int) -> None:
    def drawn(share: Share | None, rows: int) -> tuple[Tensor, Tensor]:
        draws = step_draws(CPU, seed=1, epoch=2, step=3, share=share)
        return draws.uniform((rows, 2), -1, 3), draws.normal((rows, 3), torch.float32)

    shares = [Team(rank, size).share(total) for rank in range(size)]
    parts = [drawn(share, len(range(total)[share.rows])) for share in shares]
    for whole, own in zip(drawn(None, total), zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(own), whole)
    assert drawn(None, total)[0].min() >= -1
    assert drawn(None, total)[0].max() < 3


# -- what two processes exchange ---------------------------------------------------------------


def test_the_leader_tells_and_the_largest_number_counts() -> None:
    def work(team: Team) -> Any:
        told = team.tell({"from": team.rank})
        mean = team.share(ROWS).mean(np.array([1.0, 10.0]) * (team.rank + 1))
        return told, team.most(5 - team.rank), team.leads, mean.tolist()

    wanted = [(4 * 1 + 3 * 2) / 7, (4 * 10 + 3 * 20) / 7]
    for rank, (told, most, leads, mean) in enumerate(together(work)):
        assert (told, most, leads) == ({"from": 0}, 5, rank == 0)
        assert mean == pytest.approx(wanted)


def test_gathered_rows_give_back_their_gradients() -> None:
    """The gradient of a row is the sum over all processes that used it."""
    whole, factors = normal(ROWS, 3), normal(2, ROWS, 3, seed=1)

    def work(team: Team) -> Any:
        share = team.share(ROWS)
        own = whole[share.rows].clone().requires_grad_()
        everyone = share.gather(own)
        (everyone * factors[team.rank]).sum().backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        return everyone.detach().numpy(), own.grad.numpy()

    (first, gradient), (second, rest) = together(work)
    np.testing.assert_array_equal(first, whole)
    np.testing.assert_array_equal(second, whole)
    np.testing.assert_allclose(np.concatenate([gradient, rest]), factors.sum(0).numpy(), rtol=1e-6)


def test_the_contrastive_term_of_shares_is_that_of_the_batch() -> None:
    views = normal(2, ROWS, 4)
    flat = views.flatten(0, 1).requires_grad_()
    loss = nt_xent(flat, 0.3)
    (whole,) = torch.autograd.grad(loss, flat)

    def work(team: Team) -> Any:
        share = team.share(ROWS)
        own = views[:, share.rows].flatten(0, 1).clone().requires_grad_()
        part = share.weight * nt_xent(own, 0.3, share)
        (gradient,) = torch.autograd.grad(part, own)
        return part.item(), gradient.reshape(2, -1, 4).numpy()

    parts = together(work)
    assert np.mean([part for part, _ in parts]) == pytest.approx(loss.item(), rel=1e-5)
    # DistributedDataParallel takes the mean over the processes
    gradient = np.concatenate([own for _, own in parts], axis=1) / 2
    wanted = whole.reshape(2, ROWS, 4).numpy()
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


class Normed(nn.Module):
    """A layer and the norm under test."""

    def __init__(self, *, flat: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3) if flat else nn.BatchNorm2d(3)
        self.norm.weight.data = torch.tensor([0.5, 1.0, 2.0])
        self.norm.bias.data = torch.tensor([0.1, 0.2, 0.3])

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x)
        return normed


@pytest.mark.parametrize("flat", [True, False])
def test_batch_norms_of_shares_are_those_of_the_batch(flat: bool) -> None:
    shape = (ROWS, 3) if flat else (ROWS, 3, 2, 2)
    whole, factors = 2 * normal(*shape) + 1, normal(*shape, seed=1)
    alone, given_whole = Normed(flat=flat), whole.clone().requires_grad_()
    expected = alone(given_whole)
    (expected * factors).sum().backward()

    def work(team: Team) -> Any:
        share, network = team.share(ROWS), Normed(flat=flat)
        parallel = team.parallel(network)
        own = whole[share.rows].clone().requires_grad_()
        output = parallel(own)
        (output * factors[share.rows]).sum().backward()
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        kernel = network.norm.weight.grad
        assert own.grad is not None
        assert kernel is not None
        later = network.eval()(whole).detach().numpy()
        return output.detach().numpy(), own.grad.numpy(), kernel.numpy(), state, later

    parts = together(work)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    assert given_whole.grad is not None
    assert alone.norm.weight.grad is not None
    close(np.concatenate([p[0] for p in parts]), expected.detach())
    close(np.concatenate([p[1] for p in parts]), given_whole.grad)
    for _, _, kernel, state, later in parts:
        close(2 * kernel, alone.norm.weight.grad)  # a mean over two
        assert state.keys() == alone.state_dict().keys()
        for name, value in alone.state_dict().items():
            close(state[name], value)
        close(later, alone.eval()(whole).detach())


def test_a_lost_process_ends_the_others() -> None:
    def work(team: Team) -> str:
        if not team.leads:
            return "left"
        team.most(1)
        return "unreachable"

    stop, other = together(work)
    assert other == "left"
    assert stop == ("another process of this job has ended; see what it said", signal.SIGTERM)


def test_a_device_without_a_way_to_exchange_is_refused() -> None:
    with pytest.raises(InputError) as caught, joined(torch.device("mps"), size=2):
        pass
    assert str(caught.value) == (
        "--device: 2 processes cannot work together on mps; expected cpu or cuda; "
        "use --device cpu, or a single process"
    )


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    wanted = joined(torch.device("cuda"), size=2, local_rank=1)
    with pytest.raises(InputError) as caught, wanted:
        pass
    assert str(caught.value) == (
        "--device: process 1 of this machine has no GPU of its own; "
        "expected at most 1 processes; start fewer, or use --device cpu"
    )


# -- training ----------------------------------------------------------------------------------

SMALL: dict[str, object] = {
    "channels": [4, 8],
    "image_size": 8,
    "batch_size": 10,
    "epochs": 2,
    "precision": "float32",
}
RECIPES: dict[str, Recipe] = {
    "baseline": named("baseline").override({**SMALL, "lr": 1e-3}),
    "vae": named("vae").override({**SMALL, "latent_size": 4, "lr": 1e-3, "loss": "elbo"}),
    "deep": named("deep").override({**SMALL, "latent_size": 4, "lr": 0.01}),
    "hybrid": named("hybrid").override(
        # slow enough that the rounding of other processors is not blown up by batches of three
        {**SMALL, "label_epochs": 2, "optimizer": "sgd", "lr": 1e-3}
    ),
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
        own_losses, own = trained(recipe, team)
        latents = inference.embed(own, pixels(), image_size=8, device=CPU, team=team)
        return own_losses, {k: v.numpy() for k, v in own.state_dict().items()}, latents

    latents = inference.embed(network, pixels(), image_size=8, device=CPU)
    for own_losses, state, own_latents in together(work):
        np.testing.assert_allclose(own_losses, losses, rtol=1e-4)
        assert state.keys() == network.state_dict().keys()
        for key, value in network.state_dict().items():
            np.testing.assert_allclose(state[key], value, rtol=1e-2, atol=1e-4, err_msg=key)
        np.testing.assert_allclose(own_latents, latents, rtol=1e-2, atol=1e-3)


def test_a_batch_with_fewer_images_than_processes_is_refused() -> None:
    recipe = RECIPES["baseline"].override({"batch_size": 15})  # 15, 15 and 3
    with pytest.raises(InputError) as caught:
        train(pixels(), recipe, seed=0, device=CPU, team=Team(0, 4))
    assert str(caught.value) == (
        "a batch of 3 images cannot be shared by 4 processes; "
        "expected an image for each of them in every batch; "
        "change --batch-size, or start fewer processes"
    )


def test_the_head_is_left_alone_unless_there_are_labels() -> None:
    network = build(RECIPES["hybrid"], 3, seed=0)
    given_images = normal(4, 3, 8, 8)
    assert network(given_images).logits.shape == (4, 2)
    assert network(given_images, labelling=False).logits is None


# -- the command -------------------------------------------------------------------------------

TINY = ["--set", "channels=4,8", "--set", "image_size=8", "--batch-size", "16", "--epochs", "2"]
TINY += ["--set", "label_epochs=2", "--set", "precision=float32", "--optimizer", "adamw"]
TINY += ["--lr", "0.001"]


def torchrun(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """A command as two processes, started as docs/distributed.md says."""
    page = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text("utf-8")
    found = re.search(r"^(torchrun .* aeclust) train images.npy --run shared-run$", page, re.M)
    assert found, "the page has lost its first command"
    start = found[1].replace("torchrun", f"{sys.executable} -m torch.distributed.run").split()
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


def test_other_commands_refuse_several_processes(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    result = cli("cluster")
    assert result.code == 2
    assert result.err == (
        "process 1: error: torchrun: 2 processes were started; expected several for aeclust train "
        "and aeclust embed alone; run this command without torchrun\n"
    )


def test_torchrun_trains_and_embeds_by_the_word_of_one(
    cli: Cli, data: Data, tmp_path: Path
) -> None:
    assert cli("train", data.images, *TINY, "--run", "one").code == 0
    assert cli("embed", "--run", "one").code == 0
    process = torchrun(tmp_path, "train", data.images, *TINY, "--run", "two")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert re.fullmatch(r"two: hybrid, 4 epochs, loss \d\.\d{4}, 5 checkpoints\n", out)
    assert err.count("images, 8 x 8 RGB, uint8") == 1
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-4)
    process = torchrun(tmp_path, "embed", "--run", "two")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == "two/latents.h5: 60 latents of 8 values after epoch 4\n"
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


def test_a_killed_worker_ends_the_job_and_resume_goes_on(
    cli: Cli, data: Data, tmp_path: Path
) -> None:
    longer = [*TINY, "--epochs", "60", "--set", "label_epochs=0"]
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
    found = cli("info", "two")
    assert found.code == 0
    assert "interrupted: continue with aeclust train --run two --resume" in found.out
    assert cli("train", "--resume", "--run", "two").code == 0
    assert cli("train", data.images, *longer, "--run", "one").code == 0
    np.testing.assert_allclose(curve(tmp_path / "two"), curve(tmp_path / "one"), rtol=1e-3)
