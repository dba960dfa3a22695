"""The run folder and the stages that work in it, one function for each command.

Modules are imported one by one, and they import torch where a network is at work: a command that
finds everything fresh ends before torch would have been loaded.
"""

DEFAULT_RUN = "aeclust-run"  # where a run lies, if nobody says
