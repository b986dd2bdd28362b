// The form is sent whenever it changes; one request at a time, and the newest values win.
(function () {
  "use strict";
  const PAUSE = 120; // milliseconds without a change before the form is sent
  const form = document.getElementById("form");
  const samples = document.getElementById("samples");
  const status = document.getElementById("status");
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

  async function request() {
    const number = (name) => (form.elements[name] ? form.elements[name].valueAsNumber : 0);
    const options = {};
    for (const input of form.querySelectorAll("input[name^=option-]")) {
      options[input.name.slice("option-".length)] = await value(input);
    }
    const positions = [...sliders].filter((one) => one.name.startsWith("position-"));
    return { n: number("n"), seed: number("seed"), other_seed: number("other_seed"),
      fraction: number("fraction"), positions: positions.map((one) => one.valueAsNumber), options };
  }

  function report(text, isError) {
    status.textContent = text;
    status.classList.toggle("error", isError);
  }

  async function fetched() {
    const answer = await fetch("/samples", { method: "POST", body: JSON.stringify(await request()),
      headers: { "Content-Type": "application/json" } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  }

  async function send() {
    if (busy) { again = true; return; }
    busy = true;
    samples.parentElement.classList.add("busy");
    try {
      const found = await fetched();
      samples.innerHTML = found.html; // escaped by the server
      command.textContent = found.command;
      report([`${found.seconds} s`, ...found.warnings].join("; "), false);
      window.dispatchEvent(new Event("shown"));
    } catch (error) {
      report(error instanceof TypeError ? "the studio has stopped" : error.message, true);
    }
    samples.parentElement.classList.remove("busy");
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
  const reset = document.getElementById("reset");
  if (reset) reset.addEventListener("click", () => sliders.forEach((one) => set(one, 0)));
  send();
})();
