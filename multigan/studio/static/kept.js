// Samples with their requests: locked in place, kept, compared with earlier ones, and saved.
const kept = (function () {
  "use strict";
  const ids = ["samples", "before", "kept"];
  const [area, before, list] = ids.map((id) => document.getElementById(id));
  let items = []; // of each shown sample: html, request, index and whether it is locked
  let classes = "media"; // of the list, which depend on the type of the samples
  let download = null;
  let failed = null;

  function button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", () => act(made));
    return made;
  }

  async function save(chosen) { // one part for each request
    const parts = [];
    for (const item of chosen) {
      const part = parts.find((one) => one.request === item.request);
      if (part) part.indices.push(item.index);
      else parts.push({ request: item.request, indices: [item.index] });
    }
    try {
      const answer = await download({ parts });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = answer.headers.get("Content-Disposition").split('"')[1];
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    } catch (error) {
      failed(error);
    }
  }

  function listOf(chosen, actions) {
    const made = document.createElement("ol");
    made.className = classes;
    chosen.forEach((item, k) => {
      const entry = document.createElement("li");
      entry.innerHTML = item.html;
      entry.append(actions(item, k));
      made.append(entry);
    });
    return made;
  }

  function actionsOf(item, k) {
    const bar = document.createElement("div");
    bar.className = "actions";
    const name = `sample ${k + 1}`;
    const lock = button("lock", `lock ${name} in its place`, () => {
      item.locked = !item.locked;
      lock.setAttribute("aria-pressed", String(item.locked));
    });
    lock.setAttribute("aria-pressed", String(item.locked));
    bar.append(lock, button("keep", `keep ${name}`, () => { keep(item); }),
      button("save", `save ${name} as a file`, () => { save([item]); }));
    return bar;
  }

  const favorites = [];
  function keep(item) {
    if (!favorites.includes(item)) favorites.push(item);
    showKept();
  }

  function showKept() {
    list.parentElement.hidden = !favorites.length;
    const shown = listOf(favorites, (item, k) => {
      const bar = document.createElement("div");
      bar.className = "actions";
      const note = document.createElement("small");
      note.textContent = `seed ${item.request.seed}, sample ${item.index + 1}`;
      bar.append(note, button("remove", `remove kept sample ${k + 1}`, () => {
        favorites.splice(favorites.indexOf(item), 1);
        showKept();
      }));
      return bar;
    });
    list.replaceChildren(shown, button("save kept", "save the kept samples", () => save(favorites)));
    window.dispatchEvent(new Event("shown"));
  }

  function compare(made) { // once more to stop
    const on = made.getAttribute("aria-pressed") !== "true";
    made.setAttribute("aria-pressed", String(on));
    before.parentElement.hidden = !on;
    const nothing = () => document.createElement("span");
    before.replaceChildren(...(on ? [listOf(items, nothing)] : []));
    window.dispatchEvent(new Event("shown"));
  }

  function show(html, request) { // locked samples stay
    const parsed = document.createElement("div");
    parsed.innerHTML = html;
    const found = parsed.querySelector("ol");
    classes = found ? found.className : "media";
    const entries = [...parsed.querySelectorAll("ol > li")];
    items = entries.map((entry, index) => (items[index] && items[index].locked ? items[index]
      : { html: entry.innerHTML, request, index, locked: false }));
    if (found) area.replaceChildren(listOf(items, actionsOf));
    else area.innerHTML = html;
    window.dispatchEvent(new Event("shown"));
  }

  function attach(download_, failed_) {
    [download, failed] = [download_, failed_];
    document.getElementById("save").addEventListener("click", () => save(items));
    const button_ = document.getElementById("compare");
    button_.addEventListener("click", () => compare(button_));
  }
  return { show, attach };
})();
