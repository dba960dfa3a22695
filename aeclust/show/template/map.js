// The map: every point an image, in the colour and shape of its cluster. Others tell it what the
// labels are by now, and are told of what a person does to it.
function drawMap(data, look) {
  const canvas = find("canvas"), card = find("card"), thumb = find("thumb");
  const pen = canvas.getContext("2d");
  const count = data.x.length;
  let labels = look.labels;
  const widest = Math.max(...data.x, 1), tallest = Math.max(...data.y, 1);
  const across = new Float64Array(count), down = new Float64Array(count);
  const inSight = (i) => across[i] > -9 && down[i] > -9 && across[i] < width + 9 && down[i] < height + 9;
  // all points, drawn anew only where something about them changes
  const ground = document.createElement("canvas"), zoom = makeZoom(canvas, moved);
  const filters = makeFilter(data, look, filter), shown = filters.shown, names = makeNames(data, look);
  const tell = { open() {}, pick() {}, lasso() {} };
  let width = 0, height = 0, ratio = 1, current = -1, waiting = false, stale = true, picked = new Set(), loop = null, spots = [];

  // -- what is where ---------------------------------------------------------------------------

  function place() {
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    ratio = window.devicePixelRatio || 1;
    ground.width = canvas.width = Math.round(width * ratio);
    ground.height = canvas.height = Math.round(height * ratio);
    zoom.move(0, 0);  // what is enlarged may not fit any more
    put();
    draw();  // at once: a canvas of a new size is empty
    if (current >= 0) showCard();
  }

  function put() {
    const edge = 22;
    const scale = Math.min((width - 2 * edge) / widest, (height - 2 * edge) / tallest);
    for (let i = 0; i < count; i++) {
      across[i] = zoom.x((width - widest * scale) / 2 + data.x[i] * scale);
      down[i] = zoom.y((height - tallest * scale) / 2 + data.y[i] * scale);
    }
    stale = true;
  }

  // Another part of the map is in sight.
  function moved() {
    put();
    if (current >= 0 && !inSight(current)) choose(-1, false);
    else if (current >= 0) showCard();
    redraw();
  }

  function nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    for (let i = 0; i < count; i++) {
      if (!shown[i]) continue;
      const distance = (across[i] - x) ** 2 + (down[i] - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  // The nearest of the points that lie more in the direction than beside it.
  function next(dx, dy) {
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (!shown[i] || i === current) continue;
      const x = across[i] - across[current], y = down[i] - down[current];
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy - y * dx);
      if (ahead <= 0 || aside > ahead) continue;
      const distance = ahead * ahead + 4 * aside * aside;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  // -- drawing ---------------------------------------------------------------------------------

  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  function trace(i, radius) {
    pen.setTransform(radius * ratio, 0, 0, radius * ratio, across[i] * ratio, down[i] * ratio);
    return look.of(labels[i]).path;
  }

  const colourOf = (each) => getComputedStyle(each.mark).color;

  function radiusNow() {
    const whole = width / 5 / Math.sqrt(count);
    return Math.min(6, Math.max(1.8, whole) * Math.sqrt(zoom.times));
  }

  // A cluster's mark once, which is then copied to each of its points: that is fast.
  function stamp(each, radius, ink) {
    const made = document.createElement("canvas"), brush = made.getContext("2d");
    made.width = made.height = 2 * Math.ceil(1.5 * radius * ratio);
    brush.setTransform(radius * ratio, 0, 0, radius * ratio, made.width / 2, made.height / 2);
    brush.fillStyle = colourOf(each);
    brush.strokeStyle = ink;
    brush.lineWidth = 0.5 / radius;
    brush.globalAlpha = 0.85;
    brush.fill(each.path);
    brush.globalAlpha = 0.3;
    brush.stroke(each.path);
    return made;
  }

  function drawGround(radius, ink) {
    const brush = ground.getContext("2d");
    const looks = new Map(look.all().map((each) => [each, stamp(each, radius, ink)]));
    const stamps = new Map([...new Set(labels)].map((label) => [label, looks.get(look.of(label))]));
    brush.clearRect(0, 0, ground.width, ground.height);
    for (let i = 0; i < count; i++) {
      if (!shown[i] || !inSight(i)) continue;
      const made = stamps.get(labels[i]), half = made.width / 2;
      brush.drawImage(made, Math.round(across[i] * ratio - half), Math.round(down[i] * ratio - half));
    }
    stale = false;
  }

  function draw() {
    waiting = false;
    const { color: ink, backgroundColor: paper } = getComputedStyle(canvas), radius = radiusNow();
    if (stale) drawGround(radius, ink);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(ground, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    names.draw(pen, spots.filter(({ point }) => inSight(point)), across, down, [ink, paper]);
    for (const i of picked) if (shown[i]) emphasise(i, radius, 3, [[paper, 4], [ink, 1.5]]);
    if (current >= 0) emphasise(current, radius, 6, [[paper, 5], [ink, 2]]);
    if (loop) drawLoop(ink);

    // a ring that no colour hides: ink on a halo of ground
    function emphasise(i, radius, gap, rings) {
      const shape = trace(i, radius + 1.5);
      pen.fillStyle = colourOf(look.of(labels[i]));
      pen.fill(shape);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.beginPath();
      pen.arc(across[i], down[i], radius + gap, 0, 2 * Math.PI);
      for (const [style, width] of rings) {
        pen.strokeStyle = style;
        pen.lineWidth = width;
        pen.stroke();
      }
    }
  }

  function drawLoop(ink) {
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.beginPath();
    for (const [x, y] of loop) pen.lineTo(x, y);
    pen.closePath();
    pen.globalAlpha = 0.08;
    pen.fillStyle = pen.strokeStyle = ink;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 4]);
    pen.stroke();
    pen.setLineDash([]);
  }

  // -- one image -------------------------------------------------------------------------------

  function drawThumb() {
    thumb.hidden = !look.paint(thumb, current, 160);
  }

  function showCard() {
    drawThumb();
    card.hidden = false;
    const gap = 16, x = across[current], y = down[current];
    const { offsetWidth: wide, offsetHeight: tall } = card;
    const within = (place, most) => Math.min(Math.max(0, place), Math.max(0, most));
    let left = x + gap, top = within(y - tall / 2, height - tall);
    if (left + wide > width) left = x - gap - wide;
    if (left < 0) {  // no room on either side: above or below
      left = within(x - wide / 2, width - wide);
      top = y > height / 2 ? y - gap - tall : y + gap;
    }
    card.style.left = `${left}px`;
    card.style.top = `${top}px`;
  }

  function choose(i, aloud) {
    if (i === current) return;
    current = i;
    redraw();
    if (i < 0) {
      card.hidden = true;
      find("said").textContent = "";
      return;
    }
    const name = look.title(labels[i]);
    const confidence = data.confidence[i].toFixed(2);
    find("card-id").textContent = data.ids[i];
    find("card-cluster").textContent = name;
    find("card-confidence").textContent = `confidence ${confidence}`;
    showCard();
    if (aloud) find("said").textContent = `${data.ids[i]}, ${name}, confidence ${confidence}`;
  }

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
  };

  const more = (event) => event.shiftKey || event.ctrlKey || event.metaKey;
  let begin = null, looped = false;

  canvas.addEventListener("pointerdown", (event) => {
    choose(nearest(...at(event), 28), true);
    looped = false;
    const draws = event.pointerType !== "touch" || document.body.classList.contains("selecting");
    if (look.editable && event.button === 0 && draws) begin = at(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (zoom.pinching) {
      begin = loop = null;
      choose(-1, false);
    }
    if (begin && !loop && Math.hypot(x - begin[0], y - begin[1]) > 6) {
      loop = [begin];
      canvas.setPointerCapture(event.pointerId);
      choose(-1, false);
    }
    if (loop) {
      loop.push([x, y]);
      redraw();
    } else if (event.pointerType === "mouse") choose(nearest(x, y, 16), false);
  });
  canvas.addEventListener("pointerup", (event) => {
    begin = null;
    if (!loop) return;
    const around = loop;
    [loop, looped] = [null, true];
    redraw();
    tell.lasso(inside(around), more(event));
  });
  canvas.addEventListener("pointercancel", () => {
    begin = loop = null;
    redraw();
  });
  canvas.addEventListener("click", (event) => {
    if (looped || current < 0) return;
    if (more(event) || document.body.classList.contains("selecting")) tell.pick(current);
    else tell.open(current);
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && !loop) choose(-1, false);
  });

  // The points that are shown in a loop: by how often a ray to the left crosses it.
  function inside(around) {
    const found = [];
    for (let i = 0; i < count; i++) {
      if (!shown[i]) continue;
      let odd = false, [x0, y0] = around.at(-1);
      for (const [x1, y1] of around) {
        const crosses = (y0 > down[i]) !== (y1 > down[i]);
        if (crosses && across[i] > x0 + ((down[i] - y0) / (y1 - y0)) * (x1 - x0)) odd = !odd;
        [x0, y0] = [x1, y1];
      }
      if (odd) found.push(i);
    }
    return found;
  }

  canvas.addEventListener("blur", () => choose(-1, false));
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose(-1, false);
    if (current >= 0 && event.key === "Enter") tell.open(current);
    if (current >= 0 && event.key === " ") {
      event.preventDefault();
      tell.pick(current);
    }
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const middle = () => nearest(width / 2, height / 2, Infinity);
    const found = current < 0 ? middle() : next(...way);
    if (found < 0) return;
    zoom.show(across[found], down[found], 22);
    choose(found, true);
  });

  // -- which images ----------------------------------------------------------------------------

  function filter() {
    filters.apply(labels);
    spots = names.spots(labels, shown);
    if (current >= 0 && !shown[current]) choose(-1, false);
    stale = true;
    redraw();
  }

  find("interactive").hidden = false;
  new ResizeObserver(place).observe(canvas);
  place();
  filter();
  return {
    tell, choose,
    repaint() {
      stale = true;
      filters.draw();
      redraw();
    },
    current: () => current,
    relabel(now) {
      labels = now;
      filter();
      if (current >= 0) find("card-cluster").textContent = look.title(labels[current]);
    },
    select(images) {
      picked = new Set([...images].filter((i) => i < count));
      redraw();
    },
    refresh() { if (current >= 0) drawThumb(); },
  };
}
