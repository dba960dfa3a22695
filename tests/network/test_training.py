"""The loop: what a step does, what observers get, and that stopping leaves no trace."""

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
from numpy.typing import NDArray
from support import noise_images, refused
from support import tiny as smallest
from torch.nn import functional as F

from aeclust.errors import DivergedError, InputError
from aeclust.network import inference, training
from aeclust.network.batches import epoch_batches, generator, to_input
from aeclust.network.losses import TERMS, Loss, objective
from aeclust.network.model import Autoencoder, Output, build, load_state, state_arrays
from aeclust.network.optimizers import Optimizer, set_rate
from aeclust.network.selflabel import soft_targets
from aeclust.network.training import Moment, Snapshot, train
from aeclust.network.views import shown
from aeclust.recipe import Recipe, named

CPU = torch.device("cpu")
N = 20
SIZES = (6, 6, 6, 2)  # of the batches of an epoch

# dtype, shape and content by name
Bytes = dict[str, tuple[str, tuple[int, ...], bytes]]


pixels = functools.partial(noise_images, N)


def tiny(name: str = "hybrid", /, **changes: object) -> Recipe:
    """A recipe with two epochs of four steps for 20 images, and of labels one more."""
    fields: dict[str, object] = {"batch_size": 6, "epochs": 2}
    if named(name).label_epochs:
        fields |= {"label_epochs": 1, "clusterer": "kmeans", "reduction": "sphere,pca:4"}
    return smallest(name, **fields | changes)


RECIPES = {
    "adam": tiny("baseline", lr=1e-3),
    "adamw": tiny("baseline", lr=1e-3, optimizer="adamw", weight_decay=0.1),
    "bound": tiny("vae", lr=1e-3, loss="elbo"),
    "sgd-momentum": tiny("deep", lr=0.01),
    "hybrid": tiny("hybrid", precision="float32"),
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
def recorded_rates() -> Iterator[list[float]]:
    """The share of the learning rate at every step taken meanwhile."""
    rates: list[float] = []

    def note(optimizer: Optimizer, share: float) -> None:
        set_rate(optimizer, share)
        rates.append(share)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "set_rate", note)
        yield rates


@dataclasses.dataclass
class Step:
    """What the objective was asked."""

    images: torch.Tensor
    targets: torch.Tensor | None
    loss: Loss


@contextmanager
def recorded_steps() -> Iterator[list[Step]]:
    """Every step taken meanwhile."""
    steps: list[Step] = []

    def note(
        output: Output, images: torch.Tensor, recipe: Recipe, targets: torch.Tensor | None
    ) -> Loss:
        loss = objective(output, images, recipe, targets)
        steps.append(Step(images, targets, loss))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "objective", note)
        yield steps


def targets_of(snapshot: Snapshot) -> NDArray[np.float32]:
    assert snapshot.targets is not None
    return snapshot.targets


@pytest.fixture(scope="module")
def finished() -> dict[str, Bytes]:
    """The weights of each recipe after a run that never stopped."""
    return {name: weights(fit(recipe)) for name, recipe in RECIPES.items()}


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


def test_the_contrastive_term_sees_two_views_of_the_batch() -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor | None, slice]] = []
    forward = Autoencoder.forward

    def note(
        self: Autoencoder,
        images: torch.Tensor,
        noise: torch.Tensor | None,
        crops: torch.Tensor | None,
        drawn: slice,
    ) -> Output:
        seen.append((images, crops, drawn))
        return forward(self, images, noise, crops, drawn)

    with recorded_steps() as steps, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Autoencoder, "forward", note)
        fit(RECIPES["hybrid"])
    for number, (recorded, (given, crops, drawn)) in enumerate(zip(steps, seen, strict=True)):
        epoch, step = divmod(number, 4)
        rows = epoch_batches(N, 6, seed=3, epoch=epoch)[step]
        images = to_input(pixels()[rows], 8, CPU)
        source = generator(CPU, 3, "augmentation", epoch, step)
        batch = shown(images, RECIPES["hybrid"], source, whole=epoch >= RECIPES["hybrid"].epochs)
        assert torch.equal(recorded.images, batch.drawn)
        assert torch.equal(given, batch.images)
        assert crops is not None
        assert batch.crops is not None
        assert torch.equal(crops, batch.crops)
        assert drawn.step == batch.every
        assert given.shape[2] == (6 if epoch < RECIPES["hybrid"].epochs else 8)


def test_steps_take_their_noise_and_rows_from_seed_epoch_and_step() -> None:
    """Two epochs of the bound, written out plainly."""
    recipe = RECIPES["bound"].override({"optimizer": "sgd", "momentum": 0, "weight_decay": 0})
    network = build(recipe, 3, seed=3)
    for epoch in range(2):
        for step, rows in enumerate(epoch_batches(N, 6, seed=3, epoch=epoch)):
            source = generator(CPU, 3, "augmentation", epoch, step)
            images = to_input(pixels()[rows], 8, CPU)
            output = network(images, torch.randn((len(rows), 6), generator=source))
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


def check_one_cycle(rates: list[float], peak_rate: float) -> None:
    """Of 40 steps."""
    assert len(rates) == 40
    peak = rates.index(max(rates))
    assert peak == 8, "a fifth of all steps"
    assert rates[0] == pytest.approx(0.04 * peak_rate)
    assert rates[4] == pytest.approx(0.52 * peak_rate)
    assert rates[peak] == pytest.approx(peak_rate, rel=1e-12)
    assert rates[24] == pytest.approx(peak_rate / 2), "half of the fall"
    assert 0 < rates[-1] < 0.005 * peak_rate
    steps = np.diff(rates)
    assert (steps[:peak] > 0).all()
    assert (steps[peak:] < 0).all()


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing() -> None:
    """Then again to a third of it, for self-labelling; without k there is no second phase."""
    recipe = tiny("hybrid", epochs=10, label_epochs=10)
    with recorded_rates() as rates:
        fit(recipe)
    assert len(rates) == 80
    check_one_cycle(rates[:40], 1)
    check_one_cycle(rates[40:], 1 / 3)
    with recorded_rates() as rates:
        fit(recipe.override({"k": "auto"}))
    check_one_cycle(rates, 1)


def test_a_constant_rate_is_a_third_of_it_for_self_labelling() -> None:
    """As the documentation of training says of every recipe."""
    with recorded_rates() as rates:
        fit(RECIPES["plain-labels"])
    assert rates == [1] * 8 + [pytest.approx(1 / 3)] * 4


@pytest.mark.parametrize("after", [5, 8, 10])
def test_the_schedule_goes_on_where_it_stopped(after: int) -> None:
    with recorded_rates() as whole:
        fit(RECIPES["hybrid"])
    snapshot = stopped(RECIPES["hybrid"], after)
    with recorded_rates() as rest:
        fit(RECIPES["hybrid"], resume=snapshot)
    assert len(whole) == 12
    assert rest == whole[after:]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_automatic_precision_asks_the_processor(
    bf16: bool, amx: bool, finished: dict[str, Bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert training.precision_of(tiny(), CPU) == ("bfloat16" if bf16 or amx else "float32")
    assert training.precision_of(tiny(precision="float32"), CPU) == "float32"
    assert finished["hybrid"] != finished["hybrid-bfloat16"]


@pytest.mark.parametrize(("name", "lr"), [("baseline", 0.01), ("deep", 0.1), ("hybrid", 0.3)])
def test_the_loss_falls_on_an_easy_set(name: str, lr: float) -> None:
    """Two plain colours."""
    plain = np.repeat(np.array([[20, 60, 200], [230, 180, 40]], np.uint8), N // 2, axis=0)
    easy = np.broadcast_to(plain[:, None, None], (N, 8, 8, 3))
    recipe = tiny(name, lr=lr, epochs=25, label_epochs=0)
    losses = [m.metrics["reconstruction"] for m in watched(recipe, data=easy) if m.metrics]
    assert len(losses) == 25
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
    for n, sizes in ((80, [40, 40]), (50, [32, 18])):
        moments = watched(recipe, data=noise_images(n))
        assert [(m.images, m.steps) for m in moments[1:]] == [(size, 2) for size in sizes]


def test_larger_images_are_resized() -> None:
    data = noise_images(N, side=24)
    resized = (to_input(data, 8, CPU).permute(0, 2, 3, 1).numpy() + 1) / 2
    other = fit(RECIPES["adam"], data=resized)
    for key, value in fit(RECIPES["adam"], data=data).named_parameters():
        torch.testing.assert_close(value, other.get_parameter(key), rtol=1e-3, atol=1e-4)


# -- the second phase -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH_PHASES)
def test_the_second_phase_learns_the_clusters_of_the_first_ones_latents(name: str) -> None:
    recipe = RECIPES[name]
    boundary = stopped(recipe, 8)
    assert boundary.targets is None
    network = build(recipe, 3, seed=3)
    load_state(network, boundary.weights)
    latents = inference.embed(network, pixels())
    expected = soft_targets(latents, recipe, seed=3)
    assert expected.shape == (N, recipe.k)
    for after in (9, 12):
        np.testing.assert_array_equal(targets_of(stopped(recipe, after)), expected)


@pytest.mark.parametrize("name", ["hybrid", "plain-labels"])
def test_every_step_of_the_second_phase_has_its_rows_of_the_targets(name: str) -> None:
    recipe = RECIPES[name].override({"label_epochs": 2})
    with recorded_steps() as steps:
        snapshot = stopped_again(recipe, 16)
    assert [step.targets for step in steps[:8]] == [None] * 8
    assert len(steps) == 16
    for number, recorded in enumerate(steps[8:], start=8):
        epoch, step = divmod(number, 4)
        rows = epoch_batches(N, 6, seed=3, epoch=epoch)[step]
        assert recorded.targets is not None
        np.testing.assert_array_equal(recorded.targets.numpy(), targets_of(snapshot)[rows])


def test_the_first_phase_knows_no_k() -> None:
    """It leaves the head as it was built; without k it is all there is."""
    two, five, auto, none = (
        in_bytes(stopped(tiny("hybrid", **fields), 8).weights)
        for fields in ({"k": 2}, {"k": 5}, {"k": "auto"}, {"label_epochs": 0})
    )
    fresh = weights(build(tiny("hybrid"), 3, seed=3))
    for head in ("head.weight", "head.bias"):
        assert two.pop(head) == fresh[head]
        del five[head]
    assert two == five == auto == none
    moments = watched(tiny("hybrid", k="auto", label_epochs=7))
    assert (moments[-1].epoch, moments[-1].step) == (2, 0)
    assert moments[-1].snapshot().targets is None
    assert [m.metrics["labels"] for m in moments if m.metrics] == [0, 0]


def test_labels_cost_nothing_before_the_second_phase_and_then_what_is_uncertain() -> None:
    kinds = np.random.default_rng(1).permutation(np.arange(N) % 2)
    plain = np.array([[20, 60, 200], [230, 180, 40]])[kinds][:, None, None]
    noise = np.random.default_rng(0).integers(-20, 21, (N, 8, 8, 3))
    data = (plain + noise).astype(np.uint8)
    recipe = tiny("hybrid", label_epochs=6)
    moments = watched(recipe, data=data)
    labels = [m.metrics["labels"] for m in moments if m.metrics]
    assert labels[:2] == [0, 0]
    targets = moments[-1].snapshot().targets
    assert targets is not None
    # no prediction costs less than the entropy of its targets, and even chances cost log 2
    entropy = float(-(targets * np.log(targets)).sum(1).mean())
    assert entropy - 1e-3 < labels[-1] < entropy + 0.02
    network = fit(recipe, data=data)
    latents = inference.embed(network, data)
    clusters = inference.assign(network, latents).argmax(1)
    assert max((clusters == kinds).mean(), (clusters != kinds).mean()) == 1


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


def test_another_seed_gives_other_weights(finished: dict[str, Bytes]) -> None:
    other = weights(fit(RECIPES["adam"], seed=4))
    assert all(other[name] != value for name, value in finished["adam"].items())


@pytest.mark.parametrize(("name", "after"), STOPS)
def test_a_run_that_stopped_ends_with_the_same_weights(
    name: str, after: int, finished: dict[str, Bytes]
) -> None:
    snapshot = stopped(RECIPES[name], after)
    assert (snapshot.epoch, snapshot.step) == divmod(after, 4)
    assert weights(fit(RECIPES[name], resume=snapshot)) == finished[name]


def test_a_run_may_stop_again_and_again(finished: dict[str, Bytes]) -> None:
    snapshot = None
    for after in range(1, 13):
        snapshot = stopped_again(RECIPES["hybrid"], after, resume=snapshot)
    assert snapshot is not None
    assert in_bytes(snapshot.weights) == finished["hybrid"]


def test_watching_changes_nothing(finished: dict[str, Bytes]) -> None:
    def spoil(moment: Moment) -> None:
        snapshot = moment.snapshot()
        for array in (*snapshot.weights.values(), *snapshot.optimizer.values(), snapshot.targets):
            if array is not None:
                array[...] = 77

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
    ("changes", "place"),
    [
        ({"epoch": 3}, "epoch 3, step 2 with 5 sums"),
        ({"epoch": -1}, "epoch -1, step 2 with 5 sums"),
        ({"step": 4}, "epoch 0, step 4 with 5 sums"),
        ({"totals": (1.0,) * 6}, "epoch 0, step 2 with 6 sums"),
    ],
)
def test_a_snapshot_that_no_run_saved_is_refused(changes: dict[str, Any], place: str) -> None:
    snapshot = dataclasses.replace(stopped(RECIPES["adam"], 2), **changes)
    with refused(
        what=f"{place} and targets of shape None cannot be of this run",
        where="the state to resume",
        expected="the state that this run saved",
    ):
        fit(RECIPES["adam"], resume=snapshot)


def test_a_snapshot_of_another_network_or_optimiser_is_refused() -> None:
    snapshot = stopped(RECIPES["adam"], 2)
    with pytest.raises(InputError, match="the state to resume: the weights do not fit"):
        fit(RECIPES["hybrid-auto-k"], resume=snapshot)
    with pytest.raises(InputError, match="the state to resume: optimizer state '0/step' is"):
        fit(RECIPES["adam"].override({"optimizer": "sgd"}), resume=snapshot)


@pytest.mark.parametrize("shape", [None, (N, 3), (N - 1, 2), (N,)])
@pytest.mark.parametrize("after", [4, 8, 9, 12, 13])
def test_targets_that_no_run_saved_are_refused(after: int, shape: tuple[int, ...] | None) -> None:
    """Before the second phase, at the boundary, and in its first epoch and its second."""
    recipe = tiny("hybrid", label_epochs=2)
    if after <= 8 and shape is None:
        shape = (0, 2)
    targets = None if shape is None else np.zeros(shape, np.float32)
    snapshot = dataclasses.replace(stopped(recipe, after), targets=targets)
    epoch, step = divmod(after, 4)
    what = f"epoch {epoch}, step {step} with 5 sums and targets of shape {shape}"
    with refused(what=f"{what} cannot be of this run"):
        fit(recipe, resume=snapshot)


# -- what observers get ----------------------------------------------------------------------


def test_moments_count_epochs_and_steps_of_both_phases() -> None:
    moments = watched(RECIPES["hybrid"])
    assert [(m.epoch, m.step) for m in moments] == [divmod(number, 4) for number in range(13)]
    assert {m.steps for m in moments} == {4}
    assert [m.images for m in moments] == [0, *SIZES, *SIZES, *SIZES]
    assert math.isnan(moments[0].loss)
    assert all(math.isfinite(m.loss) for m in moments[1:])
    assert [number for number, m in enumerate(moments) if m.metrics] == [4, 8, 12]
    assert list(moments[4].metrics) == [*TERMS, "seconds", "images_per_second"]


def test_a_resumed_run_observes_only_what_it_does() -> None:
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
def test_metrics_are_means_over_the_images(name: str) -> None:
    with recorded_steps() as steps:
        moments = watched(RECIPES[name])
    values = np.array([step.loss.values() for step in steps])
    assert [m.loss for m in moments[1:]] == values[:, 0].tolist()
    for epoch, moment in enumerate(m for m in moments if m.metrics):
        means = np.average(values[4 * epoch : 4 * epoch + 4], axis=0, weights=SIZES)
        assert [moment.metrics[term] for term in TERMS] == pytest.approx(means.tolist(), rel=1e-6)


@pytest.mark.parametrize("after", [2, 6, 8, 10])
def test_metrics_of_an_interrupted_epoch_are_those_of_the_whole(after: int) -> None:
    recipe = RECIPES["hybrid"]
    whole = watched(recipe)[-1].metrics
    resumed = watched(recipe, resume=stopped(recipe, after))[-1].metrics
    assert [resumed[term] for term in TERMS] == [whole[term] for term in TERMS]


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_a_loss_that_leaves_the_numbers_ends_training(optimizer: str) -> None:
    moments: list[Moment] = []
    recipe = tiny("baseline", optimizer=optimizer, batch_norm=optimizer == "muon", lr=1e30)
    with refused(
        DivergedError,
        what="training diverged: the loss is not finite in epoch 1, step 2",
        mend="lower the learning rate (1e+30) with `lr`; earlier checkpoints are kept",
    ):
        fit(recipe, observe=moments.append)
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
    fields = {"lr": 1e30, "reconstruction": 1e20, "batch_size": batch_size, "epochs": 1}
    what = "training diverged: a weight is not finite in epoch 1, step 1"
    with refused(DivergedError, what=what):
        fit(tiny("baseline", optimizer="sgd", **fields), observe=observe)


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
    with refused(what="1 image to train on", mend="add images or use `recipe` baseline"):
        fit(recipe, data=noise_images(1))


@pytest.mark.parametrize(("name", "n"), [("baseline", 1), ("vae", 1), ("deep", 2), ("hybrid", 2)])
def test_the_fewest_images_that_train(name: str, n: int) -> None:
    recipe = tiny(name, lr=1e-3, clusterer="consensus")
    moments = watched(recipe, data=noise_images(n))
    assert [(m.epoch, m.step) for m in moments] == [
        (epoch, 0) for epoch in range(recipe.total_epochs + 1)
    ]
    assert math.isfinite(moments[-1].metrics["loss"])
