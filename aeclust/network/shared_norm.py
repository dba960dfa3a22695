"""Batch normalisation whose batches are shared by several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from aeclust.network.parallel import Team


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the mean and variance of the batches of all processes, on CPUs.

    PyTorch's ``SyncBatchNorm`` is for GPUs alone. Means and variances of parts make those of
    the whole (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979).
    """

    team: Team  # whose batches these are

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes is right: a norm of the same kind was here before."""

    def forward(self, input: Tensor) -> Tensor:
        """As any normalisation of a batch does."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        axes = [axis for axis in range(values.ndim) if axis != 1]
        here = torch.stack(torch.var_mean(values, axes, correction=0))
        count = torch.full_like(here[:1], values.numel() / values.shape[1])
        parts = self.team.gather(torch.cat([here, count])[None], self.team.size)
        variances, means, counts = parts.unbind(1)
        shares = counts / counts.sum(0)
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        n = counts.sum(0)
        with torch.no_grad():
            running = (self.running_mean, mean), (self.running_var, variance * n / (n - 1))
            for kept, new in running:
                if kept is not None and self.momentum is not None:
                    kept.lerp_(new, self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        offset = self.bias - mean * scale
        shape = [-1 if axis == 1 else 1 for axis in range(values.ndim)]
        return torch.addcmul(offset.view(shape), values, scale.view(shape)).to(input.dtype)


def share_statistics(network: nn.Module, team: Team) -> None:
    """Let every batch normalisation of a network see whole batches; names and values stay."""
    for module in list(network.modules()):
        for name, norm in module.named_children():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                there = team.device.type == "cuda"
                kind = nn.SyncBatchNorm if there else SharedBatchNorm
                shared = kind(norm.num_features, norm.eps, norm.momentum)
                shared.train(norm.training)
                if isinstance(shared, SharedBatchNorm):
                    shared.team = team
                shared.weight, shared.bias = norm.weight, norm.bias
                for buffer, value in norm.named_buffers():
                    setattr(shared, buffer, value)
                setattr(module, name, shared)
