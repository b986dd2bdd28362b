import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.domain import MusicDomain
from multigan.music.metrics import window_boundaries
from multigan.music.metrics.window_boundaries import (
    boundary_metrics,
    boundary_step,
    sample_continuations,
)
from multigan.music.representations.tensors import binarize, encode, slices, total_channels
from multigan.music.representations.voices import BAND, SATB, Voice
from tests.music.tiny import Tiny

DUET = (Voice("high", min_pitch=60, num_pitches=12), Voice("low", min_pitch=48, num_pitches=12))


def window(*lines):
    """Canonical music (1, T, C) of tokens that each fill a bar."""
    tokens = [[t for token in line for t in [token, *[13] * 15]] for line in lines]
    return encode(tuple(torch.tensor(line) for line in tokens), DUET)[None]


def test_leap_dissonance_and_silence_at_the_seam_equal_the_hand_values():
    domain = MusicDomain(voices=DUET)
    assert boundary_step(domain) == 16
    found = boundary_metrics(domain, window([0, 5], [0, 3]))
    assert found == {
        "boundary_interval": 4,
        "boundary_dissonance_rate": 0.5 * 0 + 0.5 * 1,
        "boundary_silent_bar_rate": 0,
    }
    rest = DUET[0].rest
    found = boundary_metrics(domain, window([0, rest], [7, rest]))
    assert found["boundary_silent_bar_rate"] == 0.5 and found["boundary_dissonance_rate"] == 0


def test_a_held_note_makes_no_leap():
    domain = MusicDomain(voices=DUET)
    assert boundary_metrics(domain, window([4, 13], [2, 13]))["boundary_interval"] == 0


def test_drums_alone_are_no_silence():
    domain = MusicDomain(voices=BAND)
    x = torch.zeros(1, 32, total_channels(BAND))
    bass, drums, _, lead = slices(BAND)
    x[..., [bass.stop - 2, lead.stop - 2]] = 1  # rests
    assert boundary_metrics(domain, x)["boundary_silent_bar_rate"] == 1
    x[0, [3, 20], drums.start] = 1  # the kick
    assert boundary_metrics(domain, x)["boundary_silent_bar_rate"] == 0


@pytest.mark.parametrize(("bars", "hop"), [(2, 16), (4, 32)])
def test_continued_windows_are_those_the_generator_wrote_one_after_the_other(
    monkeypatch, bars, hop
):
    monkeypatch.setattr(window_boundaries, "PIECES", 3)
    domain = MusicDomain(bars=bars)
    generator = Tiny(SATB, domain.grid.steps)
    x = sample_continuations(domain, generator, keyed_rng("seams"))
    assert x.shape == (3 * window_boundaries.BOUNDARIES, domain.grid.steps, 132)
    assert torch.equal(x, binarize(x, SATB)) and boundary_step(domain) == domain.grid.steps - hop
    pieces = x.unflatten(0, (3, window_boundaries.BOUNDARIES))
    later, earlier = pieces[:, 1:, 1 : boundary_step(domain)], pieces[:, :-1, hop + 1 :]
    assert torch.equal(later, earlier)  # but for the first step, on which a held note is struck
    assert len(generator.seen) == 1 + window_boundaries.BOUNDARIES
    assert generator.seen[-1].mask[0, :, 0].tolist() == [1] * boundary_step(domain) + [0] * hop
