"""The optimisers: Muon by hand and against oracles, and states that come and go as arrays."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import normal, refused, tiny
from torch import Tensor, nn

from aeclust.errors import InputError
from aeclust.network.model import Autoencoder, build
from aeclust.network.optimizers import (
    Muon,
    Optimizer,
    build_optimizer,
    load_optimizer,
    optimizer_arrays,
    orthogonalised,
    set_rate,
)
from aeclust.recipe import Recipe

# on a busy machine
PATIENT = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
# bfloat16 has 8 bits, and five iterations add up
BFLOAT16 = 0.15


RECIPES = {
    "adam": tiny("baseline", lr=1e-3),
    "adamw": tiny("baseline", optimizer="adamw", lr=1e-3, weight_decay=0.1),
    "sgd": tiny("baseline", optimizer="sgd", lr=0.1, momentum=0),
    "sgd-momentum": tiny("deep", latent_size=6),
    "muon": tiny(),
    "muon-without-momentum": tiny(momentum=0),
    "muon-plain": tiny("baseline", optimizer="muon", lr=0.1, batch_norm=True),
}


def of_values(values: list[float], rows: int, columns: int, seed: int) -> Tensor:
    """A random matrix with these singular values."""
    generator = np.random.default_rng(seed)
    left = np.linalg.qr(generator.normal(size=(rows, rows)))[0][:, : len(values)]
    right = np.linalg.qr(generator.normal(size=(columns, columns)))[0][:, : len(values)]
    return torch.from_numpy((left * values) @ right.T).float()


def newton_schulz(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """What three iterations make of the singular values, its vectors kept, in float64."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return np.asarray((left * values) @ right)


def muon(
    kernels: list[Tensor],
    others: list[Tensor],
    lr: float = 0.1,
    *,
    momentum: float = 0.6,
    weight_decay: float = 0.0,
) -> Muon:
    return Muon(kernels, others, lr, momentum=momentum, weight_decay=weight_decay)


def pushed(network: Autoencoder, optimizer: Optimizer, steps: range) -> None:
    """Steps along gradients that their numbers decide; a head gets none."""
    for step in steps:
        for number, (name, value) in enumerate(network.named_parameters()):
            value.grad = None
            if not name.startswith("head."):
                value.grad = normal(*value.shape, seed=1000 * step + number)
        optimizer.step()


def bytes_of(values: dict[str, NDArray[Any]]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (str(v.dtype), v.shape, v.tobytes()) for name, v in values.items()}


# -- orthogonalised -------------------------------------------------------------------------------


@PATIENT
@given(st.data())
def test_orthogonalised_keeps_the_vectors_and_levels_the_values(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 10)), data.draw(st.integers(1, 10))
    least = min(rows, columns)
    values = data.draw(st.lists(st.floats(0.02, 1), min_size=least, max_size=least))
    matrix = of_values(values, rows, columns, data.draw(st.integers(0, 10**6)))
    result = orthogonalised(matrix)
    assert result.shape == matrix.shape
    assert result.dtype == torch.float32
    left, _, right = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    inner = left.T @ result.double().numpy() @ right.T
    levels = np.diag(inner)
    assert np.abs(inner - np.diag(levels)).max() < BFLOAT16, "the vectors are the matrix's"
    assert levels.min() > 0.2, "of at least a 160th of the whole"
    assert levels.max() < 1.3


@pytest.mark.parametrize("shape", [(4, 4), (3, 9), (9, 3), (1, 5), (5, 1), (1, 1), (16, 27)])
@pytest.mark.parametrize("seed", [0, 1])
def test_orthogonalised_against_the_polynomial_of_singular_values(
    shape: tuple[int, int], seed: int
) -> None:
    matrix = normal(*shape, seed=seed)
    expected = newton_schulz(matrix.double().numpy())
    np.testing.assert_allclose(orthogonalised(matrix).numpy(), expected, atol=BFLOAT16)


def test_orthogonalised_forgets_the_scale_and_turns_with_the_matrix() -> None:
    matrix = normal(4, 7)
    turned = orthogonalised(matrix)
    for scale in (2.0**-10, 2.0**10):
        torch.testing.assert_close(orthogonalised(scale * matrix), turned, rtol=0, atol=0.02)
    assert torch.equal(orthogonalised(matrix.T), turned.T)
    assert torch.equal(orthogonalised(-matrix), -turned)
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


# -- Muon's kernels -------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (2, 1, 3, 3), (16, 1, 2, 2)])
def test_three_steps_of_a_kernel_by_hand(shape: tuple[int, ...], momentum: float) -> None:
    kernel = normal(*shape, seed=9)
    optimizer = muon([kernel], [], 0.2, momentum=momentum)
    expected = kernel.double().numpy().reshape(shape[0], -1)
    average = np.zeros_like(expected)
    for step in range(3):
        kernel.grad = normal(*shape, seed=step)
        slope = kernel.grad.double().numpy().reshape(expected.shape)
        optimizer.step()
        average = momentum * average + slope
        ahead = slope + momentum * average
        expected = expected * math.sqrt(shape[0]) / np.linalg.norm(expected)
        expected = expected - 0.2 * newton_schulz(ahead)
        result = kernel.numpy().reshape(expected.shape)
        turn = 0.2 * math.sqrt(min(expected.shape))
        assert np.linalg.norm(result - expected) < 0.1 * turn * (step + 1)
    stored = optimizer.state[kernel]["momentum_buffer"].numpy().reshape(average.shape)
    np.testing.assert_allclose(stored, average, rtol=1e-5, atol=1e-6)


@PATIENT
@given(st.integers(1, 8), st.integers(1, 4), st.floats(1e-3, 1e3), st.integers(0, 10**6))
def test_a_kernel_is_kept_at_its_norm(out: int, into: int, scale: float, seed: int) -> None:
    """Before its step a kernel is brought to the norm sqrt(out), however large it was."""
    kernel = scale * normal(out, into, 3, 3, seed=seed)
    direction = kernel / kernel.norm()
    kernel.grad = normal(out, into, 3, 3, seed=seed + 1)
    optimizer = muon([kernel], [], 0.0)
    optimizer.step()
    assert kernel.norm().item() == pytest.approx(math.sqrt(out), rel=1e-5)
    torch.testing.assert_close(kernel / kernel.norm(), direction)


@PATIENT
@given(st.sampled_from([2.0**-20, 0.25, 2.0**20]), st.integers(0, 10**6))
def test_the_scale_of_a_kernel_and_of_its_gradients_means_nothing(scale: float, seed: int) -> None:
    kernel = normal(4, 2, 3, 3, seed=seed)
    scaled = scale * kernel
    one, other = muon([kernel], []), muon([scaled], [])
    for step in range(2):
        kernel.grad = normal(4, 2, 3, 3, seed=step)
        scaled.grad = 8 * kernel.grad
        one.step()
        other.step()
    torch.testing.assert_close(scaled, kernel, rtol=0, atol=2e-3)


def test_a_kernel_of_zeros_without_a_slope_stays_finite() -> None:
    kernel = torch.zeros(4, 2, 3, 3)
    kernel.grad = torch.zeros(4, 2, 3, 3)
    muon([kernel], []).step()
    assert torch.equal(kernel, torch.zeros(4, 2, 3, 3))


def test_the_order_in_memory_means_nothing() -> None:
    plain, last = normal(4, 3, 3, 3), normal(4, 3, 3, 3).to(memory_format=torch.channels_last)
    assert plain.stride() != last.stride()
    one, other = muon([plain], []), muon([last], [])
    for step in range(3):
        plain.grad = normal(4, 3, 3, 3, seed=step)
        last.grad = plain.grad.to(memory_format=torch.channels_last)
        one.step()
        other.step()
    torch.testing.assert_close(last, plain, rtol=0, atol=2e-3)


# -- Muon's other parameters ----------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_others_take_the_steps_of_torchs_adamw(decay: float) -> None:
    """At a fiftieth of the rate; also when the rate changes on the way."""
    shapes = [(3, 5), (7,), (2, 2, 4, 4), ()]
    ours, theirs = ([normal(*s, seed=n) for n, s in enumerate(shapes)] for _ in range(2))
    kernel = normal(2, 1, 3, 3)
    optimizer = muon([kernel], ours, 0.5, weight_decay=decay)
    oracle = torch.optim.AdamW(theirs, 0.01, weight_decay=decay)
    for step in range(12):
        kernel.grad = normal(2, 1, 3, 3, seed=step)
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            own.grad = normal(*own.shape, seed=100 * step + number)
            other.grad = own.grad.clone()
        optimizer.param_groups[1]["lr"] = oracle.param_groups[0]["lr"] = 0.01 / (1 + step)
        optimizer.step()
        oracle.step()
    for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(own, normal(*own.shape, seed=number), atol=1e-3), "it moved"


def test_what_has_no_gradient_neither_moves_nor_decays() -> None:
    idle, busy = normal(4), normal(4, seed=1)
    optimizer = muon([], [idle, busy], weight_decay=0.5)
    busy.grad = torch.ones(4)
    optimizer.step()
    assert torch.equal(idle, normal(4))
    assert not torch.equal(busy, normal(4, seed=1))
    assert list(optimizer_arrays(optimizer)) == ["1/step", "1/exp_avg", "1/exp_avg_sq"]
    # it begins with a first step of its own, as AdamW does
    idle.grad, busy.grad = torch.full((4,), 3.0), None
    optimizer.step()
    expected = normal(4) * (1 - 0.002 * 0.5) - 0.002
    torch.testing.assert_close(idle, expected)


# -- built from recipes ---------------------------------------------------------------------------


def test_muon_turns_the_encoders_kernels_and_nothing_else() -> None:
    network = build(tiny(), 3, seed=0)
    optimizer = build_optimizer(network, tiny())
    assert isinstance(optimizer, Muon)
    names = {id(value): name for name, value in network.named_parameters()}
    kernels, others = ([names[id(p)] for p in g["params"]] for g in optimizer.param_groups)
    assert kernels == [
        "encoder.1.weight",
        "encoder.4.block.0.weight",
        "encoder.5.weight",
        "encoder.8.block.0.weight",
    ]
    assert sorted(kernels + others) == sorted(names.values())
    modules = dict(network.encoder.named_modules())
    convolutions = [m for m in modules.values() if isinstance(m, nn.Conv2d)]
    assert [m.bias for m in convolutions] == [None] * 4, "batch normalisation follows each"


def test_the_groups_of_muon() -> None:
    recipe = tiny(lr=0.5, momentum=0.7, weight_decay=0.25)
    optimizer = build_optimizer(build(recipe, 3, seed=0), recipe)
    first, second = optimizer.param_groups
    assert (first["lr"], first["initial_lr"], first["momentum"]) == (0.5, 0.5, 0.7)
    assert (second["lr"], second["initial_lr"], second["weight_decay"]) == (0.01, 0.01, 0.25)
    for share in (0.1, 0.5):  # of the recipe's rate, not of the last one
        set_rate(optimizer, share)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.005]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "sgd-momentum"])
def test_the_other_recipes_take_torchs_optimisers(name: str) -> None:
    recipe = RECIPES[name]
    network = build(recipe, 3, seed=0)
    optimizer = build_optimizer(network, recipe)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    assert type(optimizer) is kinds[recipe.optimizer]
    (group,) = optimizer.param_groups
    assert group["lr"] == group["initial_lr"] == recipe.lr
    assert group["weight_decay"] == recipe.weight_decay
    assert group.get("momentum", recipe.momentum) == recipe.momentum
    assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]


# -- states as arrays -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_a_state_put_back_goes_on_with_the_same_bytes(name: str) -> None:
    recipe = RECIPES[name]
    network, other = (build(recipe, 3, seed=0) for _ in range(2))
    optimizer = build_optimizer(network, recipe)
    pushed(network, optimizer, range(3))
    stored = optimizer_arrays(optimizer)
    for value in stored.values():
        value.flags.writeable = False  # as from a mapped file
    other.load_state_dict(network.state_dict())
    again = build_optimizer(other, recipe)
    load_optimizer(again, stored)
    assert bytes_of(optimizer_arrays(again)) == bytes_of(stored)
    assert [g["initial_lr"] for g in again.param_groups] == [
        g["initial_lr"] for g in optimizer.param_groups
    ]
    before = bytes_of(stored)
    pushed(network, optimizer, range(3, 6))
    pushed(other, again, range(3, 6))
    for key, parameter in network.named_parameters():
        assert torch.equal(parameter, other.get_parameter(key)), key
    assert bytes_of(optimizer_arrays(again)) == bytes_of(optimizer_arrays(optimizer))
    assert bytes_of(stored) == before, "arrays follow no optimiser"


def slots(parameters: list[int], *names: str) -> set[str]:
    return {f"{number}/{name}" for number in parameters for name in names}


def test_the_state_of_muon_is_a_momentum_or_adams() -> None:
    network = build(tiny(), 3, seed=0)
    optimizer = build_optimizer(network, tiny())
    assert optimizer_arrays(optimizer) == {}
    pushed(network, optimizer, range(2))
    stored = optimizer_arrays(optimizer)
    count = len(list(network.parameters()))
    # the kernels' group is the first; the head, last, had no gradient
    numbers = list(range(4, count - 2))
    assert set(stored) == slots([0, 1, 2, 3], "momentum_buffer") | slots(
        numbers, "step", "exp_avg", "exp_avg_sq"
    )
    assert {stored[f"{number}/step"].item() for number in numbers} == {2}
    assert stored["0/momentum_buffer"].shape == (4, 12, 3, 3)


def full_state(recipe: Recipe) -> tuple[Optimizer, dict[str, NDArray[Any]]]:
    network = build(recipe, 3, seed=0)
    optimizer = build_optimizer(network, recipe)
    pushed(network, optimizer, range(1))
    return optimizer, optimizer_arrays(optimizer)


@pytest.mark.parametrize(
    ("name", "gone", "added", "problem"),
    [
        ("muon", "5/step", {}, "'5/step' is missing"),
        ("muon", "", {"0/step": ()}, "'0/step' is ()"),
        ("muon", "", {"4/momentum_buffer": (4,)}, "'4/momentum_buffer' is (4,)"),
        ("muon", "", {"0/momentum_buffer": (4, 108)}, "'0/momentum_buffer' is (4, 108)"),
        ("muon", "", {"99/step": ()}, "'99/step' is ()"),
        ("muon", "", {"first": (2,)}, "'first' is (2,)"),
        ("adam", "0/exp_avg_sq", {}, "'0/exp_avg_sq' is missing"),
        ("adam", "", {"0/exp_avg": (4, 3, 3)}, "'0/exp_avg' is (4, 3, 3)"),
        ("sgd", "", {"1/momentum_buffer": (4,)}, "'1/momentum_buffer' is (4,)"),
        ("sgd-momentum", "", {"0/step": ()}, "'0/step' is ()"),
    ],
)
def test_a_state_that_does_not_fit_is_named(
    name: str, gone: str, added: dict[str, tuple[int, ...]], problem: str
) -> None:
    optimizer, stored = full_state(RECIPES[name])
    stored |= {key: np.zeros(shape) for key, shape in added.items()}
    stored.pop(gone, None)
    before = bytes_of(optimizer_arrays(optimizer))
    expected, mend = "the state that this run saved", "restore it, or train again with `force`"
    with refused(what=f"optimizer state {problem}", expected=expected, mend=mend):
        load_optimizer(optimizer, stored)
    assert bytes_of(optimizer_arrays(optimizer)) == before, "nothing is loaded in part"


@pytest.mark.parametrize("other", ["adam", "sgd-momentum"])
def test_the_state_of_another_optimiser_does_not_fit(other: str) -> None:
    optimizer, _ = full_state(tiny())
    _, stored = full_state(tiny(optimizer=RECIPES[other].optimizer, momentum=0.9))
    with pytest.raises(InputError, match=r"^optimizer state '"):
        load_optimizer(optimizer, stored)


def test_the_default_recipe_trains_without_torchs_compiler() -> None:
    """Its import takes longer than all else before the first step."""
    script = """
import sys
import numpy, torch
from aeclust.network.training import train
from aeclust.recipe import named
recipe = named("hybrid").override({"image_size": 8, "channels": [4, 8], "epochs": 1})
images = numpy.eye(24, dtype="uint8").reshape(3, 8, 8, 3) * 200
train(images, recipe, seed=0, device=torch.device("cpu"))
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
