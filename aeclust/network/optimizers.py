"""Optimisers of the recipes, and their state as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aeclust.network.model import Autoencoder
from aeclust.recipe import Recipe

# Adam's learning rate as a share of Muon's, for what Muon does not train.
_ADAM_SHARE = 0.02


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for convolution kernels, AdamW for everything else.

    The momentum of a kernel, as a matrix (out, in * height * width), is replaced by the nearest
    matrix whose singular values are all about one, so that no direction of the kernel learns more
    slowly than another (Jordan et al., "Muon: An optimizer for hidden layers in neural networks",
    2024). The kernel itself is kept at the norm sqrt(out): batch normalisation follows it, so its
    scale means nothing and only makes the steps relative to it smaller.

    Parameters
    ----------
    kernels : list of Tensor
        Of convolutions that batch normalisation follows.
    others : list of Tensor
    lr : float
        Of the kernels, relative to their norm; the others take AdamW steps of a fiftieth of it.
    momentum : float
        Of the kernels, Nesterov's.
    weight_decay : float
        Of the others.
    """

    def __init__(
        self,
        kernels: Sequence[Tensor],
        others: Sequence[Tensor],
        lr: float,
        *,
        momentum: float,
        weight_decay: float,
    ) -> None:
        groups = [
            {"params": list(kernels), "lr": lr, "momentum": momentum},
            {"params": list(others), "lr": _ADAM_SHARE * lr, "weight_decay": weight_decay},
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step along the gradients."""
        kernels, others = self.param_groups
        for kernel in kernels["params"]:
            state = self.state[kernel]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(kernel)
            average = state["momentum_buffer"].mul_(kernels["momentum"]).add_(kernel.grad)
            ahead = kernel.grad + kernels["momentum"] * average
            turn = orthogonalised(ahead.flatten(1)).view_as(kernel)
            kernel.mul_(len(kernel) ** 0.5 / kernel.norm().clamp(min=1e-12))
            kernel.sub_(kernels["lr"] * turn)
        for value in others["params"]:
            if value.grad is None:
                continue
            state = self.state[value]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(value)
                state["exp_avg_sq"] = torch.zeros_like(value)
            state["step"] += 1
            mean = state["exp_avg"].lerp_(value.grad, 0.1)
            square = state["exp_avg_sq"].lerp_(value.grad.square(), 0.001)
            steps = float(state["step"])
            mean, square = mean / (1 - 0.9**steps), square / (1 - 0.999**steps)
            value.mul_(1 - others["lr"] * others["weight_decay"])
            value.sub_(others["lr"] * mean / (square.sqrt() + 1e-8))


def orthogonalised(matrix: Tensor, iterations: int = 5) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values of about 1.

    Newton-Schulz iteration with the quintic polynomial of Jordan et al. (2024), whose steep start
    leaves the values between about 0.7 and 1.2.

    Parameters
    ----------
    matrix : Tensor of shape (m, n)
    iterations : int

    Returns
    -------
    Tensor of shape (m, n)
        float32, computed in bfloat16.
    """
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    result: Tensor = x.float()
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


def build_optimizer(network: Autoencoder, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of a recipe for a network; every group remembers its ``initial_lr``."""
    parameters = list(network.parameters())
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            parameters, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    elif recipe.optimizer == "muon":
        kernels = [p for p in network.encoder.parameters() if p.ndim == 4]
        chosen = {id(p) for p in kernels}
        others = [p for p in parameters if id(p) not in chosen]
        optimizer = Muon(
            kernels,
            others,
            recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
    else:
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        optimizer = kind(parameters, recipe.lr, weight_decay=recipe.weight_decay)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """The state by ``<parameter number>/<name>``, copied."""
    return {
        f"{number}/{name}": value.detach().cpu().numpy().copy()
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def misfit(optimizer: torch.optim.Optimizer, arrays: Mapping[str, NDArray[Any]]) -> str:
    """What keeps `arrays` from being a state of this optimiser, or an empty text."""
    shapes: dict[str, tuple[int, ...]] = {}
    slots: dict[str, set[str]] = {}
    number = 0
    for group in optimizer.param_groups:
        names = {"step", "exp_avg", "exp_avg_sq"}
        if "momentum" in group:  # of SGD, or of Muon's kernels
            names = {"momentum_buffer"} if group["momentum"] or _is_muon(optimizer) else set()
        for parameter in group["params"]:
            slots[str(number)] = names
            for name in names:
                shapes[f"{number}/{name}"] = () if name == "step" else tuple(parameter.shape)
            number += 1
    for key, value in arrays.items():
        prefix = key.partition("/")[0]
        beside = {f"{prefix}/{name}" for name in slots.get(prefix, ())}
        if shapes.get(key) != value.shape or not beside <= arrays.keys():
            return f"optimizer state {key!r} of shape {value.shape}"
    return ""


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put back what :func:`optimizer_arrays` gave."""
    fresh = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in arrays.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = torch.from_numpy(np.array(value))
    optimizer.load_state_dict({"state": state, "param_groups": fresh["param_groups"]})


def _is_muon(optimizer: torch.optim.Optimizer) -> bool:
    return isinstance(optimizer, Muon)
