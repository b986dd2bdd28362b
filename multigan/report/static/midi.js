// A song as a Standard MIDI File, format 1: one track for tempo and meter, one for each track.
const midi = (function () {
  "use strict";
  const TICKS = 480; // a beat
  const DRUM_CHANNEL = 9;
  const MICROSECONDS = 60000000; // a minute

  function number(value) { // variable-length quantity
    const bytes = [value & 127];
    for (let rest = value >> 7; rest; rest >>= 7) bytes.unshift((rest & 127) | 128);
    return bytes;
  }
  const fixed = (value, count) => Array.from({ length: count }, (_, k) => (value >> (8 * (count - 1 - k))) & 255);
  const ascii = (text) => [...text].map((letter) => letter.charCodeAt(0) & 127);
  const chunk = (name, bytes) => [...ascii(name), ...fixed(bytes.length, 4), ...bytes];
  const meta = (kind, bytes) => [255, kind, ...number(bytes.length), ...bytes];

  function trackOf(events) { // [tick, order, bytes]: note-offs come before note-ons
    events.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let now = 0;
    const bytes = events.flatMap(([tick, , content]) => {
      const wait = number(tick - now);
      now = tick;
      return [...wait, ...content];
    });
    return chunk("MTrk", [...bytes, 0, ...meta(47, [])]);
  }

  function notesOf(track, channel) {
    const events = [[0, 0, meta(3, ascii(track.name))], [0, 0, [192 | channel, track.program]]];
    for (const [start, length, pitch, velocity] of track.notes) {
      const [on, off] = [Math.round(start * TICKS), Math.round((start + length) * TICKS)];
      events.push([on, 2, [144 | channel, pitch, Math.max(1, Math.round(velocity * 127))]]);
      events.push([Math.max(off, on + 1), 1, [128 | channel, pitch, 0]]);
    }
    return trackOf(events);
  }

  function encode(song) {
    const pitched = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15];
    let next = 0;
    const channels = song.tracks.map((track) => (track.drums ? DRUM_CHANNEL : pitched[next++ % pitched.length]));
    const tempo = fixed(Math.round(MICROSECONDS / song.tempo_bpm), 3);
    const tracks = song.tracks.map((track, k) => notesOf(track, channels[k]));
    const all = [trackOf([[0, 0, meta(81, tempo)]]), ...tracks];
    return new Uint8Array([...chunk("MThd", [...fixed(1, 2), ...fixed(all.length, 2), ...fixed(TICKS, 2)]), ...all.flat()]);
  }
  return { encode };
})();
