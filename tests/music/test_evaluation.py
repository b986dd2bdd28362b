import math

import pytest
import torch

from multigan.core.protocols import EvaluationSkipped, Sampler
from multigan.core.rng import keyed_rng
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.domain import MusicDomain
from multigan.music.metrics import evaluation, window_boundaries
from multigan.music.metrics.voice_lines import drum_figures, line_names, voice_lines
from multigan.music.representations.conditioning import apply_conditioning
from multigan.music.representations.tensors import encode
from multigan.music.representations.time_grid import SIXTEENTHS
from multigan.music.representations.voices import BAND, MELODY_PIANO, PIANO, Voice
from tests.metric_meanings import undescribed
from tests.music.tiny import Tiny, write_piano_songs, write_pieces, write_songs

ROWS = ["real (train)", "real (held out)", "bars shuffled", "voices shuffled", "Markov",
        "random quarters", "generator, given soprano", "generator, continued",
        "generator"]  # fmt: skip
OF_SEVERAL_BARS = ("bars shuffled", "generator, continued")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "SAMPLED", 48)
    monkeypatch.setattr(evaluation, "COMPARED", 8)
    monkeypatch.setattr(window_boundaries, "PIECES", 6)
    return SongWindowDataset(write_pieces(tmp_path / "pieces.json", pieces=10))


def evaluate(data, cache, **settings):
    domain = data.domain
    sampler = Sampler(domain, Tiny(domain.voices, domain.grid.steps, **settings))
    return domain.evaluate(sampler, data.split("valid"), keyed_rng("e"), cache)


def test_the_table_holds_the_model_against_real_music_and_imitations(data, tmp_path):
    table = evaluate(data, tmp_path)
    assert list(table.rows) == ROWS and data.domain.selection_metric in table.model
    assert table.model["windows"] == 48 and table.rows["real (train)"]["windows"] == 50
    feature_frechet_distance = {
        name: row["feature_frechet_distance"] for name, row in table.rows.items()
    }
    assert feature_frechet_distance["real (train)"] == pytest.approx(0, abs=1e-6)
    assert feature_frechet_distance["real (held out)"] < min(
        feature_frechet_distance["Markov"], feature_frechet_distance["generator"]
    )
    assert (
        feature_frechet_distance["generator, given soprano"] < feature_frechet_distance["generator"]
    )
    assert 0 < table.model["nn_train_distance"] <= 1 and table.model["unique_fraction"] == 1
    assert "nn_train_distance" not in table.rows["real (train)"]
    assert table.model["empty_bar_rate_bass"] == 0
    assert table.json() and table.markdown()
    assert undescribed("music", table.rows) == set()


def test_what_does_not_depend_on_the_model_is_measured_once(data, tmp_path, monkeypatch):
    first = evaluate(data, tmp_path)

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(evaluation, "_compute_references", never)
    again = evaluate(data, tmp_path)
    assert again == first
    (file,) = tmp_path.glob("music-references-*.safetensors")
    file.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="measured again"):
        evaluate(data, tmp_path)


def test_a_collapsed_model_is_shown_as_one(data, tmp_path):
    domain = data.domain

    class Stuck(Tiny):
        def sample_latent(self, n, rng):
            return super().sample_latent(1, keyed_rng(0)).expand(n, -1, -1).clone()

    sampler = Sampler(domain, Stuck(domain.voices))
    table = domain.evaluate(sampler, data.split("valid"), keyed_rng(0), tmp_path)
    assert table.model["unique_fraction"] == pytest.approx(1 / 48)


def test_a_model_that_diverged_is_said_to_have(data, tmp_path):
    domain, generator = data.domain, Tiny(data.domain.voices)

    class Broken(Tiny):
        def forward(self, latent, condition=None):
            return latent * math.nan

    generator = Broken(domain.voices)
    with pytest.raises(
        ValueError, match="samples must be finite; the training of this generator diverged"
    ):
        domain.evaluate(Sampler(domain, generator), data.split("valid"), keyed_rng(0), tmp_path)


def test_drums_alone_are_refused(data, tmp_path):
    domain = MusicDomain(voices=(Voice("drums", kind="drums"),))
    with pytest.raises(EvaluationSkipped, match="need a pitched voice; got drums alone"):
        domain.evaluate(Sampler(domain, Tiny(domain.voices)), data, keyed_rng(0), tmp_path)


@pytest.mark.parametrize(
    ("voices", "floors"),
    [
        (PIANO, ["bars shuffled", "hands shuffled"]),
        (MELODY_PIANO, ["bars shuffled", "voices shuffled", "hands shuffled"]),
        ((Voice("lead", min_pitch=48, num_pitches=48),), ["bars shuffled"]),
    ],
)
def test_every_layout_is_measured_without_a_degenerate_column(
    tmp_path, monkeypatch, voices, floors
):
    monkeypatch.setattr(evaluation, "SAMPLED", 40)
    monkeypatch.setattr(evaluation, "COMPARED", 4)
    monkeypatch.setattr(window_boundaries, "PIECES", 4)
    source = write_piano_songs(tmp_path / "songs", voices)
    data = SongWindowDataset(source, voices=voices, bars=5)
    table = evaluate(data, tmp_path)
    names = list(table.rows)
    assert names[: 3 + len(floors)] == [*ROWS[:2], *floors, "independent cells"]
    assert (table.baseline, table.floor) == ("bars shuffled", "real (held out)")
    real, model = table.rows["real (held out)"], table.model
    assert 0 < real["feature_frechet_distance"] < model["feature_frechet_distance"] < 1e6
    assert undescribed("music", table.rows) == set()
    has_melody = len(voices) > 1
    assert ("melody_clash_rate" in model) is has_melody
    assert ("generator, given melody" in names) is has_melody
    assert not {"voice_crossing_rate", "tonal_distance"} & set(model)
    assert set(table.intervals["generator"]) >= {"same_cells_rate_4", "feature_frechet_distance"}
    for name in names[:2]:
        assert all(math.isfinite(value) for value in table.rows[name].values()), name


def test_a_figure_that_never_varies_is_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "SAMPLED", 40)
    monkeypatch.setattr(evaluation, "COMPARED", 4)
    monkeypatch.setattr(window_boundaries, "PIECES", 4)
    data = SongWindowDataset(write_songs(tmp_path / "songs"))
    table = evaluate(data, tmp_path)  # in quarters: all notes begin on beats
    (note,) = [note for note in table.notes if note.startswith("left out")]
    gone = note.partition(": ")[2].split(", ")
    assert {"on_beat_rate", "one_step_note_rate", "same_cells_rate_4"} <= set(gone)
    assert not set(gone) & set(table.model) and "empty_bar_rate_bass" in table.model
    assert table.model["feature_frechet_distance"] < 1e6


@pytest.mark.parametrize(
    ("bars", "time_signature", "steps_per_quarter"),
    [(2, "3/4", 4), (2, "6/8", 4), (4, "5/4", 2), (2, "4/4", 12), (2, "3/4", 3), (1, "4/4", 4)],
)
def test_songs_in_any_metre_and_on_any_grid_are_measured(
    tmp_path, monkeypatch, bars, time_signature, steps_per_quarter
):
    monkeypatch.setattr(evaluation, "SAMPLED", 40)
    monkeypatch.setattr(evaluation, "COMPARED", 4)
    monkeypatch.setattr(window_boundaries, "PIECES", 4)
    source = write_songs(tmp_path / "songs", time_signature)
    data = SongWindowDataset(
        source, bars=bars, time_signature=time_signature, steps_per_quarter=steps_per_quarter
    )
    table = evaluate(data, tmp_path)
    assert list(table.rows) == [row for row in ROWS if bars > 1 or row not in OF_SEVERAL_BARS]
    real, model = table.rows["real (held out)"], table.model
    assert real["feature_frechet_distance"] < model["feature_frechet_distance"] < math.inf
    quarters = {"3/4": 3, "6/8": 3, "5/4": 5, "4/4": 4}[time_signature]
    assert real["notes_per_bar"] == pytest.approx(4 * quarters, rel=0.1)  # minus repeated ones
    assert real["mean_note_length"] == pytest.approx(4, rel=0.15)  # sixteenths
    assert table.rows["random quarters"]["mean_note_length"] == pytest.approx(4, rel=0.15)
    assert set(table.intervals["generator"]) >= {"feature_frechet_distance", "dissonance_rate"}


def test_intervals_hold_their_figures_and_are_of_the_model_and_of_held_out_music(data, tmp_path):
    table = evaluate(data, tmp_path)
    assert set(table.intervals) == {name for name in ROWS if name.startswith("generator")} | {
        "real (held out)"
    }
    for name, ends in table.intervals.items():
        assert "feature_frechet_distance" in ends
        for metric, (low, high) in ends.items():
            assert low <= table.rows[name][metric] <= high or metric.startswith(
                "feature_frechet_distance"
            )
    assert "[" in table.markdown() and evaluate(data, tmp_path) == table


def test_a_model_that_ignores_the_melody_is_shown_as_one(data, tmp_path):
    class Deaf(Tiny):
        """Its other voices never change with what is given."""

        def forward(self, latent, condition=None):
            x = super().forward(latent)
            return x if condition is None else apply_conditioning(x, condition, self.voices)

    table = evaluate(data, tmp_path)
    row = table.rows["generator, given soprano"]
    assert (
        row["conditioning_exact_rate"] == 1 and row["melody_sensitivity"] == 0
    )  # Tiny is deaf, too
    domain = data.domain

    class Listening(Tiny):
        """It puts the melody an octave lower into all other voices."""

        def forward(self, latent, condition=None):
            x = super().forward(latent, condition)
            melody = condition.values[..., :33]
            blocks = [torch.where(condition.mask[..., :1] > 0, melody, x[..., :33])] * 4
            return apply_conditioning(torch.cat(blocks, -1), condition, self.voices)

    sampler = Sampler(domain, Listening(domain.voices))
    table = domain.evaluate(sampler, data.split("valid"), keyed_rng("e"), tmp_path)
    row = table.rows["generator, given soprano"]
    assert row["conditioning_exact_rate"] == 1 and row["melody_sensitivity"] > 0.5
    assert row["dissonance_rate_to_melody"] in (0, 1)  # one interval all the time


def test_a_generator_that_loses_what_is_given_is_shown_as_one(data, tmp_path):
    table = evaluate(data, tmp_path, listens=False)
    assert table.rows["generator, given soprano"]["conditioning_exact_rate"] == 0


def test_a_polyphonic_voice_has_a_top_and_a_bottom_line_and_drums_have_none():
    assert line_names(BAND) == ["lead", "chords_top", "chords_bottom", "bass"]
    voices = (Voice("chords", kind="polyphonic", min_pitch=60, num_pitches=8),)
    onset = torch.zeros(4, 8, dtype=torch.bool)
    sustain = torch.zeros(4, 8, dtype=torch.bool)
    onset[0, [1, 3, 6]] = sustain[1, [1, 3]] = onset[3, 5] = True
    x = encode((torch.stack([onset, sustain]).numpy(),), voices)[None]
    assert voice_lines(x, voices)[0].tolist() == [[66, 61], [63, 61], [-1, -1], [65, 65]]


def test_drums_are_counted():
    voice = (Voice("drums", kind="drums"),)
    onsets = torch.zeros(32, 9, dtype=torch.bool)
    onsets[::4, 0] = onsets[1, 2] = True
    figures = drum_figures(encode((onsets.numpy(),), voice)[None], voice, SIXTEENTHS)
    assert figures["drums_strokes_per_bar"] == 4.5
    assert figures["drums_pattern_8th"] == pytest.approx(8 / 9)
