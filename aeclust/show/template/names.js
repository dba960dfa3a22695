// What clusters are called, on the map: each at a point of its own in its middle.
function makeNames(data, look) {
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const far = (i, x, y) => (data.x[i] - x) ** 2 + (data.y[i] - y) ** 2;

  // Of each cluster that is shown the point nearest to its median, the largest cluster first.
  function spots(labels, shown) {
    const groups = new Map();
    for (let i = 0; i < shown.length; i++) {
      if (!shown[i] || labels[i] < 0) continue;
      if (!groups.has(labels[i])) groups.set(labels[i], []);
      groups.get(labels[i]).push(i);
    }
    const largest = [...groups].sort((a, b) => b[1].length - a[1].length).slice(0, 60);
    return largest.map(([cluster, points]) => {
      const [x, y] = [data.x, data.y].map((of) => middle(points.map((i) => of[i])));
      return { cluster, point: points.reduce((best, i) => (far(i, x, y) < far(best, x, y) ? i : best)) };
    });
  }

  function draw(pen, some, across, down, [ink, paper]) {
    const taken = [], wide = pen.canvas.clientWidth, most = wide < 500 ? 12 : 20;
    Object.assign(pen, { font: "600 14px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
    for (const { cluster, point } of some) {
      const title = look.title(cluster).replace(some.length > 12 ? /^cluster |^\d+: / : /^\d+: /, "");
      const letters = [...title], part = (...ends) => letters.slice(...ends).join("");
      const text = letters.length > most ? `${part(0, most / 2 - 1)}…${part(-most / 2)}` : title;
      const half = pen.measureText(text).width / 2 + 6, y = down[point];
      const x = Math.max(half, Math.min(wide - half, across[point]));  // whole, also at an edge
      if (taken.some(([left, right, at]) => x + half > left && x - half < right && Math.abs(y - at) < 24)) continue;
      taken.push([x - half, x + half, y]);
      plate(pen, text, [x - half, y - 11, 2 * half, 22], look.of(cluster), [ink, paper]);
    }
  }

  // A name that can be read whatever points lie below it, framed in the colour of its cluster.
  function plate(pen, text, box, each, [ink, paper]) {
    const [x, y, wide, tall] = box;
    pen.beginPath();
    pen.roundRect(...box, 5);
    Object.assign(pen, { globalAlpha: 0.9, fillStyle: paper });
    pen.fill();
    Object.assign(pen, { globalAlpha: 1, lineWidth: 1.5, strokeStyle: getComputedStyle(each.mark).color, fillStyle: ink });
    pen.stroke();
    pen.fillText(text, x + wide / 2, y + tall / 2 + 1);
  }

  return { spots, draw };
}
