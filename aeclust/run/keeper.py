"""What training leaves in its run folder while it goes on."""

from __future__ import annotations

import json
import time

from aeclust import disk
from aeclust.errors import Interrupted
from aeclust.network.training import Moment, Snapshot
from aeclust.run.context import Context
from aeclust.run.manifest import Manifest
from aeclust.run.weights import write_snapshot, write_weights

_RESUME_EVERY = 30.0  # seconds between two saves of the state
_NOTE_EVERY = 1.0  # and of the metrics: an epoch on a GPU may take milliseconds


class Keeper:
    """Watches training: keeps metrics, checkpoints and the state to resume, and obeys signals.

    Every process of a team has one; the leader's writes.
    """

    def __init__(self, context: Context, manifest: Manifest, start: Snapshot | None) -> None:
        self.context, self.manifest, self.folder = context, manifest, context.folder
        self.recipe, self.total = manifest.recipe, manifest.recipe.total_epochs
        self.kept = set(manifest.checkpoints)
        done = start.epoch if start else 0
        self.lines = [x for x in self.folder.metrics() if x["epoch"] <= done] if done else []
        self.saved_at = self.noted_at = time.monotonic()
        self.noted = len(self.lines)
        if start is not None and self.between(start.epoch, start.step):
            context.rest(self.interrupted(start.epoch))

    def __call__(self, moment: Moment) -> None:
        """Keep what is due after a step; :class:`Interrupted` if a signal came."""
        context, leads = self.context, self.context.team.leads
        context.rest(None)
        if leads and moment.metrics:
            self.lines.append({"epoch": moment.epoch, **moment.metrics})
            if moment.epoch in self.kept or time.monotonic() - self.noted_at > _NOTE_EVERY:
                self.note()
        if leads and moment.step == 0 and moment.epoch in self.kept:
            write_weights(self.folder, self.manifest, moment.epoch, moment.snapshot().weights)
        # a signal to any of the processes ends all after the same step
        stop = context.team.maximum(context.signal() or 0)
        between = self.between(moment.epoch, moment.step)
        due = between or time.monotonic() - self.saved_at > _RESUME_EVERY
        if leads and (stop or due) and moment.epoch < self.total:
            self.close()
            write_snapshot(self.folder, self.manifest, moment.snapshot())
            self.saved_at = time.monotonic()
        context.observe(moment)
        if stop and moment.epoch < self.total:
            raise Interrupted(stop, self.interrupted(moment.epoch))
        if between:
            context.progress(f"looking for {self.recipe.k} clusters to learn", 0, 0)
            context.rest(self.interrupted(moment.epoch))

    def note(self) -> None:
        """Write the metrics so far."""
        text = "".join(f"{json.dumps(line)}\n" for line in self.lines)
        disk.write_bytes(self.folder.metrics_file, text.encode())
        self.noted_at, self.noted = time.monotonic(), len(self.lines)

    def close(self) -> None:
        """Write what is still to be written."""
        if self.noted < len(self.lines):
            self.note()

    def between(self, epoch: int, step: int) -> bool:
        """Whether the second phase begins, which looks for its clusters first: that takes long."""
        return (epoch, step) == (self.recipe.epochs, 0) and epoch < self.total

    def interrupted(self, epoch: int) -> str:
        """What a user reads who interrupts an epoch."""
        return (
            f"interrupted in epoch {epoch + 1} of {self.total}; the state is saved;"
            f" continue with {self.folder.command('train --resume')}"
        )
