"""Cluster images without labels: train an autoencoder, embed, cluster, see, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeclust.estimator import AutoencoderClusterer

    __version__: str

__all__ = ["AutoencoderClusterer", "__version__"]


def __getattr__(name: str) -> Any:
    # torch and scikit-learn take seconds to import, and the command's --help needs neither
    if name == "AutoencoderClusterer":
        from aeclust.estimator import AutoencoderClusterer

        return AutoencoderClusterer
    if name == "__version__":
        from importlib.metadata import version

        return version("aeclust")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
