"""The networks: encoder, bottleneck and decoder of every recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aeclust.errors import InputError
from aeclust.network.batches import generator
from aeclust.network.convolution import (
    Conv2d,
    ConvTranspose2d,
    PatchConv2d,
    PatchConvTranspose2d,
)
from aeclust.network.isolation import isolated
from aeclust.recipe import Recipe


@dataclass(frozen=True)
class Output:
    """What a forward pass gives.

    Attributes
    ----------
    latent : Tensor of shape (n, d)
        The code that the decoder takes, or its mean if the network is variational.
    log_variance : Tensor of shape (n, d) or None
        Of a variational code.
    reconstruction : Tensor of shape (n or fewer, c, s, s)
        In [-1, 1].
    projection : Tensor of shape (n, p) or None
        What the contrastive term compares.
    logits : Tensor of shape (n, k) or None
        Of the clusters, if the recipe labels itself.
    crop_projection : Tensor of shape (m, p) or None
        Of small crops, if there are any.
    """

    latent: Tensor
    log_variance: Tensor | None
    reconstruction: Tensor
    projection: Tensor | None
    logits: Tensor | None = None
    crop_projection: Tensor | None = None


class Autoencoder(nn.Module):
    """Encoder, optional bottleneck, decoder.

    A frozen encoder is no part of the weights: :attr:`see` is set to it, and the latents are its
    features, each value brought to mean 0 and variance 1 by the training images.

    Parameters
    ----------
    recipe : Recipe
        Its network, channels, batch_norm, latent_size, variational and image_size.
    image_channels : int
        1 for grey, 3 for RGB.

    Attributes
    ----------
    image_size, drawn_size : int
        Pixels a side of the images that it takes, and of those that it draws.
    see : callable or None
        From images (n, c, s, s) to the features of a frozen encoder (n, d).
    views : int
        Of each image that a training pass takes: 2 for a contrastive term, else 1.
    head : Linear or None
        From latents to the logits of k clusters, if the recipe labels itself.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, recipe: Recipe, image_channels: int) -> None:
        super().__init__()
        widths = (image_channels, *recipe.channels)
        self.frozen = recipe.network == "frozen"
        self.drawn_size = recipe.drawn_size if self.frozen else recipe.image_size
        side = self.drawn_size >> len(recipe.channels)
        self.feature_shape = (widths[-1], side, side)
        features, latent = widths[-1] * side * side, recipe.latent_size
        self.image_channels, self.image_size = image_channels, recipe.image_size
        self.residual = recipe.network == "residual"
        self.see: Callable[[Tensor], Tensor] | None = None
        self.expand: nn.Linear | None
        if self.frozen:
            self.encoder, self.decoder = nn.Sequential(), _shuffled_decoder(widths)
            self.register_buffer("centre", torch.zeros(latent))
            self.register_buffer("scale", torch.ones(latent))
            self.mean = self.log_variance = self.projector = self.head = None
            self.expand, self.views = nn.Linear(latent, features), 1
            return
        self.encoder, self.decoder = (
            (_residual_encoder(widths, 1 + recipe.extra_layers), _shuffled_decoder(widths))
            if self.residual
            else (
                _pooling_encoder(widths, recipe.batch_norm),
                _widening_decoder(widths, side, recipe.batch_norm),
            )
        )
        pooled = widths[-1] if self.residual else features
        self.mean = nn.Linear(pooled, latent) if latent else None
        self.log_variance = nn.Linear(pooled, latent) if recipe.variational else None
        width = latent or pooled
        self.expand = nn.Linear(width, features) if latent or self.residual else None
        self.views = 2 if recipe.contrast else 1
        self.projector = _projector(width) if recipe.contrast else None
        self.head = nn.Linear(width, recipe.k) if recipe.total_epochs > recipe.epochs else None

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.parameters()).device

    def encode(self, images: Tensor) -> Tensor:
        """Latents (n, d) of images (n, c, s, s) in [-1, 1]; the mean of a variational code.

        A frozen encoder's features (n, d) may stand for the images.
        """
        return self._codes(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """What the frozen encoder makes of images; features are left as they are."""
        if images.ndim == 2:
            return images
        if self.see is None:
            raise ValueError("no frozen encoder is there to see images")
        return self.see(images)

    def standardise(self, features: NDArray[np.float32]) -> None:
        """Bring each value of these features (n, d) to mean 0 and variance 1 from now on."""
        mean, spread = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
        self.centre.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.maximum(spread, 1e-6)))

    def decode(self, latent: Tensor) -> Tensor:
        """Images (n, c, s, s) in [-1, 1] of latents (n, d)."""
        features = latent if self.expand is None else self.expand(latent)
        return self.decoder(features.unflatten(1, self.feature_shape))

    def assign(self, latents: Tensor) -> Tensor:
        """Probabilities (n, k) of the clusters that the network has learnt to tell apart."""
        if self.head is None:
            raise ValueError("a network without self-labelling assigns no clusters")
        assigned: Tensor = self.head(latents).softmax(1)
        return assigned

    def forward(
        self,
        images: Tensor,
        noise: Tensor | None = None,
        crops: Tensor | None = None,
        drawn: slice = slice(None),
    ) -> Output:
        """One training pass.

        Parameters
        ----------
        images : Tensor of shape (n, c, s, s)
            In [-1, 1]; if :attr:`views` is 2, first views, then second ones.
        noise : Tensor of shape (n, d), optional
            Standard normal, for a variational code; without it the mean is decoded.
        crops : Tensor of shape (m, c, t, t), optional
            Small crops, of which only projections are wanted.
        drawn : slice
            Which of the images, or first views, are decoded.
        """
        latent, log_variance = self._codes(images)
        code = latent
        if log_variance is not None and noise is not None:
            code = latent + torch.exp(0.5 * log_variance) * noise.to(latent.dtype)
        reconstruction = self.decode(code[: -(-len(code) // self.views)][drawn])
        if self.projector is None:
            return Output(latent, log_variance, reconstruction, None)
        logits = None if self.head is None else self.head(latent)
        projection = self.projector(latent)
        parts = None if crops is None else self.projector(self.encode(crops))
        return Output(latent, log_variance, reconstruction, projection, logits, parts)

    def _codes(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.frozen:
            return (self.features(images) - self.centre) / self.scale, None
        features = self.encoder(images)
        if self.residual:  # unlike mean((2, 3)), this leaves gradients in the layout of images
            features = F.avg_pool2d(features, features.shape[2:])
        features = features.flatten(1)
        latent = features if self.mean is None else self.mean(features)
        if self.residual:
            # only directions count for the contrastive term, so the latent keeps nothing else
            latent = F.normalize(latent, dim=1) * latent.shape[1] ** 0.5
        if self.log_variance is None:
            return latent, None
        # beyond this exp() overflows within a few steps of SGD at the report's rate
        return latent, self.log_variance(features).clamp(-10.0, 10.0)


@isolated(gradients=True)
def build(recipe: Recipe, image_channels: int, *, seed: int) -> Autoencoder:
    """A freshly initialised network, whose weights `seed` decides.

    They have the distribution of PyTorch's own initialisation, which draws from a generator that
    all threads share.
    """
    with torch.device("meta"):  # without values, so that none are drawn
        network = Autoencoder(recipe, image_channels)
    network.to(torch.float32)
    empty = {
        name: torch.empty(value.shape, dtype=value.dtype)
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(empty, assign=True)
    source = generator(torch.device("cpu"), seed, "weights")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            reach = module.weight[0].numel() ** -0.5
            for value in module.parameters():
                nn.init.uniform_(value, -reach, reach, generator=source)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()
    if network.frozen:
        network.centre.zero_()
        network.scale.fill_(1.0)
    if network.residual or network.frozen:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    return network


def state_arrays(network: Autoencoder) -> dict[str, NDArray[Any]]:
    """The state dict as numpy arrays, copied."""
    return {
        name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()
    }


def load_state(network: Autoencoder, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Fill a network from the arrays of its whole state dict.

    Raises
    ------
    InputError
        Naming what is missing, unexpected or misshapen; then nothing is loaded.
    """
    check_state(network.state_dict(), {name: array.shape for name, array in arrays.items()})
    network.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in arrays.items()})


def check_state(wanted: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse arrays of these shapes, unless they are those of the state dict `wanted`."""
    problems = [f"missing {name}" for name in wanted if name not in shapes]
    problems += [f"unexpected {name}" for name in shapes if name not in wanted]
    problems += [
        f"{name} is {shapes[name]} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in shapes and shapes[name] != tuple(value.shape)
    ]
    if problems:
        raise InputError(
            f"the weights do not fit the network: {', '.join(problems[:6])}"
            + (f" and {len(problems) - 6} more" if len(problems) > 6 else ""),
            expected="weights of this recipe and image size",
            mend="use the run folder that they came from",
        )


# -- the report's networks: every stage is conv 3x3, ReLU, max-pool 2 ----------------------------


def _pooling_encoder(widths: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [PatchConv2d(before, after, 3, padding=1)]
        layers += [nn.BatchNorm2d(after)] if batch_norm else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def _widening_decoder(widths: tuple[int, ...], side: int, batch_norm: bool) -> nn.Sequential:
    """Transposed convolutions of stride 1: a kernel of side + 1 doubles the side."""
    layers: list[nn.Module] = []
    for stage in range(len(widths) - 1, 0, -1):
        layers.append(PatchConvTranspose2d(widths[stage], widths[stage - 1], side + 1))
        side *= 2
        if stage > 1:
            layers += [nn.BatchNorm2d(widths[stage - 1])] if batch_norm else []
            layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Tanh())


# -- the hybrid's network: a pixel-unshuffled stem, and residual layers ---------------------------


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*_conv_norm(width, width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def _conv_norm(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    return [
        Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
    ]


def _residual_encoder(widths: tuple[int, ...], depth: int) -> nn.Sequential:
    """Stages that halve the image, then have so many residual layers.

    The first halves it by moving 2 x 2 pixels into channels. So no convolution runs at full size,
    where it would cost most and have too few channels to be fast.
    """
    image, first, *_ = widths
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), *_conv_norm(4 * image, first), nn.ReLU()]
    layers += [_Residual(first) for _ in range(depth)]
    for before, after in pairwise(widths[1:]):
        layers += [*_conv_norm(before, after, stride=2), nn.ReLU()]
        layers += [_Residual(after) for _ in range(depth)]
    return nn.Sequential(*layers)


def _shuffled_decoder(widths: tuple[int, ...]) -> nn.Sequential:
    """The encoder's way back, its last stage a pixel shuffle."""
    image, first, *_ = widths
    layers: list[nn.Module] = [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
    for stage in range(len(widths) - 1, 1, -1):
        before, after = widths[stage], widths[stage - 1]
        layers.append(ConvTranspose2d(before, after, 4, stride=2, padding=1))
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
    layers += [Conv2d(first, 4 * image, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*layers, nn.Tanh())


def _projector(width: int) -> nn.Sequential:
    hidden = 2 * width
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 128)
    )
