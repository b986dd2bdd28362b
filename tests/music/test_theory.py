"""Scales and the tonal space, against what every textbook says."""

import pytest
import torch

from multigan.music.metrics.harmony import interval_mask, scale_masks, tonal_space
from multigan.music.theory import DISSONANT_INTERVALS


def test_there_are_twelve_distinct_scales_of_seven_pitch_classes():
    masks = scale_masks()
    assert masks.shape == (24, 12) and masks.dtype == torch.float64
    assert (masks.sum(1) == 7).all()
    assert len(masks.unique(dim=0)) == 12


def test_c_major_a_minor_and_g_major_have_their_pitch_classes():
    c_major, g_major, a_minor = (scale_masks()[row].nonzero()[:, 0] for row in (0, 7, 12 + 9))
    assert c_major.tolist() == a_minor.tolist() == [0, 2, 4, 5, 7, 9, 11]
    assert g_major.tolist() == [0, 2, 4, 6, 7, 9, 11]


def test_an_interval_mask_holds_its_intervals():
    assert interval_mask(DISSONANT_INTERVALS).nonzero()[:, 0].tolist() == [1, 2, 6, 10, 11]


def test_tonal_space_equals_the_published_points():
    space = tonal_space()
    half_root_3 = 0.75**0.5
    torch.testing.assert_close(space[:, 0], torch.tensor([0, 1, 0, 1, 0, 0.5]).double())
    fifth = torch.tensor([0.5, half_root_3, 1, 0, 0.5 * half_root_3, -0.25]).double()  # k = 7
    torch.testing.assert_close(space[:, 7], fifth)


@pytest.mark.parametrize(
    ("semitones", "distance"),
    list(
        enumerate([0, 2.5460, 2.3979, 2, 1.9365, 1.7372, 2.8284, 1.7372, 1.9365, 2, 2.3979, 2.5460])
    ),
)
def test_distance_in_tonal_space_depends_on_the_interval_only(semitones, distance):
    space = tonal_space()
    apart = (space.roll(-semitones, dims=1) - space).norm(dim=0)
    torch.testing.assert_close(apart, torch.full((12,), distance).double(), atol=5e-5, rtol=0)
