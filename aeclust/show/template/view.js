// One image large, with its nearest neighbours, in a dialog that walks from image to image.
function makeViewer(data, look, edits) {
  const dialog = find("viewer"), near = find("near");
  const shown = [...data.ids, ...data.rest.ids];
  const confidence = [...data.confidence, ...data.rest.confidence];
  const tell = { closed() {}, changed() {} };
  let image = -1, row = [];

  function neighbour(i) {
    const canvas = element("canvas", { ariaHidden: "true" });
    canvas.hidden = !look.paint(canvas, i, 96);
    const button = element("button", { type: "button", className: "near" }, canvas,
      elided(shown[i]),
      element("span", { className: "size", textContent: edits.title(edits.state.labels[i]) }));
    button.addEventListener("click", () => {
      // the way back is the way that one came
      row = [...(row.includes(image) ? row.slice(0, row.indexOf(image) + 1) : [image]), i];
      show(i);
      find("viewer-close").focus();
    });
    return button;
  }

  function show(i) {
    image = i;
    const large = find("large"), label = edits.state.labels[i], { each, near: nearest } = data.edit;
    large.hidden = !look.paint(large, i, Math.min(420, innerWidth - 72));
    large.setAttribute("aria-label", `image ${shown[i]}`);
    find("viewer-id").textContent = shown[i];
    const was = label === edits.base[i] ? "" : `, was in ${edits.title(edits.base[i])}`;
    find("viewer-what").textContent = `${edits.title(label)}, confidence ${confidence[i].toFixed(2)}${was}`;
    near.replaceChildren(...nearest.slice(i * each, (i + 1) * each).map(neighbour));
    find("near-title").hidden = !each;
    const at = row.indexOf(i);
    find("viewer-before").disabled = at <= 0;
    find("viewer-after").disabled = at < 0 || at === row.length - 1;
    tell.changed();
  }

  const walk = (by) => {
    const next = row[row.indexOf(image) + by];
    if (row.includes(image) && next !== undefined) show(next);
  };

  function open(i, among = []) {
    row = among;
    find("viewer-told").textContent = "";
    show(i);
    dialog.showModal();
  }

  for (const each of ["viewer-close", "large"]) find(each).addEventListener("click", () => dialog.close());
  find("viewer-before").addEventListener("click", () => walk(-1));
  find("viewer-after").addEventListener("click", () => walk(1));
  dialog.addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT") return;
    if (event.key === "ArrowLeft") walk(-1);
    if (event.key === "ArrowRight") walk(1);
  });
  dialog.addEventListener("close", () => {
    if (dialog.open) return;  // again, before it was told of
    const last = image;
    image = -1;
    tell.closed(last);
  });

  return {
    open, tell,
    get image() { return dialog.open ? image : -1; },
    refresh() { if (dialog.open) show(image); },
  };
}

// A dialog closes by a click beside it, too.
function closeBeside(dialog) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
