// Which images are selected: by click, by a range with Shift, by keys in a row of the gallery.
function makeSelection(editable) {
  const figures = [...document.querySelectorAll("figure[data-image]")];
  const strips = [...document.querySelectorAll(".strip")].filter((strip) => strip.querySelector("figure[data-image]"));
  const tell = { open() {}, changed() {} };
  const imageOf = (figure) => Number(figure.dataset.image);
  const within = (strip) => [...strip.querySelectorAll("figure[data-image]")];
  const chosen = new Set();
  let anchor = null;

  function put(images, on = true) {
    for (const i of images) chosen[on ? "add" : "delete"](i);
    show();
  }

  const toggle = (i) => put([i], !chosen.has(i));

  function show() {
    for (const figure of figures) {
      const on = chosen.has(imageOf(figure));
      figure.classList.toggle("picked", on);
      if (editable) figure.setAttribute("aria-selected", on);
    }
    tell.changed();
  }

  // From the last image that was touched to this one, in the order of the page.
  function range(to) {
    const ends = [anchor ?? to, to].map((figure) => figures.indexOf(figure)).sort((a, b) => a - b);
    put(figures.slice(ends[0], ends[1] + 1).map(imageOf));
  }

  function step(figure, key) {
    const seen = (strip) => within(strip).filter((each) => each.checkVisibility());
    const row = seen(figure.parentElement), at = row.indexOf(figure);
    if (key === "ArrowRight") return row[at + 1];
    if (key === "ArrowLeft") return row[at - 1];
    if (key === "Home") return row[0];
    if (key === "End") return row.at(-1);
    const rows = strips.map(seen).filter((each) => each.length);
    const next = rows[rows.findIndex((each) => each.includes(figure)) + (key === "ArrowDown" ? 1 : -1)];
    return next?.[Math.min(at, next.length - 1)];
  }

  function focus(figure) {
    for (const each of within(figure.parentElement)) each.tabIndex = each === figure ? 0 : -1;
    figure.focus();
  }

  function onKey(event) {
    const figure = event.currentTarget;
    const all = event.key === "a" && (event.ctrlKey || event.metaKey);
    if (all && editable) put(within(figure.parentElement).map(imageOf));
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "Enter") tell.open(imageOf(figure), within(figure.parentElement).map(imageOf));
    else if (event.key === " " && editable) {
      anchor = figure;
      toggle(imageOf(figure));
    } else if (/^Arrow|^Home$|^End$/.test(event.key)) {
      const next = step(figure, event.key);
      if (!next) return;
      if (event.shiftKey && editable) {
        anchor ??= figure;
        range(next);
      } else anchor = next;
      focus(next);
    } else return;
    event.preventDefault();
  }

  function onClick(event) {
    const figure = event.currentTarget, more = event.ctrlKey || event.metaKey;
    const picks = more || event.target.classList.contains("tick") || document.body.classList.contains("selecting");
    if (editable && event.shiftKey) range(figure);
    else if (editable && picks) toggle(imageOf(figure));
    else tell.open(imageOf(figure), within(figure.parentElement).map(imageOf));
    anchor = figure;
  }

  for (const strip of strips) {
    const kind = strip.closest(".steps li")?.querySelector("h3") ?? strip.previousElementSibling;
    const titles = [strip.closest(".cluster")?.querySelector("[data-title]"), kind];
    strip.setAttribute("role", "listbox");
    if (editable) strip.setAttribute("aria-multiselectable", "true");
    strip.setAttribute("aria-label", titles.map((each) => each?.textContent).filter(Boolean).join(", "));
    within(strip).forEach((figure, at) => {
      figure.setAttribute("role", "option");
      figure.tabIndex = at ? -1 : 0;
      if (editable) figure.append(element("span", { className: "tick", ariaHidden: "true" }));
      figure.addEventListener("keydown", onKey);
      figure.addEventListener("click", onClick);
      // a range is no text to be marked
      figure.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
    });
  }

  return {
    tell, figures, imageOf, put, toggle,
    has: (i) => chosen.has(i),
    all: () => [...chosen],
    get size() { return chosen.size; },
    clear() {
      chosen.clear();
      show();
    },
    focused() {
      const figure = document.activeElement?.closest("figure[data-image]");
      return figure ? imageOf(figure) : -1;
    },
  };
}
