// What a person does to the labels, and where the page tells of it.
function correct(data, look, map) {
  const edits = keepEdits(data), selection = makeSelection(look.editable);
  const viewer = makeViewer(data, look, edits);
  const opener = makeClusterDialog(edits, fill, say, select);
  const labels = makeLabels(data, look, edits, selection, opener);
  const body = document.body;

  look.title = edits.title;

  function say(text) {
    find("told").textContent = text;
    find("bar-told").textContent = find("viewer-told").textContent = text;  // what is behind a dialog is not read aloud
  }

  function select(images, of = "") {
    if (of) selection.clear();  // all of something, and nothing else
    selection.put(images);
    find("told").textContent = `${edits.images(selection.size)}${of} selected.`;
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

  function showList() {
    const lines = edits.state.lines.map((line) => element("li", { textContent: line }));
    find("changes").replaceChildren(...lines.reverse());
    find("changed").hidden = !(edits.count || edits.undone);
    find("unsafe").hidden = edits.safe;
    for (const each of ["save-edits", "save-csv", "undo-all"]) find(each).disabled = !edits.count;
  }

  function show() {
    labels.show();
    map.relabel(edits.state.labels);
    showList();
    const others = [["a new cluster", "new"], ["outliers", "-1"]];
    for (const menu of [find("to"), find("viewer-to")]) fill(menu, edits.clusters, others);
    viewer.refresh();
    showBar();
  }

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
    else if (key === "m" && !open && selection.size) find("to").focus();
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
    map.tell.pick = (i) => {
      selection.toggle(i);
      find("told").textContent = `${edits.ids[i]} ${selection.has(i) ? "" : "not "}selected, ${selection.size} in all`;
    };
    map.tell.lasso = (images, more) => {
      if (!more && !body.classList.contains("selecting")) selection.clear();
      select(images);
    };
    selection.tell.changed = () => {
      find("bar-told").textContent = "";
      map.select(selection.all());
      showBar();
      viewer.tell.changed();
    };
    viewer.tell.changed = () => find("viewer-pick").setAttribute("aria-pressed", selection.has(viewer.image));
    edits.listen(show);
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
