"""On a GPU that is not there: the same numbers as on the CPU, and nothing read back on the way."""

from __future__ import annotations

import functools
import importlib
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from elsewhere import MPS_LACKS, Elsewhere, Far, Graph, Stream, gpu, recording
from numpy.typing import NDArray
from support import noise_images, normal, refused, tiny
from torch import Tensor
from torch.nn import functional as F

from aeclust import AutoencoderClusterer
from aeclust.errors import DeviceMemoryError
from aeclust.network import feed, inference, replay, training
from aeclust.network.feed import Feed
from aeclust.network.model import Autoencoder, build, state_arrays
from aeclust.network.pace import Paces
from aeclust.network.parallel import Team
from aeclust.network.training import Moment, Snapshot, train
from aeclust.network.views import sampled
from aeclust.recipe import Recipe
from aeclust.recipe.budget import Pace, affordable

CPU = torch.device("cpu")
N, K = 18, 2
STEPS = 3  # of an epoch: 8, 8 and 2 images


def recipe_of(name: str, /, **changes: object) -> Recipe:
    fields: dict[str, object] = {"batch_size": 8, "epochs": 2, "precision": "float32"}
    if name == "hybrid":
        fields |= {"label_epochs": 2, "k": K, "clusterer": "kmeans", "extra_layers": 1}
        fields["reduction"] = "sphere,pca:4"
    return tiny(name, **fields | changes)


RECIPES = {
    "hybrid": recipe_of("hybrid"),
    "bfloat16": recipe_of("hybrid", precision="bfloat16"),
    "adam, with a bound": recipe_of("vae", lr=1e-3, loss="elbo"),
    "sgd, normalised": recipe_of("deep", lr=0.01, momentum=0.9),
    "frozen": recipe_of(
        "pretrained", encoder="a.onnx", latent_size=5, drawn_size=8, label_epochs=0
    ),
}
pixels = functools.partial(noise_images, N)


def fit(recipe: Recipe, device: torch.device = CPU, **options: Any) -> Autoencoder:
    features = None
    if recipe.network == "frozen":
        features = np.random.default_rng(0).standard_normal((N, recipe.latent_size), np.float32)
    return train(pixels(), recipe, seed=3, device=device, features=features, **options)


@functools.cache
def trained(name: str) -> dict[str, NDArray[Any]]:
    return state_arrays(fit(RECIPES[name]))


def check_equal(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


# -- the device itself ----------------------------------------------------------------------------


def test_the_device_refuses_what_a_gpu_refuses_and_counts_what_crosses() -> None:
    with Elsewhere("mps", MPS_LACKS) as mode:
        there, here = torch.ones(3, device=mode.device), torch.ones(3)
        assert (there.device.type, here.device.type) == ("mps", "cpu")
        with pytest.raises(AssertionError, match=r"aten.add.Tensor takes tensors of the CPU and"):
            there + here
        with pytest.raises(AssertionError, match=r"makes torch.float64, which mps:0 lacks"):
            there.double()
        assert (mode.reads, mode.sent) == ([], [])
        total = there + here.to(mode.device)
        assert (mode.reads, len(mode.sent)) == ([], 1)
        assert total.sum().item() == 6
        assert there.cpu().tolist() == [1, 1, 1]
        assert len(mode.reads) == 2
    assert torch.ones(3).device.type == "cpu"


# -- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [("cuda", name) for name in RECIPES if name != "bfloat16"]
    + [("mps", "hybrid"), ("mps", "frozen")],
)
def test_training_elsewhere_gives_the_same_weights(kind: str, name: str) -> None:
    with gpu(kind) as mode:
        network = fit(RECIPES[name], mode.device)
        assert all(isinstance(value, Far) for value in network.state_dict().values())
        check_equal(state_arrays(network), trained(name))


@pytest.mark.parametrize("name", ["hybrid", "bfloat16", "frozen"])
def test_a_step_reads_nothing_back_and_sends_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are read at the end of an epoch, and clusters looked for between the phases."""
    crossed: list[tuple[int, int]] = []
    seen: list[tuple[int, int]] = []

    def counted(step: Callable[..., Tensor], *_: object) -> Callable[..., Tensor]:
        def work(*batch: Tensor) -> Tensor:
            before = len(mode.reads), len(mode.sent)
            terms = step(*batch)
            crossed.append((len(mode.reads) - before[0], len(mode.sent) - before[1]))
            return terms

        return work

    monkeypatch.setattr(training, "_UNREAD", math.inf)
    with gpu("cuda", replayed=counted) as mode:
        if RECIPES[name].optimizer != "muon":  # whose steps could not be recorded
            monkeypatch.setattr(training, "Muon", torch.optim.Optimizer)
        fit(
            RECIPES[name],
            mode.device,
            observe=lambda moment: seen.append((moment.step, len(mode.reads))),
        )
    epochs = RECIPES[name].total_epochs
    assert crossed == [(0, 0)] * STEPS * epochs
    reads = [after - before for (_, before), (_, after) in itertools.pairwise(seen)]
    for epoch in range(epochs):
        first, *others, last = reads[STEPS * epoch : STEPS * (epoch + 1)]
        assert (others, last) == ([0] * (STEPS - 2), 1)
        assert (first > 0) == (epoch == RECIPES[name].epochs), "where clusters are looked for"


@pytest.mark.parametrize("after", [2, 7])
def test_a_run_resumed_elsewhere_ends_with_the_same_weights(after: int) -> None:
    """In either phase; the state is that of a run there, and lies in memory."""

    class Stop(Exception):  # noqa: N818 - nothing went wrong
        pass

    states: list[Snapshot] = []

    def observe(moment: Moment) -> None:
        if STEPS * moment.epoch + moment.step == after:
            states.append(moment.snapshot())
            raise Stop

    with gpu("cuda") as mode:
        with pytest.raises(Stop):
            fit(RECIPES["hybrid"], mode.device, observe=observe)
        assert not any(isinstance(x, Far) for x in states[0].optimizer.values())
        check_equal(
            state_arrays(fit(RECIPES["hybrid"], mode.device, resume=states[0])), trained("hybrid")
        )


def test_mps_takes_the_border_too_though_it_knows_none() -> None:
    """Places within the image, on its edge and beyond it, to both sides."""
    values = normal(2, 3, 5, 7)
    grid = normal(2, 9, 6, 2, seed=1)
    grid[0, 0] = torch.tensor([[1, 1], [-1, 1], [4, 0], [0, -4], [1 - 1 / 7, 0.8], [0.3, -0.2]])
    assert (grid.abs() > 1).any()
    expected = F.grid_sample(values, grid, padding_mode="border", align_corners=False)
    modes: list[str] = []

    def note(*arguments: Any, padding_mode: str, align_corners: bool) -> Tensor:
        modes.append(padding_mode)
        options: dict[str, Any] = {"padding_mode": padding_mode, "align_corners": align_corners}
        return torch.nn.functional.grid_sample(*arguments, **options)

    with gpu("mps") as mode, pytest.MonkeyPatch.context() as patch:
        there = [x.to(mode.device) for x in (values, grid)]
        patch.setattr("aeclust.network.views.F", SimpleNamespace(grid_sample=note))
        found = sampled(*there).cpu()
    assert modes == ["zeros"]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


# -- what a step learns from ----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "room"), [("cuda", 2**30), ("cuda", 0), ("mps", 0)])
def test_batches_are_the_rows_wherever_the_images_lie(kind: str, room: int) -> None:
    images, floats = pixels(), np.linspace(0, 1, 2 * N).reshape(N, 2)
    rows = [np.array([3, 1, 3]), np.array([17]), np.array([0, 2, 4, 6]), np.array([5, 7])]
    with gpu(kind, room=room) as mode:
        given = Feed([images, None], mode.device)
        given.add(floats)
        assert given.resident == (room > 0)
        batches = list(given.batches(rows))
        for here, (some, nothing, other) in zip(rows, batches, strict=True):
            assert isinstance(some, Far)
            assert isinstance(other, Far)
            assert nothing is None
            assert (some.dtype, other.dtype) == (torch.uint8, torch.float32)
            np.testing.assert_array_equal(some.cpu().numpy(), images[here])
            np.testing.assert_array_equal(other.cpu().numpy(), floats[here].astype(np.float32))
        assert list(given.batches([])) == []
        if (kind, room) == ("cuda", 0):
            # no more than two batches are on their way, each on a stream of its own
            assert [line for line in Stream.log if "program" in line] == [
                "the program waits for another"
            ] * 2
            assert Stream.log.count("the first waits for another") == 4


def test_training_on_images_that_do_not_fit_gives_the_same_weights() -> None:
    with gpu("cuda", room=0) as mode:
        check_equal(state_arrays(fit(RECIPES["hybrid"], mode.device)), trained("hybrid"))


def test_half_of_a_gpus_free_memory_is_room_for_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000, 80_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1_000)
    assert feed.room(torch.device("cuda", 1)) == 6_000, "2,000 bytes lie ready"
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 9_000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 1_000)
    assert feed.room(torch.device("mps")) == 4_000
    assert feed.room(CPU) == 0, "which takes them from where they are"
    assert not Feed([pixels()], CPU).resident


# -- recorded steps -------------------------------------------------------------------------------


def test_recorded_steps_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "WARM_UP", 1)
    with gpu("cuda", replayed=replay.Replayed) as mode:
        network = fit(RECIPES["hybrid"], mode.device)
        check_equal(state_arrays(network), trained("hybrid"))
        # of each phase whole batches, and the last ones: the first of a kind is done as it is
        assert [graph.replays for graph in Graph.made] == [3, 1, 3, 1]
        assert len({id(source) for graph in Graph.made for source in graph.sources}) == 1
        assert Stream.log == ["another waits for the first", "the first waits for another"] * 4
    assert all(value.grad is None for value in network.parameters()), "they share memory"


def test_a_gpu_that_records_nothing_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it fails there: at the end, with the stream changed and the sources out of order."""
    lines: list[str] = []
    restored: list[Any] = []

    @contextmanager
    def refusing(graph: Graph, stream: Stream, **_: object) -> Iterator[None]:
        Stream.current = stream
        with recording(graph, "pool", stream, "thread_local"):
            yield
        Stream.current = stream
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    monkeypatch.setattr(replay, "WARM_UP", 1)
    with gpu("cuda", replayed=replay.Replayed) as mode:
        monkeypatch.setattr(torch.cuda, "graph", refusing)
        monkeypatch.setattr(torch.cuda, "set_stream", lambda s: setattr(Stream, "current", s))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        usual = torch.Generator(mode.device)
        monkeypatch.setattr(torch.cuda, "default_generators", (usual,), raising=False)
        monkeypatch.setattr(torch.Generator, "graphsafe_get_state", lambda g: g, raising=False)
        for kind in (type(usual), torch.Generator):
            monkeypatch.setattr(
                kind, "graphsafe_set_state", lambda g, other: restored.append(g), raising=False
            )
        network = fit(RECIPES["hybrid"], mode.device, log=lines.append)
        check_equal(state_arrays(network), trained("hybrid"))
        assert Stream.current.name == "the first"
    assert len(restored) == 2
    assert restored[1] is usual
    reason = "operation not permitted when stream is capturing"
    assert lines == [f"the GPU records no steps ({reason}), so training is slower"]


# -- a GPU that is too small ----------------------------------------------------------------------


def test_a_gpu_without_room_is_said_in_one_line_and_no_time_is_enough_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        text = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
        raise torch.OutOfMemoryError(text)

    with gpu("cuda") as mode:
        network = build(RECIPES["hybrid"], 3, seed=0).to(mode.device)
        monkeypatch.setattr(Autoencoder, "_codes", full)
        with refused(
            DeviceMemoryError,
            what="the GPU has too little memory: CUDA out of memory",
            where="`device`",
            mend="lower `batch_size`, end what else uses the GPU, or use `device` cpu",
        ):
            inference.embed(network, pixels())
        paces = Paces(pixels(), seed=0, seconds=1, team=Team(device=mode.device))
        assert paces(RECIPES["hybrid"]) == Pace(math.inf)
        with refused(
            DeviceMemoryError, what="not even the smallest network fits into the memory of the GPU"
        ):
            affordable(RECIPES["hybrid"], N, lambda: 60.0, paces)
    assert torch.is_grad_enabled()


# -- a trained network at work --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_network_elsewhere_gives_the_same_latents_and_pictures(kind: str) -> None:
    recipe = recipe_of("hybrid")

    def work(device: torch.device) -> list[NDArray[Any]]:
        network = build(recipe, 3, seed=0).to(device)
        latents = inference.embed(network, pixels())
        views = inference.embed_views(network, pixels(), seed=1)
        parts = inference.reconstruct(network, pixels())
        drawn = inference.decode(network, latents, size=(12, 20))
        error = inference.mean_squared_error(network, pixels(), latents)
        shares = inference.assign(network, latents)
        return [latents, views, *parts, drawn, np.array(error), shares]

    expected = work(CPU)
    with gpu(kind) as mode:
        for one, other in zip(work(mode.device), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_gpu_takes_more_images_at_a_time() -> None:
    network = build(recipe_of("hybrid"), 3, seed=0)
    assert inference.at_once(network) == inference.BATCH == 256
    for side, expected in ((32, 2048), (64, 512), (192, 256)):
        with gpu("cuda") as mode:
            there = build(recipe_of("hybrid", image_size=side), 3, seed=0).to(mode.device)
            assert inference.at_once(there) == expected


def test_the_estimator_elsewhere_gives_the_same_clusters() -> None:
    settings = recipe_of("hybrid").to_json()
    changed = {n: settings[n] for n in ("channels", "image_size", "batch_size", "precision")}
    changed |= {"steps": 0, "reduction": [], "clusterer": "kmeans"}

    def clustered(device: torch.device) -> tuple[NDArray[Any], NDArray[Any]]:
        model = AutoencoderClusterer(K, settings=changed, epochs=2, random_state=0, device=device)
        labels = model.fit_predict(pixels())
        return labels, model.transform(pixels())

    labels, latents = clustered(CPU)
    with gpu("cuda") as mode:
        others, elsewhere_latents = clustered(mode.device)
    np.testing.assert_array_equal(others, labels)
    np.testing.assert_array_equal(elsewhere_latents, latents)


def test_the_benchmark_of_gpus_says_that_none_is_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    importlib.import_module("gpu").main()
    assert capsys.readouterr().out.startswith("no GPU is here, so nothing was measured")
