// The corrections: a list of edits as edits.json holds them, and what the labels are after them.
// Edits apply in their order, as `aeclust edit apply` does it. Nothing of the page is touched here.
function keepEdits(data) {
  const { edit } = data;
  const base = [...data.labels, ...data.rest.labels];
  const exact = JSON.parse(edit.exact);
  const ids = [...data.ids, ...data.rest.ids].map((shown, i) => exact[i] ?? shown);
  const places = new Map(ids.map((id, i) => [id, i]));
  const store = `aeclust-edits-${edit.key}`;
  const told = [];
  let done = [], undone = [], state = replay([]), safe = true;

  // -- what edits do -----------------------------------------------------------------------------

  function replay(list) {
    const now = {
      labels: Int32Array.from(base), sizes: new Map(edit.sizes), names: new Map(edit.names),
      splits: new Map(), parts: new Map(), lines: [],
    };
    for (const each of list) {
      now.lines.push(words(now, each));
      apply(now, each);
    }
    return now;
  }

  function apply(now, each) {
    if (each.edit === "move") relabel(now, each.ids, each.to);
    else if (each.edit === "drop") relabel(now, each.ids, -1);
    else if (each.edit === "name") now.names[each.name ? "set" : "delete"](each.cluster, each.name);
    else if (each.edit === "merge") {
      const [first, ...others] = each.clusters;
      const name = each.clusters.map((cluster) => now.names.get(cluster)).find(Boolean);
      if (name) now.names.set(first, name);
      for (const other of others) {
        now.labels.forEach((label, i) => { if (label === other) now.labels[i] = first; });
        resize(now, first, now.sizes.get(other) ?? 0);
        resize(now, other, -(now.sizes.get(other) ?? 0));
      }
    } else if (each.edit === "split") {
      now.splits.set(each.cluster, each.k);
      for (let part = 1; part < each.k; part++) now.parts.set(free(now), each.cluster);
    } else throw new TypeError("an edit of no kind");
  }

  function relabel(now, moved, to) {
    for (const i of moved.map((id) => places.get(id))) {
      if (i === undefined) throw new RangeError("an image of another page");
      resize(now, now.labels[i], -1);
      now.labels[i] = to;
      resize(now, to, 1);
    }
  }

  // A cluster without an image is none: its number is free, and its name is forgotten.
  function resize(now, cluster, by) {
    const size = (now.sizes.get(cluster) ?? 0) + by;
    if (size > 0) now.sizes.set(cluster, size);
    else for (const each of [now.sizes, now.names, now.splits]) each.delete(cluster);
  }

  function free(now) {
    let number = 0;
    while (now.sizes.has(number) || now.parts.has(number)) number++;
    return number;
  }

  // -- in words ----------------------------------------------------------------------------------

  function title(cluster, now = state) {
    if (cluster < 0) return "outliers";
    const name = now.names.get(cluster), long = name?.length > 60;
    return name ? `${cluster}: ${long ? `${name.slice(0, 29)}…${name.slice(-30)}` : name}` : `cluster ${cluster}`;
  }

  const images = (count) => `${count.toLocaleString("en")} image${count === 1 ? "" : "s"}`;
  const such = (some) => (some.length === 1 ? String(some[0]) : images(some.length));

  function words(now, each) {
    if (each.edit === "drop") return `${such(each.ids)} marked as outlier${each.ids.length > 1 ? "s" : ""}`;
    if (each.edit === "name") return `${title(each.cluster, now)} ${each.name ? `named “${each.name}”` : "without a name"}`;
    if (each.edit === "split") return `${title(each.cluster, now)} to be split into ${each.k}`;
    if (each.edit === "merge") {
      const [first, ...others] = each.clusters.map((cluster) => title(cluster, now));
      return `${others.join(", ")} merged into ${first}`;
    }
    const made = now.sizes.has(each.to) ? title(each.to, now) : `a new cluster ${each.to}`;
    return `${such(each.ids)} moved to ${made}`;
  }

  // Why an edit cannot be, or nothing.
  function refusal(each) {
    const clusters = each.clusters ?? [each.cluster ?? each.to ?? -1];
    for (const cluster of clusters) {
      if (each.new && cluster === free(state)) continue;
      if (cluster >= 0 && state.parts.has(cluster)) return `${cluster} will be a part of ${title(state.parts.get(cluster))}.`;
      if (cluster >= 0 && !state.sizes.has(cluster)) return `There is no cluster ${cluster}.`;
      if ((each.edit === "merge" || each.edit === "split") && state.splits.has(cluster)) {
        return `${title(cluster)} is to be split, which the run does: apply the edits first.`;
      }
    }
    if (each.edit === "split" && each.k > state.sizes.get(each.cluster)) {
      return `${title(each.cluster)} has ${images(state.sizes.get(each.cluster))}.`;
    }
    const inClusters = [...state.sizes].reduce((sum, [cluster, size]) => sum + (cluster < 0 ? 0 : size), 0);
    if (each.edit === "drop" && each.ids.length === inClusters) return "One image at least stays in a cluster.";
    return each.ids && !each.ids.length ? "These images are there already." : "";
  }

  // -- the list ----------------------------------------------------------------------------------

  function update() {
    state = replay(done);
    try {
      if (done.length + undone.length) localStorage.setItem(store, JSON.stringify({ done, undone }));
      else localStorage.removeItem(store);
      safe = true;
    } catch {
      safe = !done.length;  // a browser that keeps nothing for files
    }
    for (const listener of told) listener();
  }

  function restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(store)) ?? { done: [], undone: [] };
      state = replay(kept.done);
      ({ done, undone } = kept);
    } catch {
      state = replay(done);  // what cannot be read is not taken in
    }
    for (const listener of told) listener();
  }

  function add(each) {
    const why = refusal(each);
    if (why) return why;
    done.push(each);
    undone = [];
    update();
    return "";
  }

  function step(from, to) {
    if (!from.length) return "";
    const lines = state.lines;
    to.push(from.pop());
    update();
    return (from === done ? lines : state.lines).at(-1);
  }

  const without = (some, cluster) => [...some].filter((i) => state.labels[i] !== cluster);

  function file() {
    const lines = done.map((each) => JSON.stringify(each)).join(",\n");
    return `{"format": 1, "labels": ${JSON.stringify(edit.labels)}, "after": ${edit.after}, "edits": [\n${lines}\n]}\n`;
  }

  // All images in the order of the data; of a page that does not hold all those that changed.
  function csv() {
    const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const rows = base.map((_, i) => i).filter((i) => edit.whole || state.labels[i] !== base[i]);
    rows.sort((a, b) => edit.rows[a] - edit.rows[b]);
    return ["id,label", ...rows.map((i) => `${cell(ids[i])},${state.labels[i]}`)].join("\n") + "\n";
  }

  return {
    add, restore, title, images, file, csv, base, ids,
    move(some, to) {
      const made = state.sizes.has(to) ? {} : { new: true };
      return add({ edit: "move", ids: without(some, to).map((i) => ids[i]), to, ...made });
    },
    drop: (some) => add({ edit: "drop", ids: without(some, -1).map((i) => ids[i]) }),
    undo: () => step(done, undone),
    redo: () => step(undone, done),
    clear() { while (done.length) undone.push(done.pop()); update(); },
    free: () => free(state),
    listen: (listener) => told.push(listener),
    get state() { return state; },
    get safe() { return safe; },
    get count() { return done.length; },
    get undone() { return undone.length; },
    get clusters() { return [...state.sizes.keys()].filter((each) => each >= 0).sort((a, b) => a - b); },
    store, whole: edit.whole,
  };
}
