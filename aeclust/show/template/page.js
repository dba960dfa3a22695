"use strict";
{% include "look.js" %}
{% include "zoom.js" %}
{% include "filter.js" %}
{% include "names.js" %}
{% include "map.js" %}
{% include "edit.js" %}
{% include "select.js" %}
{% include "view.js" %}
{% include "labels.js" %}
{% include "cluster.js" %}
{% include "correct.js" %}
{% include "buttons.js" %}

(() => {
  const data = JSON.parse(find("points").textContent);
  const look = makeLooks(data), map = drawMap(data, look);
  look.whenLoaded(map.refresh);
  addCopyButtons();
  addMoreButtons();
  if (data.edit) correct(data, look, map);

  // -- light and dark ------------------------------------------------------------------------------

  const button = find("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  function showTheme() {
    button.textContent = dark() ? "Light theme" : "Dark theme";
    map.repaint();
  }

  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);
  button.hidden = false;
  showTheme();
})();
