"""What happens between voices, measured by hand."""

import math

import pytest
import torch

from multigan.music.metrics.harmony import (
    dissonance_rate,
    dissonance_rate_to,
    parallel_motion_rate,
    tonal_distance,
    voice_crossing_rate,
)
from tests.music.song_factory import REST, held, voices

FIFTH_APART, SEMITONE_APART = 1.7372, 2.5460  # two pitch classes in tonal space


def near(value):
    return pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize(
    ("semitones", "distance"),
    list(
        enumerate(
            [0, 2.5460, 2.3979, 2, 1.9365, 1.7372, 2.8284, 1.7372, 1.9365, 2, 2.3979, 2.5460, 0]
        )
    ),
)
def test_tonal_distance_of_an_interval_is_the_published_one(semitones, distance):
    for root in (48, 53, 59):
        assert tonal_distance(held(root + semitones, root, steps=4)).item() == near(distance)


def test_tonal_distance_takes_the_centroid_of_the_sounding_steps_of_a_beat():
    between = voices([(60, 2), (67, 2)], [(60, 4)])
    assert tonal_distance(between).item() == near(FIFTH_APART / 2)
    assert tonal_distance(voices([(REST, 3), (67, 1)], [(60, 1), (REST, 3)])).item() == near(
        FIFTH_APART
    )


def test_tonal_distance_pools_all_pairs_and_beats():
    assert tonal_distance(held(67, 60, 48)).item() == near(2 * FIFTH_APART / 3)
    then = voices([(67, 4), (61, 4)], [(60, 8)])
    assert tonal_distance(then).item() == near((FIFTH_APART + SEMITONE_APART) / 2)


def test_tonal_distance_leaves_out_beats_of_silence_and_nothing_else():
    # MuseGAN drops a whole bar for one silent beat.
    rested = voices([(67, 4), (REST, 4), (67, 8)], [(60, 16)])
    assert tonal_distance(rested).item() == near(FIFTH_APART)
    trio = voices([(67, 8)], [(60, 8)], [(REST, 4), (60, 4)])
    assert tonal_distance(trio).item() == near(3 * FIFTH_APART / 4)
    assert tonal_distance(voices([(60, 4), (REST, 4)], [(REST, 4), (60, 4)])).isnan().all()


def test_tonal_distance_is_larger_between_voices_of_different_keys():
    # MuseGAN's chroma pools adjacent semitones, so it cannot tell these apart.
    near, far = held(64, 60), held(61, 60)
    assert tonal_distance(near) < tonal_distance(far)


def test_tonal_distance_needs_whole_beats():
    with pytest.raises(ValueError, match="6 steps hold no whole number of beats of 4"):
        tonal_distance(held(60, 48, steps=6))


def test_crossing_is_the_share_of_steps_with_the_lower_voice_above():
    assert voice_crossing_rate(voices([(60, 4)], [(55, 3), (62, 1)])).item() == 0.25
    assert voice_crossing_rate(held(60, 60)).item() == 0
    assert voice_crossing_rate(held(60, 61)).item() == 1


def test_crossing_counts_only_steps_at_which_both_voices_sound():
    assert voice_crossing_rate(voices([(60, 8)], [(62, 4), (REST, 4)])).item() == 1
    assert voice_crossing_rate(voices([(60, 8)], [(62, 2), (55, 2), (REST, 4)])).item() == 0.5


def test_crossing_averages_neighbours_and_a_silent_voice_crosses_nothing():
    assert voice_crossing_rate(held(48, 60, 60, REST)).item() == pytest.approx(1 / 3)
    assert voice_crossing_rate(held(55, 60, 50)).item() == 0.5  # the outer pair is not looked at
    assert voice_crossing_rate(held(REST, REST)).item() == 0


def test_seconds_sevenths_and_tritones_are_dissonant_at_any_distance():
    harsh = [k for k in range(40) if dissonance_rate(held(48 + k, 48, steps=4)).item() == 1]
    assert harsh == [1, 2, 6, 10, 11, 13, 14, 18, 22, 23, 25, 26, 30, 34, 35, 37, 38]
    soft = [k for k in range(40) if dissonance_rate(held(48 + k, 48, steps=4)).item() == 0]
    assert sorted(harsh + soft) == list(range(40))


def test_dissonance_averages_all_pairs():
    assert dissonance_rate(held(64, 62, 60)).item() == pytest.approx(2 / 3)
    assert dissonance_rate(held(67, 64, 60, 58)).item() == pytest.approx(
        2 / 6
    )  # B flat: 58-60, 58-64
    assert dissonance_rate(held(70, 60, REST, REST)).item() == pytest.approx(1 / 6)


def test_dissonance_with_a_voice_takes_its_own_pairs_only():
    x = voices([(60, 8)], [(53, 4), (54, 4)], [(47, 8)])  # 7 then 6; 13; 6 then 7 in between
    assert dissonance_rate_to(x, 0).item() == (0.5 + 1) / 2
    assert dissonance_rate_to(x, 1).item() == (0.5 + 0.5) / 2
    assert dissonance_rate_to(x, 2).item() == (1 + 0.5) / 2
    assert dissonance_rate(x).item() == (0.5 + 1 + 0.5) / 3


def test_dissonance_counts_only_steps_at_which_both_voices_sound():
    assert dissonance_rate(voices([(61, 4), (64, 4)], [(60, 8)])).item() == 0.5
    assert dissonance_rate(voices([(61, 4), (REST, 4)], [(60, 8)])).item() == 1
    assert dissonance_rate(held(REST, 60)).item() == 0


@pytest.mark.parametrize(
    ("upper", "lower", "share"),
    [
        ((67, 69), (60, 62), 1),  # parallel fifths
        ((67, 69), (48, 50), 1),  # an octave wider
        ((72, 74), (60, 62), 1),  # octaves
        ((72, 86), (60, 62), 1),  # an octave to two: both move up
        ((60, 62), (60, 62), 1),  # unisons
        ((64, 65), (60, 62), 0),  # thirds
        ((67, 72), (60, 62), 0),  # a fifth to a seventh
        ((72, 60), (60, 72), 0),  # contrary motion
        ((67, 67), (60, 60), 0),  # nobody moves
        ((67, 69), (60, 60), 0),  # one moves
        ((67, REST), (60, 62), 0),  # one stops
        ((67, 69, 71), (60, 62, 67), 1 / 2),  # fifths, then a third
        ((67, 69, 67, 65), (60, 62, 60, 58), 1),
        ((67, 69, 69, 65), (60, 62, 60, 62), 1),  # the second and third motions are not similar
    ],
)
def test_parallels_are_the_share_of_similar_motions_in_fifths_and_octaves(upper, lower, share):
    x = voices([(pitch, 4) for pitch in upper], [(pitch, 4) for pitch in lower])
    assert parallel_motion_rate(x).item() == share


def test_parallels_are_seen_on_beats_only():
    assert (
        parallel_motion_rate(
            voices([(67, 1), (69, 3), (67, 4)], [(60, 1), (62, 3), (60, 4)])
        ).item()
        == 0
    )


def test_parallels_pool_the_motions_of_all_pairs():
    # Soprano and bass in octaves, the alto a third and a sixth between: 1 hit of 3 motions.
    x = voices([(72, 4), (74, 4)], [(64, 4), (65, 4)], [(60, 4), (62, 4)])
    assert parallel_motion_rate(x).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "metric", [tonal_distance, voice_crossing_rate, dissonance_rate, parallel_motion_rate]
)
def test_one_voice_alone_is_refused(metric):
    with pytest.raises(ValueError, match="2 voices or more"):
        metric(held(60))


@pytest.mark.parametrize("metric", [voice_crossing_rate, dissonance_rate, parallel_motion_rate])
def test_silence_scores_a_perfect_zero_which_is_why_empty_bar_rate_stand_beside(metric):
    silence = torch.full((3, 32, 4), REST)
    assert metric(silence).tolist() == [0, 0, 0]
    assert all(math.isnan(v) for v in tonal_distance(silence).tolist())
