// The form is sent whenever it changes; one request at a time, and the newest values win.
(function () {
  "use strict";
  const PAUSE = 120; // milliseconds without a change before the form is sent
  const run = document.querySelector("main").dataset.run;
  const form = document.getElementById("form");
  const samples = document.getElementById("samples");
  const status = document.getElementById("status");
  const command = document.getElementById("command");
  const sliders = form.querySelectorAll("input[type=range]:not([name^=option-])");
  const tasks = [...document.querySelectorAll("#tasks button")];
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
    if (input.type === "range" && input.value === input.dataset.default) return "";
    return input.value;
  }

  const quoted = (text) => (text.includes(",") ? `"${text}"` : text);
  const checked = (group) => [...group.querySelectorAll("input:checked")].map((box) => quoted(box.value));

  async function request() {
    const number = (name) => (form.elements[name] ? form.elements[name].valueAsNumber : 0);
    const options = {};
    const shown = (one) => !one.closest("[hidden]"); // options of other tasks are left out
    for (const input of [...form.querySelectorAll("input[name^=option-]")].filter(shown)) {
      options[input.name.slice("option-".length)] = await value(input);
    }
    for (const group of [...form.querySelectorAll("[data-name]")].filter(shown)) {
      options[group.dataset.name.slice("option-".length)] = checked(group).join(",");
    }
    const numbered = (key) => [...sliders].filter((one) => one.name.startsWith(`${key}-`)).map((one) => one.valueAsNumber);
    const { class_index: choice, project } = form.elements;
    return { n: number("n"), seed: number("seed"), other_seed: number("other_seed"),
      fraction: number("fraction"), positions: numbered("position"), components: numbered("component"),
      class_index: choice ? Number(choice.value) : 0, class_fraction: number("class_fraction"),
      project: project ? await value(project) : null, options };
  }

  function report(text, isError) {
    status.textContent = text;
    status.classList.toggle("error", isError);
  }

  async function post(path, body) {
    const answer = await fetch(`/${path}/${run}`, { method: "POST", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" } });
    if (!answer.ok) throw new Error((await answer.json()).error);
    return answer;
  }

  function missing() { // the name of a file that the task needs first
    const first = form.querySelector("label[data-tasks]:not([hidden]) input[type=file]");
    return first && !first.files.length ? first.labels[0].querySelector("span").textContent : "";
  }

  async function send() {
    if (busy) { again = true; return; }
    if (missing()) { report(`choose a file for: ${missing()}`, false); return; }
    busy = true;
    samples.parentElement.classList.add("busy");
    try {
      const asked = await request();
      if (asked.project) report("looking for the latent of the image ...", false);
      const found = await (await post("samples", asked)).json();
      kept.show(found.html, asked); // escaped by the server
      command.textContent = found.command;
      report([`${found.seconds} s`, ...found.warnings].join("; "), false);
    } catch (error) {
      failed(error);
    }
    samples.parentElement.classList.remove("busy");
    busy = false;
    if (again) { again = false; send(); }
  }

  const failed = (error) => report(error instanceof TypeError ? "the studio has stopped" : error.message, true);

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(send, PAUSE);
  }

  function set(input, number) {
    input.value = number;
    soon();
  }

  function choose(task) { // show the options of one task
    tasks.forEach((one) => one.setAttribute("aria-pressed", String(one === task)));
    for (const field of form.querySelectorAll("[data-tasks]")) {
      field.hidden = !field.dataset.tasks.split("|").includes(task.dataset.task);
    }
  }

  function showValue(input) { // beside a slider
    const output = input.parentElement.querySelector("output");
    if (!output) return;
    output.textContent = (input.value === input.dataset.default && input.dataset.text) || input.value;
  }

  form.addEventListener("input", (event) => { showValue(event.target); soon(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  tasks.forEach((task) => task.addEventListener("click", () => { choose(task); soon(); }));
  if (tasks.length) choose(tasks[0]);
  const another = () => set(form.elements.seed, Math.floor(Math.random() * 100000));
  document.getElementById("another").addEventListener("click", another);
  const reset = document.getElementById("reset");
  if (reset) reset.addEventListener("click", () => {
    sliders.forEach((one) => set(one, 0));
    if (form.elements.project) form.elements.project.value = "";
  });
  kept.attach((body) => post("download", body), failed);
  if (location.search) history.replaceState(null, "", location.pathname); // the token is in a cookie
  send();
})();
