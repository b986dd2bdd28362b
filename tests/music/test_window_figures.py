"""Figures of windows against values counted by hand and against muspy 0.5.0."""

import math

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.metrics import melody_and_form as form
from multigan.music.metrics import window_figures as m
from multigan.music.metrics.cell_baselines import (
    bars_shuffled,
    cell_baselines,
    hands_shuffled,
    independent_cells,
    voices_shuffled,
)
from multigan.music.metrics.cell_rolls import CellRoll, line_rolls, union, voice_rolls
from multigan.music.representations.tensors import encode
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.representations.voices import BAND, MELODY_PIANO, PIANO, SATB, Voice

GRID = TimeGrid(bar_steps=4, beat_steps=2, quarter_steps=4, bars=2)


def roll(notes, steps=8, copies=1):
    """Windows of (start, end, pitch), all alike."""
    begins = torch.zeros(copies, steps, 128, dtype=torch.bool)
    sounds = begins.clone()
    for start, end, pitch in notes:
        begins[:, start, pitch] = True
        sounds[:, start:end, pitch] = True
    return CellRoll(begins, sounds)


# C major, then C again with a D flat: 6 notes in 2 bars of 4 steps.
NOTES = [(0, 4, 60), (0, 2, 64), (1, 3, 67), (4, 5, 60), (6, 8, 60), (6, 8, 73)]
FOUND = {
    "notes_per_bar": 3,
    "polyphony": 13 / 7,  # 2 3 2 1, 1 0 2 2 pitches
    "onset_steps_per_bar": 2,  # steps 0, 1, 4 and 6
    "notes_per_onset_step": 6 / 4,
    "pitch_range": 13,
    "mean_pitch": (60 + 64 + 67 + 60 + 60 + 73) / 6,
    "sounding_length": 13 / 6,
    "scale_consistency": 5 / 6,
    "groove_consistency": 1 - 2 / 4,  # 1100 and 1010
    "semitone_clash_rate": 2 / (1 + 3 + 1 + 1 + 1),  # pairs at steps 0, 1, 2, 6 and 7
    "on_beat_rate": 5 / 6,
    "one_step_note_rate": 1 / 6,
    "repeated_note_rate": 1 / 6,
    "same_cells_rate_1": 1 / 5,
}


def measured(name, cells, grid=GRID):
    return m.FIGURES[name](cells, grid)[0].item()


@pytest.mark.parametrize("name", FOUND)
def test_figures_have_the_values_counted_by_hand(name):
    assert measured(name, roll(NOTES)) == pytest.approx(FOUND[name])


def test_entropy_and_chroma_have_the_values_counted_by_hand():
    shares = [3 / 6, 1 / 6, 1 / 6, 1 / 6]
    entropy = -sum(p * math.log2(p) for p in shares)
    assert measured("pitch_class_entropy", roll(NOTES)) == pytest.approx(entropy)
    # bar 1: C 4, E 2, G 2 steps; bar 2: C 1 + 2, D flat 2
    cosine = 4 * 3 / (math.sqrt(16 + 4 + 4) * math.sqrt(9 + 4))
    assert measured("chroma_similarity_1", roll(NOTES)) == pytest.approx(cosine)


def test_figures_agree_with_muspy_where_it_defines_them():
    """Values of muspy 0.5.0 for NOTES that end a step early, as one track at resolution 4.

    It counts an empty bar more where the music ends on a bar line.
    """
    early = [(start, min(end, 7), pitch) for start, end, pitch in NOTES]
    muspy = {
        "polyphony": 1.8333333333333333,
        "pitch_range": 13,
        "pitch_class_entropy": 1.792481250360578,
        "scale_consistency": 0.8333333333333334,
        "groove_consistency": 0.5,
    }
    found = {name: measured(name, roll(early)) for name in muspy}
    assert found == pytest.approx(muspy, abs=1e-12)


def test_a_window_without_a_note_has_no_value_and_no_warning():
    silence = roll([])
    for name, figure in (m.FIGURES | form.FORM_FIGURES).items():
        value = figure(silence, GRID)[0].item()
        assert math.isnan(value) or value in (0, 1), name
    assert measured("notes_per_bar", silence) == 0


def test_lags_that_a_window_does_not_hold_have_no_value():
    assert math.isnan(measured("same_cells_rate_4", roll(NOTES)))
    assert math.isnan(measured("chroma_similarity_4", roll(NOTES)))


def test_transposition_changes_only_the_height():
    higher = roll([(start, end, pitch + 5) for start, end, pitch in NOTES])
    for name in m.FIGURES.keys() - {"mean_pitch"}:
        assert measured(name, higher) == pytest.approx(measured(name, roll(NOTES)), nan_ok=True)


def test_lengths_are_in_sixteenths_on_every_grid():
    finer = roll([(3 * a, 3 * b, pitch) for a, b, pitch in NOTES], steps=24)
    grid = TimeGrid(bar_steps=12, beat_steps=6, quarter_steps=12, bars=2)
    assert measured("sounding_length", finer, grid) == pytest.approx(13 / 6)
    assert measured("on_beat_rate", finer, grid) == pytest.approx(5 / 6)


def test_cells_of_voices_are_those_of_their_notes():
    onset = torch.zeros(8, 88, dtype=torch.bool)
    sustain = torch.zeros(8, 88, dtype=torch.bool)
    onset[0, 39] = sustain[1:3, 39] = onset[4, 39] = True  # C 60
    melody = torch.tensor([24, 49, 49, 48, 48, 48, 48, 48])  # C 72 for three steps
    x = encode((melody, torch.stack([onset, sustain]).numpy()), MELODY_PIANO)[None]
    lead, piano = voice_rolls(x, MELODY_PIANO)
    assert torch.equal(lead.sounds, roll([(0, 3, 72)]).sounds)
    assert torch.equal(piano.sounds, roll([(0, 3, 60), (4, 5, 60)]).sounds)
    assert union([lead, piano]).begins.nonzero()[:, 1:].tolist() == [[0, 60], [0, 72], [4, 60]]


def test_lines_of_pitches_have_the_same_cells():
    lines = torch.tensor([[[72], [72], [-1], [60], [60], [61], [61], [61]]])
    (found,) = line_rolls(lines)
    wanted = roll([(0, 2, 72), (3, 5, 60), (5, 8, 61)])
    assert torch.equal(found.begins, wanted.begins) and torch.equal(found.sounds, wanted.sounds)


def test_a_melody_is_held_against_the_other_voices():
    melody = roll([(0, 2, 72), (2, 4, 73), (4, 6, 67)])
    others = roll([(0, 4, 48), (5, 8, 55)])
    arguments = melody, others, GRID
    # C over C and D flat over C in the beats of bar 1; G over G at step 5 of beat 3
    assert form.melody_pitch_accompanied_rate(*arguments).item() == pytest.approx(4 / 6)
    assert form.melody_clash_rate(*arguments).item() == pytest.approx(2 / 5)
    distances = 0, 2.5460, 0  # of pitch classes 0, 1 and 0 semitones apart
    assert form.melody_tonal_distance(*arguments).item() == pytest.approx(
        sum(distances) / 3, abs=1e-4
    )


C_MAJOR, A_MINOR, F_MAJOR, D_MAJOR = (
    [0, 4, 7, 2, 5, 9, 11, 0, 7, 4],
    [9, 0, 4, 11, 2, 5, 8, 9, 4, 0],
    [5, 9, 0, 7, 10, 2, 4, 5, 0, 9],
    [2, 6, 9, 4, 7, 11, 1, 2, 9, 6],
)


@pytest.mark.parametrize(
    ("second", "related"), [(C_MAJOR, 1), (A_MINOR, 1), (F_MAJOR, 1), (D_MAJOR, 0)]
)
def test_halves_in_neighboring_keys_are_related(second, related):
    notes = [(k, k + 1, 60 + pitch) for k, pitch in enumerate(C_MAJOR + second)]
    assert form.related_halves_rate(roll(notes, steps=20), GRID).item() == related


@pytest.mark.parametrize(
    ("pitches", "stable"),
    [((48, 64, 67), 1), ((45, 60, 64), 1), ((60,), 1), ((48, 55), 1), ((43, 65, 71), 0),
     ((48, 64, 68), 0), ((48, 66), 0)],
)  # fmt: skip
def test_an_ending_is_stable_on_a_triad(pitches, stable):
    notes = [(0, 2, 61), (1, 2, 62), *((3, 6, pitch) for pitch in pitches)]
    assert form.stable_ending_rate(roll(notes), GRID).item() == stable


def rolls(count=200, bars=2, voices=2):
    rng = torch.Generator().manual_seed(3)
    made = []
    for _ in range(voices):
        begins = torch.rand(count, 4 * bars, 128, generator=rng) < 0.05
        held = torch.rand(count, 4 * bars, 128, generator=rng) < 0.02
        made.append(CellRoll(begins, begins | held))
    return made


def test_baselines_keep_the_notes_and_lose_one_relation():
    real = rolls()
    for baseline in (bars_shuffled, voices_shuffled, hands_shuffled):
        made = baseline(real, GRID, keyed_rng(baseline.__name__))
        for before, after in zip(real, made, strict=True):
            assert after.sounds.sum() == before.sounds.sum()
            assert not torch.equal(after.sounds, before.sounds) or baseline is voices_shuffled
            assert (after.sounds | ~after.begins).all()
    shuffled = bars_shuffled(real, GRID, keyed_rng("a"))
    bars = {bar.numpy().tobytes() for bar in real[0].sounds[:, :4]}
    assert all(bar.numpy().tobytes() in bars for bar in shuffled[0].sounds[:, :4])
    assert (shuffled[0].begins[:, 4] == shuffled[0].sounds[:, 4]).all()
    mixed = voices_shuffled(real, GRID, keyed_rng("b"))
    assert torch.equal(mixed[0].sounds, real[0].sounds)
    assert not torch.equal(mixed[1].sounds, real[1].sounds)
    hands = hands_shuffled(real, GRID, keyed_rng("c"))
    assert torch.equal(hands[0].sounds[..., 60:], real[0].sounds[..., 60:])


def test_independent_cells_have_the_rates_of_the_real_ones():
    real = rolls(400)
    made = independent_cells(real, GRID, keyed_rng("d"))
    for before, after in zip(real, made, strict=True):
        share = before.begins.float().mean().item()
        assert after.begins.float().mean().item() == pytest.approx(share, rel=0.05)


def test_a_layout_has_the_baselines_that_change_it():
    one_line = (Voice("lead"),)
    assert list(cell_baselines(one_line, TimeGrid(bars=1))) == ["independent cells"]
    every = ["bars shuffled", "voices shuffled", "hands shuffled", "independent cells"]
    assert list(cell_baselines(MELODY_PIANO, GRID)) == every
    assert list(cell_baselines(BAND, GRID)) == every
    assert list(cell_baselines(PIANO, GRID)) == [every[0], *every[2:]]
    assert list(cell_baselines(SATB, GRID)) == [every[0], every[1], every[3]]
