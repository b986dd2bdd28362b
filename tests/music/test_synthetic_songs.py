from itertools import combinations, pairwise

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.datasets.synthetic_songs import (
    ARRANGEMENTS,
    TIME_SIGNATURES,
    Chord,
    generate_songs,
    scale,
    triad,
)
from multigan.music.formats.song import KeySignature
from multigan.music.representations.pianoroll import from_pianoroll, to_pianoroll
from multigan.music.representations.voices import TRACK_LAYOUTS

BEAT = 480


def composed(layout="satb", n=6, seed=0, **options):
    return generate_songs(layout, n, keyed_rng(seed, "compose"), **options)


def every(layout):
    return [
        piece
        for time_signature in TIME_SIGNATURES
        for piece in composed(layout, time_signature=time_signature)
    ]


def pitched(piece):
    return [note for track in piece.song.tracks if not track.is_drum for note in track.notes]


def chord_at(piece, tick):
    return next(chord for chord in piece.chords if chord.start_tick <= tick < chord.end_tick)


def sounding(track, tick):
    return [n.pitch_midi for n in track.notes if n.start_tick <= tick < n.end_tick]


@pytest.mark.parametrize("layout", ARRANGEMENTS)
def test_the_same_generator_composes_the_same_songs(layout):
    assert composed(layout) == composed(layout) != composed(layout, seed=1)


def test_nothing_is_drawn_from_the_global_generator():
    state = torch.get_rng_state()
    composed()
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("layout", ARRANGEMENTS)
def test_songs_have_the_requested_bars_and_time_signature_and_fit_the_layout(layout):
    for time_signature, counts in (("4/4", 4), ("3/4", 3)):
        for piece in composed(layout, bars=5, time_signature=time_signature):
            song = piece.song
            assert song.time_signatures[0].counts == counts and len(song.bar_lines()) == 5
            roll = to_pianoroll(song, TRACK_LAYOUTS[layout], 4)
            fields = {
                "tempo_bpm": song.tempo_bpm,
                "time_signatures": song.time_signatures,
                "key": song.key,
            }
            back = from_pianoroll(roll, TRACK_LAYOUTS[layout], 4, **fields)
            lengths = [t for t in song.tracks if not t.is_drum]
            assert lengths == [t for t in back.tracks if not t.is_drum]


@pytest.mark.parametrize("layout", ARRANGEMENTS)
def test_chords_follow_each_other_without_a_gap_and_end_in_a_cadence(layout):
    for piece in every(layout):
        key = piece.song.key
        assert piece.chords[0].start_tick == 0
        assert piece.chords[-1].end_tick == piece.song.length_ticks
        assert all(a.end_tick == b.start_tick for a, b in pairwise(piece.chords))
        assert piece.chords[-1].tones == triad(key, 0) and piece.chords[-2].tones == triad(key, 4)


@pytest.mark.parametrize("layout", ARRANGEMENTS)
def test_all_notes_belong_to_the_key(layout):
    for piece in every(layout):
        for note in pitched(piece):
            allowed = scale(piece.song.key, chord_at(piece, note.start_tick))
            assert note.pitch_midi % 12 in allowed


@pytest.mark.parametrize("layout", ARRANGEMENTS)
def test_what_begins_on_a_beat_belongs_to_the_chord(layout):
    for piece in every(layout):
        on_beats = [n for n in pitched(piece) if n.start_tick % BEAT == 0]
        assert on_beats
        for note in on_beats:
            assert note.pitch_midi % 12 in chord_at(piece, note.start_tick).tones


def test_voices_never_cross():
    for piece in every("satb"):
        for tick in range(0, piece.song.length_ticks, 120):
            heard = [sounding(track, tick) for track in piece.song.tracks]
            pitches = [voice[0] for voice in heard if voice]
            assert all(len(voice) <= 1 for voice in heard)
            assert pitches == sorted(set(pitches), reverse=True)


def test_voices_do_not_move_in_parallel_fifths_or_octaves():
    for piece in every("satb"):
        columns = [
            [sounding(track, chord.start_tick)[0] for track in piece.song.tracks]
            for chord in piece.chords
        ]
        for before, after in pairwise(columns):
            for i, j in combinations(range(4), 2):
                if before[i] != after[i] and before[j] != after[j]:
                    kinds = [(column[i] - column[j]) % 12 for column in (before, after)]
                    assert kinds not in ([0, 0], [7, 7])


@pytest.mark.parametrize("layout", ARRANGEMENTS)
def test_repeated_notes_holds_over_bar_lines_and_rests_occur(layout):
    repeated = held = rests = 0
    for piece in every(layout):
        lines = set(piece.song.bar_lines())
        for track in piece.song.tracks:
            if track.is_drum:
                continue
            held += sum(any(n.start_tick < b < n.end_tick for b in lines) for n in track.notes)
            by_pitch = {}
            for note in track.notes:
                repeated += by_pitch.get(note.pitch_midi) == note.start_tick
                by_pitch[note.pitch_midi] = note.end_tick
            steps = range(0, piece.song.length_ticks, 120)
            rests += sum(not sounding(track, tick) for tick in steps)
    assert min(repeated, held, rests) >= 10


def test_the_band_has_drums_that_mark_the_bar():
    for piece in every("band"):
        drums = piece.song.track("drums")
        assert drums.is_drum
        kicks = {n.start_tick for n in drums.notes if n.pitch_midi == 36}
        assert set(piece.song.bar_lines()) <= kicks


def test_keys_and_progressions_vary():
    pieces = composed(n=24)
    assert len({piece.song.key for piece in pieces}) > 8
    assert {piece.song.key.minor for piece in pieces} == {False, True}
    assert len({tuple(chord.tones for chord in piece.chords) for piece in pieces}) == 24


def test_the_dominant_of_a_minor_key_has_its_leading_tone():
    a_minor = KeySignature(9, minor=True)
    assert triad(a_minor, 4) == (4, 8, 11) and triad(KeySignature(0), 1) == (2, 5, 9)
    assert 8 in scale(a_minor, Chord(0, 1, (4, 8, 11)))
    assert 7 in scale(a_minor, Chord(0, 1, (9, 0, 4)))


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: composed("choir"), "layout must be one of satb, band, .*; got 'choir'"),
        (
            lambda: composed(time_signature="5/4"),
            "time_signature must be one of 4/4, 3/4.*; got '5/4'",
        ),
        (lambda: composed(bars=1), "bars must be 2 or more, for a cadence; got 1"),
    ],
)
def test_mistakes_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
