// What clusters and images look like: titles, colours and shapes, toggles, pictures.
const find = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function makeLooks(data) {
  const all = [...document.querySelectorAll("[data-group]")].map((toggle, i) => look(
    toggle.closest("label"), data.clusters[i] ?? null, data.shapes[i] ?? data.other));
  const byCluster = new Map(all.map((each) => [each.cluster, each]));
  const loaded = [];

  function look(label, cluster, path) {
    const parts = ["input", ".mark", ".name", ".size"].map((part) => label.querySelector(part));
    const [toggle, mark, name, size] = parts;
    return { cluster, label, toggle, mark, name, size, total: size.textContent, path: new Path2D(path) };
  }

  // A toggle for a cluster that has none, because it is new.
  function add(cluster) {
    const { colours, shapes, outlier } = data.looks;
    const path = cluster < 0 ? outlier : shapes[cluster % shapes.length];
    const label = all[0].label.cloneNode(true);
    const made = look(label, cluster, path);
    made.toggle.checked = true;
    made.toggle.dataset.group = `new-${cluster}`;
    made.mark.setAttribute("class", `mark ${cluster < 0 ? "outliers" : `c${cluster % colours}`}`);
    made.mark.querySelector("path").setAttribute("d", path);
    made.name.dataset.title = cluster;
    const behind = cluster < 0 ? [null] : [null, -1];
    find("toggles").insertBefore(label, all.find((each) => behind.includes(each.cluster))?.label ?? null);
    all.push(made);
    byCluster.set(cluster, made);
    return made;
  }

  // -- pictures ----------------------------------------------------------------------------------

  const sheets = (data.sheets?.uris ?? []).map((uri) => {
    const image = new Image();
    image.addEventListener("load", () => loaded.forEach((listener) => listener()));
    image.src = uri;
    return image;
  });

  // Where an image is to be had: on a sheet, or larger or alone in the gallery.
  function source(i) {
    const drawn = document.querySelector(`figure[data-image="${i}"] img`);
    const tile = data.sheets && i < data.x.length && (data.sheets.tiles[i] ?? data.sheets.tiles[0]);
    if (drawn?.complete && drawn.naturalWidth > (tile ? tile[1] : 0)) {
      return { image: drawn, x: 0, y: 0, tall: drawn.naturalHeight, wide: drawn.naturalWidth };
    }
    if (!tile) return null;
    const { columns, rows, cell } = data.sheets, at = i % (columns * rows);
    return {
      image: sheets[Math.floor(i / (columns * rows))], tall: tile[0], wide: tile[1],
      x: (at % columns) * cell[1], y: Math.floor(at / columns) * cell[0],
    };
  }

  // Draws an image, about so large at most; says whether there is anything to see.
  function paint(canvas, i, most) {
    const found = source(i);
    if (!found) return false;
    const { image, x, y, tall, wide } = found, longest = Math.max(tall, wide);
    // small ones by whole pixels, larger ones no more than is pleasant to look at
    const whole = Math.max(1, Math.floor((0.7 * most) / longest));
    const times = longest <= 56 && whole > 1 ? whole : Math.min(2, most / longest);
    canvas.width = Math.max(1, Math.round(wide * times));
    canvas.height = Math.max(1, Math.round(tall * times));
    const brush = canvas.getContext("2d");
    brush.imageSmoothingEnabled = longest > 16;
    brush.imageSmoothingQuality = "high";
    if (image.complete) brush.drawImage(image, x, y, wide, tall, 0, 0, canvas.width, canvas.height);
    return true;
  }

  return {
    paint, add,
    labels: data.labels,
    editable: Boolean(data.edit?.possible),
    title: (cluster) => data.names[data.clusters.indexOf(cluster)] ?? `cluster ${cluster}`,
    has: (cluster) => byCluster.has(cluster),
    of: (cluster) => byCluster.get(cluster) ?? byCluster.get(null),
    all: () => all,
    whenLoaded: (listener) => loaded.push(listener),
  };
}

// An id of which the middle goes where there is no room for all of it.
function elided(id) {
  const end = id.length > 9 ? 6 : 0, at = id.length - end;
  const parts = [id.slice(0, at), id.slice(at)].map((textContent) => element("span", { textContent }));
  return element("span", { className: "id", title: id }, ...parts);
}
