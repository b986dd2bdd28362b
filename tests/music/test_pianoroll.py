import numpy as np
import pytest
import torch

from multigan.music.formats.song import Note, Song, Track
from multigan.music.representations.pianoroll import REST as SILENT
from multigan.music.representations.pianoroll import (
    active_pitches,
    from_pianoroll,
    slice_tokens,
    to_pianoroll,
)
from multigan.music.representations.voices import (
    BAND,
    DRUM_CLASSES,
    ROW_OF_DRUM,
    SATB,
    TRACK_LAYOUTS,
    Voice,
)
from tests.music.pianoroll_factory import VOICES, random_roll, random_tokens

MONO = Voice("lead", min_pitch=60, num_pitches=10)
REST, HOLD = MONO.rest, MONO.hold


def song(*notes, length=1920, drums=False):
    return Song((Track("lead", tuple(Note(*n) for n in notes), is_drum=drums),), length)


def tokens(*notes, length=1920, voice=MONO, steps_per_quarter=4):
    return to_pianoroll(song(*notes, length=length), (voice,), steps_per_quarter)[0].tolist()


@pytest.mark.parametrize("steps_per_quarter", [3, 4, 6, 12, 24])
def test_a_roll_becomes_a_song_and_comes_back(steps_per_quarter):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        roll = random_roll(rng, steps=int(rng.integers(1, 200)))
        back = to_pianoroll(
            from_pianoroll(roll, VOICES, steps_per_quarter), VOICES, steps_per_quarter
        )
        assert all(np.array_equal(a, b) for a, b in zip(roll, back, strict=True))


def test_tensors_are_taken_as_arrays_are():
    roll = random_roll(np.random.default_rng(0), 32)
    tensors = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in roll)
    assert from_pianoroll(tensors, VOICES) == from_pianoroll(roll, VOICES)


def test_held_and_repeated_notes_differ():
    held, struck = (
        tokens((0, 480, 60), length=480),
        tokens((0, 240, 60), (240, 480, 60), length=480),
    )
    assert held == [0, HOLD, HOLD, HOLD] and struck == [0, HOLD, 0, HOLD]


def test_a_note_over_the_bar_line_is_held():
    three_four = tokens((960, 1920, 61), length=2880)
    assert three_four == [REST] * 8 + [1] + [HOLD] * 7 + [REST] * 8


def test_triplets_are_exact_on_a_triplet_grid():
    thirds = (0, 160, 60), (160, 320, 62), (320, 480, 64)
    assert tokens(*thirds, length=480, steps_per_quarter=3) == [0, 2, 4]


def test_a_note_off_the_grid_moves_to_the_nearest_step():
    assert tokens((59, 240, 60), length=480) == [0, HOLD, REST, REST]
    assert tokens((60, 240, 60), length=480) == [REST, 0, REST, REST]
    assert tokens((470, 480, 60), length=480) == [REST, REST, REST, 0]


def test_an_ornament_gives_way_to_the_note_it_ornaments():
    assert tokens((0, 30, 62), (30, 480, 60), length=480) == [0, HOLD, HOLD, HOLD]


def test_the_highest_note_of_a_chord_is_the_voice():
    assert tokens((0, 240, 60), (0, 240, 67), (0, 240, 64), length=480) == [7, HOLD, REST, REST]


def test_the_next_note_ends_the_one_before():
    assert tokens((0, 480, 60), (240, 360, 64), length=480) == [0, HOLD, 4, REST]


def test_a_hold_after_a_rest_or_at_the_start_is_silence():
    start = np.array([HOLD, 3, REST, HOLD, HOLD, 4])
    canonical = np.array([REST, 3, REST, REST, REST, 4])
    assert from_pianoroll((start,), (MONO,)) == from_pianoroll((canonical,), (MONO,))
    assert active_pitches(start, MONO).tolist() == [SILENT, 63, SILENT, SILENT, SILENT, 64]


def test_a_sustain_after_silence_is_silent():
    voice = Voice("chords", kind="polyphonic", min_pitch=60, num_pitches=2)
    planes = np.zeros((2, 4, 2), bool)
    planes[0, 1, 0] = planes[1, :, 0] = planes[1, :, 1] = True
    notes = from_pianoroll((planes,), (voice,)).tracks[0].notes
    assert notes == (Note(120, 480, 60),)


def test_sounding_pitches_are_those_of_the_notes():
    for seed in range(20):
        line = random_tokens(np.random.default_rng(seed), MONO, 64)
        expected = np.full(64, SILENT)
        for start, end, pitch, _ in from_pianoroll((line,), (MONO,)).tracks[0].notes:
            expected[start // 120 : end // 120] = pitch
        assert active_pitches(line, MONO).tolist() == expected.tolist()
    many = np.stack([random_tokens(np.random.default_rng(s), MONO, 64) for s in range(3)])
    rows = [active_pitches(row, MONO) for row in many]
    assert np.array_equal(active_pitches(many, MONO), np.stack(rows))


def test_a_cut_into_a_held_note_begins_with_its_pitch_and_says_tied():
    line = np.array([3, HOLD, HOLD, REST, HOLD, 4])
    window, tied = slice_tokens(line, MONO, 1, 5)
    assert window.tolist() == [3, HOLD, REST, HOLD] and tied
    window, tied = slice_tokens(line, MONO, 4, 6)
    assert window.tolist() == [REST, 4] and not tied
    assert slice_tokens(line, MONO, 0, 2)[1] is False
    assert line.tolist() == [3, HOLD, HOLD, REST, HOLD, 4]


def test_cuts_sound_as_the_whole_does():
    line = random_tokens(np.random.default_rng(5), MONO, 64)
    for start in range(0, 64, 7):
        window, _ = slice_tokens(line, MONO, start, start + 8)
        whole = active_pitches(line, MONO)[start : start + 8]
        assert active_pitches(window, MONO).tolist() == whole.tolist()


def test_every_drum_of_the_kit_has_a_row_and_rows_stand_for_themselves():
    assert all(ROW_OF_DRUM[pitch] == row for row, pitch in enumerate(DRUM_CLASSES.values()))
    hits = to_pianoroll(
        song((0, 120, 35), (0, 120, 75), (120, 240, 40), drums=True), (Voice("lead", kind="drums"),)
    )[0]
    assert np.argwhere(hits).tolist() == [[0, 0], [0, 1], [1, 1]]  # 75, claves, is with the snare
    assert set(range(26, 88)) <= set(ROW_OF_DRUM)


def test_the_four_voices_stack_and_the_layouts_are_named():
    assert len({voice.num_pitches for voice in SATB}) == 1
    assert list(TRACK_LAYOUTS) == ["satb", "band", "melody+chords", "melody+piano", "piano"]
    assert TRACK_LAYOUTS["satb"] == SATB and TRACK_LAYOUTS["band"] == BAND


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: Voice("x", kind="mono"), "kind must be one of monophonic.*; got 'mono'"),
        (lambda: Voice("x", min_pitch=120, num_pitches=10), r"must be within 0\.\.127"),
        (lambda: tokens((0, 480, 59)), r"pitches must be 60\.\.69, the range of the voice; got 59"),
        (lambda: tokens(voice=Voice("alto")), "the track must be one of: lead; got 'alto'"),
        (lambda: tokens(steps_per_quarter=7), "steps_per_quarter must divide 480.*; got 7"),
        (lambda: from_pianoroll((), (MONO,)), "must have 1 arrays, one per voice; got 0"),
        (lambda: from_pianoroll((np.array([12]),), (MONO,)), r"must be 0\.\.11"),
        (lambda: from_pianoroll((np.zeros(4),), (MONO,)), "of integers; got .*float64"),
        (lambda: from_pianoroll((np.zeros((4, 8), bool),), (BAND[1],)), r"must be \(steps, 9\)"),
        (lambda: from_pianoroll((np.zeros((2, 4, 8)),), (BAND[2],)), r"must be \(2, steps, 36\)"),
        (
            lambda: from_pianoroll((np.array([0]), np.array([0, 1])), (MONO, MONO)),
            r"must have one length; got \[1, 2\] steps",
        ),
    ],
)
def test_mistakes_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
