// What a person does to the labels, and where the page tells of it.
function correct(data, look, map) {
  const edits = keepEdits(data), selection = makeSelection(look.editable);
  const viewer = makeViewer(data, look, edits);
  const shown = [...data.ids, ...data.rest.ids];
  const confidence = [...data.confidence, ...data.rest.confidence];
  const total = [...edits.state.sizes.values()].reduce((a, b) => a + b, 0);
  const original = new Map(data.edit.sizes), body = document.body;
  let about = 0;  // the cluster that its dialog is about

  look.title = edits.title;

  function say(text) {
    find("told").textContent = text;
    find("bar-told").textContent = text;
  }

  function announce(text) {
    find("told").textContent = text;
    find("bar-told").textContent = "";
  }

  const finish = (why, done) => {
    say(why || done);
    return !why;
  };

  // -- what can be done --------------------------------------------------------------------------

  function targets() {
    if (viewer.image >= 0) return [viewer.image];
    if (selection.size) return selection.all();
    return [selection.focused(), map.current()].filter((i) => i >= 0).slice(0, 1);
  }

  function move(to) {
    const some = targets();
    if (!some.length) return say("Select images first.");
    const cluster = to === "new" ? edits.free() : Number(to);
    if (to !== "new" && cluster >= 0 && !edits.state.sizes.has(cluster)) return say(`There is no cluster ${cluster}.`);
    const why = cluster < 0 ? edits.drop(some) : edits.move(some, cluster);
    if (finish(why, `${edits.images(some.length)} moved to ${edits.title(cluster)}.`) && viewer.image < 0) selection.clear();
  }

  function undo() {
    const line = edits.undo();
    say(line ? `Undone: ${line}.` : "There is nothing to undo.");
  }

  function redo() {
    const line = edits.redo();
    say(line ? `Done again: ${line}.` : "There is nothing to do again.");
  }

  function download(name, type, text) {
    const link = element("a", { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say(`${name} is among your downloads.`);
  }

  function setMode(on) {
    body.classList.toggle("selecting", on);
    for (const button of document.querySelectorAll(".mode")) button.setAttribute("aria-pressed", on);
    showBar();
  }

  // -- what is shown -----------------------------------------------------------------------------

  function showBar() {
    find("bar").hidden = !(selection.size || edits.count || edits.undone || body.classList.contains("selecting"));
    find("bar-selected").textContent = selection.size ? `${edits.images(selection.size)} selected` : "";
    find("bar-tools").hidden = !selection.size;
    find("bar-count").textContent = `${edits.count} change${edits.count === 1 ? "" : "s"}`;
    find("bar-changes").hidden = !(edits.count || edits.undone);
    for (const each of document.querySelectorAll(".undo")) each.disabled = !edits.count;
    for (const each of document.querySelectorAll(".redo")) each.disabled = !edits.undone;
    body.classList.toggle("with-bar", !find("bar").hidden);
  }

  function fill(menu, clusters, more = []) {
    const kept = menu.value;
    menu.replaceChildren(...clusters.map((each) => new Option(edits.title(each), each)), ...more.map((each) => new Option(...each)));
    if ([...menu.options].some((option) => option.value === kept)) menu.value = kept;
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

  function opener(cluster) {
    const button = element("button", { type: "button", className: "opens", textContent: "Correct…" });
    button.addEventListener("click", () => openCluster(cluster));
    return button;
  }

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
    row.append(element("td", {}, ...(cluster >= 0 && look.editable ? [opener(cluster)] : [])));
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
      look.of(cluster).size.textContent = row.querySelector(".count").textContent = count;
      row.querySelector(".share").textContent = `${((100 * size) / total).toFixed(1)}%`;
      row.querySelector("rect")?.setAttribute("width", Math.min(100, (100 * size) / largest).toFixed(1));
    }
    for (const each of document.querySelectorAll("[data-title]")) {
      const cluster = Number(each.dataset.title);
      const gone = cluster >= 0 && !sizes.has(cluster), split = splits.has(cluster);
      each.textContent = gone ? `cluster ${cluster}, now empty` : edits.title(cluster) + (split ? ", to be split" : "");
    }
  }

  function showList() {
    const lines = edits.state.lines.map((line) => element("li", { textContent: line }));
    find("changes").replaceChildren(...lines.reverse());
    find("unchanged").hidden = Boolean(edits.count);
    find("unsafe").hidden = edits.safe;
    for (const each of ["save-edits", "save-csv", "undo-all"]) find(each).disabled = !edits.count;
  }

  function show() {
    showClusters();
    map.relabel(edits.state.labels);
    showFigures();
    showList();
    const others = [["a new cluster", "new"], ["outliers", "-1"]];
    for (const menu of [find("to"), find("viewer-to")]) fill(menu, edits.clusters, others);
    viewer.refresh();
    showBar();
  }

  // -- one cluster -------------------------------------------------------------------------------

  function openCluster(cluster) {
    about = cluster;
    const size = edits.state.sizes.get(cluster) ?? 0;
    find("cluster-title").textContent = edits.title(cluster);
    find("cluster-size").textContent = edits.images(size);
    find("new-name").value = edits.state.names.get(cluster) ?? "";
    fill(find("other"), edits.clusters.filter((each) => each !== cluster));
    find("parts").max = Math.min(20, Math.max(2, size));
    find("cluster").showModal();
  }

  function inCluster(form, act) {
    find(form).addEventListener("submit", (event) => {
      event.preventDefault();
      const title = edits.title(about), said = act(title);
      if (said === undefined) return;
      find("cluster").close();
      say(said);
    });
  }

  inCluster("rename", (title) => {
    // what the run takes for a name: what can be seen, on one line
    const name = find("new-name").value.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
    const done = name ? `${title} is called ${name}.` : `${title} has no name any more.`;
    return edits.add({ edit: "name", cluster: about, name }) || done;
  });
  inCluster("merge", (title) => {
    const other = Number(find("other").value), called = edits.title(other);
    return edits.add({ edit: "merge", clusters: [about, other] }) || `${called} is merged into ${title}.`;
  });
  inCluster("split", (title) => {
    const k = Number(find("parts").value);
    return edits.add({ edit: "split", cluster: about, k }) || `${title} is to be split into ${k}.`;
  });
  find("take").addEventListener("click", () => {
    const some = [...edits.state.labels.keys()].filter((i) => edits.state.labels[i] === about);
    find("cluster").close();
    selection.put(some);
    announce(`${edits.images(some.length)} of ${edits.title(about)} selected.`);
  });

  // -- who listens -------------------------------------------------------------------------------

  const press = (id, act) => find(id).addEventListener("click", act);

  function onKey(event) {
    if (event.target.matches("select, textarea, input:not([type=checkbox], [type=range])")) return;
    const key = event.key.toLowerCase(), open = document.querySelector("dialog[open]");
    if (open && open.id !== "viewer") return;
    if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
      event.preventDefault();
      return key === "y" || event.shiftKey ? redo() : undo();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "escape" && !open && selection.size) selection.clear();
    if (!find("single-keys").checked) return;
    if (key === "?" && !open) find("keys-dialog").showModal();
    else if (/^[0-9]$/.test(key)) move(key);
    else if (key === "n") move("new");
    else if (key === "o") move(-1);
    else if (key === "s" && !open) setMode(!body.classList.contains("selecting"));
  }

  function listen() {
    document.addEventListener("keydown", onKey);
    press("move", () => move(find("to").value));
    press("viewer-move", () => move(find("viewer-to").value));
    press("viewer-drop", () => move(-1));
    press("viewer-pick", () => selection.toggle(viewer.image));
    press("drop", () => move(-1));
    press("clear", () => selection.clear());
    press("undo-all", () => {
      edits.clear();
      say("All changes are undone. Redo brings them back one by one.");
    });
    press("save-edits", () => download("edits.json", "application/json", edits.file()));
    press("save-csv", () => download(edits.whole ? "labels.csv" : "changed.csv", "text/csv", edits.csv()));
    press("copy", () => {
      const text = find("command").textContent;
      getSelection().selectAllChildren(find("command"));  // for browsers that copy nothing by themselves
      const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
      copied.then(() => say("The command is copied."), () => say("The command is marked: copy it with Ctrl C."));
    });
    for (const each of document.querySelectorAll(".undo")) each.addEventListener("click", undo);
    for (const each of document.querySelectorAll(".redo")) each.addEventListener("click", redo);
    for (const each of document.querySelectorAll(".mode")) {
      each.addEventListener("click", () => setMode(!body.classList.contains("selecting")));
    }
    for (const each of document.querySelectorAll(".keys")) each.addEventListener("click", () => find("keys-dialog").showModal());
    addEventListener("storage", (event) => event.key === edits.store && edits.restore());
    addEventListener("beforeunload", (event) => edits.safe || event.preventDefault());
  }

  function connect() {
    map.tell.pick = selection.toggle;
    map.tell.lasso = (images, more) => {
      if (!more && !body.classList.contains("selecting")) selection.clear();
      selection.put(images);
      announce(`${edits.images(selection.size)} selected.`);
    };
    selection.tell.changed = () => {
      find("bar-told").textContent = "";
      map.select(selection.all());
      showBar();
      viewer.tell.changed();
    };
    viewer.tell.changed = () => find("viewer-pick").setAttribute("aria-pressed", selection.has(viewer.image));
    edits.listen(show);
    for (const section of document.querySelectorAll(".cluster[data-cluster]")) {
      const cluster = Number(section.dataset.cluster);
      if (cluster >= 0) section.querySelector("h3").append(opener(cluster));
    }
    find("correct-hint").hidden = false;
    for (const each of document.querySelectorAll(".mode, .keys")) each.hidden = false;
  }

  for (const dialog of document.querySelectorAll("dialog")) {
    closeBeside(dialog);
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  }
  map.tell.open = (i) => viewer.open(i);
  selection.tell.open = viewer.open;
  viewer.tell.closed = (i) => {
    if (document.activeElement === find("canvas") && i < data.x.length) map.choose(i, false);
  };
  look.whenLoaded(viewer.refresh);
  find("corrections").hidden = find("corrections-link").hidden = false;
  find("can-correct").hidden = !look.editable;
  find("cannot-correct").hidden = look.editable;
  for (const each of document.querySelectorAll("#viewer .tools")) each.hidden = !look.editable;
  body.classList.toggle("editable", look.editable);
  if (look.editable) {
    connect();
    listen();
    edits.restore();
  } else show();
  if (edits.count) say(`${edits.count} changes from before are here again.`);
}
