import pytest
import torch
from torch.nn import functional as F

from multigan.core.rng import keyed_rng
from multigan.music.models.binarization import gumbel
from multigan.music.models.harmonic_plan import (
    LAGS,
    Plan,
    PlanModel,
    chord_labels,
    chord_pitch_classes,
    likeness_labels,
    transpose_chords,
)
from multigan.music.theory import NO_CHORD, NUM_CHORDS

BARS, HALVES = 5, 10


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return PlanModel(BARS, 2, 8)


def test_a_chord_played_with_its_root_in_the_bass_is_labelled_so():
    chroma = chord_pitch_classes()[:NO_CHORD]
    bass = F.one_hot(torch.arange(NO_CHORD) % 12, 12).float()
    assert chord_labels(chroma, bass).tolist() == list(range(NO_CHORD))
    assert chord_labels(torch.zeros(12), torch.zeros(12)) == NO_CHORD


def test_passing_notes_do_not_change_a_label():
    chroma = chord_pitch_classes()[0] + 0.25 * F.one_hot(torch.tensor(2), 12)
    assert chord_labels(chroma, F.one_hot(torch.tensor(0), 12).float()) == 0


def test_chords_move_with_their_root_and_keep_their_kind():
    chords = torch.tensor([[0, 11, 12 + 5, NO_CHORD]])
    assert transpose_chords(chords, torch.tensor([3])).tolist() == [[3, 2, 12 + 8, NO_CHORD]]
    assert torch.equal(transpose_chords(transpose_chords(chords, torch.tensor([3])),
                                        torch.tensor([-3])), chords)  # fmt: skip


def test_a_bar_is_like_the_likest_before():
    bars = torch.zeros(1, BARS, 4, 6)
    bars[:, 0, [0, 2], [1, 2]] = 1
    bars[:, 1, 1, 5] = 1
    bars[:, 2] = bars[:, 0]
    bars[:, 3, 3, 3] = 1
    bars[:, 4] = bars[:, 0]
    labels = likeness_labels(bars.flatten(1, 2), BARS)
    assert [(0, *LAGS)[label] for label in labels[0].tolist()] == [0, 0, 2, 0, 2]


def noise(n):
    rng = keyed_rng("plan")
    return (gumbel(torch.rand(n, BARS, len(LAGS) + 1, generator=rng)),
            gumbel(torch.rand(n, HALVES, NUM_CHORDS, generator=rng)))  # fmt: skip


def test_what_is_fixed_stays_and_no_bar_is_like_one_before_the_first(model):
    n = 40
    fixed = Plan(torch.full((n, HALVES), -1), torch.full((n, BARS), -1))
    fixed.chords[:, 3] = 17
    free = torch.zeros(n, HALVES)
    plan = model.sample(fixed, torch.zeros(n, HALVES, 12), free, noise(n))
    assert (plan.chords[:, 3] == 17).all() and (fixed.chords[:, 4] == -1).all()
    lags = torch.tensor([0, *LAGS])[plan.likeness]
    assert (lags <= torch.arange(BARS)).all() and (lags > 0).any()
    assert (plan.chords >= 0).all() and len(plan.chords.unique(dim=0)) > n // 2


def test_the_likelihood_is_that_of_the_samples(model):
    """With one chord and one likeness free, the probabilities of all choices add up to 1."""
    chords = torch.zeros(NUM_CHORDS, HALVES, dtype=torch.long)
    chords[:, -1] = torch.arange(NUM_CHORDS)
    plan = Plan(chords, torch.zeros(NUM_CHORDS, BARS, dtype=torch.long))
    zeros = torch.zeros(NUM_CHORDS, HALVES)
    seen = torch.zeros(NUM_CHORDS, HALVES, 12)
    last = model.log_likelihood(plan, seen, zeros).double()
    shorter = PlanModel._logits(model, plan, seen, zeros, None)[2][:, -1].log_softmax(-1)[0]
    torch.testing.assert_close(last - last[0], (shorter - shorter[0]).double(), atol=1e-3, rtol=0)
