"use strict";
(() => {
  const data = JSON.parse(document.getElementById("points").textContent);
  const find = (id) => document.getElementById(id);
  const canvas = find("canvas"), card = find("card"), thumb = find("thumb");
  const pen = canvas.getContext("2d");
  const count = data.x.length, other = data.clusters.length;
  const groupOf = new Map(data.clusters.map((cluster, group) => [cluster, group]));
  const groups = data.labels.map((label) => groupOf.get(label) ?? other);
  const shapes = [...data.shapes, data.other].map((path) => new Path2D(path));
  const toggles = [...document.querySelectorAll("[data-group]")];
  const marks = toggles.map((toggle) => toggle.parentElement.querySelector(".mark"));
  const widest = Math.max(...data.x, 1), tallest = Math.max(...data.y, 1);
  const across = new Float64Array(count), down = new Float64Array(count);
  const shown = new Uint8Array(count).fill(1);
  let current = -1, ratio = 1, waiting = false;

  // -- what is where ---------------------------------------------------------------------------

  function place() {
    const width = canvas.clientWidth, height = canvas.clientHeight, edge = 22;
    ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const scale = Math.min((width - 2 * edge) / widest, (height - 2 * edge) / tallest);
    for (let i = 0; i < count; i++) {
      across[i] = (width - widest * scale) / 2 + data.x[i] * scale;
      down[i] = (height - tallest * scale) / 2 + data.y[i] * scale;
    }
    draw();  // at once: a canvas of a new size is empty
    if (current >= 0) showCard();
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
    return shapes[groups[i]];
  }

  function draw() {
    waiting = false;
    const colours = marks.map((mark) => getComputedStyle(mark).color);
    const ink = getComputedStyle(canvas).color;
    const radius = Math.min(6, Math.max(1.8, canvas.clientWidth / 5 / Math.sqrt(count)));
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.strokeStyle = ink;
    pen.lineWidth = 0.5 / radius;
    for (let i = 0; i < count; i++) {
      if (!shown[i]) continue;
      const shape = trace(i, radius);
      pen.fillStyle = colours[groups[i]];
      pen.globalAlpha = 0.85;
      pen.fill(shape);
      pen.globalAlpha = 0.3;
      pen.stroke(shape);
    }
    pen.globalAlpha = 1;
    if (current < 0) return;
    const shape = trace(current, radius + 1.5);
    pen.fillStyle = colours[groups[current]];
    pen.fill(shape);
    // a ring that no colour hides: ink on a halo of ground
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.beginPath();
    pen.arc(across[current], down[current], radius + 6, 0, 2 * Math.PI);
    for (const [colour, width] of [[getComputedStyle(canvas).backgroundColor, 5], [ink, 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.stroke();
    }
  }

  // -- one image -------------------------------------------------------------------------------

  const sheets = (data.sheets?.uris ?? []).map((uri) => {
    const image = new Image();
    image.addEventListener("load", () => current >= 0 && drawThumb());
    image.src = uri;
    return image;
  });

  function drawThumb() {
    thumb.hidden = !data.sheets;
    if (!data.sheets) return;
    const { columns, rows, cell, tiles } = data.sheets;
    const [tall, wide] = tiles[current] ?? tiles[0], longest = Math.max(tall, wide);
    // small ones by whole pixels, larger ones no more than is pleasant to look at
    const times = longest <= 56 ? Math.floor(112 / longest) : Math.min(2, 160 / longest);
    const image = sheets[Math.floor(current / (columns * rows))];
    const at = current % (columns * rows);
    thumb.width = Math.max(1, Math.round(wide * times));
    thumb.height = Math.max(1, Math.round(tall * times));
    const brush = thumb.getContext("2d");
    brush.imageSmoothingEnabled = longest > 16;
    brush.imageSmoothingQuality = "high";
    if (!image.complete) return;
    const x = (at % columns) * cell[1], y = Math.floor(at / columns) * cell[0];
    brush.drawImage(image, x, y, wide, tall, 0, 0, thumb.width, thumb.height);
  }

  function showCard() {
    drawThumb();
    card.hidden = false;
    const gap = 16, x = across[current], y = down[current];
    const { offsetWidth: wide, offsetHeight: tall } = card;
    const { clientWidth: width, clientHeight: height } = canvas;
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
    const name = data.names[groups[i]] ?? `cluster ${data.labels[i]}`;
    const confidence = data.confidence[i].toFixed(2);
    find("card-id").textContent = data.ids[i];
    find("card-cluster").textContent = name;
    find("card-confidence").textContent = `confidence ${confidence}`;
    showCard();
    if (aloud) find("said").textContent = `${data.ids[i]}, ${name}, confidence ${confidence}`;
  }

  function under(event, reach) {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left - canvas.clientLeft;
    return nearest(x, event.clientY - box.top - canvas.clientTop, reach);
  }

  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") choose(under(event, 16), false);
  });
  canvas.addEventListener("pointerdown", (event) => choose(under(event, 28), true));
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") choose(-1, false);
  });
  canvas.addEventListener("blur", () => choose(-1, false));
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose(-1, false);
    const way = ways[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const middle = () => nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity);
    const found = current < 0 ? middle() : next(...way);
    if (found >= 0) choose(found, true);
  });

  // -- which images ----------------------------------------------------------------------------

  function filter() {
    const [low, high] = [find("low"), find("high")].map((range) => Number(range.value));
    find("low-value").textContent = low.toFixed(2);
    find("high-value").textContent = high.toFixed(2);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const sure = data.confidence[i] >= low && data.confidence[i] <= high;
      shown[i] = sure && toggles[groups[i]].checked ? 1 : 0;
      kept += shown[i];
    }
    if (current >= 0 && !shown[current]) choose(-1, false);
    find("count").textContent = `${kept.toLocaleString("en")} of ${count.toLocaleString("en")} points shown`;
    redraw();
  }

  function setAll(checked) {
    for (const toggle of toggles) toggle.checked = checked;
    filter();
  }

  // neither end of the range passes the other one
  find("low").addEventListener("input", () => {
    if (Number(find("low").value) > Number(find("high").value)) find("high").value = find("low").value;
    filter();
  });
  find("high").addEventListener("input", () => {
    if (Number(find("high").value) < Number(find("low").value)) find("low").value = find("high").value;
    filter();
  });
  for (const toggle of toggles) toggle.addEventListener("change", filter);
  find("all").addEventListener("click", () => setAll(true));
  find("none").addEventListener("click", () => setAll(false));
  find("controls").addEventListener("submit", (event) => event.preventDefault());

  // -- light and dark --------------------------------------------------------------------------

  const button = find("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  function showTheme() {
    button.textContent = dark() ? "Light theme" : "Dark theme";
    redraw();
  }

  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);

  find("interactive").hidden = false;
  button.hidden = false;
  new ResizeObserver(place).observe(canvas);
  place();
  filter();
  showTheme();
})();
