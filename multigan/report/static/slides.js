// Slides, of which a range input shows one at a time.
(function () {
  "use strict";
  function attach(box) {
    const slides = [...box.querySelectorAll(".slide")];
    if (slides.length < 2) return;
    const bar = document.createElement("div");
    const slider = document.createElement("input");
    const label = document.createElement("output");
    bar.className = "slider-bar";
    slider.type = "range";
    slider.min = 0;
    slider.max = slides.length - 1;
    slider.value = box.dataset.start === "last" ? slides.length - 1 : 0;
    slider.setAttribute("aria-label", box.dataset.name);
    const show = () => {
      slides.forEach((slide, k) => { slide.hidden = k !== slider.valueAsNumber; });
      label.textContent = slides[slider.valueAsNumber].dataset.at;
      slider.setAttribute("aria-valuetext", label.textContent);
      window.dispatchEvent(new Event("shown"));
    };
    slider.addEventListener("input", show);
    bar.append(slider, label);
    box.prepend(bar);
    box.classList.add("live");
    show();
  }
  const attachAll = () => document.querySelectorAll(".slides:not(.live)").forEach(attach);
  window.addEventListener("replaced", attachAll);
  attachAll();
})();
