"""The commands as a scikit-learn estimator: images in, labels out, files only where asked for."""

from aeclust.estimator.clusterer import AutoencoderClusterer

__all__ = ["AutoencoderClusterer"]
