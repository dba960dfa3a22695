"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aeclust.network.model import Output
from aeclust.recipe import Recipe

TERMS = ("loss", "reconstruction", "kl", "contrast", "labels")


@dataclass(frozen=True)
class Loss:
    """The objective of a batch and its unweighted terms, each a scalar; absent terms are 0."""

    total: Tensor
    reconstruction: Tensor
    kl: Tensor
    contrast: Tensor
    labels: Tensor

    def values(self) -> Tensor:
        """The numbers (5,), in the order of :data:`TERMS`, where they were computed."""
        return torch.stack(list(vars(self).values())).detach()


def objective(output: Output, drawn: Tensor, recipe: Recipe, targets: Tensor | None = None) -> Loss:
    """The loss of a recipe.

    Parameters
    ----------
    output : Output
        With a contrastive term the first and second half of the rows are two views of the same
        images in the same order.
    drawn : Tensor of shape (d, c, s, s)
        What the reconstructions are to be, in [-1, 1].
    recipe : Recipe
    targets : Tensor of shape (m, k), optional
        Probabilities of the clusters of m images, whose two views make up the rows.

    Returns
    -------
    Loss
        In float32.
    """
    kl = contrast = labels = output.latent.new_zeros((), dtype=torch.float32)
    if output.log_variance is not None:
        kl = gaussian_kl(output.latent.float(), output.log_variance.float()).mean()
    if recipe.loss == "elbo":
        # -log p(x | z) of a unit-variance Gaussian, up to its constant, for each image
        errors = (output.reconstruction.float() - drawn).square().flatten(1)
        reconstruction = errors.sum(1).mean() / 2
        base = reconstruction + recipe.beta * kl
    else:
        reconstruction = F.mse_loss(output.reconstruction.float(), drawn)
        base = reconstruction
    total = recipe.reconstruction * base
    if output.projection is not None and recipe.contrast > 0:
        projection = output.projection.float()
        contrast = nt_xent(projection, recipe.temperature)
        if output.crop_projection is not None:
            crops = output.crop_projection.float()
            contrast = contrast + crop_contrast(crops, projection, recipe.temperature)
        total = total + recipe.contrast * contrast
    if targets is not None and output.logits is not None:
        labels = F.cross_entropy(output.logits.float(), targets.repeat(2, 1))
        total = total + labels
    return Loss(total, reconstruction, kl, contrast, labels)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1), summed over the code.

    Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), appendix B.

    Parameters
    ----------
    mean, log_variance : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (n,)
        In nats, 0 or more.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)


def nt_xent(projections: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy between two views.

    Every view must find its partner among all other views by cosine similarity.
    Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (2020),
    equation 1.

    Parameters
    ----------
    projections : Tensor of shape (2 m, p)
        Row i and row m + i are views of the same image.
    temperature : float
        Above 0.

    Returns
    -------
    Tensor of shape ()
        Mean over the 2 m views, in nats; log(2 m - 1) when all projections are equal.
    """
    unit = F.normalize(projections, dim=1)
    similarity = unit @ unit.T / temperature
    rows = torch.arange(len(unit), device=unit.device)
    itself = rows[:, None] == rows
    partner = rows.roll(len(rows) // 2)
    return F.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


def crop_contrast(crops: Tensor, projections: Tensor, temperature: float) -> Tensor:
    """Cross-entropy by which every small crop must find its image among all of the batch.

    An image stands where the mean direction of its two views points. Small crops cost little, and
    they ask for what a part says of the whole (compare Caron et al., "Unsupervised Learning of
    Visual Features by Contrasting Cluster Assignments", 2020, section 3.3, whose crops find
    prototypes).

    Parameters
    ----------
    crops : Tensor of shape (m n, p)
        Row i is a crop of image i modulo n.
    projections : Tensor of shape (2 n, p)
        Rows i and n + i are views of image i.
    temperature : float
        Above 0.

    Returns
    -------
    Tensor of shape ()
        Mean over the crops, in nats; log n when all projections are equal.
    """
    first, second = F.normalize(projections, dim=1).chunk(2)
    images = F.normalize(first + second, dim=1)
    similarity = F.normalize(crops, dim=1) @ images.T / temperature
    rows = torch.arange(len(images), device=images.device)
    return F.cross_entropy(similarity, rows.repeat(len(crops) // len(images)))
