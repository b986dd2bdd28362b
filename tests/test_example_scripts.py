"""The scripts of examples/scripts run in seconds on small data, and print what they claim."""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multigan.music.formats.midi import write_midi
from multigan.music.formats.npz import load_songs as read_songs
from tests.music.tiny import write_songs
from tests.run_helpers import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore:not measured")  # too few data for metrics
SCRIPTS = REPOSITORY / "examples" / "scripts"
RUN = {"images_from_a_folder", "fine_tune", "own_networks"}
SLOW = {"comments_from_a_csv", "songs_from_midi_files", "data_for_a_classifier"}


@pytest.fixture
def said(monkeypatch, capsys):
    """Run a script with arguments and return what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def photos(tmp_path):
    """A folder of 40 images of 8 x 8, in two classes."""
    rng = np.random.default_rng(0)
    for k in range(40):
        folder = tmp_path / "photos" / ("dark" if k % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (8, 8)) + 120 * (1 - k % 2)
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{k}.png")
    return tmp_path / "photos"


def test_every_script_is_tested_and_short():
    files = sorted(SCRIPTS.glob("*.py"))
    assert {file.stem for file in files} == RUN | SLOW
    assert all(len(file.read_text().splitlines()) < 60 for file in files)


def test_a_folder_of_images_becomes_a_generator_that_can_be_continued(said, photos, tmp_path):
    first = tmp_path / "first"
    sizes = ("--steps", 2, "--width", 4)
    shown = said("images_from_a_folder", photos, first, *sizes, "--resolution", 8)
    assert "report.html" in shown and len(list(first.glob("*.png"))) == 16
    again = said("fine_tune", first / "run", photos, tmp_path / "second", *sizes)
    assert "report.html" in again and (tmp_path / "second" / "recipe.json").is_file()


def test_own_networks_are_trained(said, tmp_path):
    assert "radius of the samples" in said("own_networks", tmp_path / "out", "--steps", 5)


@pytest.mark.slow
def test_comments_of_a_table_become_lines_of_each_class(said, tmp_path):
    words = ["good", "bad", "film", "song", "very", "not", "the", "a"]
    rng = np.random.default_rng(0)
    with (tmp_path / "comments.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "comment", "mood"])
        for k in range(400):
            table.writerow([k, " ".join(rng.choice(words, 6)), ("up", "down")[k % 2]])
    columns = ("--text", "comment", "--label", "mood")
    shown = said(
        "comments_from_a_csv", tmp_path / "comments.csv", tmp_path / "out", *columns, "--tiny"
    )
    assert "\ndown\n" in f"\n{shown}" and "\nup\n" in f"\n{shown}"


@pytest.mark.slow
def test_midi_files_become_songs(said, tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for name, song in read_songs(Path(write_songs(tmp_path / "made")) / "songs.npz").items():
        write_midi(song, folder / name)
    shown = said("songs_from_midi_files", folder, tmp_path / "out", "--tiny")
    assert "files in" in shown and list((tmp_path / "out" / "samples").glob("*.mid"))


@pytest.mark.slow
def test_data_for_a_classifier_are_measured(said, tmp_path):
    shown = said("data_for_a_classifier", tmp_path / "out", "--per-class", 2, "--tiny")
    assert "accuracy" in shown
