// One cluster in a dialog: its name, what is merged into it, a split to ask for.
function makeClusterDialog(edits, fill, say, select) {
  let about = 0;

  function opener(cluster) {
    const [text, act] = cluster < 0 ? ["Select all", take] : ["Correct…", openCluster];
    const ariaLabel = `${text} ${cluster < 0 ? "outliers" : `cluster ${cluster}`}`;
    const button = element("button", { type: "button", className: "opens", textContent: text, ariaLabel });
    button.addEventListener("click", () => act(cluster));
    return button;
  }

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

  function take(cluster) {
    const some = [...edits.state.labels.keys()].filter((i) => edits.state.labels[i] === cluster);
    const all = some.length === edits.state.sizes.get(cluster);
    select(some, ` of ${edits.title(cluster)}${all ? "" : ", the others are not on this page,"}`);
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
    find("cluster").close();
    take(about);
  });

  return opener;
}
