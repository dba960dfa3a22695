"""What every stage of a run needs besides its request: the folder, the device, and who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aeclust.errors import InputError
from aeclust.images import Images, Source
from aeclust.run.folder import RunFolder

if TYPE_CHECKING:
    import torch

    from aeclust.network.parallel import Team
    from aeclust.network.pretrained import Encoder
    from aeclust.network.training import Moment
    from aeclust.run.present import Present


def alone(device: str = "cpu") -> Team:
    """A process that works by itself on the device of this name, see :func:`choose_device`."""
    from aeclust.network.parallel import Team

    return Team(device=choose_device(device))


@dataclass(frozen=True)
class Context:
    """The surroundings of a command's stages.

    Attributes
    ----------
    folder : RunFolder
    assemble : callable
        Gives the team of processes that do this together, when it is needed.
    log : callable
        Takes one line for the user.
    observe : callable
        Takes every :class:`~aeclust.network.training.Moment` of training.
    expect : callable
        Takes the number of epochs of a training, once it is known.
    progress : callable
        Takes (what, done, total) of other long work; a total of 0 is not known.
    signal : callable
        The number of a signal that asks training to stop, or None.
    rest : callable
        Takes what to print if a signal ends the command from now on, because nothing would be
        lost; None if a signal must wait again until training asks for it.
    threads : int or None
        That the command computes with, if that was given or chosen here.
    loaded, kept, present, encoders : dict
        What the command has loaded already: images by their source; by the digest of the run's
        images what it keeps of them and what has become of them; frozen encoders by their SHA-256.
    logged : set of str
        What was logged already and is logged once in a command.
    """

    folder: RunFolder
    assemble: Callable[[], Team] = alone
    log: Callable[[str], None] = lambda line: None
    observe: Callable[[Moment], None] = lambda moment: None
    expect: Callable[[int], None] = lambda epochs: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    signal: Callable[[], int | None] = lambda: None
    rest: Callable[[str | None], None] = lambda what: None
    threads: int | None = None
    loaded: dict[Source, Images] = field(default_factory=dict, repr=False, compare=False)
    kept: dict[str, Images | None] = field(default_factory=dict, repr=False, compare=False)
    present: dict[str, Present] = field(default_factory=dict, repr=False, compare=False)
    encoders: dict[str, Encoder] = field(default_factory=dict, repr=False, compare=False)

    logged: set[str] = field(default_factory=set, repr=False, compare=False)

    def step(self, name: str) -> None:
        """Show the step that a clustering is at."""
        self.progress(f"clustering: {name}", 0, 0)

    @property
    def team(self) -> Team:
        """The processes that do this together."""
        return self.assemble()

    @property
    def device(self) -> torch.device:
        """Where the networks of this process work."""
        return self.team.device

    def check_same(self, identity: str) -> None:
        """Refuse, in every process of a team, work that not all of them were asked to do alike."""
        if self.team.maximum(int(self.team.broadcast(identity) != identity)):
            raise InputError(
                "the processes have different images or settings",
                expected="the same for all of them",
                mend="start all with the same files and flags",
            )


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu``, ``cuda`` or ``mps``; auto takes the fastest there is.

    Raises
    ------
    InputError
        If it is not there.
    """
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    kinds = [kind for kind, there in present.items() if there]
    if name != "auto" and name not in kinds:
        raise InputError(
            f"{name} is not available here",
            where="`device`",
            expected=" or ".join(kinds),
            mend="use `device` auto",
        )
    return torch.device(kinds[0] if name == "auto" else name)
