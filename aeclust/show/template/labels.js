// Where the page tells of the labels as they are by now: table, toggles, titles, galleries.
function makeLabels(data, look, edits, selection, opener) {
  const shown = [...data.ids, ...data.rest.ids];
  const confidence = [...data.confidence, ...data.rest.confidence];
  const original = new Map(data.edit.sizes);
  const total = [...original.values()].reduce((a, b) => a + b, 0);

  function addRow(cluster) {
    const row = element("tr", {}, element("th", { scope: "row" }), element("td"), element("td"), element("td"));
    row.dataset.cluster = cluster;
    const name = element("span");
    name.dataset.title = cluster;
    row.children[0].append(look.of(cluster).mark.cloneNode(true), name);
    row.children[1].className = "count";
    row.children[2].append(element("span", { className: "share" }));
    find("table").tBodies[0].insertBefore(row, cluster < 0 ? find("table").querySelector("tbody tr:not([data-cluster])") : behind());
    return row;
  }

  function prepareRow(row) {
    const cluster = Number(row.dataset.cluster);
    row.append(element("td", {}, ...(look.editable ? [opener(cluster)] : [])));
    return [cluster, row];
  }

  // Before the outliers and the small clusters, which stand at the end.
  const behind = () => find("table").querySelector("tr[data-cluster='-1'], tbody tr:not([data-cluster])");

  find("table").tHead.rows[0].append(element("td"));
  const rows = new Map([...document.querySelectorAll("tr[data-cluster]")].map(prepareRow));

  function showClusters() {
    const { sizes, splits } = edits.state, largest = Math.max(...sizes.values());
    for (const cluster of sizes.keys()) {
      const known = rows.has(cluster) || (original.has(cluster) && cluster >= 0 && !look.has(cluster));
      if (known) continue;  // the smallest have no row of their own
      if (!look.has(cluster)) look.add(cluster);
      rows.set(...prepareRow(addRow(cluster)));
    }
    for (const [cluster, row] of rows) {
      const size = sizes.get(cluster) ?? 0, count = size.toLocaleString("en");
      row.hidden = look.of(cluster).label.hidden = !size;
      look.of(cluster).total = row.querySelector(".count").textContent = count;
      row.querySelector(".share").textContent = `${((100 * size) / total).toFixed(1)}%`;
      row.querySelector("rect")?.setAttribute("width", Math.min(100, (100 * size) / largest).toFixed(1));
    }
    for (const each of document.querySelectorAll("[data-title]")) {
      const cluster = Number(each.dataset.title);
      const gone = cluster >= 0 && !sizes.has(cluster), split = splits.has(cluster);
      each.textContent = gone ? `cluster ${cluster}, now empty` : edits.title(cluster) + (split ? ", to be split" : "");
    }
  }

  function showFigures() {
    for (const figure of selection.figures) {
      const i = selection.imageOf(figure), label = edits.state.labels[i];
      const moved = label !== edits.base[i], made = `→ ${edits.title(label)}`;
      figure.classList.toggle("moved", moved);
      figure.querySelector(".now")?.remove();
      if (moved) figure.append(element("span", { className: "now", textContent: made }));
      const now = moved ? `, now ${edits.title(label)}` : "";
      figure.setAttribute("aria-label", `${shown[i]}, confidence ${confidence[i].toFixed(2)}${now}`);
    }
  }

  for (const section of look.editable ? document.querySelectorAll(".cluster[data-cluster]") : []) {
    section.querySelector(".acts").prepend(opener(Number(section.dataset.cluster)));
  }

  return {
    show() {
      showClusters();
      showFigures();
    },
  };
}
