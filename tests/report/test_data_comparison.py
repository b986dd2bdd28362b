"""Samples beside the data: nearest items and statistics agree with the data; a page has them."""

import base64
import json
import math

import pytest
import torch

from multigan import ArrayDataset
from multigan.core.data_comparison import NearestItems
from multigan.core.media import SCORED_TEXT, sample_media
from multigan.core.protocols import Medium
from multigan.music.metrics import nearest_windows
from multigan.music.representations.tensors import num_channels
from multigan.music.representations.voices import Voice
from multigan.report.html_elements import LEVELS, level_of, percent, render_media
from multigan.report.report import report
from multigan.report.sample_media import nearest_pairs, plain
from multigan.runs.data_comparison import (
    COMPARISON,
    read_data_comparison,
    update_data_comparison,
)
from multigan.storage.loading import load, load_run_data
from multigan.text.metrics.line_statistics import lengths, nearest_lines, repeated_phrases
from multigan.text.sampling import ScoredText, scored_pieces
from tests.run_helpers import untrained_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each domain that compares, and its data."""
    folder = tmp_path_factory.mktemp("runs")
    made = {name: untrained_run(name, folder / name) for name in ("image", "music", "text")}
    for run in made.values():
        update_data_comparison(run, load_run_data(run))
    return made


@pytest.mark.parametrize("name", ["image", "music", "text"])
def test_samples_are_compared_with_all_training_items(runs, name):
    found = read_data_comparison(runs[name])
    sampler, data = load(runs[name]), load_run_data(runs[name])
    assert found.num_compared == found.num_items == len(data)
    assert len(found.distances) == len(found.neighbors) == 64
    assert found.held_out and all(distance >= 0 for distance in found.distances)
    one = found.neighbors[0]
    assert one.distance == min(found.distances) == found.distances[one.position]
    known = sample_media(
        sampler.domain, sampler.domain.decode(data.batch(torch.arange(len(data))).x)
    )
    assert one.medium.content in {medium.content for medium in known}


@pytest.mark.parametrize("name", ["image", "text"])
def test_a_page_shows_each_sample_with_its_nearest_training_item(runs, name):
    page = report(runs[name]).read_text()
    assert "Nearest training data" in page and " of 64 samples are nearer" in page
    assert page.count('<li class="pair">') == {"image": 64, "text": 24}[name]


def test_the_nearest_image_is_the_one_of_the_smallest_difference(runs):
    data = load_run_data(runs["image"])
    x = data.batch(torch.arange(len(data))).x
    asked = torch.cat([x[5:7], -x[:1]])
    found = data.domain.nearest_items(data.domain.decode(asked), data, torch.Generator())
    differences = ((asked[:, None] - x) / 2).square().flatten(2).mean(2).sqrt()
    assert found.num_compared == len(data)
    assert found.distances == pytest.approx(differences.min(1).values.tolist(), abs=2 / 255)
    assert found.distances[:2] == pytest.approx([0, 0], abs=1e-6)


def test_the_nearest_window_is_the_same_music_in_any_key(runs):
    data = load_run_data(runs["music"])
    songs = data.domain.decode(data.batch(torch.tensor([3, 8])).x)
    moved = [songs[0], songs[1].transpose(1)]
    found = data.domain.nearest_items(moved, data, torch.Generator())
    assert found.distances == pytest.approx([0, 0], abs=1e-6)
    assert found.items[0] == songs[0] and found.num_compared == len(data)


def test_a_first_pass_through_a_large_set_finds_the_windows_that_were_copied(runs, monkeypatch):
    data = load_run_data(runs["music"])
    songs = data.domain.decode(data.batch(torch.tensor([3, 8])).x)
    whole = data.domain.nearest_items(songs, data, torch.Generator())
    cells = sum(v.num_pitches for v in data.domain.voices) * data.domain.grid.steps
    monkeypatch.setattr(nearest_windows, "MAX_PRODUCTS", 12 * 2 * cells * (len(data) // 3))
    found = data.domain.nearest_items(songs, data, torch.Generator())
    assert found.items == whole.items and found.num_compared == len(data)
    monkeypatch.setattr(nearest_windows, "MAX_PRODUCTS", 12 * 2 * cells)
    assert data.domain.nearest_items(songs, data, torch.Generator()).num_compared == 4


def test_the_nearest_line_shares_most_words_and_pairs():
    known = ["we must act now", "the state of the union", "we must wait"]
    found = nearest_lines(["we must act", "THE STATE of the union", "x"], known, torch.Generator())
    assert found.items[:2] == known[:2]
    # 5 of its 5 words and pairs, and of 7: 1 - 2 * 5 / 12; equal but for case; nothing shared.
    assert found.distances == pytest.approx([1 - 10 / 12, 0, 1])


def test_lines_without_any_known_word_have_distance_1():
    assert nearest_lines(["", "?"], ["a b"], torch.Generator()).distances == [1, 1]


def test_what_is_empty_is_a_copy_of_what_is_empty():
    assert nearest_lines([""], ["a b", ""], torch.Generator()).distances == [0]
    voices = (Voice("drums", kind="drums"),)
    windows = torch.zeros(2, 4, num_channels(voices[0]))
    windows[0, 0, 0] = 1
    data = ArrayDataset(windows.numpy())
    _, distances, _ = nearest_windows.nearest_windows(windows, data, voices, torch.Generator())
    assert distances == [0, 0]


def test_phrases_are_counted_by_lines_and_beside_held_out_lines():
    lines = ["we must act now now", "so we must act now", "we must act now we must act now", "no"]
    found = repeated_phrases(lines, ["we must act now", "we must not act", "a b c d"])
    assert found.rows == [
        ("we must act now", 75, pytest.approx(100 / 3))
    ]  # a phrase of two or more


def test_lengths_are_fractions_of_both_sides():
    found = lengths(["a b", "a b c"], ["a", "a b c d"])
    assert [name for name, _, _ in found.rows] == ["0", "1", "2", "3", "4"]
    assert [own for _, own, _ in found.rows] == [0, 0, 50, 50, 0]
    assert sum(real for _, _, real in found.rows) == 100
    assert len(lengths(["a " * 500], ["b"]).rows) <= 12


@pytest.mark.parametrize("prompt", [None, "the small", "Ü ö"])
def test_the_pieces_of_a_scored_line_are_the_line(runs, prompt):
    sampler = load(runs["text"])
    lines = sampler.sample(16, prompt=prompt, log_probabilities=True)
    assert list(lines) == list(sampler.sample(16, prompt=prompt))
    for line in lines:
        given, pieces = scored_pieces(line, sampler.domain)
        assert given + "".join(text for text, _ in pieces) == line
        assert given.startswith(prompt or "")
        assert math.fsum(nats for _, nats in pieces) >= line.log_probability - 1e-6  # and the end


def test_a_scored_line_without_its_tokens_is_shown_as_plain_text(runs):
    domain = load(runs["text"]).domain
    (medium,) = domain.media([ScoredText("another", ["a"], [-1.0])])
    assert medium == Medium("text/plain", b"another")


def test_a_scored_line_has_colors_a_legend_and_its_figures_in_words():
    content = {"given": "we ", "pieces": [["can", math.log(0.6)], [" do", math.log(0.002)]]}
    html = render_media([Medium(SCORED_TEXT, json.dumps(content).encode())])
    assert 'we <span class="p0" title="60\N{NO-BREAK SPACE}%">can</span>' in html
    assert '<span class="p3"' in html and html.count('class="key"') == len(LEVELS) + 1
    assert "6.7 nats in all; least likely: <bdi>do</bdi>, 0.2\N{NO-BREAK SPACE}%" in html
    assert plain(Medium(SCORED_TEXT, json.dumps(content).encode())).content == b"we can do"
    assert [level_of(p) for p in (1, 0.5, 0.1, 0.01, 0.001, 0)] == [0, 0, 1, 2, 3, 4]
    assert percent(0) == "<\N{NO-BREAK SPACE}0.001\N{NO-BREAK SPACE}%"


def test_a_comparison_of_other_weights_or_a_damaged_one_is_not_shown(runs):
    file = runs["image"] / COMPARISON
    kept = file.read_bytes()
    stored = json.loads(kept)
    roll = "application/json;profile=piano-roll"
    evil = [
        dict(stored["neighbors"][0], **change)
        for change in (
            {"type": "text/html"},
            {"type": roll, "content": "W10="},
            {"type": roll, "content": "eyJ0cmFja3MiOiBbXSwgImF1ZGlvIjogIngifQ=="},
            {"content": "no base64!"},
            {"distance": "nan"},
            {"position": "x"},
            {"position": math.inf},
            {"type": roll, "content": base64.b64encode(b'{"tracks": [], "x": 1e999}').decode()},
        )
    ]
    contents = [stored | {"weights": "0" * 64}, [], stored | {"held_out": ["x"]}]
    contents += [stored | {"neighbors": [one]} for one in evil]
    contents += [stored | {"statistics": [["title"]]}]
    for content in contents:
        file.write_text(json.dumps(content))
        assert read_data_comparison(runs["image"]) is None
    file.write_text("{")
    assert read_data_comparison(runs["image"]) is None
    assert "Nearest training data" not in report(runs["image"]).read_text()
    update_data_comparison(runs["image"], load_run_data(runs["image"]))
    assert file.read_bytes() == kept  # the same samples, items and figures


def test_a_current_comparison_is_not_made_again(runs, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("multigan.runs.data_comparison._compared", refuse)
    update_data_comparison(runs["text"], load_run_data(runs["text"]))


def test_a_comparison_that_fails_is_a_warning(runs, tmp_path):
    data = load_run_data(runs["image"])
    with pytest.warns(UserWarning, match="not compared with the data: "):
        update_data_comparison(tmp_path, data)


def test_pairs_keep_to_the_samples_of_a_page(runs):
    found = read_data_comparison(runs["text"])
    samples = [Medium("text/plain", b"a")] * 3
    pairs = nearest_pairs(found, samples, 10**6)
    assert {pair.number for pair in pairs} == {1, 2, 3}
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)


def test_data_without_lines_are_not_compared(runs):
    domain = load(runs["text"]).domain
    rng = torch.Generator()
    assert domain.nearest_items(["a"], object(), rng) == NearestItems([], [], 0)
    assert domain.sample_statistics(["a"], object()) == []
