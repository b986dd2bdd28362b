import numpy as np
import pytest
import torch

from multigan.music.representations import conditioning, tensors
from multigan.music.representations.pianoroll import active_pitches
from multigan.music.representations.voices import BAND, SATB, Voice, single_lines
from tests.music.pianoroll_factory import VOICES, random_roll, random_tokens

MONO = (Voice("lead", min_pitch=60, num_pitches=3),)
REST, HOLD = MONO[0].rest, MONO[0].hold


def one_voice(*tokens):
    """A batch of one window (1, T, 5), as it is."""
    return torch.nn.functional.one_hot(torch.tensor([tokens]), 5).float()


def read(x):
    return x.argmax(-1)[0].tolist()


def test_the_channels_of_the_layouts_are_those_of_the_contract():
    assert tensors.total_channels(SATB) == 4 * 33
    assert [tensors.num_channels(voice) for voice in BAND] == [33, 9, 190, 38]
    assert tensors.slices(BAND) == (slice(0, 33), slice(33, 42), slice(42, 232), slice(232, 270))


def test_a_roll_becomes_a_tensor_and_comes_back():
    for seed in range(5):
        roll = random_roll(np.random.default_rng(seed), 48)
        x = tensors.encode(roll, VOICES)
        assert x.dtype == torch.float32 and set(x.unique().tolist()) == {0.0, 1.0}
        assert x.shape == (48, tensors.total_channels(VOICES))
        (back,) = tensors.decode(x[None], VOICES)
        assert all(np.array_equal(a, b) for a, b in zip(roll, back, strict=True))


def test_a_hold_in_silence_becomes_a_rest_and_a_first_cell_is_never_a_hold():
    assert read(tensors.binarize(one_voice(HOLD, 1, HOLD, REST, HOLD), MONO)) == [
        REST, 1, HOLD, REST, REST]  # fmt: skip
    held = tensors.encode((np.array([HOLD, HOLD, 2]),), MONO)
    assert read(held[None]) == [REST, REST, 2]


def test_a_polyphonic_voice_is_its_lines():
    voice = Voice("chords", kind="polyphonic", min_pitch=60, num_pitches=4, lines=2)
    line = Voice("line", min_pitch=60, num_pitches=4)
    assert [v.name for v in single_lines((line, voice))] == ["line", "chords 1", "chords 2"]
    planes = np.zeros((2, 4, 4), bool)
    planes[0, 0, [3, 0]] = planes[1, 1, 0] = planes[0, 2, 2] = True
    upper, lower = [3, 4, 2, 4], [0, 5, 4, 4]
    x = tensors.encode((planes,), (voice,))
    assert tensors.to_codes(x, (voice,)).tolist() == [
        list(pair) for pair in zip(upper, lower, strict=True)
    ]
    assert torch.equal(x, tensors.encode((np.array(upper), np.array(lower)),
                                         single_lines((voice,))))  # fmt: skip
    (onsets,), (active,) = (f(x, (voice,)) for f in (tensors.onset_cells, tensors.active_cells))
    assert onsets.bool().numpy().tolist() == planes[0].tolist()
    assert active.bool().numpy().tolist() == (planes[0] | planes[1]).tolist()


def test_codes_are_the_same_music():
    x = tensors.encode(random_roll(np.random.default_rng(0), 40), VOICES)
    codes = tensors.to_codes(x, VOICES)
    assert codes.dtype == torch.uint8 and codes.shape == (40, len(tensors.lines_of_codes(VOICES)))
    assert torch.equal(tensors.from_codes(codes, VOICES), x)
    struck = tensors.from_codes(tensors.restrike_codes(codes, VOICES), VOICES)
    assert torch.equal(struck, tensors.restrike(x, VOICES))


def test_numbers_are_read_as_the_largest_or_the_loud_ones():
    lead, drums = torch.tensor([[[0.2, 0.3, 0.1, 0.1, 0.3]]]), torch.full((1, 1, 9), 0.4)
    drums[..., 3] = 7.0
    voices = (*MONO, Voice("drums", kind="drums"))
    (roll,) = tensors.decode(torch.cat([lead, drums], dim=-1), voices)
    assert roll[0].tolist() == [1] and np.flatnonzero(roll[1][0]).tolist() == [3]


def test_what_sounds_is_what_the_roll_says():
    rng = np.random.default_rng(3)
    voice = VOICES[0]
    tokens = random_tokens(rng, voice, 33)
    (sounds,) = tensors.active_cells(tensors.encode((tokens,), (voice,)), (voice,))  # (33, P)
    pitches = active_pitches(tokens, voice)
    said = torch.where(sounds.sum(1) > 0, sounds.argmax(1) + voice.min_pitch, -1)
    assert said.tolist() == pitches.tolist()


def test_the_scan_is_the_loop_with_its_first_and_second_derivatives():
    torch.manual_seed(0)
    attacks = torch.rand(2, 7, 3, dtype=torch.float64, requires_grad=True)
    holds = torch.rand(2, 7, 1, dtype=torch.float64, requires_grad=True)
    state, steps = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(7):
        state = attacks[:, t] + holds[:, t] * state
        steps.append(state)
    assert torch.allclose(tensors.linear_recurrence(attacks, holds), torch.stack(steps, dim=1))
    assert torch.autograd.gradgradcheck(tensors.linear_recurrence, (attacks, holds))


def test_a_window_strikes_what_is_held_into_it():
    x = one_voice(2, HOLD, HOLD, REST, 0)
    assert read(tensors.slice_window(x, 1, 4, MONO)) == [2, HOLD, REST]
    assert read(tensors.slice_window(x, 3, 5, MONO)) == [REST, 0]


def test_a_given_note_is_struck_after_an_unknown_cell_and_keeps_its_pitch():
    x = one_voice(2, HOLD, HOLD, HOLD, 1)
    mask = torch.tensor([0, 0, 1, 1, 0])[None, :, None]
    given = conditioning.make_conditioning(x, mask, MONO)
    assert given.mask.dtype == x.dtype and given.values[0, 2:4].argmax(-1).tolist() == [2, HOLD]
    assert given.values[0, [0, 1, 4]].sum() == 0


@pytest.mark.parametrize("seed", range(5))
def test_given_cells_sound_the_same_whatever_is_generated_around_them(seed):
    rng = np.random.default_rng(seed)
    x = tensors.encode(random_roll(rng, 24), VOICES)[None]
    other = tensors.encode(random_roll(rng, 24), VOICES)[None]
    mask = torch.from_numpy(rng.random((1, 24, len(VOICES))) < 0.5)
    given = conditioning.make_conditioning(x, mask, VOICES)
    filled = conditioning.apply_conditioning(other, given, VOICES)
    assert torch.equal(filled * conditioning.expand_mask(given.mask, VOICES), given.values)
    said = tensors.binarize(filled, VOICES)
    assert torch.equal(said * conditioning.expand_mask(given.mask, VOICES), given.values)
    before, after = tensors.active_cells(x, VOICES), tensors.active_cells(said, VOICES)
    for k in range(len(VOICES)):
        assert torch.equal(before[k][mask[..., k]], after[k][mask[..., k]])


def test_nothing_given_leaves_everything_to_the_generator():
    given = conditioning.unconditional(3, 8, BAND)
    assert given.values.shape == (3, 8, 270) and given.mask.shape == (3, 8, 4)
    x = torch.rand(3, 8, 270)
    assert torch.equal(conditioning.apply_conditioning(x, given, BAND), x)


@pytest.mark.parametrize("x", [torch.zeros(1, 4, 7), torch.full((1, 4, 132), torch.nan)])
def test_a_tensor_that_says_no_music_is_refused(x):
    with pytest.raises(ValueError, match=r"music must be|must be finite"):
        tensors.decode(x, SATB)
