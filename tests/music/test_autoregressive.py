import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.models.autoregressive import AutoregressiveVoices, outer_voices_first
from multigan.music.models.voice_leading import (
    BEAT,
    LR_SCALE,
    PARALLELS_RATIO,
    STEP,
    VoiceLeading,
)
from multigan.music.representations import conditioning, tensors
from multigan.music.representations.voices import Voice, single_lines
from tests.music.pianoroll_factory import VOICES
from tests.music.test_generators import SINGERS, SMALL, STEPS, every_coupling, latent_of, made

NEVER = -1000.0 / LR_SCALE
REACH = 39  # semitones between the extreme pitches of SINGERS


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def together(change=None, n=64, given=None):
    """What SINGERS sing, as MIDI pitches (n, STEPS, 4), after a change of their counterpoint."""
    generator = SMALL["music"]("composer", SINGERS).eval()
    with torch.no_grad():
        for logits in generator.to_logits:  # lively: many different notes
            logits.linear.weight *= 10
        if change is not None:
            change(generator.autoregressive.voice_leading)
    x = generator(latent_of(generator, n), given)
    return torch.stack(
        [
            torch.where(sounds.sum(-1) == 0, -1, voice.min_pitch + sounds.argmax(-1))
            for voice, sounds in zip(SINGERS, tensors.active_cells(x, SINGERS), strict=True)
        ],
        dim=2,
    )


def share(pitches, i, j, interval):
    """How often the voices i and j stand so many semitones apart, up to octaves."""
    both = (pitches[..., i] >= 0) & (pitches[..., j] >= 0)
    apart = (pitches[..., i] - pitches[..., j]) % 12 == interval
    return (apart & both).float().mean().item()


def parallel_motion_rate(pitches, i, j, interval):
    """How often the voices i and j keep an interval while both move."""
    kept = (pitches[..., i] - pitches[..., j]) % 12 == interval
    moved = (pitches.diff(dim=1) != 0) & (pitches[:, 1:] >= 0) & (pitches[:, :-1] >= 0)
    return (kept[:, 1:] & kept[:, :-1] & moved[..., i] & moved[..., j]).sum().item()


def forbid(interval):
    """A change after which no voice strikes or holds an interval, up to octaves."""

    def change(voice_leading):
        places = (torch.arange(2 * REACH + 1) - REACH) % 12
        for table in (voice_leading.onset_bias, voice_leading.hold_bias):
            table[..., (places == interval) | (places == -interval % 12)] = NEVER

    return change


def test_the_outer_voices_are_written_first():
    assert outer_voices_first(SINGERS) == [0, 3, 1, 2]
    low_first = (Voice("a", min_pitch=30), Voice("b", min_pitch=50), Voice("c", min_pitch=40))
    assert outer_voices_first(low_first) == [1, 0, 2]


def test_an_interval_that_is_worth_nothing_good_is_not_sung():
    assert min(share(together(), i, j, 1) for i, j in ((0, 3), (0, 1), (1, 2))) > 0.01
    without = together(forbid(1))
    assert (without >= 0).float().mean() > 0.5
    for i in range(4):
        for j in range(4):
            assert i == j or share(without, i, j, 1) == share(without, i, j, 11) == 0


def test_an_interval_can_be_forbidden_on_beats_alone():
    def change(voice_leading):
        between = [
            table[1].clone() for table in (voice_leading.onset_bias, voice_leading.hold_bias)
        ]
        forbid(1)(voice_leading)
        voice_leading.onset_bias[1], voice_leading.hold_bias[1] = between

    pitches = together(change)
    assert share(pitches[:, ::4], 0, 3, 11) == 0 < share(pitches, 0, 3, 11)


def test_parallels_that_are_worth_nothing_good_are_not_sung():
    def change(voice_leading):
        voice_leading.parallel_bias[STEP, ..., 7] = voice_leading.parallel_bias[STEP, ..., 5] = (
            NEVER
        )

    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    assert sum(parallel_motion_rate(together(), i, j, 7) for i, j in pairs) > 10
    assert sum(parallel_motion_rate(together(change), i, j, 7) for i, j in pairs) == 0


def test_parallels_from_beat_to_beat_can_be_forbidden_too():
    def strike_on_beats(voice_leading):
        voice_leading.hold_bias[0] = NEVER  # nothing that was struck between beats lasts

    def change(voice_leading):
        strike_on_beats(voice_leading)
        voice_leading.parallel_bias[BEAT] = NEVER

    def count(pitches):
        pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
        beats = pitches[:, ::4]
        return sum(
            parallel_motion_rate(beats, i, j, apart) for i, j in pairs for apart in range(12)
        )

    assert count(together(strike_on_beats)) > 10
    assert count(together(change)) == 0


def test_voices_can_be_kept_from_going_the_same_way():
    def change(voice_leading):
        voice_leading.direction_bias[:] = NEVER

    def ways(pitches):
        sings = (pitches[:, 1:] >= 0) & (pitches[:, :-1] >= 0)
        way = torch.where(sings, pitches.diff(dim=1), 0).sign()
        product = way[..., 0] * way[..., 3]  # the lowest is written after the highest
        return (product > 0).sum().item(), (product < 0).sum().item()

    same, contrary = ways(together())
    assert same > 50 and contrary > 50
    same, contrary = ways(together(change))
    assert same == 0 and contrary > 100


def test_given_voices_are_heard_by_those_that_are_written_before_them():
    x = torch.zeros(64, STEPS, tensors.total_channels(SINGERS))
    pitch = torch.randint(20, (64, STEPS // 2), generator=keyed_rng("tenor"))
    tenor = tensors.slices(SINGERS)[2].start
    for t in range(0, STEPS, 2):
        x[torch.arange(64), t, tenor + pitch[:, t // 2]] = 1
        x[:, t + 1, tenor + 21] = 1  # held
    mask = torch.zeros(64, STEPS, 4)
    mask[..., 2] = 1
    pitches = together(forbid(1), given=conditioning.make_conditioning(x, mask, SINGERS))
    assert torch.equal(pitches[..., 2], 48 + pitch.repeat_interleave(2, dim=1))
    assert all(share(pitches, i, 2, 1) == share(pitches, i, 2, 11) == 0 for i in (0, 1, 3))


@every_coupling
def test_what_is_found_step_by_step_is_what_the_cells_say(coupling, monkeypatch):
    told, sing = [], AutoregressiveVoices._sample
    monkeypatch.setattr(
        AutoregressiveVoices, "_sample", lambda *args: told.append(sing(*args)) or told[-1]
    )
    for voices in (VOICES, SINGERS):
        generator = made("music", coupling, voices).eval()
        x = tensors.binarize(generator(latent_of(generator)), voices)
        assert (generator.autoregressive.voice_leading is not None) == (coupling == "composer")
        for place, k in enumerate(generator.autoregressive.voice_indices):
            sounds = tensors.active_cells(x, single_lines(voices))[k]
            silent = sounds.sum(-1) == 0
            heard = torch.where(silent, generator.autoregressive.max_pitches, sounds.argmax(-1))
            assert torch.equal(told[-1].now[..., place], heard)
            assert torch.equal(told[-1].before[:, 1:, place], heard[:, :-1])
            assert (told[-1].before[:, 0] == generator.autoregressive.max_pitches).all()


def test_what_is_added_is_the_sum_over_the_voices_that_are_heard():
    voices = (Voice("high", min_pitch=10, num_pitches=5), Voice("low", min_pitch=4, num_pitches=7))
    voice_leading = VoiceLeading(voices).double()
    for table in voice_leading.parameters():
        torch.nn.init.normal_(table)
    bias = voice_leading.bias_tables()
    voice, place, own = torch.tensor([0]), torch.tensor([1]), torch.tensor([2])
    before, now = torch.tensor([[2, 3]]), torch.tensor([[voice_leading.num_pitches, 4]])
    first = voice_leading.first_rows(voice, place)
    strike, hold = voice_leading.intervals(bias, first, own, now)
    kept = voice_leading.parallels(bias, BEAT, voice, before, now)
    going = voice_leading.directions(bias, voice, before, now)
    reach = voice_leading.onset_bias.shape[-1] // 2
    for p in range(5):  # the low voice went from 7 to 8; the high one, at 12, would go to 10 + p
        wanted = LR_SCALE * voice_leading.onset_bias[1, 0, 1, reach + 2 + p]
        torch.testing.assert_close(strike[0, p], wanted)
        wanted = PARALLELS_RATIO * LR_SCALE * voice_leading.parallel_bias[BEAT, 0, 1, 5] * (p == 3)
        torch.testing.assert_close(kept[0, p], wanted)
        wanted = LR_SCALE * voice_leading.direction_bias[0, 1] * ((p > 2) - (p < 2))
        torch.testing.assert_close(going[0, p], wanted)
    torch.testing.assert_close(hold[0], LR_SCALE * voice_leading.hold_bias[1, 0, 1, reach + 4])
    (strike.sum() + hold.sum()).backward()
    assert (
        voice_leading.onset_bias.grad.count_nonzero() == 7
    )  # also beside pitches it does not have
    assert voice_leading.hold_bias.grad.count_nonzero() == 1
