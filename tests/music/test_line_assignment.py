from itertools import pairwise

import numpy as np
import pytest

from multigan.music.representations.line_assignment import split_lines
from multigan.music.representations.voices import Voice


def piano(lines):
    return Voice("piano", kind="polyphonic", min_pitch=40, num_pitches=40, lines=lines)


def planes(steps, *notes):
    found = np.zeros((2, steps, 40), bool)
    for start, end, row in notes:
        found[0, start, row] = True
        found[1, start + 1 : end, row] = True
    return found


def rows(tokens, voice):
    """The rows that sound at each step, from the highest line to the lowest; None in silence."""
    found = []
    for line in tokens.T:
        sounding, of_line = None, []
        for token in line.tolist():
            sounding = sounding if token == voice.hold else token
            of_line.append(None if sounding == voice.rest else sounding)
        found.append(of_line)
    return [list(step) for step in zip(*found, strict=True)]


def test_a_chord_is_split_from_the_highest_to_the_lowest():
    voice = piano(3)
    tokens = split_lines(planes(4, (0, 4, 5), (0, 2, 30), (1, 3, 17)), voice)
    assert rows(tokens, voice) == [[30, None, 5], [30, 17, 5], [None, 17, 5], [None, None, 5]]


def test_notes_return_to_the_line_of_their_register():
    voice = piano(2)
    bass_and_tune = [(0, 2, 3), (0, 2, 30), (2, 4, 28), (4, 6, 5), (6, 8, 31)]
    tokens = split_lines(planes(8, *bass_and_tune), voice)
    assert rows(tokens, voice)[2::2] == [[28, None], [None, 5], [31, None]]


def test_a_note_that_finds_no_line_free_ends_the_oldest():
    voice = piano(2)
    tokens = split_lines(planes(4, (0, 4, 20), (1, 4, 10), (2, 4, 15)), voice)
    assert rows(tokens, voice) == [[20, None], [20, 10], [15, 10], [15, 10]]


def test_of_too_many_notes_the_outer_ones_are_kept():
    voice = piano(2)
    tokens = split_lines(planes(1, (0, 1, 4), (0, 1, 20), (0, 1, 33)), voice)
    assert rows(tokens, voice) == [[33, 4]]


@pytest.mark.parametrize("seed", range(5))
def test_as_many_notes_as_lines_lose_nothing(seed):
    rng, voice = np.random.default_rng(seed), piano(4)
    notes = []
    for slot in range(4):  # notes that follow each other at pitches of their own
        cuts = np.unique(rng.integers(0, 33, 9)).tolist()
        notes += [(a, b, slot + 4 * int(rng.integers(10))) for a, b in pairwise(cuts)]
    given = planes(32, *notes)
    sounds = np.zeros((32, 40), bool)
    for step, sounding in enumerate(rows(split_lines(given, voice), voice)):
        sounds[step, [row for row in sounding if row is not None]] = True
    assert np.array_equal(sounds, given.any(0))
