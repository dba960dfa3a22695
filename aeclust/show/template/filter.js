// Which images the map shows: those of some clusters, in a range of confidence. Above the range
// stands how often each confidence is there.
function makeFilter(data, look, changed) {
  const low = find("low"), high = find("high"), bars = find("bars"), bins = 32;
  const shown = new Uint8Array(data.x.length).fill(1);
  const [least, most] = [low.min, low.max].map(Number);
  const binOf = data.confidence.map((each) => Math.min(bins - 1, Math.floor((bins * (each - least)) / (most - least || 1))));
  const all = new Uint32Array(bins);
  for (const bin of binOf) all[bin]++;
  let ofShown = all;

  function apply(labels) {
    const [from, to] = [low, high].map((range) => Number(range.value));
    find("low-value").textContent = from.toFixed(2);
    find("high-value").textContent = to.toFixed(2);
    ofShown = new Uint32Array(bins);
    const there = new Map(look.all().map((each) => [each, [0, 0]]));
    let kept = 0;
    for (let i = 0; i < shown.length; i++) {
      const each = look.of(labels[i]), counts = there.get(each), on = each.toggle.checked;
      const sure = data.confidence[i] >= from && data.confidence[i] <= to;
      counts[0] += sure;
      counts[1]++;
      ofShown[binOf[i]] += on;
      shown[i] = sure && on;
      kept += shown[i];
    }
    for (const [each, [some, every]] of there) {
      each.size.textContent = some === every ? each.total : `${some.toLocaleString("en")} of ${every.toLocaleString("en")}`;
    }
    find("count").textContent = `${kept.toLocaleString("en")} of ${shown.length.toLocaleString("en")} points shown`;
    draw();
  }

  function draw() {
    const { clientWidth: width, clientHeight: height } = bars, ratio = window.devicePixelRatio || 1;
    const pen = bars.getContext("2d"), wide = width / bins, highest = Math.max(...all);
    bars.width = Math.round(width * ratio);
    bars.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { color, borderColor: pale } = getComputedStyle(bars);
    const [from, to] = [low, high].map((range) => ((range.value - least) / (most - least || 1)) * width);
    for (const [style, start, end] of [[pale, 0, from], [color, from, to], [pale, to, width]]) {
      pen.save();
      pen.beginPath();
      pen.rect(start, 0, end - start, height);
      pen.clip();
      pen.fillStyle = style;
      ofShown.forEach((count, bin) => {
        const tall = count && Math.max(2, height * Math.sqrt(count / highest));  // by the root, so that a few can be seen
        pen.fillRect(bin * wide, height - tall, wide - 1, tall);
      });
      pen.restore();
    }
  }

  function setAll(checked) {
    for (const each of look.all()) each.toggle.checked = checked;
    changed();
  }

  // neither end of the range passes the other one
  low.addEventListener("input", () => {
    if (Number(low.value) > Number(high.value)) high.value = low.value;
    changed();
  });
  high.addEventListener("input", () => {
    if (Number(high.value) < Number(low.value)) low.value = high.value;
    changed();
  });
  find("toggles").addEventListener("change", changed);
  find("all").addEventListener("click", () => setAll(true));
  find("none").addEventListener("click", () => setAll(false));
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  new ResizeObserver(draw).observe(bars);
  return { shown, apply, draw };
}
