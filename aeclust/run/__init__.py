"""The run folder and the stages that work in it, one function for each command."""

from aeclust.run.caches import Prediction, cluster, embed, embed_others, predict
from aeclust.run.context import Context, choose_device
from aeclust.run.figures import checkpoint_curve, plot, reconstruct
from aeclust.run.folder import Manifest, RunFolder
from aeclust.run.info import FileInfo, RunInfo, file_info, run_info
from aeclust.run.train import Trained, train

__all__ = [
    "Context",
    "FileInfo",
    "Manifest",
    "Prediction",
    "RunFolder",
    "RunInfo",
    "Trained",
    "checkpoint_curve",
    "choose_device",
    "cluster",
    "embed",
    "embed_others",
    "file_info",
    "plot",
    "predict",
    "reconstruct",
    "run_info",
    "train",
]
