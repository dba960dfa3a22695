"""What somebody meant who typed a flag that a command does not have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aeclust.errors import did_you_mean
from aeclust.recipe import FIELDS

# What other tools call a thing, and what it is called here; before a flag may stand the one command
# whose it is, and what is no flag is said as it stands.
_ELSEWHERE = {
    "--device cuda": "gpu gpus cuda use-gpu use-cuda",
    "--device cpu": "cpu no-gpu no-cuda",
    "--device mps": "mps metal",
    "-k": "k clusters n-clusters num-clusters nclusters n-classes num-classes n-components",
    "predict --confidence": "confidences proba probabilities scores",
    "predict --min-confidence": "threshold min-conf conf minimum-confidence",
    "--output": "out out-file outfile output-file save save-as",
    "--run": "o output out output-dir out-dir outdir save save-dir log-dir logdir checkpoint-dir"
    " work-dir results-dir",
    "--seed": "random-state random-seed manual-seed rng",
    "--lr": "learning-rate base-lr eta",
    "--batch-size": "batch bs batchsize minibatch",
    "--threads": "j jobs n-jobs workers num-workers num-threads n-threads cores",
    "--quiet": "silent no-progress no-verbose",
    "--force": "f overwrite clobber replace y yes",
    "--resume": "continue resume-from restart",
    "--recipe": "model arch architecture network net method",
    "--epochs": "num-epochs n-epochs max-epochs iterations max-iter iters",
    "--size": "img-size image-size imgsz resize resolution",
    "--optimizer": "optim opt solver",
    "--loss": "criterion objective",
    "--keep-checkpoints": "save-every save-freq checkpoint-every keep",
    "--known": "known-labels constraints must-link cannot-link labelled labeled supervision",
    "--features": "embeddings embedding vectors feature from-features",
    "--set latent_size=N": "latent-dim latent embedding-dim embedding-size z-dim bottleneck",
    "give DATA without a flag": "i input data dataset data-dir images image-dir path",
    "every command prints what it does, unless -q": "v vv verbose debug progress",
}
_HERE: defaultdict[str, list[str]] = defaultdict(list)
for _ours, _names in _ELSEWHERE.items():
    for _each in _names.split():
        _HERE[_each].append(_ours)
_MOST_OWNERS = 3


def meant(flag: str, words: Sequence[str], command: str, flags: Mapping[str, Sequence[str]]) -> str:
    """How to mend a flag that a command does not have; empty if nothing is near.

    Parameters
    ----------
    flag : str
        As it was understood: of ``-epochs`` the first letter.
    words : sequence of str
        The command line.
    command : str
        Empty for aeclust itself.
    flags : mapping
        Those of every command.
    """
    here, known = flags.get(command, ()), {each for some in flags.values() for each in some}
    if len(flag) == 2:  # a word behind a single dash, not letters that are flags
        whole = next((word for word in words if word.startswith(flag) and len(word) > 2), flag)
        flag = whole if _name(whole) in _HERE or f"--{_name(whole)}" in known else flag
    name = _name(flag)
    field = name.replace("-", "_")
    wanted = [f"--{name}"] if f"--{name}" in known else []
    wanted += _HERE.get(name, [])
    if not wanted and field in FIELDS:
        wanted = [f"--set {field}=VALUE"]
    for ours in wanted:
        first, _, rest = ours.partition(" ")
        if first in here or first == command:
            return f"did you mean {ours if first in here else rest}?"
    if not wanted:
        return did_you_mean(flag, here)
    return _elsewhere(wanted[0], command, flags, "it" if wanted[0] == flag else wanted[0])


def _elsewhere(ours: str, command: str, flags: Mapping[str, Sequence[str]], called: str) -> str:
    """Where there is what a command does not have."""
    first = ours.partition(" ")[0]
    if first in flags:  # the command whose it is
        return f"see aeclust {ours}"
    if not first.startswith("-"):
        return ours
    owners = [f"aeclust {name}" for name in flags if first in flags[name]]
    if not command:
        return f"flags stand behind the command: {owners[0]} {ours}"
    return f"{called} is a flag of {', '.join(owners[:_MOST_OWNERS])}"


def _name(flag: str) -> str:
    """A flag as tools write it, without its value.

    >>> _name("--Batch_size=3")
    'batch-size'
    """
    return flag.partition("=")[0].lstrip("-").replace("_", "-").lower()


def flags_of(commands: Mapping[str, Any]) -> dict[str, list[str]]:
    """The flags of each command, in the order of the help."""
    return {
        name: [opt for param in command.params for opt in param.opts if opt.startswith("-")]
        for name, command in commands.items()
    }
