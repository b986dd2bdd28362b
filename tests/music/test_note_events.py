"""Onsets, lengths and pitch classes of short voices, counted by hand."""

import numpy as np
import pytest
import torch

from multigan.music.metrics.note_events import (
    group_by_unit,
    note_lengths,
    onset_histogram,
    onsets,
    piano_roll,
    pitch_classes,
    validate_windows,
)
from tests.music.song_factory import REST, held, random_windows, voices


@pytest.mark.parametrize(
    "kind",
    [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.float16, np.float32, float],
)
def test_arrays_of_any_numbers_are_the_same_windows(kind):
    assert validate_windows(np.array([[[60, 48], [127, 0]]], dtype=kind)).tolist() == [
        [[60, 48], [127, 0]]
    ]


def test_lists_tensors_and_booleans_are_windows_too():
    assert validate_windows([[[60], [REST]]]).tolist() == [[[60], [-1]]]
    assert validate_windows(torch.tensor([[[True], [False]]])).tolist() == [[[1], [0]]]
    assert validate_windows(torch.zeros(0, 4, 2)).shape == (0, 4, 2)


@pytest.mark.parametrize("pitch", [-2.0, 128.0, 60.5, float("nan"), float("inf"), 1e30])
def test_what_is_no_pitch_is_refused(pitch):
    with pytest.raises(ValueError, match=r"must be a whole number, -1 \(rest\) to 127; got"):
        validate_windows(torch.tensor([[[60.0], [pitch]]]))


@pytest.mark.parametrize("shape", [(4, 2), (2, 0, 4), (2, 4, 1), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="2 voices or more"):
        validate_windows(torch.zeros(shape), least_voices=2)


def test_steps_are_grouped_into_bars_or_refused():
    assert group_by_unit(torch.arange(12)[None], 4, "bar").tolist() == [
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    ]
    with pytest.raises(ValueError, match="12 steps hold no whole number of bars of 16"):
        group_by_unit(torch.arange(12)[None], 16, "bar")


def test_a_note_begins_on_the_first_step_after_a_rest_and_where_the_pitch_changes():
    x = voices([(60, 2), (62, 1), (REST, 1), (62, 2)], [(REST, 1), (48, 5)])
    assert onsets(x)[0].int().T.tolist() == [[1, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0]]


def test_a_note_lasts_to_the_next_onset_or_the_end():
    x = voices([(60, 2), (62, 1), (REST, 1), (62, 2)], [(REST, 1), (48, 5)], [(REST, 6)])
    lengths = note_lengths(x)[0].T.tolist()
    assert lengths == [[2, 0, 2, 0, 2, 0], [0, 5, 0, 0, 0, 0], [0] * 6]


def test_a_window_of_one_step_has_notes_of_one_step():
    assert note_lengths(held(60, REST, steps=1)).tolist() == [[[1, 0]]]


def test_lengths_and_what_precedes_the_first_onset_fill_the_window():
    x = random_windows()
    begins = onsets(x).int()
    before = (begins.cumsum(1) == 0).sum(1)
    assert torch.equal(note_lengths(x).sum(1) + before, torch.full((40, 4), 32))


def test_pitch_classes_are_midi_pitches_mod_12_and_rests_have_none():
    classes = pitch_classes(held(60, 71, 36, REST, steps=1))[0, 0]
    assert [row.nonzero()[:, 0].tolist() for row in classes] == [[0], [11], [0], []]


def test_the_histogram_counts_notes_not_steps():
    x = voices([(60, 5), (62, 1), (60, 2)], [(48, 8)])
    assert onset_histogram(x).tolist() == [[3, 0, 1] + [0] * 9]


def test_a_piano_roll_holds_every_pitch_once_and_no_rest():
    roll = piano_roll(voices([(60, 1), (REST, 1), (127, 1)], [(60, 1), (0, 1), (REST, 1)]))
    assert roll.shape == (1, 3, 128) and roll.dtype == torch.bool
    assert roll[0].nonzero().tolist() == [[0, 60], [1, 0], [2, 127]]
