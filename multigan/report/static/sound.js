// Notes as sound: oscillators for what has a pitch, noise for drums. Nothing is recorded.
const sound = (function () {
  "use strict";
  // By families of eight General MIDI programs: wave, attack and release in seconds, how far the
  // note sinks while it is held, loudness, and the cut of the low-pass filter in Hz.
  const PIANO = { wave: "triangle", attack: 0.004, release: 0.15, sinks: 0.85, gain: 0.5, cut: 5000 };
  const MALLET = { wave: "sine", attack: 0.002, release: 0.3, sinks: 0.95, gain: 0.5, cut: 8000 };
  const ORGAN = { wave: "square", attack: 0.02, release: 0.06, sinks: 0, gain: 0.14, cut: 2200 };
  const GUITAR = { wave: "sawtooth", attack: 0.003, release: 0.1, sinks: 0.85, gain: 0.22, cut: 2500 };
  const BASS = { wave: "triangle", attack: 0.008, release: 0.08, sinks: 0.5, gain: 0.7, cut: 1500 };
  const STRINGS = { wave: "sawtooth", attack: 0.08, release: 0.2, sinks: 0.1, gain: 0.17, cut: 2400 };
  const VOICES = { wave: "triangle", attack: 0.06, release: 0.16, sinks: 0.1, gain: 0.4, cut: 1800 };
  const BRASS = { wave: "sawtooth", attack: 0.03, release: 0.1, sinks: 0.15, gain: 0.18, cut: 3000 };
  const PIPE = { wave: "sine", attack: 0.04, release: 0.1, sinks: 0.05, gain: 0.45, cut: 6000 };
  const FAMILIES = [PIANO, MALLET, ORGAN, GUITAR, BASS, STRINGS, VOICES, BRASS, BRASS, PIPE, PIPE,
    STRINGS, PIPE, GUITAR, MALLET, MALLET];
  // Drums by General MIDI pitch: from..to, Hz that a tone falls between, its share, the noise's cut.
  const DRUMS = [
    { from: 35, to: 36, high: 140, low: 45, tone: 1, noise: 0.05, cut: 800, length: 0.25 },
    { from: 37, to: 40, high: 220, low: 160, tone: 0.35, noise: 0.6, cut: 1800, length: 0.16 },
    { from: 42, to: 42, high: 0, low: 0, tone: 0, noise: 0.3, cut: 8000, length: 0.05 },
    { from: 44, to: 46, high: 0, low: 0, tone: 0, noise: 0.3, cut: 7000, length: 0.22 },
    { from: 49, to: 59, high: 0, low: 0, tone: 0, noise: 0.35, cut: 5000, length: 0.7 },
    { from: 0, to: 127, high: 190, low: 90, tone: 0.7, noise: 0.1, cut: 2000, length: 0.22 },
  ];
  let context = null;
  let hiss = null;

  function ready() {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!Context) return null;
    if (!context) {
      context = new Context();
      hiss = context.createBuffer(1, context.sampleRate, context.sampleRate);
      const samples = hiss.getChannelData(0);
      for (let k = 0; k < samples.length; k += 1) samples[k] = Math.random() * 2 - 1;
    }
    if (context.state === "suspended") context.resume();
    return context;
  }

  function bus() { // what a song plays into; thrown away when it stops
    const node = context.createGain();
    const soft = context.createDynamicsCompressor();
    node.gain.value = 0.4;
    node.connect(soft).connect(context.destination);
    return node;
  }

  function tone(output, at, seconds, pitch, velocity, program) {
    const kind = FAMILIES[Math.floor(program / 8)] || PIANO;
    const source = context.createOscillator();
    const filter = context.createBiquadFilter();
    const level = context.createGain();
    const top = kind.gain * velocity;
    const end = at + Math.max(seconds, kind.attack);
    source.type = kind.wave;
    source.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    filter.type = "lowpass";
    filter.frequency.value = kind.cut;
    level.gain.setValueAtTime(0, at);
    level.gain.linearRampToValueAtTime(top, at + kind.attack);
    level.gain.linearRampToValueAtTime(top * (1 - kind.sinks * Math.min(1, seconds)), end);
    level.gain.linearRampToValueAtTime(0, end + kind.release);
    source.connect(filter).connect(level).connect(output);
    source.start(at);
    source.stop(end + kind.release);
  }

  function drum(output, at, pitch, velocity) {
    const kind = DRUMS.find((one) => one.from <= pitch && pitch <= one.to);
    const fade = (share) => {
      const level = context.createGain();
      level.gain.setValueAtTime(share * velocity, at);
      level.gain.exponentialRampToValueAtTime(0.001, at + kind.length);
      level.connect(output);
      return level;
    };
    const noise = context.createBufferSource();
    const filter = context.createBiquadFilter();
    noise.buffer = hiss;
    filter.type = kind.cut > 1000 ? "highpass" : "lowpass";
    filter.frequency.value = kind.cut;
    noise.connect(filter).connect(fade(kind.noise));
    noise.start(at);
    noise.stop(at + kind.length);
    if (!kind.tone) return;
    const source = context.createOscillator();
    source.frequency.setValueAtTime(kind.high, at);
    source.frequency.exponentialRampToValueAtTime(kind.low, at + kind.length / 2);
    source.connect(fade(kind.tone));
    source.start(at);
    source.stop(at + kind.length);
  }
  return { ready, bus, tone, drum };
})();
