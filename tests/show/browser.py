"""A headless Chromium driven through a pipe, by its DevTools protocol."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), "")


FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Browser:
    """One page of a browser, and the events that it has told of."""

    def __init__(self, wishes: IO[bytes], answers: IO[bytes]) -> None:
        self._wishes, self._answers = wishes, answers
        self._session = ""
        self._count = 0
        self.events: list[dict[str, Any]] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer."""
        self._count += 1
        wish: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        wish |= {"sessionId": self._session} if self._session else {}
        self._wishes.write(json.dumps(wish).encode() + b"\0")
        self._wishes.flush()
        while True:
            message = self._next()
            if message.get("id") == self._count:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, file: Path) -> None:
        """Load a file and wait until it is there."""
        self.events.clear()
        self("Page.navigate", url=file.resolve().as_uri())
        while not self.told("Page.loadEventFired"):
            self._next()
        self.value(FRAME)

    def told(self, method: str) -> list[dict[str, Any]]:
        """What the events of one kind say, since the page was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def value(self, script: str) -> Any:
        """What an expression of JavaScript gives."""
        found = self("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, *, ctrl: bool = False, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            codes = {"Tab": 9, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38}
            code = codes.get(key, 0)
            self(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=code, modifiers=2 * ctrl + 8 * shift,
            )  # fmt: skip

    def point(self, x: float, y: float, *, press: bool = False) -> None:
        """Move the mouse there, and click if asked to."""
        for kind in ("mouseMoved", *(("mousePressed", "mouseReleased") if press else ())):
            button = "none" if kind == "mouseMoved" else "left"
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)
        self.value(FRAME)  # moves are told of once a frame


@contextlib.contextmanager
def browser(folder: Path, *, width: int = 1200, height: int = 900) -> Iterator[Browser]:
    """A browser whose profile lies in a folder; it ends with the block."""
    their_wishes, wishes = os.pipe()
    answers, their_answers = os.pipe()
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"]
    flags += [f"--user-data-dir={folder}", f"--window-size={width},{height}"]
    if width >= 600:  # a mouse, which hovers
        kinds: tuple[str, ...] = ("primaryHoverType=2", "availableHoverTypes=2")
        kinds += ("primaryPointerType=4", "availablePointerTypes=4")
        flags.append(f"--blink-settings={','.join(kinds)}")
    # it reads from 3 and writes to 4
    script = f'exec "$@" 3<&{their_wishes} 4>&{their_answers}'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", PROGRAM, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(their_wishes, their_answers),
        start_new_session=True,
    ) as process:
        # one that hangs would keep the tests waiting
        end = threading.Timer(60, os.killpg, (process.pid, signal.SIGKILL))
        end.start()
        os.close(their_wishes)
        os.close(their_answers)
        try:
            with open(wishes, "wb") as to_it, open(answers, "rb") as from_it:
                found = Browser(to_it, from_it)
                found(
                    "Emulation.setDeviceMetricsOverride",
                    width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
                )  # fmt: skip
                # a page that still scrolls would move away from under the pointer
                still = {"name": "prefers-reduced-motion", "value": "reduce"}
                found("Emulation.setEmulatedMedia", features=[still])
                yield found
        finally:
            end.cancel()
            os.killpg(process.pid, signal.SIGKILL)
