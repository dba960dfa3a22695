"""The recipes that have a name."""

from __future__ import annotations

from aeclust.recipe.fields import Recipe, unknown

RECIPES: dict[str, Recipe] = {
    # The course's autoencoder: the last feature map (256 x 4 x 4) is the latent.
    "baseline": Recipe(name="baseline"),
    # The same made variational; the report trained it on the squared error alone.
    "vae": Recipe(name="vae", latent_size=128, variational=True),
    # The report's best: deeper, normalised, variational, and trained by plain SGD.
    "deep": Recipe(
        name="deep",
        channels=(64, 128, 256, 512, 1024),
        batch_norm=True,
        latent_size=128,
        variational=True,
        optimizer="sgd",
        lr=0.1,
        weight_decay=0.0,
        momentum=0.9,
        epochs=200,
        reduction=("kpca:50", "tsne:2"),
    ),
    # The project's own: what stays the same under augmentation, a decoder that keeps it honest,
    # and clusters that the network has learnt to separate.
    "hybrid": Recipe(
        name="hybrid",
        network="residual",
        channels=(64, 128, 256),
        batch_norm=True,
        contrast=1.0,
        temperature=0.35,
        view_scale=0.75,
        crops=4,
        crop_scale=0.5,
        reconstruction=10.0,
        decoded=2,
        optimizer="muon",
        lr=0.15,
        weight_decay=1e-4,
        momentum=0.6,
        schedule="one-cycle",
        batch_size=256,
        steps=28,
        epochs=14,
        label_epochs=4,
        precision="auto",
        reduction=("sphere", "pca:20"),
        clusterer="consensus",
    ),
    # An encoder that somebody else trained, and a decoder of our own on its features.
    "pretrained": Recipe(
        name="pretrained",
        network="frozen",
        encoder="efficientnet-lite0",
        image_size=192,
        enlarge=5.0,
        drawn_size=32,
        channels=(32, 64, 128),
        batch_norm=True,
        optimizer="adamw",
        lr=3e-3,
        weight_decay=1e-4,
        schedule="one-cycle",
        batch_size=256,
        steps=28,
        epochs=10,
        precision="auto",
        reduction=("sphere", "pca:50"),
        clusterer="heads",
    ),
    # Vectors that somebody else made: nothing is trained, and nothing drawn.
    "features": Recipe(
        name="features",
        network="none",
        channels=(1,),
        reduction=("sphere", "pca:50"),
        clusterer="heads",
    ),
}
DEFAULT_RECIPE = "hybrid"


def named(name: str) -> Recipe:
    """The recipe called `name`; :class:`~aeclust.errors.InputError` suggests a near miss."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]
