import math

import numpy as np
import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.models import interval_features
from multigan.music.models.binarization import gumbel
from multigan.music.models.interval_features import (
    IntervalFeatures,
    Intervals,
    onsets_and_active,
    pitch_class_matrix,
)
from multigan.music.models.key_conditioning import key_relative_chroma, sample_key
from multigan.music.representations import tensors
from multigan.music.representations.voices import Voice, single_lines
from tests.music.pianoroll_factory import VOICES, random_roll

PAIR = (Voice("high", min_pitch=55, num_pitches=31), Voice("low", min_pitch=37, num_pitches=31))
REST, HOLD = 31, 32
LINES = single_lines(VOICES)


def music(high, low):
    """One window (1, T, 66) of two voices, in tokens or pitches above their lowest."""
    tokens = torch.tensor([high, low]).T  # (T, 2)
    return torch.nn.functional.one_hot(tokens, 33).flatten(1)[None].float()


def heard(x, voices=PAIR, absolute_pitch=True):
    return IntervalFeatures(voices, 2, absolute_pitch)(*onsets_and_active(x, voices))


def test_notes_are_what_the_roll_says_in_every_kind_of_voice():
    x = tensors.encode(random_roll(np.random.default_rng(1), 24), VOICES)[None]
    struck, sounds = onsets_and_active(x, LINES)
    for mine, theirs in zip(sounds, tensors.active_cells(x, LINES), strict=True):
        assert torch.equal(mine, theirs)
    for k, voice in enumerate(LINES):
        block = x[..., tensors.slices(LINES)[k]]
        assert torch.equal(struck[k], block[..., : interval_features.num_rows(voice)])
        assert (sounds[k] >= struck[k]).all()


@pytest.mark.parametrize("lowest", [36, 43, 60])
def test_chroma_folds_by_pitch_class_whatever_the_lowest_pitch(lowest):
    fold = pitch_class_matrix(Voice("v", min_pitch=lowest, num_pitches=31))
    for p in range(31):
        assert fold[p].tolist() == [float(pc == (lowest + p) % 12) for pc in range(12)]


def test_intervals_are_the_circular_correlation_written_out():
    a, b = torch.randn(2, 3, 5, 12).unbind(0)
    intervals = Intervals()
    got = intervals.between(intervals.spectrum(a), intervals.spectrum(b))
    wanted = torch.stack([(a * b.roll(-d, dims=-1)).sum(-1) for d in range(12)], dim=-1)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def pairs_of(high, low):
    """Intervals (T, 12), how much higher the first voice is (T,), parallels (T, 3) twice."""
    intervals, higher, *kept = heard(music(high, low)).pairs[0].split([12, 1, 3, 3], dim=-1)
    return intervals, higher[:, 0], *kept


def test_pairs_are_ordered_and_count_semitones_upwards():
    voices = [Voice(name, min_pitch=60, num_pitches=31) for name in "CEG"]
    x = torch.cat([music([p, p], [p, p])[..., :33] for p in (0, 4, 7)], dim=-1)
    pairs = heard(x, voices).pairs[0, 0].view(3, 19)[:, :12]
    assert pairs.argmax(1).tolist() == [4, 7, 3]
    torch.testing.assert_close(pairs.amax(1), torch.ones(3))


def test_how_much_higher_a_voice_is_counts_octaves_and_crossing_is_negative():
    higher = pairs_of([2, 14, REST, 0], [0, HOLD, HOLD, 30])[1]
    torch.testing.assert_close(
        higher * interval_features.HEIGHT_UNIT, torch.tensor([20.0, 32.0, 0, -12.0])
    )


def test_only_fifths_and_octaves_that_move_together_are_parallel():
    high, low = [1, 3, HOLD, 5, 5, 8], [0, 2, HOLD, 4, 4, 4]  # the interval is 19, at last 22
    kept = pairs_of(high, low)[2]
    moves = torch.tensor([0.0, 1, 0, 1, 0, 0])  # the first has no note before, the fifth repeats
    torch.testing.assert_close(kept, moves[:, None] * torch.tensor([0.0, 1, 0]))
    assert pairs_of([4, 6], [1, 3])[2].abs().max() < 1e-5  # parallel sixths


def test_parallels_from_beat_to_beat_are_heard_through_what_lies_between():
    high, low = [1, 9, 3, HOLD, 3, HOLD], [0, HOLD, 2, 8, 2, HOLD]  # a beat is two steps
    of_steps, of_beats = pairs_of(high, low)[2:]
    assert of_steps.abs().max() < 1e-5
    moves = torch.tensor([0.0, 0, 1, 0, 0, 0])
    torch.testing.assert_close(of_beats, moves[:, None] * torch.tensor([0.0, 1, 0]))


def test_an_octave_leaves_chroma_and_pairs_as_they_are():
    high, low = [0, HOLD, 4, REST], [0, HOLD, 9, HOLD]
    one, other = heard(music(high, low)), heard(music([12, HOLD, 16, REST], low))
    intervals = one.pairs[..., :12]
    torch.testing.assert_close(intervals, other.pairs[..., :12])
    torch.testing.assert_close(one.voice[..., :12], other.voice[..., :12])
    torch.testing.assert_close(one.window, other.window)
    moved = heard(music([1, HOLD, 5, REST], low))
    assert not torch.allclose(intervals, moved.pairs[..., :12])


def test_transposing_all_voices_leaves_intervals_and_leaps_as_they_are():
    high, low = [0, HOLD, 4, 4], [0, 2, 9, HOLD]
    shift = [[t if t >= REST else t + 5 for t in tokens] for tokens in (high, low)]
    one, other = heard(music(high, low)), heard(music(*shift))
    torch.testing.assert_close(one.pairs, other.pairs)
    torch.testing.assert_close(one.voice[..., 12:39], other.voice[..., 12:39])
    torch.testing.assert_close(one.window[:, 12:], other.window[:, 12:])
    assert not torch.allclose(one.window[:, :12], other.window[:, :12])


def test_a_repeated_note_is_an_onset_at_an_interval_of_nothing():
    held, again = (heard(music([3, t, 5, HOLD], [REST] * 4)).voice[0, 0] for t in (HOLD, 3))
    onset, melody = slice(12, 13), slice(13, 25)
    assert held[:, onset].flatten().tolist() == [1, 0, 1, 0]
    assert again[:, onset].flatten().tolist() == [1, 1, 1, 0]
    torch.testing.assert_close(held[1, melody], torch.zeros(12))
    torch.testing.assert_close(again[1, melody], torch.eye(12)[0])
    torch.testing.assert_close(held[2, melody], torch.eye(12)[2])


def test_leaps_go_up_and_nothing_leaps_after_silence():
    voice = heard(music([0, 18, HOLD, 6, REST, 9], [REST] * 6)).voice[0, 0]
    semitones = interval_features.HEIGHT_UNIT * voice[:, 37]
    torch.testing.assert_close(semitones, torch.tensor([0.0, 18, 0, -12, 0, 0]))
    torch.testing.assert_close(voice[:, 38], voice[:, 37] ** 2)
    height = interval_features.HEIGHT_UNIT * voice[:, 39]
    torch.testing.assert_close(height, torch.tensor([-15.0, 3, 3, -9, 0, -6]))


def test_a_window_in_one_scale_shows_fifths_whatever_its_key():
    scale = [0, 2, 4, 5, 7, 9, 11, 12]
    window = heard(music(scale, [REST] * 8)).window[0]
    assert window[:12].sum().item() == pytest.approx(1)
    likeness = window[12:24]
    assert likeness[0] == likeness.max() and likeness[1:].argmax() + 1 in (5, 7)
    torch.testing.assert_close(likeness[5], likeness[7])


def test_one_short_note_out_of_the_scale_shows_in_a_window():
    often = [0, 4, 7, 0, 4, 7, 0, 4, 7, 0, 4, 7]
    once = [*often[:-1], 6]
    pure, mixed = (heard(music(tokens, [REST] * 12)).window[0, 24:36] for tokens in (often, once))
    four = 1 - math.exp(-4)
    assert pure[0].item() == pytest.approx(3 * four**2 / 12)
    assert pure[1].item() == pytest.approx(0, abs=1e-6)
    wanted = (1 - math.exp(-3)) * (1 - math.exp(-1)) / 12  # the semitone from 6 to 7
    assert mixed[1].item() == pytest.approx(wanted, abs=1e-6)


def test_drums_have_no_pitch_streams_and_a_single_voice_no_pairs():
    x = tensors.encode(random_roll(np.random.default_rng(1), 16), VOICES)[None]
    many = heard(x, LINES)
    assert many.voice.shape == (7, 1, 16, 40) and many.pairs.shape == (1, 16, 399)
    alone = heard(x[..., :22], VOICES[:1])
    assert alone.voice.shape == (1, 1, 16, 40) and alone.pairs.shape == (1, 16, 0)


def test_relative_streams_tell_no_key_from_another_but_by_height():
    high, low = [0, HOLD, 4, 4], [0, 2, 9, HOLD]
    shift = [[t if t >= REST else t + 5 for t in tokens] for tokens in (high, low)]
    one, other = (heard(music(*both), absolute_pitch=False) for both in ((high, low), shift))
    torch.testing.assert_close(one.voice[..., :27], other.voice[..., :27])
    torch.testing.assert_close(one.pairs, other.pairs)
    torch.testing.assert_close(one.window, other.window)
    absolute = heard(music(high, low))
    torch.testing.assert_close(one.voice, absolute.voice[..., 12:])
    torch.testing.assert_close(one.window, absolute.window[:, 12:])


def test_a_window_counts_its_parallels():
    high, low = [1, 3, HOLD, 5, 5, 8], [0, 2, HOLD, 4, 4, 4]
    counts = heard(music(high, low)).window[0, -8:-2]
    torch.testing.assert_close(counts, torch.tensor([0.0, 2, 0, 0, 3, 0]))


def test_a_window_counts_its_notes():
    high, low = [1, 3, HOLD, 5, 5, 8, REST, HOLD], [0, HOLD, HOLD, HOLD, REST, REST, REST, 4]
    notes_per_beat = heard(music(high, low)).window[0, -2:]
    torch.testing.assert_close(notes_per_beat, torch.tensor([5 / 4, 2 / 4]))


def test_streams_have_second_derivatives():
    voices = (
        Voice("a", min_pitch=60, num_pitches=2),
        Voice("b", min_pitch=50, num_pitches=1),
    )
    listen = IntervalFeatures(voices, 1, absolute_pitch=True).double()
    x = torch.rand(1, 2, 7, dtype=torch.float64, requires_grad=True)
    weights = [torch.rand_like(stream) for stream in listen(*onsets_and_active(x, voices))]

    def mix(x):
        heard = listen(*onsets_and_active(x, voices))
        return sum((stream * w).sum() for stream, w in zip(heard, weights, strict=True))

    assert torch.autograd.gradgradcheck(mix, x)


def test_the_key_follows_the_notes_that_are_given():
    scale = [0, 2, 4, 5, 7, 9, 11, 12]  # a major scale on the lowest pitch of the upper voice
    known = music(scale, [REST] * 8).expand(50, -1, -1)
    noise = gumbel(torch.rand(50, 1, 12, generator=keyed_rng("keys")))
    keys = sample_key(noise, known, PAIR)
    assert keys.shape == (1, 50, 12) and (keys.argmax(-1) == 55 % 12).float().mean() > 0.8
    assert torch.equal(sample_key(noise, 0 * known, PAIR).argmax(-1), noise.argmax(-1).T)


def test_given_notes_are_told_by_their_degree():
    x = music([7, HOLD, 2, REST], [REST] * 4)  # on G 55: D, A
    keys = torch.eye(12)[[7, 2]][:, None]  # two groups of voices: in G, and in D
    chroma = key_relative_chroma(x, keys, PAIR)
    assert chroma.shape == (2, 1, 4, 24) and not chroma[..., 12:].any()
    assert chroma[0, 0, :3, :12].argmax(-1).tolist() == [7, 7, 2]
    assert chroma[1, 0, :3, :12].argmax(-1).tolist() == [0, 0, 7]


@pytest.mark.parametrize("held", [1, 3])
def test_ringing_is_the_loop_over_steps_with_its_first_and_second_derivatives(held):
    rng = torch.Generator().manual_seed(0)
    struck = torch.rand(2, 7, 3, generator=rng, dtype=torch.float64).requires_grad_()
    holds = torch.rand(2, 7, held, generator=rng, dtype=torch.float64).requires_grad_()
    state, steps = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(7):
        state = struck[:, t] + holds[:, t] * state
        steps.append(state)
    loop = torch.stack(steps, dim=1)
    assert torch.allclose(interval_features.apply_sustain(struck, holds), loop)
    assert torch.allclose(
        interval_features.apply_sustain(struck, holds), tensors.linear_recurrence(struck, holds)
    )
    assert torch.autograd.gradgradcheck(interval_features.apply_sustain, (struck, holds))
    weight = torch.rand(loop.shape, generator=rng, dtype=torch.float64)
    seconds = []
    for sounds in (interval_features.apply_sustain(struck, holds), loop):
        first = torch.autograd.grad((sounds * weight).sum(), (struck, holds), create_graph=True)
        size = sum(slope.square().sum() for slope in first)
        seconds.append(torch.autograd.grad(size, (struck, holds)))
    for mine, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_cells_that_are_struck_in_order_ring_exactly():
    x = tensors.encode(random_roll(np.random.default_rng(5), 32), VOICES)[None]
    for a, s in zip(*onsets_and_active(x, LINES), strict=True):
        assert ((s == 0) | (s == 1)).all() and a.dtype == s.dtype
