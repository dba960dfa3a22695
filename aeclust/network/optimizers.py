"""Optimisers of the recipes, and their state as arrays.

AdamW is written here, though torch has it, because the first use of a ``torch.optim.Optimizer``
imports ``torch._dynamo``, which takes longer than all else before the default recipe's first step.
"""

from __future__ import annotations

import math
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
        # numbers of the kernels that are matrices of one shape: they are turned together
        alike = defaultdict[tuple[int, int], list[int]](list)
        for number, kernel in enumerate(kernels):
            alike[len(kernel), kernel[0].numel()].append(number)
        self._alike = list(alike.values())

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients; what has none stays as it is."""
        group, others = self.param_groups
        kernels, momentum = group["params"], group["momentum"]
        for turned in self._alike:
            ahead = []
            for kernel in (kernels[number] for number in turned):
                state = self.state[kernel]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(kernel)
                average = state["momentum_buffer"].mul_(momentum).add_(kernel.grad)
                ahead.append(torch.add(kernel.grad, average, alpha=momentum).flatten(1))
            # a single matrix by itself: on CPUs that takes two thirds of the time
            whole = orthogonalised(torch.stack(ahead) if len(ahead) > 1 else ahead[0])
            turns = whole.mul_(group["lr"]).view(len(ahead), *ahead[0].shape)
            for number, turn in zip(turned, turns, strict=True):
                kernel = kernels[number]
                kernel.mul_(len(kernel) ** 0.5 / torch.linalg.vector_norm(kernel).clamp(min=1e-12))
                kernel.sub_(turn.view_as(kernel))
        values = [value for value in others["params"] if value.grad is not None]
        slopes = [value.grad for value in values]
        states, decay = [self.state[value] for value in values], others["weight_decay"]
        adamw_step(values, slopes, states, lr=others["lr"], weight_decay=decay)


Optimizer = Muon | torch.optim.Optimizer


@torch.no_grad()
def adamw_step(
    values: list[Tensor],
    slopes: list[Tensor],
    states: list[dict[str, Tensor]],
    *,
    lr: float | Tensor,
    weight_decay: float,
) -> None:
    """Move parameters along their gradients, the slopes.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), with the usual betas of
    0.9 and 0.999. Nothing is read back from a device.

    Parameters
    ----------
    values, slopes : list of Tensor
        The values are changed.
    states : list of dict
        One of each value: empty before its first step; changed.
    lr : float or Tensor of shape ()
    weight_decay : float
    """
    if not values:
        return
    for value, state in zip(values, states, strict=True):
        if not state:
            state["step"] = value.new_zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(value) for _ in range(2))
    steps, means, squares = ([s[name] for s in states] for name in _ADAM)
    torch._foreach_add_(steps, 1)
    torch._foreach_lerp_(means, slopes, 0.1)
    torch._foreach_mul_(squares, 0.999)
    torch._foreach_addcmul_(squares, slopes, slopes, 0.001)
    # both corrections divide the spread, in few passes over memory, which cost most
    count = torch.stack(steps)
    root = (-torch.expm1(count * math.log(0.999))).sqrt()
    length = lr * root / -torch.expm1(count * math.log(0.9))
    spreads = torch._foreach_sqrt(squares)
    torch._foreach_add_(spreads, (1e-8 * root).unbind())
    torch._foreach_div_(spreads, length.unbind())
    torch._foreach_mul_(values, 1 - lr * weight_decay)
    torch._foreach_addcdiv_(values, means, spreads, -1.0)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices with the singular vectors of `matrices` and singular values of about 1.

    Newton-Schulz iteration with the quintic polynomial of Jordan et al. (2024), whose steep start
    brings the values to between about 0.7 and 1.2 in five iterations. Three leave those below a
    tenth of the whole too small, and cost no accuracy.

    Parameters
    ----------
    matrices : Tensor of shape (m, n) or (b, m, n)

    Returns
    -------
    Tensor of that shape
        float32, computed in bfloat16.
    """
    product = torch.addmm if matrices.ndim == 2 else torch.baddbmm
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)).bfloat16()
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        power = product(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = product(x, power, x, beta=3.4445)
    return (x.mT if tall else x).to(torch.float32, memory_format=torch.contiguous_format)


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
        if isinstance(optimizer, Muon) and network.device.type != "cpu":
            # where a captured step finds it
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float32).to(network.device)
    return optimizer


def set_rate(optimizer: Optimizer, share: float) -> None:
    """Let the next steps be taken at a share of the recipe's learning rate."""
    for group in optimizer.param_groups:
        rate = share * group["initial_lr"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


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
        # torch's own optimisers read it
        near = name == "step" and not isinstance(optimizer, Muon)
        device = torch.device("cpu") if near else parameter.device
        optimizer.state[parameter][name] = torch.from_numpy(np.array(arrays[key])).to(device)


def _parameters(optimizer: Optimizer) -> Iterator[tuple[int, Tensor, tuple[str, ...]]]:
    """Number, parameter, and names of its state."""
    groups = optimizer.param_groups
    pairs = [(value, group["names"]) for group in groups for value in group["params"]]
    yield from ((number, *pair) for number, pair in enumerate(pairs))
