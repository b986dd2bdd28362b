"""The metrics on other grids than sixteenths of 4/4."""

import torch

from multigan.music.metrics import note_statistics as m
from multigan.music.representations.time_grid import TimeGrid
from tests.music.song_factory import random_windows, voices


def test_the_same_music_on_a_finer_grid_measures_the_same():
    x = random_windows()
    coarse, fine = m.features(x), m.features(x.repeat_interleave(3, dim=1), TimeGrid(48, 12, 12))
    groove_consistency = list(m.FEATURES).index(
        "groove_consistency"
    )  # two of three steps cannot differ now
    fine[:, groove_consistency] = 1 - 3 * (1 - fine[:, groove_consistency])
    torch.testing.assert_close(fine, coarse, equal_nan=True)


def test_figures_count_in_the_bars_and_beats_of_their_metre():
    jig = voices([(60, 2), (62, 2), (64, 2), (65, 6)] * 2, [(48, 6), (50, 6)] * 2)  # 6/8
    found = dict(zip(m.FEATURES, m.features(jig, TimeGrid(12, 6, 4))[0].tolist(), strict=True))
    assert found["notes_per_bar"] == 6 and found["groove_consistency"] == 1
    assert found["n_pitch_classes_used"] == 3 and found["n_pitch_classes_used_joint"] == 4
    assert found["mean_note_length"] == 48 / 12 and found["qualified_note_rate"] == 1
    assert (
        found["parallel_motion_rate"] == 0
    )  # of 3 moves from beat to beat all are similar: 12, 15, 12
    fifths = voices([(55, 6), (57, 6), (59, 6), (60, 6)], [(48, 6), (50, 6), (52, 6), (53, 6)])
    assert m.parallel_motion_rate(fifths, 6).item() == 1


def test_the_drums_of_a_finer_grid_have_eighths_of_their_own():
    drums = torch.zeros(1, 96, 2, dtype=torch.bool)
    drums[0, [0, 6, 12, 15], 0] = True
    assert m.drum_in_pattern_rate_8th(drums, 6).item() == 0.75
