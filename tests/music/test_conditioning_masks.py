from collections import Counter

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.representations import conditioning
from multigan.music.representations.time_grid import TimeGrid

GRID = TimeGrid(bars=4, bar_steps=16, beat_steps=4)
VOICE_COUNT = 4


def many(sample, grid=GRID, n=200, voices=VOICE_COUNT):
    return [sample(grid, voices, keyed_rng("mask", i)) for i in range(n)]


def test_the_shares_of_the_mixture_sum_to_one():
    assert sum(share for share, _ in conditioning.MASKS) == pytest.approx(1)


def test_a_mask_is_a_function_of_the_rng():
    assert torch.equal(
        conditioning.sample_mask(GRID, VOICE_COUNT, keyed_rng(1)),
        conditioning.sample_mask(GRID, VOICE_COUNT, keyed_rng(1)),
    )
    shares = [float(mask.mean()) for mask in many(conditioning.sample_mask, n=1000)]
    assert 0.36 < Counter(shares)[0.0] / 1000 < 0.44
    assert 0.25 < sum(shares) / 1000 < 0.4


def test_every_mask_is_of_zeros_and_ones_in_the_shape_of_the_grid():
    for _, draw in conditioning.MASKS:
        for mask in many(draw, n=10):
            assert mask.shape == (64, 4) and set(mask.unique().tolist()) <= {0.0, 1.0}


def test_whole_voices_are_known_from_end_to_end_but_never_all():
    counts = Counter()
    for mask in many(conditioning.whole_tracks):
        assert (mask == mask[:1]).all()
        counts[int(mask[0].sum())] += 1
    assert set(counts) == {1, 2, 3}


def test_previous_bars_are_known_for_all_voices_and_never_all():
    lengths = {int(mask.sum()) for mask in many(conditioning.prefix)}
    assert lengths == {64, 128, 192}
    for mask in many(conditioning.prefix, n=20):
        known = int(mask.sum()) // 4
        assert mask[:known].all() and not mask[known:].any()


def test_a_hidden_box_is_whole_bars_of_some_voices():
    for mask in many(conditioning.inpainting):
        hidden = (1 - mask).unflatten(0, (4, 16))  # (bars, steps, K)
        assert (hidden == hidden[:, :1]).all() and hidden.any()
        bars, voices = hidden[:, 0].any(1).nonzero().flatten(), hidden[:, 0].any(0)
        assert bars.tolist() == list(range(int(bars[0]), int(bars[-1]) + 1))
        assert hidden[bars][:, :, voices].all()


def test_scattered_beats_are_whole_beats():
    for mask in many(conditioning.random_beats, n=20):
        beats = mask.unflatten(0, (16, 4))
        assert (beats == beats[:, :1]).all()


def test_a_single_bar_of_a_single_voice_still_has_masks():
    grid = TimeGrid(bars=1, bar_steps=12, beat_steps=4)
    for _, draw in conditioning.MASKS:
        assert all(mask.shape == (12, 1) for mask in many(draw, grid, n=5, voices=1))
    assert not any(mask.any() for mask in many(conditioning.whole_tracks, grid, n=5, voices=1))
