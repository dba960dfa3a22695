"""Cluster images without labels: train an autoencoder, embed, cluster, see, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeclust.estimator import AutoencoderClusterer

__all__ = ["AutoencoderClusterer"]


def __getattr__(name: str) -> Any:
    # torch and scikit-learn take seconds to import, and the command's --help needs neither
    if name == "AutoencoderClusterer":
        from aeclust.estimator import AutoencoderClusterer

        return AutoencoderClusterer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
