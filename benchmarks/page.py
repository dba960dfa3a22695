"""How smooth a report is: its first paint, and the frames while somebody looks through it.

    python benchmarks/page.py aeclust-run/report.html

A headless Chromium or Chrome without a graphics card, 1200 x 900 pixels. Something to do comes with
every frame; a screen shows 60 a second, so 17 ms is all that can be reached.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from rows import Row, append_row

sys.path.append(str(Path(__file__).parents[1] / "tests" / "show"))

from browser import browser

FRAMES = 120
POINTS = "JSON.parse(document.getElementById('points').textContent).x.length"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
HERE = """const map = document.getElementById('canvas');
map.scrollIntoView({ behavior: "instant", block: "center" });
const box = map.getBoundingClientRect();"""
# what is done in each frame i of FRAMES
ACTS = {
    "point": """map.dispatchEvent(new PointerEvent("pointermove", {
        clientX: box.left + box.width * (0.2 + 0.6 * i / frames), pointerType: "mouse",
        clientY: box.top + box.height * (0.5 + 0.4 * Math.sin(i / 9)), bubbles: true }));""",
    "zoom": """map.dispatchEvent(new WheelEvent("wheel", { ctrlKey: true, bubbles: true,
        cancelable: true, deltaY: i < frames / 2 ? -12 : 10, clientX: 500, clientY: 400 }));""",
    "pan": """map.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true,
        deltaX: 20 * Math.sin(i / 9), deltaY: 20 * Math.cos(i / 9) }));""",
    "scroll": """scrollTo({ behavior: "instant",
        top: document.documentElement.scrollHeight * i / frames });""",
}
MEASURE = """new Promise((done) => {
  %s
  const frames = %d, spent = [];
  let i = 0, last = 0;
  requestAnimationFrame(function step(now) {
    if (last) spent.push(now - last);
    last = now;
    if (i > frames) return done(spent);
    %s
    i++;
    requestAnimationFrame(step);
  });
})"""


def main() -> None:
    file = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as opened:
        opened.open(file)
        row: Row = {
            "megabytes": round(file.stat().st_size / 1e6, 1),
            "points": opened.value(POINTS),
            "first_paint_ms": round(opened.value(PAINT)),
            "ready_ms": round(opened.value(READY)),
        }
        opened.value("document.getElementById('canvas').scrollIntoView()")
        for name, act in ACTS.items():
            spent = opened.value(MEASURE % (HERE, FRAMES, act))
            row[name] = [round(float(q), 1) for q in np.quantile(spent, [0.5, 0.95])]
    append_row("page", row)


if __name__ == "__main__":
    main()
