"""Optimisers of the recipes, and their state as arrays.

AdamW is written here, though torch has it, because the first use of a ``torch.optim.Optimizer``
imports ``torch._dynamo``, which takes longer than all else before the default recipe's first step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aeclust.errors import InputError
from aeclust.network.model import Autoencoder
from aeclust.recipe import Recipe

# Adam's learning rate as a share of Muon's, for what Muon does not train.
_ADAM_SHARE = 0.02
_ITERATIONS = 3
_MOMENTUM, _ADAM = ("momentum_buffer",), ("step", "exp_avg", "exp_avg_sq")


class Muon:
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
        lr_adam = _ADAM_SHARE * lr
        self.param_groups: list[dict[str, Any]] = [
            {"params": kernels, "names": _MOMENTUM, "lr": lr, "momentum": momentum},
            {"params": others, "names": _ADAM, "lr": lr_adam, "weight_decay": weight_decay},
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients; what has none stays as it is."""
        kernels, others = self.param_groups
        for kernel in kernels["params"]:
            state = self.state[kernel]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(kernel)
            average = state["momentum_buffer"].mul_(kernels["momentum"]).add_(kernel.grad)
            ahead = torch.add(kernel.grad, average, alpha=kernels["momentum"])
            turn = orthogonalised(ahead.flatten(1)).view_as(kernel)
            kernel.mul_(len(kernel) ** 0.5 / kernel.norm().clamp(min=1e-12))
            kernel.sub_(turn, alpha=kernels["lr"])
        for value in others["params"]:
            if value.grad is not None:
                lr, decay = others["lr"], others["weight_decay"]
                adamw_step(value, value.grad, self.state[value], lr=lr, weight_decay=decay)


Optimizer = Muon | torch.optim.Optimizer


@torch.no_grad()
def adamw_step(
    value: Tensor, slope: Tensor, state: dict[str, Tensor], *, lr: float, weight_decay: float
) -> None:
    """Move a parameter along its gradient, the slope.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), with the usual betas of
    0.9 and 0.999.

    Parameters
    ----------
    value, slope : Tensor
        The value is changed.
    state : dict
        Empty before the first step; changed.
    lr, weight_decay : float
    """
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(value), torch.zeros_like(value)
    state["step"] += 1
    steps = float(state["step"])
    mean = state["exp_avg"].lerp_(slope, 0.1)
    square = state["exp_avg_sq"].mul_(0.999).addcmul_(slope, slope, value=0.001)
    # few passes over memory, which cost most: both corrections are numbers
    correction = (1 - 0.999**steps) ** 0.5
    spread = square.sqrt().add_(1e-8 * correction)
    value.mul_(1 - lr * weight_decay)
    value.addcdiv_(mean, spread, value=-lr * correction / (1 - 0.9**steps))


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values of about 1.

    Newton-Schulz iteration with the quintic polynomial of Jordan et al. (2024), whose steep start
    brings the values to between about 0.7 and 1.2 in five iterations. Three leave those below a
    tenth of the whole too small, and cost no accuracy.

    Parameters
    ----------
    matrix : Tensor of shape (m, n)

    Returns
    -------
    Tensor of shape (m, n)
        float32, computed in bfloat16.
    """
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        power = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, power, x, beta=3.4445)
    result: Tensor = x.float()
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


def build_optimizer(network: Autoencoder, recipe: Recipe) -> Optimizer:
    """The optimiser of a recipe for a network, at the recipe's learning rate."""
    parameters, decay = list(network.parameters()), recipe.weight_decay
    optimizer: Optimizer
    if recipe.optimizer == "muon":
        kernels = [p for p in network.encoder.parameters() if p.ndim == 4]
        chosen = {id(p) for p in kernels}
        others = [p for p in parameters if id(p) not in chosen]
        optimizer = Muon(kernels, others, recipe.lr, momentum=recipe.momentum, weight_decay=decay)
    else:
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        names: tuple[str, ...] = _ADAM
        options: dict[str, Any] = {"weight_decay": decay}
        if recipe.optimizer == "sgd":
            names = _MOMENTUM if recipe.momentum else ()
            options["momentum"] = recipe.momentum
        groups = [{"params": parameters, "names": names}]
        optimizer = kind[recipe.optimizer](groups, recipe.lr, **options)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def set_rate(optimizer: Optimizer, share: float) -> None:
    """Let the next steps be taken at a share of the recipe's learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = share * group["initial_lr"]


def optimizer_arrays(optimizer: Optimizer) -> dict[str, NDArray[Any]]:
    """The state by ``<parameter number>/<name>``, copied."""
    return {
        f"{number}/{name}": optimizer.state[parameter][name].detach().cpu().numpy().copy()
        for number, parameter, names in _parameters(optimizer)
        for name in names
        if name in optimizer.state.get(parameter, ())
    }


def load_optimizer(optimizer: Optimizer, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put back what :func:`optimizer_arrays` gave.

    Raises
    ------
    InputError
        If that was not of this optimiser.
    """
    slots = {
        f"{number}/{name}": (parameter, name)
        for number, parameter, names in _parameters(optimizer)
        if any(f"{number}/{name}" in arrays for name in names)
        for name in names
    }
    wanted = {k: () if name == "step" else tuple(p.shape) for k, (p, name) in slots.items()}
    given = {key: array.shape for key, array in arrays.items()}
    for key in wanted | given:
        if wanted.get(key) != given.get(key):
            raise InputError(
                f"optimizer state {key!r} is {given.get(key, 'missing')}",
                expected="the state that this run saved",
                mend="restore it, or train again with `force`",
            )
    for key, (parameter, name) in slots.items():
        device = torch.device("cpu") if name == "step" else parameter.device
        optimizer.state[parameter][name] = torch.from_numpy(np.array(arrays[key])).to(device)


def _parameters(optimizer: Optimizer) -> Iterator[tuple[int, Tensor, tuple[str, ...]]]:
    """Number, parameter, and names of its state."""
    groups = optimizer.param_groups
    pairs = [(value, group["names"]) for group in groups for value in group["params"]]
    yield from ((number, *pair) for number, pair in enumerate(pairs))
