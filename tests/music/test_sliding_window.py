import numpy as np
import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.representations.conditioning import (
    Conditioning,
    expand_mask,
    make_conditioning,
    unconditional,
)
from multigan.music.representations.tensors import active_cells, binarize, encode, slices
from multigan.music.representations.voices import SATB
from multigan.music.sampling.sliding_window import sample_long
from tests.music.pianoroll_factory import VOICES, random_roll
from tests.music.tiny import Tiny


def draw(generator, given, hop=16, n=3, voices=SATB):
    return sample_long(
        generator, n, keyed_rng("piece"), given, voices, window_steps=32, hop_steps=hop
    )


@pytest.mark.parametrize(("steps", "hop"), [(32, 16), (48, 16), (64, 32), (72, 16), (128, 16)])
def test_a_piece_of_any_length_is_canonical_and_complete(steps, hop):
    x = draw(Tiny(SATB), unconditional(1, steps, SATB), hop)
    assert x.shape == (3, steps, 132) and (x.sum(-1) == 4).all()
    assert torch.equal(x, binarize(x, SATB))


def test_each_window_knows_what_the_one_before_wrote():
    generator = Tiny(SATB)
    x = draw(generator, unconditional(1, 64, SATB))
    first, *later = generator.seen
    assert not first.mask.any() and len(later) == 2
    for number, seen in enumerate(later, start=1):
        assert seen.mask[:, :16].all() and not seen.mask[:, 16:].any()
        there = x[:, number * 16 : number * 16 + 16]
        assert torch.equal(seen.values[:, 1:16], there[:, 1:])
        heard = active_cells(x, SATB)[0][:, number * 16]
        assert torch.equal(seen.values[:, 0, :31], heard)  # struck, where the piece may hold


def test_notes_are_held_over_the_seams():
    first, mask = torch.zeros(1, 64, 132), torch.zeros(1, 64, 4)
    first[0, 0, [7, 40, 73, 106]], mask[:, 0] = 1, 1
    x = draw(Tiny(SATB, holds=5.0), make_conditioning(first, mask, SATB))
    assert (x[:, 1:, [32, 65, 98, 131]] == 1).all()  # nobody ever lets go


@pytest.mark.parametrize("listens", [True, False])
def test_given_cells_come_back_bit_by_bit(listens):
    rng = np.random.default_rng(1)
    x = encode(random_roll(rng, 80), VOICES)[None]
    mask = torch.from_numpy(rng.random((1, 80, len(VOICES))) < 0.4)
    given = make_conditioning(x, mask, VOICES)
    drawn = draw(Tiny(VOICES, listens=listens), given, voices=VOICES)
    assert torch.equal(drawn * expand_mask(given.mask, VOICES), given.values.expand(3, -1, -1))
    assert not torch.equal(drawn[0], drawn[1])
    for before, after, known in zip(
        active_cells(x, VOICES), active_cells(drawn, VOICES), mask[0].T, strict=True
    ):
        assert (before[:, known] == after[:, known]).all()


@pytest.mark.parametrize("hop", [16, 32])
def test_locked_ends_keep_the_length_of_given_notes_and_the_harmony(hop):
    rng = np.random.default_rng(3)
    x = encode(random_roll(rng, 96), VOICES)[None]
    mask = torch.from_numpy(rng.random((1, 96, len(VOICES))) < 0.5)
    given = make_conditioning(x, mask, VOICES)
    free, locked = (
        sample_long(Tiny(VOICES, holds=5.0), 2, keyed_rng("p"), given, VOICES,
                   window_steps=32, hop_steps=hop, retrigger=lock)
        for lock in (False, True)
    )  # fmt: skip
    assert torch.equal(locked, binarize(locked, VOICES)) and not torch.equal(free, locked)
    assert torch.equal(locked * expand_mask(given.mask, VOICES), given.values.expand(2, -1, -1))
    for one, other in zip(active_cells(free, VOICES), active_cells(locked, VOICES), strict=True):
        assert torch.equal(one, other) or hop == 16  # later windows see what was struck
    lead, _, chords, _ = slices(VOICES)
    for k, held in (
        (0, slice(lead.stop - 1, lead.stop)),
        (2, slice(chords.start + 18, chords.stop, 19)),
    ):
        first_free = mask[0, :-1, k] & ~mask[0, 1:, k]
        assert free[:, 1:, held][:, first_free].any()
        assert not locked[:, 1:, held][:, first_free].any()


def test_windows_in_which_everything_is_given_are_not_drawn():
    x = encode(random_roll(np.random.default_rng(2), 96), VOICES)[None]
    mask = torch.ones(1, 96, len(VOICES))
    mask[:, 80:, 0] = 0
    generator = Tiny(VOICES)
    draw(generator, make_conditioning(x, mask, VOICES), voices=VOICES)
    assert len(generator.seen) == 1
    complete = Conditioning(x, torch.ones_like(mask))
    assert torch.equal(draw(generator, complete, voices=VOICES, n=1), x)
    assert len(generator.seen) == 1
