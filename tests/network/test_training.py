"""The loop: what a step does, what observers are told, and that stopping leaves no trace."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from aeclust.errors import DivergedError, InputError
from aeclust.network import inference, training
from aeclust.network.batches import epoch_batches, step_draws, to_input
from aeclust.network.losses import Loss, objective
from aeclust.network.model import Autoencoder, Output, build, load_state, state_arrays
from aeclust.network.parallel import Share
from aeclust.network.selflabel import soft_targets
from aeclust.network.training import TERMS, Moment, Snapshot, train
from aeclust.network.views import view
from aeclust.recipe import Recipe, checkpoint_epochs, named

CPU = torch.device("cpu")
N = 20
SIZES = (6, 6, 6, 2)  # of the batches of an epoch

# dtype, shape and content by name
Bytes = dict[str, tuple[str, tuple[int, ...], bytes]]


def pixels(n: int = N, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8, channels), np.uint8)


def tiny(name: str, **changes: object) -> Recipe:
    """A recipe on 8 x 8 pixels: two epochs of four steps for 20 images, and of labels one more."""
    latent = 6 if named(name).latent_size else 0
    fields: dict[str, object] = {"image_size": 8, "channels": (4, 8), "latent_size": latent}
    if named(name).label_epochs:
        fields |= {"label_epochs": 1, "clusterer": "kmeans", "reduction": "sphere,pca:4"}
    return named(name).override(fields | {"batch_size": 6, "epochs": 2} | changes)


RECIPES = {
    "adam": tiny("baseline", lr=1e-3),
    "adamw": tiny("baseline", lr=1e-3, optimizer="adamw", weight_decay=0.1),
    "bound": tiny("vae", lr=1e-3, loss="elbo"),
    "sgd-momentum": tiny("deep", lr=0.01),
    "hybrid": tiny("hybrid"),
    "hybrid-bfloat16": tiny("hybrid", precision="bfloat16"),
    "hybrid-auto-k": tiny("hybrid", k="auto"),
    "plain-labels": tiny("vae", contrast=1, label_epochs=1, k=3, lr=1e-3, reduction="none"),
}
BOTH_PHASES = ("hybrid", "hybrid-bfloat16", "plain-labels")
# a step of each epoch, and their ends
STOPS = [
    (name, after)
    for name in RECIPES
    for after in ((0, 1, 4, 6, 8, 9, 10, 12) if name in BOTH_PHASES else (0, 1, 4, 6, 8))
]


class Stop(Exception):  # noqa: N818 - nothing went wrong
    """What an observer raises to end training."""


def fit(
    recipe: Recipe,
    *,
    data: NDArray[Any] | None = None,
    seed: int = 3,
    resume: Snapshot | None = None,
    observe: Callable[[Moment], None] = lambda moment: None,
) -> Autoencoder:
    images = pixels() if data is None else data
    return train(images, recipe, seed=seed, device=CPU, resume=resume, observe=observe)


def watched(recipe: Recipe, **options: Any) -> list[Moment]:
    """Every moment of a whole run."""
    moments: list[Moment] = []
    fit(recipe, observe=moments.append, **options)
    return moments


@functools.cache
def stopped(recipe: Recipe, after: int) -> Snapshot:
    """The state after so many steps of a run that an observer ends there."""
    return stopped_again(recipe, after)


def stopped_again(recipe: Recipe, after: int, *, resume: Snapshot | None = None) -> Snapshot:
    """The same for a run that goes on from a state."""
    snapshots: list[Snapshot] = []

    def observe(moment: Moment) -> None:
        if 4 * moment.epoch + moment.step == after:
            snapshots.append(moment.snapshot())
            raise Stop

    with pytest.raises(Stop):
        fit(recipe, observe=observe, resume=resume)
    assert len(snapshots) == 1
    return snapshots[0]


def in_bytes(arrays: dict[str, NDArray[Any]]) -> Bytes:
    return {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in arrays.items()}


def weights(network: Autoencoder) -> Bytes:
    return in_bytes(state_arrays(network))


@contextmanager
def recorded_rates() -> Iterator[list[list[float]]]:
    """The learning rates of every step taken meanwhile, but for those that fit the head."""
    rates: list[list[float]] = []

    def note(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if "initial_lr" in optimizer.param_groups[0]:
            rates.append([group["lr"] for group in optimizer.param_groups])

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield rates
    finally:
        handle.remove()


@contextmanager
def recorded_targets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.Tensor | None]]:
    """The targets of every step taken meanwhile."""
    seen: list[torch.Tensor | None] = []

    def noted(
        output: Output,
        images: torch.Tensor,
        recipe: Recipe,
        targets: torch.Tensor | None,
        *,
        share: Share,
    ) -> Loss:
        seen.append(targets)
        return objective(output, images, recipe, targets, share=share)

    with monkeypatch.context() as patch:
        patch.setattr(training, "objective", noted)
        yield seen


def targets_of(snapshot: Snapshot) -> NDArray[np.float32]:
    assert snapshot.targets is not None
    return snapshot.targets


@pytest.fixture(scope="module")
def finished() -> dict[str, Bytes]:
    """The weights of each recipe after a run that never stopped."""
    return {name: weights(fit(recipe)) for name, recipe in RECIPES.items()}


# -- checkpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, [0, 1]),
        (2, [0, 1, 2]),
        (9, list(range(10))),
        (11, list(range(12))),
        (12, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]),
        (100, [0, 9, 18, 27, 36, 45, 55, 64, 73, 82, 91, 100]),
    ],
)
def test_checkpoint_epochs_by_hand(epochs: int, expected: list[int]) -> None:
    assert checkpoint_epochs(tiny("baseline", epochs=epochs)) == expected


@pytest.mark.parametrize(
    ("epochs", "label_epochs", "k", "expected"),
    [
        (12, 4, 2, [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16]),
        (10, 3, 2, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (10, 3, "auto", list(range(11))),
        (1, 1, 2, [0, 1, 2]),
        (100, 10, 9, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]),
        (99, 11, 9, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100, 110]),
    ],
)
def test_the_end_of_the_first_phase_is_a_checkpoint(
    epochs: int, label_epochs: int, k: int | str, expected: list[int]
) -> None:
    recipe = tiny("hybrid", epochs=epochs, label_epochs=label_epochs, k=k)
    assert checkpoint_epochs(recipe) == expected


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(0, 5000), st.sampled_from(["auto", 2, 10]))
def test_checkpoints_of_two_phases_are_those_of_one_and_the_boundary(
    epochs: int, label_epochs: int, k: int | str
) -> None:
    recipe = tiny("hybrid", epochs=epochs, label_epochs=label_epochs, k=k)
    one = checkpoint_epochs(tiny("baseline", epochs=recipe.total_epochs))
    assert checkpoint_epochs(recipe) == sorted({*one, epochs})


@settings(deadline=None)
@given(st.integers(1, 5000))
def test_checkpoints_span_the_run_evenly(epochs: int) -> None:
    kept = checkpoint_epochs(tiny("baseline", epochs=epochs))
    gaps = np.diff(kept)
    assert (kept[0], kept[-1]) == (0, epochs)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1
    assert len(kept) == min(epochs + 1, 12)
    assert len(kept) >= 10 or epochs < 9


# -- what a step does -----------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_one_step_by_hand(optimizer: str, decay: float) -> None:
    recipe = tiny(
        "baseline", optimizer=optimizer, lr=0.1, weight_decay=decay, batch_size=N, epochs=1
    )
    expected = build(recipe, 3, seed=3)
    images = torch.from_numpy(pixels().transpose(0, 3, 1, 2) / 127.5 - 1).float()
    loss = (expected.decode(expected.encode(images)) - images).square().mean()
    parameters = dict(expected.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    network = fit(recipe)
    for (name, before), slope in zip(parameters.items(), gradients, strict=True):
        decayed = slope + decay * before
        # Adam's first step divides the gradient by its own size
        after = {
            "sgd": before - 0.1 * decayed,
            "adam": before - 0.1 * decayed / (decayed.abs() + 1e-8),
            "adamw": before * (1 - 0.1 * decay) - 0.1 * slope / (slope.abs() + 1e-8),
        }[optimizer]
        torch.testing.assert_close(network.get_parameter(name), after, rtol=1e-5, atol=1e-5)


def test_the_contrastive_term_sees_two_views_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[torch.Tensor] = []

    def noted(
        output: Output,
        images: torch.Tensor,
        recipe: Recipe,
        targets: torch.Tensor | None,
        *,
        share: Share,
    ) -> Loss:
        batches.append(images)
        return objective(output, images, recipe, targets, share=share)

    monkeypatch.setattr(training, "objective", noted)
    fit(RECIPES["hybrid"])
    assert [len(batch) for batch in batches] == [2 * size for size in 3 * SIZES]
    for number, batch in enumerate(batches):
        epoch, step = divmod(number, 4)
        rows = epoch_batches(N, 6, seed=3, epoch=epoch)[step]
        images = to_input(pixels()[rows], 8, CPU)
        source = step_draws(CPU, seed=3, epoch=epoch, step=step)
        first, second = view(images, source), view(images, source)
        assert torch.equal(batch, torch.cat([first, second]))
        assert not torch.equal(first, second)


def test_steps_take_their_noise_and_rows_from_seed_epoch_and_step() -> None:
    """Two epochs of the bound, written out plainly."""
    recipe = RECIPES["bound"].override({"optimizer": "sgd", "momentum": 0, "weight_decay": 0})
    network = build(recipe, 3, seed=3)
    for epoch in range(2):
        for step, rows in enumerate(epoch_batches(N, 6, seed=3, epoch=epoch)):
            noise = step_draws(CPU, seed=3, epoch=epoch, step=step)
            images = to_input(pixels()[rows], 8, CPU)
            output = network(images, noise)
            squares = F.mse_loss(output.reconstruction, images, reduction="sum") / 2
            variance = output.log_variance.exp()
            kl = (output.latent**2 + variance - output.log_variance - 1).sum() / 2
            parameters = list(network.parameters())
            gradients = torch.autograd.grad((squares + kl) / len(rows), parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(recipe.lr * gradient)
    trained = fit(recipe).state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-6)


def check_one_cycle(rates: list[float], lr: float) -> None:
    """Of 40 steps."""
    assert len(rates) == 40
    peak = rates.index(max(rates))
    assert peak == 8, "a fifth of all steps"
    assert rates[0] == pytest.approx(0.04 * lr)
    assert rates[4] == pytest.approx(0.52 * lr)
    assert rates[peak] == pytest.approx(lr, rel=1e-12)
    assert rates[24] == pytest.approx(lr / 2), "half of the fall"
    assert 0 < rates[-1] < 0.005 * lr
    steps = np.diff(rates)
    assert (steps[:peak] > 0).all()
    assert (steps[peak:] < 0).all()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_cycle_rises_to_the_rate_and_falls_to_nothing(optimizer: str) -> None:
    """Then again to a third of it, for self-labelling."""
    recipe = tiny("hybrid", lr=0.002, epochs=10, label_epochs=10, optimizer=optimizer)
    with recorded_rates() as rates:
        fit(recipe)
    assert len(rates) == 80
    check_one_cycle([step[0] for step in rates[:40]], 0.002)
    check_one_cycle([step[0] for step in rates[40:]], 0.002 / 3)
    others = [step[1:] for step in rates]
    expected = [[step[0] / 50] for step in rates] if optimizer == "muon" else [[]] * 80
    assert others == [pytest.approx(rate) for rate in expected]


def test_one_cycle_knows_no_second_phase_without_k() -> None:
    with recorded_rates() as rates:
        fit(tiny("hybrid", lr=0.002, epochs=10, label_epochs=10, k="auto"))
    check_one_cycle([step[0] for step in rates], 0.002)


def test_a_constant_rate_is_constant() -> None:
    with recorded_rates() as rates:
        fit(RECIPES["adam"])
    assert rates == [[1e-3]] * 8


def test_a_constant_rate_is_a_third_of_it_for_self_labelling() -> None:
    """As the documentation of training says of every recipe."""
    with recorded_rates() as rates:
        fit(RECIPES["plain-labels"])
    assert rates == [[1e-3]] * 8 + [[pytest.approx(1e-3 / 3)]] * 4


@pytest.mark.parametrize("after", [5, 8, 10])
def test_the_schedule_goes_on_where_it_stopped(after: int) -> None:
    with recorded_rates() as whole:
        fit(RECIPES["hybrid"])
    snapshot = stopped(RECIPES["hybrid"], after)
    with recorded_rates() as rest:
        fit(RECIPES["hybrid"], resume=snapshot)
    assert len(whole) == 12
    assert rest == whole[after:]


@pytest.mark.parametrize(
    ("bf16", "amx", "expected"),
    [
        (False, False, "float32"),
        (True, False, "bfloat16"),
        (False, True, "bfloat16"),
        (True, True, "bfloat16"),
    ],
)
def test_automatic_precision_asks_the_processor(
    bf16: bool, amx: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    auto, float32, bfloat16 = (
        weights(fit(tiny("hybrid", label_epochs=0, epochs=1, precision=precision)))
        for precision in ("auto", "float32", "bfloat16")
    )
    assert float32 != bfloat16
    assert auto == {"float32": float32, "bfloat16": bfloat16}[expected]


@pytest.mark.parametrize(("name", "lr"), [("baseline", 0.01), ("deep", 0.1), ("hybrid", 0.15)])
def test_the_loss_falls_on_an_easy_set(name: str, lr: float) -> None:
    """Two plain colours."""
    plain = np.repeat(np.array([[20, 60, 200], [230, 180, 40]], np.uint8), N // 2, axis=0)
    easy = np.broadcast_to(plain[:, None, None], (N, 8, 8, 3))
    recipe = tiny(name, lr=lr, epochs=15, label_epochs=0)
    losses = [m.metrics["reconstruction"] for m in watched(recipe, data=easy) if m.metrics]
    assert len(losses) == 15
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("name", RECIPES)
def test_training_moves_every_matrix_and_keeps_all_finite(name: str) -> None:
    """A convolution's bias before a normalisation has no gradient and may stay."""
    recipe = RECIPES[name]
    network, untrained = fit(recipe), build(recipe, 3, seed=3)
    assert not network.training
    for key, value in network.named_parameters():
        assert bool(value.isfinite().all()), key
        assert value.dtype == torch.float32
        assert value.ndim == 1 or not torch.equal(value, untrained.get_parameter(key)), key


def test_grey_images_train_as_well() -> None:
    network = fit(RECIPES["hybrid"], data=pixels(channels=1))
    assert network.image_channels == 1
    assert network.encode(torch.zeros(2, 1, 8, 8)).shape == (2, 8)


def test_few_images_are_trained_on_in_smaller_batches() -> None:
    """Of 32 or more, to make the steps that the recipe asks for."""
    recipe = tiny("baseline", batch_size=64, steps=2, epochs=1)
    assert [m.images for m in watched(recipe, data=pixels(80))] == [0, 40, 40]
    assert [m.images for m in watched(recipe, data=pixels(50))] == [0, 32, 18]
    assert [m.steps for m in watched(recipe, data=pixels(80))] == [2, 2, 2]
    explicit = recipe.override({"batch_size": 40, "steps": 0})
    assert weights(fit(recipe, data=pixels(80))) == weights(fit(explicit, data=pixels(80)))


def test_larger_images_are_resized() -> None:
    """Enlarging by repeating rows and columns is undone by resizing, but for rounding."""
    small = pixels()
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    shrunk = to_input(large, 8, CPU)
    data = np.asarray((shrunk.permute(0, 2, 3, 1).numpy() + 1) / 2)
    for key, value in fit(RECIPES["adam"], data=large).named_parameters():
        other = fit(RECIPES["adam"], data=data).get_parameter(key)
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-4)


# -- the second phase -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH_PHASES)
def test_the_second_phase_learns_the_clusters_of_the_first_ones_latents(name: str) -> None:
    recipe = RECIPES[name]
    boundary = stopped(recipe, 8)
    assert boundary.targets is None
    network = build(recipe, 3, seed=3)
    load_state(network, boundary.weights, where="boundary")
    latents = inference.embed(network, pixels(), image_size=8, device=CPU)
    expected = soft_targets(latents, recipe, seed=3)
    assert expected.shape == (N, recipe.k)
    for after in (9, 12):
        np.testing.assert_array_equal(targets_of(stopped(recipe, after)), expected)


@pytest.mark.parametrize("name", ["hybrid", "plain-labels"])
def test_every_step_of_the_second_phase_has_its_rows_of_the_targets(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES[name].override({"label_epochs": 2})
    with recorded_targets(monkeypatch) as seen:
        snapshot = stopped(recipe, 16)
    assert seen[:8] == [None] * 8
    assert len(seen) == 16
    for number, wanted in enumerate(seen[8:], start=8):
        epoch, step = divmod(number, 4)
        rows = epoch_batches(N, 6, seed=3, epoch=epoch)[step]
        assert wanted is not None
        np.testing.assert_array_equal(wanted.numpy(), targets_of(snapshot)[rows])


def test_the_first_phase_knows_no_k() -> None:
    """And leaves the head as it was built."""
    two, five, auto, none = (
        stopped(tiny("hybrid", **fields), 8).weights
        for fields in ({"k": 2}, {"k": 5}, {"k": "auto"}, {"label_epochs": 0})
    )
    head = {"head.weight", "head.bias"}
    fresh = state_arrays(build(tiny("hybrid"), 3, seed=3))
    assert in_bytes({n: two[n] for n in head}) == in_bytes({n: fresh[n] for n in head})
    bare = in_bytes({n: v for n, v in two.items() if n not in head})
    assert in_bytes({n: v for n, v in five.items() if n not in head}) == bare
    assert in_bytes(auto) == bare
    assert in_bytes(none) == bare


def test_without_k_there_is_no_second_phase() -> None:
    recipe = RECIPES["hybrid-auto-k"].override({"label_epochs": 7})
    moments = watched(recipe)
    assert (moments[-1].epoch, moments[-1].step) == (2, 0)
    assert moments[-1].snapshot().targets is None
    assert [m.metrics["labels"] for m in moments if m.metrics] == [0, 0]
    network = fit(recipe)
    assert network.head is None
    assert weights(network) == in_bytes(stopped(recipe, 8).weights)


def test_labels_cost_nothing_before_the_second_phase_and_fall_within_it() -> None:
    kinds = np.random.default_rng(1).permutation(np.arange(N) % 2)
    plain = np.array([[20, 60, 200], [230, 180, 40]])[kinds][:, None, None]
    noise = np.random.default_rng(0).integers(-20, 21, (N, 8, 8, 3))
    data = (plain + noise).astype(np.uint8)
    recipe = tiny("hybrid", label_epochs=6)
    labels = [m.metrics["labels"] for m in watched(recipe, data=data) if m.metrics]
    assert labels[:2] == [0, 0]
    # even chances would cost log 2
    assert labels[-1] < labels[2] < math.log(2)
    network = fit(recipe, data=data)
    latents = inference.embed(network, data, image_size=8, device=CPU)
    found = inference.assign(network, latents, device=CPU).argmax(1)
    assert max((found == kinds).mean(), (found != kinds).mean()) == 1


def test_the_optimiser_counts_the_heads_steps_from_its_first() -> None:
    snapshot = stopped(RECIPES["hybrid"], 10)
    parameters = dict(build(RECIPES["hybrid"], 3, seed=0).named_parameters())
    assert list(parameters)[-2:] == ["head.weight", "head.bias"]
    last = len(parameters) - 1
    assert snapshot.optimizer[f"{last}/exp_avg"].shape == (2,)
    assert snapshot.optimizer[f"{last}/step"].item() == 2
    assert snapshot.optimizer[f"{last - 2}/step"].item() == 10
    assert f"{last}/step" not in stopped(RECIPES["hybrid"], 8).optimizer


# -- equal runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_equal_runs_give_equal_bytes(name: str, finished: dict[str, Bytes]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # must not count
        before = torch.get_rng_state()
        assert weights(fit(RECIPES[name])) == finished[name]
        assert torch.equal(torch.get_rng_state(), before), "nor be used up"


def test_another_seed_gives_other_weights(
    finished: dict[str, Bytes],
) -> None:
    other = weights(fit(RECIPES["adam"], seed=4))
    assert all(other[name] != value for name, value in finished["adam"].items())


@pytest.mark.parametrize(("name", "after"), STOPS)
def test_a_run_that_stopped_ends_with_the_same_weights(
    name: str,
    after: int,
    finished: dict[str, Bytes],
) -> None:
    snapshot = stopped(RECIPES[name], after)
    assert (snapshot.epoch, snapshot.step) == divmod(after, 4)
    assert weights(fit(RECIPES[name], resume=snapshot)) == finished[name]


def test_a_run_may_stop_again_and_again(
    finished: dict[str, Bytes],
) -> None:
    snapshot = None
    for after in range(1, 13):
        snapshot = stopped_again(RECIPES["hybrid"], after, resume=snapshot)
    assert snapshot is not None
    assert in_bytes(snapshot.weights) == finished["hybrid"]


def test_watching_changes_nothing(
    finished: dict[str, Bytes],
) -> None:
    def spoil(moment: Moment) -> None:
        snapshot = moment.snapshot()
        for array in (*snapshot.weights.values(), *snapshot.optimizer.values()):
            array[...] = 77

    assert weights(fit(RECIPES["hybrid"], observe=spoil)) == finished["hybrid"]


def test_neither_do_the_targets_follow_a_snapshot(finished: dict[str, Bytes]) -> None:
    def spoil(moment: Moment) -> None:
        snapshot = moment.snapshot()
        if snapshot.targets is not None:
            snapshot.targets[...] = 0

    assert weights(fit(RECIPES["hybrid"], observe=spoil)) == finished["hybrid"]


def test_a_snapshot_does_not_follow_the_run() -> None:
    kept: list[tuple[Snapshot, Any, Any]] = []

    def observe(moment: Moment) -> None:
        snapshot = moment.snapshot()
        kept.append((snapshot, in_bytes(snapshot.weights), in_bytes(snapshot.optimizer)))

    fit(RECIPES["sgd-momentum"], observe=observe)
    assert len(kept) == 9
    for snapshot, then, optimizer_then in kept:
        assert in_bytes(snapshot.weights) == then
        assert in_bytes(snapshot.optimizer) == optimizer_then
    assert kept[0][1] == weights(build(RECIPES["sgd-momentum"], 3, seed=3))
    assert len({value["decoder.0.weight"] for _, value, _ in kept}) == 9


@pytest.mark.parametrize(
    ("name", "state"),
    [("adam", {"step", "exp_avg", "exp_avg_sq"}), ("sgd-momentum", {"momentum_buffer"})],
)
def test_a_snapshot_holds_the_optimisers_state(name: str, state: set[str]) -> None:
    assert stopped(RECIPES[name], 0).optimizer == {}
    snapshot = stopped(RECIPES[name], 3)
    parameters = list(build(RECIPES[name], 3, seed=0).parameters())
    trained = {number for number, _ in enumerate(parameters)}
    assert set(snapshot.optimizer) == {f"{number}/{key}" for number in trained for key in state}
    if name == "adam":
        assert snapshot.optimizer["0/step"].item() == 3
    for number, parameter in enumerate(parameters):
        key = "exp_avg" if name == "adam" else "momentum_buffer"
        assert snapshot.optimizer[f"{number}/{key}"].shape == tuple(parameter.shape)


def test_a_snapshot_of_another_network_is_refused() -> None:
    snapshot = dataclasses.replace(stopped(RECIPES["adam"], 2), optimizer={})
    with pytest.raises(InputError, match=r"^resume: the weights do not fit the network: missing "):
        fit(RECIPES["hybrid"], resume=snapshot)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epoch": 3}, "epoch 3, step 2"),
        ({"epoch": -1}, "epoch -1, step 2"),
        ({"step": 4}, "epoch 0, step 4"),
        ({"totals": (1.0,) * 6}, "6 sums instead of 5"),
        ({"optimizer": {"0/exp_avg": np.zeros(3)}}, "optimizer state '0/exp_avg' of shape (3,)"),
        ({"optimizer": {"0/step": np.array(1.0)}}, "optimizer state '0/step' of shape ()"),
        ({"optimizer": {"99/step": np.array(1.0)}}, "optimizer state '99/step' of shape ()"),
        ({"optimizer": {"first": np.zeros(3)}}, "optimizer state 'first' of shape (3,)"),
        ({"targets": np.zeros((N, 2), np.float32)}, "targets of shape (20, 2)"),
    ],
)
def test_a_snapshot_that_no_run_saved_is_refused(changes: dict[str, Any], told: str) -> None:
    snapshot = dataclasses.replace(stopped(RECIPES["adam"], 2), **changes)
    with pytest.raises(InputError) as error:
        fit(RECIPES["adam"], resume=snapshot)
    assert str(error.value) == (
        f"resume: the state to resume does not fit this run: {told};"
        " expected the state that this run saved; restore it, or train again with --force"
    )


WRONG = {
    "none": None,
    "of another k": np.full((N, 3), 1 / 3, np.float32),
    "of other images": np.full((N - 1, 2), 0.5, np.float32),
    "of one cluster": np.ones(N, np.float32),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("after", [4, 8, 9, 12, 13])
def test_targets_that_no_run_saved_are_refused(after: int, wrong: str) -> None:
    """Before the second phase, at the boundary, and in its first epoch and its second."""
    recipe = tiny("hybrid", label_epochs=2)
    targets = WRONG[wrong]
    if targets is None and after <= 8:
        targets = np.zeros((0, 2), np.float32)
    snapshot = dataclasses.replace(stopped(recipe, after), targets=targets)
    with pytest.raises(InputError) as error:
        fit(recipe, resume=snapshot)
    shape = None if targets is None else targets.shape
    assert str(error.value) == (
        f"resume: the state to resume does not fit this run: targets of shape {shape};"
        " expected the state that this run saved; restore it, or train again with --force"
    )


def test_targets_have_no_place_in_a_run_without_self_labelling() -> None:
    recipe = RECIPES["hybrid-auto-k"]
    targets = np.full((N, 2), 0.5, np.float32)
    snapshot = dataclasses.replace(stopped(recipe, 8), targets=targets)
    with pytest.raises(InputError, match=r"targets of shape \(20, 2\); expected the state that"):
        fit(recipe, resume=snapshot)


# -- what observers are told ----------------------------------------------------------------------


def test_moments_count_epochs_and_steps() -> None:
    moments = watched(RECIPES["adam"])
    places = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]
    assert [(m.epoch, m.step) for m in moments] == places
    assert {m.steps for m in moments} == {4}
    assert [m.images for m in moments] == [0, *SIZES, *SIZES]
    assert math.isnan(moments[0].loss)
    assert all(math.isfinite(m.loss) for m in moments[1:])
    assert [number for number, m in enumerate(moments) if m.metrics] == [4, 8]
    assert list(moments[4].metrics) == [*TERMS, "seconds", "images_per_second"]


def test_moments_of_both_phases_count_on() -> None:
    moments = watched(RECIPES["hybrid"])
    places = [divmod(number, 4) for number in range(13)]
    assert [(m.epoch, m.step) for m in moments] == places
    assert [number for number, m in enumerate(moments) if m.metrics] == [4, 8, 12]


def test_a_resumed_run_tells_only_what_it_does() -> None:
    moments = watched(RECIPES["adam"], resume=stopped(RECIPES["adam"], 6))
    assert [(m.epoch, m.step) for m in moments] == [(1, 3), (2, 0)]
    done = moments[-1].metrics["seconds"] * moments[-1].metrics["images_per_second"]
    assert done == pytest.approx(6 + 2), "the images of the two steps left"
    assert watched(RECIPES["adam"], resume=stopped(RECIPES["adam"], 8)) == []


def test_metrics_of_a_network_that_stands_still() -> None:
    """With steps too small to move a weight, the means are those of one pass over everything."""
    recipe = tiny("baseline", lr=1e-30, weight_decay=0)
    metrics = watched(recipe)[-1].metrics
    network = build(recipe, 3, seed=3).eval()
    images = torch.from_numpy(pixels().transpose(0, 3, 1, 2) / 127.5 - 1).float()
    with torch.no_grad():
        expected = (network(images).reconstruction - images).square().mean().item()
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert metrics["reconstruction"] == metrics["loss"]
    assert (metrics["kl"], metrics["contrast"], metrics["labels"]) == (0, 0, 0)
    assert metrics["seconds"] > 0
    assert metrics["seconds"] * metrics["images_per_second"] == pytest.approx(N)


@pytest.mark.parametrize("name", RECIPES)
def test_metrics_are_means_over_the_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[Loss] = []

    def noted(
        output: Output,
        images: torch.Tensor,
        recipe: Recipe,
        targets: torch.Tensor | None,
        *,
        share: Share,
    ) -> Loss:
        losses.append(objective(output, images, recipe, targets, share=share))
        return losses[-1]

    monkeypatch.setattr(training, "objective", noted)
    moments = watched(RECIPES[name])
    assert [m.loss for m in moments[1:]] == [loss.total.item() for loss in losses]
    for epoch, moment in enumerate(m for m in moments if m.metrics):
        batches = losses[4 * epoch : 4 * epoch + 4]
        fields = ("total", "reconstruction", "kl", "contrast", "labels")
        for term, field in zip(TERMS, fields, strict=True):
            values = [getattr(loss, field).item() for loss in batches]
            mean = sum(s * v for s, v in zip(SIZES, values, strict=True)) / N
            assert moment.metrics[term] == pytest.approx(mean, rel=1e-6, abs=1e-12), term


@pytest.mark.parametrize("after", [2, 6, 8, 10])
def test_metrics_of_an_interrupted_epoch_are_those_of_the_whole(after: int) -> None:
    recipe = RECIPES["hybrid"]
    whole = watched(recipe)[-1].metrics
    resumed = watched(recipe, resume=stopped(recipe, after))[-1].metrics
    assert [resumed[term] for term in TERMS] == [whole[term] for term in TERMS]


@pytest.mark.parametrize("after", [0, 1, 4, 8])
def test_what_an_observer_raises_ends_training(after: int) -> None:
    seen: list[Moment] = []
    wish = KeyError("enough")

    def observe(moment: Moment) -> None:
        seen.append(moment)
        if len(seen) == after + 1:
            raise wish

    with pytest.raises(KeyError) as caught:
        fit(RECIPES["adam"], observe=observe)
    assert caught.value is wish
    assert len(seen) == after + 1


# -- what goes wrong ------------------------------------------------------------------------------

LOWER = "lower the learning rate (1e+30) with --lr; earlier checkpoints are kept"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_a_loss_that_leaves_the_numbers_ends_training(optimizer: str) -> None:
    moments: list[Moment] = []
    recipe = tiny("baseline", optimizer=optimizer, batch_norm=optimizer == "muon", lr=1e30)
    with pytest.raises(DivergedError) as caught:
        fit(recipe, observe=moments.append)
    told = "training diverged: the loss is not finite in epoch 1, step 2; "
    assert str(caught.value) == told + LOWER
    assert caught.value.exit_code == 3
    assert [(m.epoch, m.step) for m in moments] == [(0, 0), (0, 1)]


def copying(moment: Moment) -> None:
    moment.snapshot()


@pytest.mark.parametrize(
    ("batch_size", "observe"),
    [(10, copying), (N, copying), (N, lambda moment: None)],
    ids=["amid an epoch", "at its end", "at the end of the run"],
)
def test_a_weight_that_leaves_the_numbers_is_neither_saved_nor_returned(
    batch_size: int, observe: Callable[[Moment], None]
) -> None:
    recipe = tiny(
        "baseline",
        optimizer="sgd",
        lr=1e30,
        reconstruction=1e20,
        batch_size=batch_size,
        epochs=1,
    )
    with pytest.raises(DivergedError) as caught:
        fit(recipe, observe=observe)
    told = "training diverged: a weight is not finite in epoch 1, step 1; "
    assert str(caught.value) == told + LOWER
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "recipe",
    [
        tiny("deep"),
        tiny("hybrid"),
        tiny("hybrid", contrast=0, label_epochs=0, batch_norm=False),
        tiny("baseline", contrast=1),
    ],
    ids=["batch-norm", "hybrid", "residual", "contrast"],
)
def test_one_image_is_too_few_where_batches_are_compared(recipe: Recipe) -> None:
    with pytest.raises(InputError) as caught:
        fit(recipe, data=pixels(1))
    assert str(caught.value) == (
        "1 image to train on; expected 2 or more, because this recipe normalises or compares "
        "batches; add images or use --recipe baseline"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("name", "n"), [("baseline", 1), ("vae", 1), ("deep", 2), ("hybrid", 2)])
def test_the_fewest_images_that_train(name: str, n: int) -> None:
    recipe = tiny(name, lr=1e-3, clusterer="consensus")
    moments = watched(recipe, data=pixels(n))
    assert [(m.epoch, m.step) for m in moments] == [
        (epoch, 0) for epoch in range(recipe.total_epochs + 1)
    ]
    assert math.isfinite(moments[-1].metrics["loss"])
