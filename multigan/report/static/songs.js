// A song: its piano-roll, which scrolls while it plays, and controls to start, stop and mute it.
(function () {
  "use strict";
  const PALETTE = 8;
  const AHEAD = 0.15; // seconds that notes are handed to the sound in advance
  const BEAT = 26; // pixels at least: a longer song moves under the line
  const MARGIN = 4;
  const [LEFT, TOP] = [30, 14]; // pixels for the names of pitches and the numbers of bars
  const NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
  const pitchName = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  let players = [];

  function element(name, values, ...children) {
    const made = Object.assign(document.createElement(name), values);
    made.append(...children);
    return made;
  }

  function range(label, min, max, step, value) {
    const made = element("input", { type: "range", min, max, step, value });
    made.setAttribute("aria-label", label);
    return made;
  }

  class Player {
    constructor(box) {
      this.song = JSON.parse(box.querySelector("script").textContent);
      this.beat = 0;
      this.playing = false;
      this.muted = new Set();
      this.notes = this.song.tracks.flatMap((track, k) => track.notes.map((note) => ({ track: k,
        start: note[0], end: note[0] + note[1], pitch: note[2], velocity: note[3] })));
      this.notes.sort((a, b) => a.start - b.start);
      const pitches = this.notes.map((note) => note.pitch);
      this.low = Math.min(60, ...pitches) - 1;
      this.high = Math.max(60, ...pitches) + 1;
      this.build(box);
    }

    build(box) {
      const name = box.dataset.name;
      const length = this.song.length_beats;
      this.button = element("button", { type: "button", className: "play", textContent: "Play" });
      this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      this.place = range(`place in ${name}, beats`, 0, length, "any", 0);
      this.place.addEventListener("input", () => this.seek(this.place.valueAsNumber));
      this.bar = element("output");
      this.tempo = range(`tempo of ${name}`, 30, 240, 1, Math.round(this.song.tempo_bpm));
      const pace = element("output");
      const showTempo = () => { pace.textContent = `${this.tempo.value} bpm`; };
      this.tempo.addEventListener("input", () => { this.restart(); showTempo(); });
      showTempo();
      this.canvas = element("canvas");
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", `piano-roll of ${name}: ${this.notes.length} notes`);
      const tracks = element("div", { className: "controls tracks" });
      this.song.tracks.forEach((track, k) => tracks.append(this.switchOf(track, k)));
      box.append(
        element("div", { className: "controls" }, this.button,
          element("label", { className: "place" }, this.place), this.bar,
          element("label", {}, "tempo", this.tempo, pace)),
        this.canvas, tracks);
      tracks.append(this.saver(name));
      this.draw();
    }

    switchOf(track, k) {
      const box = element("input", { type: "checkbox", checked: true });
      const chip = element("span", { className: "chip" });
      chip.style.background = `var(--s${k % PALETTE})`;
      box.addEventListener("change", () => {
        this.muted[box.checked ? "delete" : "add"](k);
        this.restart();
        this.draw();
      });
      return element("label", {}, box, chip, track.name);
    }

    saver(name) { // the notes as a file
      const made = element("button", { type: "button", textContent: "MIDI" });
      made.setAttribute("aria-label", `save ${name} as MIDI`);
      made.addEventListener("click", () => {
        window.saveFile(`${name.replace(/[^\w]+/g, "-")}.mid`, midi.encode(this.song), "audio/midi");
      });
      return made;
    }

    play() {
      players.forEach((other) => other.pause());
      if (this.beat >= this.song.length_beats) this.beat = 0;
      this.context = sound.ready();
      this.playing = true;
      this.button.textContent = "Pause";
      this.begin();
      this.frame();
    }

    begin() { // from the beat where it stands
      this.from = this.beat;
      this.since = performance.now();
      this.pace = this.tempo.valueAsNumber / 60000; // beats a millisecond
      this.next = this.notes.findIndex((note) => note.start >= this.beat - 1e-6);
      if (this.next < 0) this.next = this.notes.length;
      if (this.context) this.output = sound.bus();
      this.timer = setInterval(() => this.tick(), 30);
      this.tick();
    }

    silence() {
      clearInterval(this.timer);
      if (this.output) this.output.disconnect();
      this.output = null;
    }

    restart() { // with another tempo, or other tracks
      if (!this.playing) return;
      this.beat = this.now();
      this.silence();
      this.begin();
    }

    pause() {
      if (!this.playing) return;
      this.beat = Math.min(this.now(), this.song.length_beats);
      this.playing = false;
      this.silence();
      this.button.textContent = "Play";
      this.draw();
    }

    seek(beat) {
      this.beat = beat;
      if (this.playing) { this.silence(); this.begin(); }
      this.draw();
    }

    now() { return this.playing ? this.from + (performance.now() - this.since) * this.pace : this.beat; }

    tick() {
      const now = this.now();
      const seconds = (beats) => beats / this.pace / 1000;
      for (; this.next < this.notes.length; this.next += 1) {
        const note = this.notes[this.next];
        const wait = seconds(note.start - now);
        if (wait > AHEAD) break;
        if (this.context && !this.muted.has(note.track)) this.sound(note, wait, seconds);
      }
      if (now >= this.song.length_beats) { this.pause(); this.beat = 0; this.draw(); }
    }

    sound(note, wait, seconds) {
      const at = this.context.currentTime + Math.max(0, wait) + 0.02;
      const track = this.song.tracks[note.track];
      if (track.drums) sound.drum(this.output, at, note.pitch, note.velocity);
      else sound.tone(this.output, at, seconds(note.end - note.start), note.pitch, note.velocity, track.program);
    }

    frame() {
      if (!this.playing) return;
      this.draw();
      requestAnimationFrame(() => this.frame());
    }

    draw() {
      const { canvas, song } = this;
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      if (!width) return;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      const now = this.now();
      const wide = Math.max(BEAT, (width - LEFT - MARGIN) / song.length_beats);
      const furthest = Math.max(0, song.length_beats * wide + LEFT + MARGIN - width);
      const shift = Math.min(furthest, Math.max(0, now * wide - width / 3)) - LEFT;
      const high = (height - TOP - MARGIN) / (this.high - this.low + 1);
      const x = (beat) => beat * wide - shift;
      const y = (pitch) => TOP + (this.high - pitch) * high;
      this.drawGrid(pen, x, y, high);
      song.tracks.forEach((track, k) => {
        pen.fillStyle = color(`--s${k % PALETTE}`);
        pen.globalAlpha = 0.12;
        track.given.forEach(([from, to]) => pen.fillRect(x(from), 0, (to - from) * wide, height));
      });
      for (const note of this.notes) {
        const sounds = this.playing && note.start <= now && now < note.end;
        pen.globalAlpha = this.muted.has(note.track) ? 0.15 : sounds ? 1 : 0.65;
        pen.fillStyle = color(`--s${note.track % PALETTE}`);
        const length = Math.max(2, (note.end - note.start) * wide - 1);
        pen.fillRect(x(note.start), y(note.pitch), length, Math.max(3, high - 1));
      }
      pen.globalAlpha = 1;
      pen.fillStyle = color("--text");
      pen.fillRect(x(now), 0, 1.5, height);
      this.drawPitches(pen, y, high);
      const bar = song.bar_lines.filter((line) => line <= now + 1e-6).length;
      if (document.activeElement !== this.place || this.playing) this.place.value = now;
      this.bar.textContent = `bar ${bar} of ${song.bar_lines.length}`;
      this.place.setAttribute("aria-valuetext", this.bar.textContent);
    }
  }

  Player.prototype.drawGrid = function (pen, x, y, high) { // octaves, beats, and bars with numbers
    const { width, height } = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    pen.font = "10px system-ui, sans-serif";
    pen.fillStyle = color("--grid");
    for (let pitch = this.low; pitch <= this.high; pitch += 1) {
      if (pitch % 12 === 0) pen.fillRect(0, y(pitch) + high, width, 1);
    }
    pen.globalAlpha = 0.6;
    for (let beat = 0; beat < this.song.length_beats; beat += 1) pen.fillRect(x(beat), TOP, 0.5, height);
    pen.globalAlpha = 1;
    this.song.bar_lines.forEach((line, k) => {
      pen.fillStyle = color("--rule");
      pen.fillRect(x(line), 0, 1.5, height);
      pen.fillStyle = color("--quiet");
      pen.fillText(String(k + 1), x(line) + 4, 10);
    });
  };

  Player.prototype.drawPitches = function (pen, y, high) { // over notes that have moved past
    pen.fillStyle = color("--background");
    pen.fillRect(0, 0, LEFT - 2, this.canvas.clientHeight);
    pen.fillStyle = color("--quiet");
    const every = this.high - this.low > 14 ? 12 : 1; // few pitches are all named
    for (let pitch = this.low; pitch <= this.high; pitch += 1) {
      const isNamed = every === 12 ? pitch % 12 === 0 || (pitch % 12 === 7 && high > 4) : pitch % 2 === 0;
      if (isNamed) pen.fillText(pitchName(pitch), 3, y(pitch) + high / 2 + 3);
    }
  };

  function attachPlayers() { // players of songs on the page; those of removed songs pause
    players.filter((player) => !player.canvas.isConnected).forEach((player) => player.pause());
    players = players.filter((player) => player.canvas.isConnected);
    for (const box of document.querySelectorAll(".song:not([data-attached])")) {
      box.dataset.attached = "yes";
      players.push(new Player(box));
    }
  }
  const redraw = () => players.forEach((player) => player.draw());
  attachPlayers();
  window.addEventListener("resize", redraw);
  window.addEventListener("replaced", () => { attachPlayers(); redraw(); });
  window.addEventListener("shown", () => { // another slide is visible
    attachPlayers();
    players.filter((player) => !player.canvas.clientWidth).forEach((player) => player.pause());
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
