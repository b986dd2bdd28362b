// Replaces the sections of the page that have changed, while the run is trained.
(function () {
  "use strict";
  const EVERY = 2000; // milliseconds between two looks at the files of the run
  const status = document.getElementById("live");
  const received = new Map(); // section -> its HTML as it came, before charts were added
  let version = document.querySelector("main").dataset.version;

  const sections = (root) => [...root.querySelectorAll("main > header, main > section")];
  const keyOf = (section) => section.querySelector("h1, h2").id;

  function place(section) { // state that a person has changed
    const slider = section.querySelector(".slider-bar input");
    return {
      open: [...section.querySelectorAll("details")].map((box) => box.open),
      slide: slider && slider.value !== slider.max ? slider.value : null, // at the end: follow
    };
  }

  function restore(section, before) {
    section.querySelectorAll("details").forEach((box, k) => { box.open = Boolean(before.open[k]); });
    window.dispatchEvent(new Event("replaced")); // charts, slides and songs attach themselves
    const slider = section.querySelector(".slider-bar input");
    if (slider && before.slide !== null) {
      slider.value = before.slide;
      slider.dispatchEvent(new Event("input"));
    }
  }

  function show(page) { // whether all sections are up to date
    let complete = true;
    for (const fresh of sections(page)) {
      const key = keyOf(fresh);
      if (received.get(key) === fresh.innerHTML) continue;
      const heading = document.getElementById(key);
      if (!heading) { location.reload(); return true; } // a new section
      const old = heading.parentElement;
      if (old.contains(document.activeElement)) { complete = false; continue; } // in use: later
      received.set(key, fresh.innerHTML);
      const before = place(old);
      old.replaceWith(fresh);
      restore(fresh, before);
    }
    return complete;
  }

  async function look() {
    try {
      const answer = await fetch("/version");
      const found = (await answer.json()).version;
      if (found !== version) {
        const page = await fetch("/");
        if (!page.ok) throw new Error((await page.json()).error);
        const parsed = new DOMParser().parseFromString(await page.text(), "text/html");
        version = show(parsed) ? parsed.querySelector("main").dataset.version : "";
      }
      status.textContent = "live";
    } catch (error) {
      status.textContent = `not live: ${error.message}`;
    }
    setTimeout(look, EVERY);
  }

  look();
})();
