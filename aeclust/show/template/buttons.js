// Buttons that copy the command beside them.
function addCopyButtons() {
  for (const button of document.querySelectorAll(".copy")) {
    const code = button.parentElement.querySelector("code");
    const say = (text) => {
      button.textContent = text;
      find("told").textContent = `${text}.`;
      setTimeout(() => { button.textContent = "Copy"; }, 2_000);
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      getSelection().selectAllChildren(code);  // for browsers that copy nothing by themselves
      const copied = navigator.clipboard?.writeText(code.textContent) ?? Promise.reject(new Error("no clipboard"));
      copied.then(() => say("Copied"), () => say("Press Ctrl C"));
    });
  }
}

// On a narrow screen a cluster shows some of its images, and a button the others.
function addMoreButtons() {
  for (const section of document.querySelectorAll(".cluster")) {
    const button = element("button", { type: "button", className: "more", textContent: "More", ariaExpanded: "false" });
    button.setAttribute("aria-label", `More images of ${section.querySelector("[data-title]").textContent}`);
    button.addEventListener("click", () => {
      const open = section.classList.toggle("open");
      button.ariaExpanded = open;
      button.textContent = open ? "Less" : "More";
    });
    section.querySelector(".acts").append(button);
  }
  document.body.classList.add("scripted");
}
