"""The rows of the chorales, against the values measured by an independent implementation."""

import json

import pytest

from multigan.cli.dynamic_options import domain_command
from multigan.core.rng import keyed_rng
from multigan.core.serialization import import_attribute
from multigan.music import COMMANDS
from multigan.music import commands as module
from multigan.music.datasets.jsb_chorales import read_jsb, sliding_windows
from multigan.music.metrics import baselines
from multigan.music.metrics import note_statistics as m
from tests.music.jsb_data import FILE, needs_chorales
from tests.music.song_factory import REST, random_chorales, random_windows, voices

# One line per row: the thirteen metrics in the order of FEATURES.
# fmt: off
ALL_WINDOWS = {
    "train": [3.2674, 6.9159, 2.8296, .9421, .8132, .9796, 15.010, 4.580, 2.5536, 1.5699, .0081,
              .1023, .0104],
    "test": [3.3788, 7.0519, 2.8455, .9424, .8120, .9723, 15.601, 4.298, 2.4922, 1.5633, .0068,
             .1055, .0106],
    "valid": [3.2083, 6.7476, 2.7920, .9462, .8221, .9798, 14.539, 5.172, 2.5118, 1.5678, .0101,
              .1041, .0110],
}
TRAIN_SD = [.6258, .8633, .1663, .0513, .1053, .0419, 3.516, 1.570, .4539, .0999, .0233, .0426,
            .0333]
SAMPLED = {
    "voices shuffled": [3.253, 8.154, 3.078, .836, .854, .978, 14.92, 4.39, 2.540, 1.812, .081,
                        .378, .045],
    "Markov": [3.451, 8.498, 3.130, .817, .533, .767, 15.01, 4.37, 2.552, 1.635, .063, .357, .053],
    "random quarters": [3.516, 8.944, 3.301, .712, 1.000, 1.000, 15.40, 4.16, 8.199, 2.005, .236,
                        .416, .016],
}
# fmt: on
FRECHET = {  # raw and clipped
    "test": (0.62, 0.43),
    "valid": (3.02, 0.97),
    "voices shuffled": (77.2, 47.6),
    "Markov": (98.8, 69.4),
    "random quarters": (371.8, 134.1),
}


@pytest.fixture(scope="module")
def pieces():
    return read_jsb(FILE)


@pytest.fixture(scope="module")
def rows(pieces):
    return module.reference_rows(pieces)


@needs_chorales
@pytest.mark.parametrize("row", ALL_WINDOWS)
def test_rows_of_all_windows_equal_the_known_ones(rows, row):
    for metric, known in zip(m.FEATURES, ALL_WINDOWS[row], strict=True):
        rounding = 5e-4 if known > 4 and metric != "n_pitch_classes_used_joint" else 5e-5
        assert rows[row][metric] == pytest.approx(known, abs=1.01 * rounding), metric


@needs_chorales
def test_the_spread_of_train_equals_the_known_one(pieces):
    spread = m.features(sliding_windows(pieces["train"])).std(0).tolist()
    for metric, found, known in zip(m.FEATURES, spread, TRAIN_SD, strict=True):
        assert found == pytest.approx(known, rel=1e-3, abs=5.1e-5), metric


@needs_chorales
@pytest.mark.parametrize("row", SAMPLED)
def test_sampled_rows_equal_the_known_ones_within_sampling_noise(pieces, rows, row):
    train, rng = sliding_windows(pieces["train"]), keyed_rng(1, row)
    make = {
        "voices shuffled": lambda: baselines.shuffled_voices(train, 1000, rng),
        "Markov": lambda: baselines.markov_voices(train, 1000, rng),
        "random quarters": lambda: baselines.random_quarter_notes(1000, rng),
    }
    errors = m.features(make[row]()).std(0) / 1000**0.5
    for metric, known, error in zip(m.FEATURES, SAMPLED[row], errors.tolist(), strict=True):
        noise = 2**0.5 * error  # both rows are samples
        assert rows[row][metric] == pytest.approx(known, abs=3.5 * noise + 5e-4), metric


@needs_chorales
@pytest.mark.parametrize("row", FRECHET)
def test_frechet_distances_equal_the_known_ones(rows, row):
    raw, clipped = FRECHET[row]
    within = {"abs": 5.1e-3} if row in ALL_WINDOWS else {"rel": 0.06}
    assert rows[row]["feature_frechet_distance"] == pytest.approx(raw, **within)
    assert rows[row]["feature_frechet_distance_clipped"] == pytest.approx(clipped, **within)


@needs_chorales
def test_empty_bar_rate_of_the_chorales_equal_the_known_ones(pieces):
    shares = {
        split: m.empty_bar_rate(sliding_windows(found, 16, 16)).mean(0)
        for split, found in pieces.items()
    }
    assert [round(100 * share, 2) for share in shares["train"].tolist()] == [0.03, 0.06, 0.06, 0.09]
    assert shares["test"].tolist() == [0, 0, 0, 0]


@needs_chorales
def test_novelty_of_held_out_chorales_is_near_the_known_one(pieces):
    train, test = sliding_windows(pieces["train"]), sliding_windows(pieces["test"])
    found = m.nn_train_distance(test[::15], train)  # 73 windows
    assert found.median().item() == pytest.approx(0.422, abs=0.08)
    assert m.nn_train_distance(train[:3], train).tolist() == [0, 0, 0]


def test_shuffling_keeps_each_voice_and_breaks_the_windows():
    train = random_windows(n=30)
    shuffled = baselines.shuffled_voices(train, 30, keyed_rng(0))
    for k in range(4):
        assert sorted(shuffled[:, :, k].tolist()) == sorted(train[:, :, k].tolist())
    assert not any((window == train).all((1, 2)).any() for window in shuffled)
    with pytest.raises(ValueError, match="at most the 30 training windows; got 31"):
        baselines.shuffled_voices(train, 31, keyed_rng(0))


def test_a_chain_moves_only_as_the_voice_has_moved():
    train = voices([(60, 1), (62, 1), (64, 1), (60, 1)], [(48, 2), (REST, 1), (50, 1)])
    found = baselines.markov_voices(train, 5, keyed_rng(0))
    assert found[:, :, 0].tolist() == [[60, 62, 64, 60]] * 5
    assert found[:, :, 1].tolist() == [[48, 48, 48, 48]] * 5


def test_a_chain_that_starts_with_a_rest_starts_on_middle_c_and_a_pitch_never_left_stays():
    train = voices([(REST, 1), (72, 2)], [(48, 3)])
    assert baselines.markov_voices(train, 2, keyed_rng(0))[:, :, 0].tolist() == [[60, 60, 60]] * 2


def test_random_quarters_are_quarters_over_the_whole_ranges():
    found = baselines.random_quarter_notes(500, keyed_rng(0))
    assert found.shape == (500, 32, 4)
    assert found.amin((0, 1)).tolist() == [60, 53, 48, 36]
    assert found.amax((0, 1)).tolist() == [81, 74, 69, 64]
    beats = found.unflatten(1, (8, 4))
    assert (beats == beats[:, :, :1]).all()


def test_the_verb_prints_a_table_and_one_json_object(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "SAMPLED", 20)
    monkeypatch.setattr(
        module,
        "read_jsb",
        lambda path: dict.fromkeys(["train", "valid", "test"], random_chorales()),
    )
    command = domain_command(
        "baseline-metrics", import_attribute(COMMANDS["baseline-metrics"]), load=lambda path: None
    )
    command.main(["--data", "chorales.json", "--json"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "| | train | valid | test | voices shuffled | Markov | random quarters |" in printed
    assert (
        "| feature_frechet_distance_clipped |" in printed and "| empty_bar_rate_bass |" in printed
    )
    rows = json.loads(printed.splitlines()[-1])
    assert list(rows) == ["train", "valid", "test", *SAMPLED]
    wanted = set(m.FEATURES) - {"mean_note_length"} | {"feature_frechet_distance"}
    assert all(set(row) == wanted for row in rows.values())
    assert rows["train"] == rows["test"]


def test_the_rows_are_the_same_on_every_call(monkeypatch):
    monkeypatch.setattr(module, "SAMPLED", 20)
    chorales = dict.fromkeys(["train", "valid", "test"], random_chorales())
    assert module.reference_rows(chorales) == module.reference_rows(chorales)
