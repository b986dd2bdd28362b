import json
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from multigan.music.formats.midi import UnreadableMidi, read_midi, read_midi_counted, write_midi
from multigan.music.formats.song import KeySignature, Note, Song, TimeSignature, Track
from multigan.music.representations.pianoroll import from_pianoroll, to_pianoroll
from tests.music.midi_corruption import DAMAGED, GOOD, NOTES, midi_bytes
from tests.music.pianoroll_factory import VOICES, random_header, random_roll

GRIDS = (3, 4, 6, 12, 24)  # steps per quarter


def song(*notes, length=1920, **fields):
    return Song((Track("lead", tuple(Note(*note) for note in notes)),), length, **fields)


def written(song, folder):
    return read_midi(write_midi(song, folder / "song.mid"))


def read(tmp_path, *tracks, **header):
    path = tmp_path / "read.mid"
    path.write_bytes(midi_bytes(*tracks, **header))
    return read_midi_counted(path).song


def on(note, time=0, **fields):
    return mido.Message("note_on", note=note, velocity=64, time=time, **fields)


def off(note, time=0, **fields):
    return mido.Message("note_off", note=note, time=time, **fields)


def test_random_rolls_become_midi_files_and_come_back(tmp_path):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        steps_per_quarter = GRIDS[seed % len(GRIDS)]
        roll = random_roll(rng, steps=int(rng.integers(1, 50)))
        header = random_header(rng, 480 // steps_per_quarter)
        first = from_pianoroll(roll, VOICES, steps_per_quarter, **header)
        back = written(first, tmp_path)
        assert back == first
        cells = to_pianoroll(back, VOICES, steps_per_quarter)
        assert all(np.array_equal(a, b) for a, b in zip(roll, cells, strict=True))


def test_silent_tracks_and_a_silent_end_come_back(tmp_path):
    silent = Song((Track("lead"), Track("bass", program=33), Track("kit", is_drum=True)), 3840)
    assert written(silent, tmp_path) == silent


def test_names_of_any_script_and_tracks_of_one_name_come_back(tmp_path):
    tracks = (Track("Сопрано", (Note(0, 480, 60),)), Track("x", (Note(0, 9, 61),)))
    same = (*tracks, Track("x", (Note(0, 480, 62),), program=4), Track("", (Note(0, 480, 63),)))
    assert written(Song(same, 960), tmp_path) == Song(same, 960)


def test_changes_of_metre_come_back(tmp_path):
    time_signatures = (
        TimeSignature(0, 3, 4),
        TimeSignature(480 + 2880, 6, 8),
        TimeSignature(480 + 5760, 4, 4),
    )
    mixed = song((0, 480, 60), length=9600, time_signatures=time_signatures, anacrusis_ticks=480)
    assert written(mixed, tmp_path) == mixed


def test_a_first_bar_that_is_no_pickup_stays_a_bar(tmp_path):
    short = song((0, 480, 60), time_signatures=(TimeSignature(0, 1, 4), TimeSignature(480, 4, 4)))
    assert written(short, tmp_path) == short


def test_others_see_a_pickup_as_a_short_bar(tmp_path):
    path = write_midi(song((0, 480, 60), anacrusis_ticks=480), tmp_path / "a.mid")
    signatures = pretty_midi.PrettyMIDI(str(path)).time_signature_changes
    assert [(s.numerator, s.denominator) for s in signatures] == [(1, 4), (4, 4)]


@pytest.mark.parametrize("bpm", [30, 60, 84, 97, 97.13, 120, 133.33, 240, 300])
def test_the_tempo_comes_back(tmp_path, bpm):
    assert written(song(tempo_bpm=bpm), tmp_path).tempo_bpm == bpm


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("minor", [False, True])
def test_the_key_comes_back(tmp_path, tonic, minor):
    assert written(song(key=KeySignature(tonic, minor)), tmp_path).key == KeySignature(tonic, minor)


def test_the_file_is_what_others_expect(tmp_path):
    drums = Track("kit", (Note(0, 120, 36),), is_drum=True)
    lead = Track("lead", (Note(0, 240, 60), Note(240, 480, 60)), program=73)
    path = write_midi(Song((drums, lead), 480), tmp_path / "a.mid")
    file = mido.MidiFile(str(path))
    assert file.type == 1 and file.ticks_per_beat == 480
    assert {m.channel for m in file.tracks[2] if m.type == "note_on"} == {9}
    notes = [(m.time, m.velocity) for m in file.tracks[1] if m.type == "note_on"]
    assert notes == [(0, 104), (240, 0), (0, 72), (240, 0)]


def test_the_same_song_makes_the_same_bytes(tmp_path):
    roll = random_roll(np.random.default_rng(3), 64)
    paths = [
        write_midi(from_pianoroll(roll, VOICES), tmp_path / name) for name in ("a.mid", "b.mid")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_programs_are_plain_numbers_that_json_takes(tmp_path):
    back = written(song((0, 480, 60)), tmp_path)
    assert json.dumps([track.program for track in back.tracks]) == "[0]"
    assert all(type(value) is int for note in back.tracks[0].notes for value in note)


def test_more_programs_than_channels_are_refused_and_tracks_of_one_program_share(tmp_path):
    many = Song(tuple(Track(str(k), program=k) for k in range(16)), 480)
    with pytest.raises(ValueError, match="at most 15 pitched programs; got 16"):
        write_midi(many, tmp_path / "a.mid")
    voices = tuple(Track(str(k), (Note(0, 480, 60),), program=k % 3) for k in range(40))
    assert written(Song(voices, 480), tmp_path) == Song(voices, 480)


def test_fifteen_pitched_tracks_and_drums_keep_their_channels(tmp_path):
    tracks = [Track(str(k), (Note(0, 480, 60),), program=k) for k in range(15)]
    full = Song((Track("kit", (Note(0, 480, 36),), is_drum=True), *tracks), 480)
    file = mido.MidiFile(str(write_midi(full, tmp_path / "a.mid")))
    channels = {m.channel for track in file.tracks for m in track if m.type == "note_on"}
    assert channels == set(range(16)) and written(full, tmp_path) == full


@pytest.mark.parametrize("resolution", [24, 96, 220, 960, 1024])
def test_other_resolutions_are_read_at_480_ticks(tmp_path, resolution):
    events = [on(60), off(60, resolution), on(62, resolution), off(62, 2 * resolution)]
    read_back = read(tmp_path, events, ticks_per_beat=resolution)
    assert [n[:3] for n in read_back.tracks[0].notes] == [(0, 480, 60), (960, 1920, 62)]


def test_without_our_tag_a_song_ends_on_the_bar_line(tmp_path):
    three_four = mido.MetaMessage("time_signature", numerator=3, denominator=4)
    assert read(tmp_path, [three_four, on(60), off(60, 1441)]).length_ticks == 2880
    assert read(tmp_path, [three_four, on(60), off(60, 1440)]).length_ticks == 1440


def test_without_our_tag_a_short_first_bar_is_a_pickup(tmp_path):
    one = mido.MetaMessage("time_signature", numerator=1, denominator=4)
    four = mido.MetaMessage("time_signature", numerator=4, denominator=4, time=480)
    found = read(tmp_path, [one, four, on(60, 1920), off(60, 480)])
    assert found.time_signatures == (TimeSignature(0, 4, 4),) and found.anacrusis_ticks == 480
    assert found.bar_lines() == [480, 2400]


def test_signatures_and_tempo_on_later_tracks_are_read(tmp_path):
    meta = [
        mido.MetaMessage("set_tempo", tempo=1_000_000),
        mido.MetaMessage("key_signature", key="F#m"),
        mido.MetaMessage("time_signature", numerator=3, denominator=4, time=0),
        mido.MetaMessage("time_signature", numerator=2, denominator=4, time=1440),
    ]
    found = read(tmp_path, NOTES, [*meta, on(62), off(62, 480)])
    assert found.tempo_bpm == 60 and found.key == KeySignature(6, minor=True)
    assert found.time_signatures == (TimeSignature(0, 3, 4), TimeSignature(1440, 2, 4))
    assert found.tracks[1].notes == (Note(1440, 1920, 62, 64),)


def test_a_tempo_change_moves_no_note_in_the_bar(tmp_path):
    change = mido.MetaMessage("set_tempo", tempo=700_001, time=240)
    found = read(tmp_path, [on(60), change, off(60, 240), on(62, 4801), off(62, 77)])
    assert found.tracks[0].notes == (Note(0, 480, 60, 64), Note(5281, 5358, 62, 64))
    assert [change.tick for change in found.tempo_changes] == [240]


def test_a_signature_said_again_on_a_bar_line_changes_nothing(tmp_path):
    again = mido.MetaMessage("time_signature", numerator=4, denominator=4, time=1920)
    assert read(tmp_path, [again, *NOTES]).time_signatures == (TimeSignature(0, 4, 4),)


def test_a_file_edited_elsewhere_keeps_its_new_tracks_and_notes(tmp_path):
    path = write_midi(song((0, 480, 60), length=480), tmp_path / "a.mid")
    file = mido.MidiFile(str(path))
    file.tracks.append(mido.MidiTrack([on(40, 0, channel=5), off(40, 4000, channel=5)]))
    file.save(str(path))
    found = read_midi(path)
    assert [track.name for track in found.tracks] == ["lead", ""] and found.length_ticks == 4000


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_gets_one_line_that_names_it(tmp_path, name):
    content, said = DAMAGED[name]
    path = tmp_path / f"{name}.mid"
    path.write_bytes(content)
    with pytest.raises(UnreadableMidi) as caught:
        read_midi(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: {said}") and "; " in line and "\n" not in line
    assert caught.value.reason == said


def test_a_missing_file_and_a_folder_get_one_line(tmp_path):
    for path in (tmp_path / "none.mid", tmp_path):
        with pytest.raises(UnreadableMidi, match="cannot be read"):
            read_midi(path)


def test_noise_in_a_file_never_gets_past_the_one_error(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "noise.mid"
    whole = write_midi(
        song(*((k * 240, k * 240 + 200, 60 + k) for k in range(8)), key=KeySignature(3)), path
    )
    content = np.frombuffer(whole.read_bytes(), np.uint8)
    for source in (content, np.frombuffer(GOOD, np.uint8)):
        for _ in range(300):
            noisy = source.copy()
            noisy[rng.integers(8, len(noisy), rng.integers(1, 5))] = rng.integers(256)
            Path(path).write_bytes(noisy.tobytes()[: rng.integers(8, len(noisy) + 1)])
            try:
                read_midi_counted(path)
            except UnreadableMidi as error:
                assert "\n" not in str(error)
