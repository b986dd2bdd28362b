// The form is sent whenever it changes; one request at a time, and the newest wishes win.
(function () {
  "use strict";
  const PAUSE = 120; // milliseconds without a change before the form is sent
  const form = document.getElementById("form");
  const shown = document.getElementById("shown");
  const said = document.getElementById("said");
  const command = document.getElementById("command");
  const sliders = form.querySelectorAll("input[type=range]");
  let timer = 0;
  let busy = false;
  let again = false;

  const read = (file) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.onload = () => resolve({ name: file.name, content: reader.result.split(",")[1] || "" });
    reader.readAsDataURL(file);
  });

  async function value(input) {
    if (input.type === "checkbox") return input.checked;
    if (input.type === "file") return input.files.length ? read(input.files[0]) : null;
    return input.value;
  }

  async function asked() {
    const number = (name) => (form.elements[name] ? form.elements[name].valueAsNumber : 0);
    const wishes = {};
    for (const input of form.querySelectorAll("input[name^=wish-]")) {
      wishes[input.name.slice("wish-".length)] = await value(input);
    }
    const places = [...sliders].filter((one) => one.name.startsWith("place-"));
    return { n: number("n"), seed: number("seed"), other_seed: number("other_seed"),
      share: number("share"), places: places.map((one) => one.valueAsNumber), wishes };
  }

  function say(text, ill) {
    said.textContent = text;
    said.classList.toggle("ill", ill);
  }

  async function fetched() {
    const answer = await fetch("/samples", { method: "POST", body: JSON.stringify(await asked()),
      headers: { "Content-Type": "application/json" } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  }

  async function send() {
    if (busy) { again = true; return; }
    busy = true;
    shown.parentElement.classList.add("busy");
    try {
      const found = await fetched();
      shown.innerHTML = found.html; // made by our own server of escaped content
      command.textContent = found.command;
      say([`${found.seconds} s`, ...found.warnings].join("; "), false);
      window.dispatchEvent(new Event("shown"));
    } catch (error) {
      say(error instanceof TypeError ? "the studio has stopped" : error.message, true);
    }
    shown.parentElement.classList.remove("busy");
    busy = false;
    if (again) { again = false; send(); }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(send, PAUSE);
  }

  function set(input, number) {
    input.value = number;
    soon();
  }

  form.addEventListener("input", soon);
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  const another = () => set(form.elements.seed, Math.floor(Math.random() * 100000));
  document.getElementById("another").addEventListener("click", another);
  const back = document.getElementById("back");
  if (back) back.addEventListener("click", () => sliders.forEach((one) => set(one, 0)));
  send();
})();
