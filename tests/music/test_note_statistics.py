"""Every metric on music that can be measured by hand, and the inputs that broke published ones."""

import math

import pytest
import torch

from multigan.music.metrics import note_statistics as m
from multigan.music.metrics.note_events import piano_roll
from tests.music.song_factory import REST, held, random_windows, voices

NAN = math.nan
CHROMATIC = voices([(60 + k, 1) for k in range(11)] + [(71, 5)])


@pytest.mark.parametrize(
    ("metric", "window", "value"),
    [
        (m.n_pitch_classes_used, voices([(60, 16), (62, 8), (64, 8)]), 1.5),
        (m.n_pitch_classes_used, voices([(60, 4), (72, 4), (84, 8)]), 1),  # pypianoroll: 3
        (m.n_pitch_classes_used, voices([(60, 4), (61, 4), (62, 8)]), 3),  # pypianoroll: 1
        (m.n_pitch_classes_used, voices([(60, 16), (REST, 16)]), 0.5),
        (m.n_pitch_classes_used, voices([(60, 4), (64, 12)], [(48, 16)]), 1.5),
        (m.n_pitch_classes_used, CHROMATIC, 12),
        (m.n_pitch_classes_used_joint, held(72, 60), 1),
        (m.n_pitch_classes_used_joint, voices([(64, 32)], [(60, 16), (59, 8), (60, 8)]), 2.5),
        (m.n_pitch_classes_used_joint, held(REST, 61, 60, 59), 3),
        (m.n_pitch_classes_used_joint, held(REST, REST), 0),
        (m.pitch_class_entropy, held(67, 64, 60), math.log2(3)),
        (m.pitch_class_entropy, CHROMATIC, math.log2(12)),
        (m.pitch_class_entropy, held(72, 60, 48), 0),
        (m.pitch_class_entropy, voices([(60, 1), (62, 1), (60, 7), (72, 7)]), 0.8113),  # 3 to 1
        (m.pitch_class_entropy, held(REST, REST), NAN),
        (m.scale_consistency, CHROMATIC, 7 / 12),
        (m.scale_consistency, voices([(p, 2) for p in (63, 65, 67, 68, 70, 72, 74, 75)]), 1),
        (m.scale_consistency, voices([(p, 2) for p in (57, 59, 60, 62, 64, 65, 67, 69)]), 1),
        (m.scale_consistency, held(60, 61, 62), 2 / 3),
        (m.scale_consistency, held(REST), NAN),
        (m.groove_consistency, voices([(60, 4), (62, 12), (60, 4), (62, 12)]), 1),
        (m.groove_consistency, voices([(60, 4), (62, 12)] * 4), 1),  # MusPy: .9375
        (m.groove_consistency, voices([(60, 16), (62, 8), (64, 8)]), 15 / 16),
        (
            m.groove_consistency,
            voices([(60, 32)]),
            15 / 16,
        ),  # held over: the second bar has no onset
        (
            m.groove_consistency,
            voices([(60, 8), (62, 24)], [(48, 16), (50, 16)]),
            15 / 16,
        ),  # any voice counts
        (m.groove_consistency, held(REST, steps=32), 1),
        (m.groove_consistency, held(60, steps=16), NAN),
        (m.qualified_note_rate, voices([(60, 1), (62, 1), (64, 2), (65, 12)]), 0.5),
        (m.qualified_note_rate, voices([(60, 1), (62, 1)] * 8), 0),  # pypianoroll on int16: 1
        (m.qualified_note_rate, voices([(60, 15), (62, 2), (64, 15)]), 1),  # cut at the bar: 1/2
        (m.qualified_note_rate, voices([(60, 1), (REST, 1), (62, 13), (60, 1)]), 2 / 3),
        (
            m.qualified_note_rate,
            voices([(60, 1), (62, 1)] * 8, [(48, 16)]),
            1 / 17,
        ),  # MuseGAN v3: ~1
        (m.qualified_note_rate, held(REST), NAN),
        (m.notes_per_bar, held(60), 1),
        (m.notes_per_bar, voices([(60, 32)]), 0.5),
        (m.notes_per_bar, voices([(60, 4), (REST, 4), (60, 8)]), 2),
        (m.notes_per_bar, voices(*([(60, 4), (62, 4)] * 4 for _ in range(4))), 16),
        (m.notes_per_bar, held(REST, steps=32), 0),
        (m.mean_note_length, voices([(60, 4), (62, 12)]), 8),
        (m.mean_note_length, voices([(REST, 4), (60, 12)]), 12),
        (m.mean_note_length, voices([(60, 4), (REST, 4), (62, 8)], [(48, 16)]), 32 / 3),
        (m.mean_note_length, CHROMATIC, 16 / 12),
        (m.mean_note_length, held(REST), NAN),
        (m.mean_abs_interval, voices([(60, 4), (62, 4), (59, 8)]), 2.5),
        (m.mean_abs_interval, voices([(60, 4), (REST, 4), (64, 8)]), 4),
        (m.mean_abs_interval, voices([(60, 8), (67, 8)], [(48, 4), (50, 4), (52, 4), (53, 4)]), 3),
        (m.mean_abs_interval, voices([(REST, 8), (67, 8)], [(48, 16)]), 0),
        (m.mean_abs_interval, held(REST), 0),
    ],
)
def test_metric_equals_the_hand_value(metric, window, value):
    figure = metric(window)
    assert figure.shape == (1,) and figure.dtype == torch.float64
    assert figure.item() == pytest.approx(value, abs=5e-5, nan_ok=True)


def test_empty_bar_rate_can_be_skipped_as_muse_gan_does():
    x = torch.cat([voices([(60, 16), (REST, 16)]), held(REST, steps=32)])
    counted, skipped = m.n_pitch_classes_used(x), m.n_pitch_classes_used(x, skip_empty=True)
    assert counted.tolist() == [0.5, 0]
    assert skipped[0] == 1 and skipped[1].isnan()


def test_bars_of_another_metre_have_other_lengths():
    waltz = voices([(60, 12), (62, 12)])
    assert m.notes_per_bar(waltz, steps_per_bar=12).item() == 1
    assert m.groove_consistency(waltz, steps_per_bar=12).item() == 1
    with pytest.raises(ValueError, match="24 steps hold no whole number of bars of 16 steps"):
        m.notes_per_bar(waltz)


def test_empty_bar_rate_are_counted_for_each_voice():
    assert m.empty_bar_rate(held(60, REST)).tolist() == [[0, 1]]  # pypianoroll: 1 where full
    quarter = voices([(60, 48), (REST, 16)], [(REST, 15), (48, 49)])
    assert m.empty_bar_rate(quarter).tolist() == [[0.25, 0]]  # MusPy: 0; MuseGAN v3: .75
    assert m.empty_bar_rate(held(REST, REST, steps=32)).tolist() == [[1, 1]]


def test_polyphonicity_counts_distinct_pitches_per_step():
    roll = piano_roll(voices([(64, 2), (60, 2)], [(62, 2), (60, 1), (REST, 1)], [(60, 4)]))
    assert m.polyphony_rate(roll, 3).item() == 0.5
    assert m.polyphony_rate(roll, 2).item() == 0.5
    assert m.polyphony_rate(roll, 1).item() == 1
    assert m.mean_pitches(roll).item() == 2
    assert m.polyphony_rate(torch.zeros(1, 4, 128), 1).item() == 0


@pytest.mark.parametrize(
    ("steps", "share"),
    [
        ([0, 6, 12, 18], 1),
        ([2, 8, 26], 1),  # shifted to fit
        ([0, 3], 0.5),
        ([0, 1], 0.65),
        ([0, 0, 1, 5], 0.5 + 0.15),
        ([], NAN),
    ],
)
def test_drum_pattern_equals_the_hand_value(steps, share):
    drums = torch.zeros(1, 96, 3)
    for row, step in enumerate(steps):
        drums[0, step, row % 3] = 1
    assert m.drum_in_pattern_rate(drums).item() == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize(
    ("steps", "share"), [([0, 2, 8], 1), ([1, 3], 1), ([0, 4, 8, 9], 0.75), ([0, 1], 0.5)]
)
def test_drum_pattern_on_eighths_equals_the_hand_value(steps, share):
    drums = torch.zeros(1, 16, 2, dtype=torch.bool)
    drums[0, steps, 0] = True
    assert m.drum_in_pattern_rate_8th(drums).item() == share


def test_drum_pattern_cannot_see_what_lies_on_sixteenths():
    drums = torch.zeros(5, 96, 4)
    drums[:, ::6] = (torch.rand(5, 16, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    torch.testing.assert_close(m.drum_in_pattern_rate(drums), torch.ones(5).double())


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float32])
def test_rolls_of_any_kind_measure_the_same(kind):
    roll = torch.rand(3, 96, 5, generator=torch.Generator().manual_seed(0)) < 0.3
    for metric in (m.mean_pitches, m.drum_in_pattern_rate, m.drum_in_pattern_rate_8th):
        assert torch.equal(metric(roll.to(kind)), metric(roll))
    assert torch.equal(m.polyphony_rate(roll.to(kind), 2), m.polyphony_rate(roll, 2))
    assert torch.equal(m.drum_in_pattern_rate(roll.numpy()), m.drum_in_pattern_rate(roll))


def test_a_roll_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"a roll must be .*; got \(96, 5\)"):
        m.drum_in_pattern_rate(torch.zeros(96, 5))


@pytest.mark.parametrize("name", m.FEATURES)
@pytest.mark.parametrize("kind", [torch.uint8, torch.int8, torch.float32, "numpy"])
def test_windows_of_any_kind_measure_the_same(name, kind):
    x = random_windows(n=6).clamp(min=40)  # without rests: unsigned numbers hold none
    same = x.numpy() if kind == "numpy" else x.to(kind)
    assert torch.equal(m.FEATURES[name](same), m.FEATURES[name](x))


@pytest.mark.parametrize("name", m.FEATURES)
def test_a_window_measures_the_same_in_every_key(name):
    x = random_windows()
    for shift in range(-6, 6):
        moved = torch.where(x >= 0, x + shift, REST)
        torch.testing.assert_close(m.FEATURES[name](moved), m.FEATURES[name](x))


@pytest.mark.parametrize("name", m.FEATURES)
def test_a_window_measures_the_same_alone_and_among_others(name):
    x = random_windows()
    alone = torch.cat([m.FEATURES[name](window[None]) for window in x])
    torch.testing.assert_close(m.FEATURES[name](x), alone)


def test_no_window_gives_no_figure():
    assert m.features(torch.zeros(0, 32, 4)).shape == (0, 13)


def test_silence_has_no_notes_to_measure():
    found = dict(zip(m.FEATURES, m.features(held(*[REST] * 4, steps=32))[0].tolist(), strict=True))
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == {
        "pitch_class_entropy",
        "scale_consistency",
        "qualified_note_rate",
        "mean_note_length",
        "tonal_distance",
    }
    assert found["groove_consistency"] == 1  # perfect, which is why empty bars stand beside it


def test_novelty_is_the_share_of_other_cells_in_the_nearest_window_and_key():
    train = random_windows(n=5)
    changed = train[2:3].clone()
    changed[0, :8, 0] = 90
    transposed = torch.where(changed >= 0, changed + 4, REST)
    assert m.nn_train_distance(changed, train).item() == 8 / 128
    assert m.nn_train_distance(transposed, train).item() == 8 / 128
    assert m.nn_train_distance(transposed, train, transpositions=[0]).item() > 0.5
    assert m.nn_train_distance(train, train).tolist() == [0] * 5


def test_novelty_keeps_rests_in_every_key_and_reaches_one():
    train = torch.tensor([[[60, REST], [60, 48]]])
    assert m.nn_train_distance(torch.tensor([[[65, REST], [65, 53]]]), train).item() == 0
    assert m.nn_train_distance(torch.tensor([[[65, 53], [65, REST]]]), train).item() == 0.5
    assert m.nn_train_distance(torch.full((1, 2, 2), REST), train).item() == 0.75
    assert m.nn_train_distance(torch.tensor([[[10, 20], [30, 90]]]), train).item() == 1


def test_novelty_against_nothing_or_another_shape_is_refused():
    x = random_windows(n=2)
    with pytest.raises(ValueError, match="training windows must be 1 or more of shape"):
        m.nn_train_distance(x, x[:0])
    with pytest.raises(ValueError, match=r"shape \(32, 4\); got \(2, 16, 4\)"):
        m.nn_train_distance(x, x[:, :16])


def rows(n=400, seed=0):
    return torch.randn(n, 13, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_is_zero_for_equal_sets_and_counts_shifts_in_standard_deviations():
    reference = 5 + 3 * rows()
    shifted = reference.clone()
    shifted[:, 4] += 2 * reference[:, 4].std(correction=0)
    assert m.feature_frechet_distance(reference, reference) == pytest.approx(0, abs=1e-9)
    assert m.feature_frechet_distance(reference, shifted) == pytest.approx(4)


def test_frechet_standardises_by_the_population_and_compares_unbiased_covariances():
    reference = torch.zeros(20, 13, dtype=torch.float64)
    reference[:, 7] = torch.arange(20)
    assert m.feature_frechet_distance(reference, 3 * reference + 100) > 100
    wider = 3 * (reference - reference.mean(0)) + reference.mean(0)
    assert m.feature_frechet_distance(reference, wider) == pytest.approx((3 - 1) ** 2 * 20 / 19)


def test_frechet_clipped_bounds_what_few_windows_can_do():
    reference, wild = rows(), rows()
    wild[0] = 1000
    assert m.feature_frechet_distance(reference, wild) > 1000
    assert m.feature_frechet_distance(reference, wild, clip=m.CLIP) < 1


def test_frechet_leaves_out_windows_without_a_figure():
    reference, fake = rows(), rows(seed=1)
    holes = torch.cat([fake, torch.full((3, 13), NAN, dtype=torch.float64)])
    holes[-1, 1:] = 0
    assert m.feature_frechet_distance(reference, holes) == m.feature_frechet_distance(
        reference, fake
    )
    assert math.isnan(m.feature_frechet_distance(reference, holes[-3:]))
    assert math.isnan(m.feature_frechet_distance(reference, fake[:1]))


def test_frechet_leaves_out_a_figure_that_the_reference_never_has():
    reference, fake = rows(), rows(seed=1)
    bare, without = (x.clone() for x in (reference, fake))
    bare[:, 4] = without[:, 4] = NAN
    kept = [k for k in range(13) if k != 4]
    assert m.feature_frechet_distance(bare, without) == m.feature_frechet_distance(
        reference[:, kept], fake[:, kept]
    )
    assert m.aggregate_metrics(without, bare)["excluded_fraction"] == 0
    assert m.aggregate_metrics(without, reference)["excluded_fraction"] == 1


def test_measure_counts_what_silence_hides():
    x = random_windows()
    x[:10] = REST
    x[10:, :16, 3] = REST
    found = m.window_metrics(x, m.features(random_windows()), "SATB")
    assert found["excluded_fraction"] == 0.25
    assert found["empty_bar_rate_S"] == pytest.approx(0.25, abs=0.01)
    assert found["empty_bar_rate_B"] == pytest.approx(0.625, abs=0.01)
    assert found["scale_consistency"] == pytest.approx(m.scale_consistency(x[10:]).mean().item())
    assert list(found)[:13] == list(m.FEATURES)
    assert found["feature_frechet_distance"] > 1 and found["feature_frechet_distance_clipped"] > 1


def test_measure_of_silence_alone_has_no_distance():
    found = m.window_metrics(torch.full((3, 32, 4), REST), m.features(random_windows()), "SATB")
    assert math.isnan(found["feature_frechet_distance"]) and math.isnan(found["tonal_distance"])
    assert found["excluded_fraction"] == found["empty_bar_rate_A"] == 1
