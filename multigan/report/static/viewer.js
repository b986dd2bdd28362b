// Images are enlarged in a dialog with zoom; classes are filtered; texts are copied; files are saved.
(function () {
  "use strict";
  const ZOOM = 1.5;
  const PIXELATED_BELOW = 257; // pixels a side: not smoothed when enlarged
  const FILL = 0.76; // of the window, by an image that is opened
  const MAX_ZOOM = 64;
  const images = () => [...document.querySelectorAll(".media.image img, .pair img")].filter((one) => one.clientWidth);
  let dialog = null;
  let large = null;
  let caption = null;
  let shown = null;
  let scale = 1;

  function button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }

  function save(name, content, type) {
    const link = document.createElement("a");
    const url = typeof content === "string" && content.startsWith("data:image/") ? content
      : URL.createObjectURL(new Blob([content], { type }));
    link.href = url;
    link.download = name;
    link.click();
    if (url.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(url), 60000);
  }
  window.saveFile = save;
  const safe = (text) => text.trim().replace(/[^\w.-]+/g, "-").slice(0, 60) || "sample";

  function resize(to) {
    scale = Math.min(Math.max(to, 0.1), MAX_ZOOM);
    large.width = Math.max(1, Math.round(shown.naturalWidth * scale));
    large.height = Math.max(1, Math.round(shown.naturalHeight * scale));
    const plotted = shown.classList.contains("plotted") ? " plotted" : "";
    large.className = (scale > 2 && Math.max(shown.naturalWidth, shown.naturalHeight) < PIXELATED_BELOW ? "pixels" : "") + plotted;
    caption.textContent = `${shown.alt}, ${shown.naturalWidth} x ${shown.naturalHeight} pixels, ${Math.round(scale * 100)} %`;
  }

  const fitting = () => Math.min(innerWidth * FILL / shown.naturalWidth, innerHeight * FILL / shown.naturalHeight);

  function open(image) {
    build();
    shown = image;
    large.src = image.src;
    large.alt = image.alt;
    resize(fitting());
    if (!dialog.open) dialog.showModal();
  }

  function move(by) { // to the next image of the page
    const all = images();
    open(all[(all.indexOf(shown) + by + all.length) % all.length]);
  }

  const suffix = () => (shown.src.startsWith("data:image/webp") ? ".webp" : ".png");
  const actions = { "+": () => resize(scale * ZOOM), "=": () => resize(scale * ZOOM),
    "-": () => resize(scale / ZOOM), 0: () => resize(fitting()), ArrowLeft: () => move(-1),
    ArrowRight: () => move(1) };

  function build() {
    if (dialog) return;
    dialog = document.createElement("dialog");
    dialog.className = "viewer";
    dialog.setAttribute("aria-label", "enlarged image");
    large = document.createElement("img");
    caption = document.createElement("p");
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.tabIndex = 0;
    frame.append(large);
    const bar = document.createElement("div");
    bar.className = "controls";
    bar.append(button("‹", "previous image", actions.ArrowLeft), button("›", "next image", actions.ArrowRight),
      button("+", "enlarge", actions["+"]), button("–", "reduce", actions["-"]),
      button("save", "save the image", () => save(safe(shown.alt) + suffix(), shown.src)),
      button("close", "close", () => dialog.close()));
    dialog.append(bar, frame, caption);
    dialog.addEventListener("keydown", (event) => {
      if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[event.key]();
    });
    dialog.addEventListener("close", () => shown.parentElement.focus());
    document.body.append(dialog);
  }

  function attachImages() {
    for (const image of document.querySelectorAll(".media.image img:not([data-opens]), .pair img:not([data-opens])")) {
      image.dataset.opens = "yes";
      const opener = document.createElement("button");
      opener.type = "button";
      opener.className = "opener";
      opener.setAttribute("aria-label", `enlarge ${image.alt}`);
      image.replaceWith(opener);
      opener.append(image);
      opener.addEventListener("click", () => open(image));
    }
  }

  function attachFilters() { // a list whose images have classes
    for (const list of document.querySelectorAll(".media.image:not([data-filtered])")) {
      list.dataset.filtered = "yes";
      const labels = [...list.children].map((item) => (item.querySelector("small") || {}).textContent || "");
      const classes = [...new Set(labels)].filter(Boolean);
      if (classes.length < 2) continue;
      const choice = document.createElement("select");
      choice.append(new Option("all classes", ""), ...classes.map((name) => new Option(name, name)));
      choice.addEventListener("change", () => {
        [...list.children].forEach((item, k) => { item.hidden = choice.value && labels[k] !== choice.value; });
      });
      const label = document.createElement("label");
      label.className = "filter";
      label.append("class ", choice);
      list.before(label);
    }
  }

  async function copy(text, made) {
    try {
      await navigator.clipboard.writeText(text);
      made.textContent = "copied";
    } catch (error) {
      made.textContent = "not allowed";
    }
    setTimeout(() => { made.textContent = "copy"; }, 1500);
  }

  function attachCopies() {
    for (const box of document.querySelectorAll("pre:not([data-copies])")) {
      box.dataset.copies = "yes";
      const made = button("copy", "copy the command", () => copy(box.querySelector("code").textContent, made));
      made.className = "copy";
      box.before(made);
    }
    for (const list of document.querySelectorAll(".media.text:not([data-copies])")) {
      list.dataset.copies = "yes";
      const lines = () => [...list.querySelectorAll(".line")].map((one) => one.textContent).join("\n") + "\n";
      const made = button("copy", "copy the lines", () => copy(lines(), made));
      const saved = button("save", "save the lines as a text file", () => save("samples.txt", lines(), "text/plain"));
      const bar = document.createElement("div");
      bar.className = "controls";
      bar.append(made, saved);
      list.before(bar);
    }
  }

  const cell = (one) => { // without the interval, quoted if it needs to be
    const text = [...one.childNodes].filter((node) => node.nodeName !== "SMALL").map((node) => node.textContent).join("");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text.trim();
  };

  function attachTables() {
    for (const box of document.querySelectorAll(".wide:not([data-saves])")) {
      box.dataset.saves = "yes";
      const name = safe(box.getAttribute("aria-label") || "table");
      const rows = () => [...box.querySelectorAll("tr")].map((row) => [...row.children].map(cell).join(","));
      box.after(button("save as CSV", `save the table ${name} as CSV`,
        () => save(`${name}.csv`, `${rows().join("\n")}\n`, "text/csv")));
    }
  }

  function attachAll() {
    attachImages();
    attachFilters();
    attachCopies();
    attachTables();
  }
  window.addEventListener("replaced", attachAll);
  window.addEventListener("shown", attachAll);
  attachAll();
})();
