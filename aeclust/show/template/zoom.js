// Which part of the map is in sight: how much larger it is, and how far moved.
function makeZoom(canvas, changed) {
  const most = 40, fingers = new Map();
  let times = 1, left = 0, top = 0;

  function put(scale, x, y) {
    const { clientWidth: width, clientHeight: height } = canvas;
    const before = [times, left, top];
    times = Math.min(most, Math.max(1, scale));
    // no edge of the map comes further in than that of the canvas
    left = Math.min(0, Math.max(width * (1 - times), x));
    top = Math.min(0, Math.max(height * (1 - times), y));
    if (before[0] === times && before[1] === left && before[2] === top) return false;
    for (const each of ["zoom-out", "zoom-whole"]) find(each).disabled = times === 1;
    find("zoom-in").disabled = times === most;
    canvas.style.touchAction = times > 1 ? "none" : "";  // then a finger moves the map, else the page
    changed();
    return true;
  }

  const move = (dx, dy) => put(times, left + dx, top + dy);

  // What is at one place comes to another one, so many times as large.
  function carry(before, after, by) {
    const scale = Math.min(most, Math.max(1, times * by)), grown = scale / times;
    return put(scale, after.x - (before.x - left) * grown, after.y - (before.y - top) * grown);
  }

  const zoom = (by, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => carry({ x, y }, { x, y }, by);

  // Ctrl and the wheel, which is also what two fingers on a touchpad give, zoom; what is enlarged
  // is moved by the wheel, and the page only where that has come to an end.
  canvas.addEventListener("wheel", (event) => {
    const step = [1, 16, canvas.clientHeight][event.deltaMode];
    const [dx, dy] = [event.deltaX * step, event.deltaY * step];
    const sideways = event.shiftKey && !dx;
    const done = event.ctrlKey || event.metaKey
      ? zoom(Math.exp(-Math.max(-100, Math.min(100, dy)) / 250), event.offsetX, event.offsetY) || true
      : times > 1 && move(...(sideways ? [-dy, 0] : [-dx, -dy]));
    if (done) event.preventDefault();
  }, { passive: false });

  // Two fingers move and enlarge, and one moves what is enlarged.
  const spot = ({ offsetX: x, offsetY: y }) => ({ x, y });
  const held = () => {
    const all = [...fingers.values()], [a, b] = [all[0], all.at(-1)];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.max(20, Math.hypot(a.x - b.x, a.y - b.y)) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && fingers.size < 2) fingers.set(event.pointerId, spot(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = held();
    fingers.set(event.pointerId, spot(event));
    if (fingers.size < 2 && document.body.classList.contains("selecting")) return;
    const after = held();
    carry(before, after, after.apart / before.apart);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  for (const kind of ["touchstart", "touchmove"]) {  // or the browser scrolls by two fingers
    canvas.addEventListener(kind, (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
  }

  const whole = () => put(1, 0, 0);
  find("zoom-in").addEventListener("click", () => zoom(1.6));
  find("zoom-out").addEventListener("click", () => zoom(1 / 1.6));
  find("zoom-whole").addEventListener("click", whole);
  const keys = { "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6) };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  return {
    move, whole,
    x: (place) => left + place * times,
    y: (place) => top + place * times,
    // What lies outside comes in sight.
    show(x, y, edge) {
      const by = (place, size) => Math.max(0, edge - place) - Math.max(0, place - (size - edge));
      move(by(x, canvas.clientWidth), by(y, canvas.clientHeight));
    },
    get times() { return times; },
    get pinching() { return fingers.size > 1; },
  };
}
