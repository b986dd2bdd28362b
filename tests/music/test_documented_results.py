"""Every command and every line of Python that the README shows of music works as it stands."""

import shlex
import warnings

import pytest

from multigan.cli.app import main
from multigan.core.rng import keyed_rng
from multigan.music import commands
from multigan.music.datasets import sources
from multigan.music.datasets.song_windows import load_splits
from multigan.music.datasets.synthetic_chorales import generate_songs
from multigan.music.formats.song import Song
from multigan.music.metrics import evaluation, window_boundaries
from tests.documentation_blocks import python_of, quick, shown
from tests.music.jsb_data import FILE

COMMANDS = [words[1:] for words in shown("Music")]
(PYTHON,) = python_of("Music")
OTHERS = {FILE.name: FILE, "chorales": "composed"}


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Few songs by rule and few windows to measure: the commands are the same."""
    monkeypatch.setattr(sources, "COMPOSED", {"train": 12, "valid": 4, "test": 4})
    monkeypatch.setattr(evaluation, "SAMPLED", 48)
    monkeypatch.setattr(evaluation, "COMPARED", 8)
    monkeypatch.setattr(window_boundaries, "PIECES", 4)
    monkeypatch.setattr(commands, "SAMPLED", 48)
    load_splits.cache_clear()
    yield
    load_splits.cache_clear()  # other tests know more songs by this name


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder with the files that the README names."""
    folder = tmp_path_factory.mktemp("readme")
    made = [found.song for found in generate_songs("satb", 4, keyed_rng("readme"), bars=5)]
    made[0].to_midi(folder / "song.mid")
    soprano = Song((made[0].track("soprano"),), made[0].length_ticks)
    soprano.to_midi(folder / "melody.mid")
    (folder / "midi").mkdir()
    for number, song in enumerate(made):
        song.to_midi(folder / "midi" / f"{number}.mid")
    return folder


def test_every_command_of_the_readme_does_what_it_shows(shelf, monkeypatch, capsys):
    monkeypatch.chdir(shelf)
    monkeypatch.setenv("XDG_CACHE_HOME", str(shelf / "cache"))
    shown = {command[0] for command in COMMANDS}
    assert shown == {"train", "sample", "interpolate", "music", "evaluate"} and len(COMMANDS) > 15
    for command in COMMANDS:
        if FILE.name in command and not FILE.exists():
            continue
        assert main(quick(command, OTHERS)) == 0, (
            f"{shlex.join(command)}: {capsys.readouterr().err}"
        )
        assert "error" not in capsys.readouterr().err
        if "--out" in command:
            assert any((shelf / command[command.index("--out") + 1]).iterdir())
    same = [Song.from_midi(shelf / name / "000000.mid") for name in ("longer", "separate")]
    assert same[0].length_ticks == same[1].length_ticks == 7 * 1920
    harmonised = Song.from_midi(shelf / "harmonised" / "000000.mid").track("soprano")
    assert harmonised.notes == Song.from_midi(shelf / "melody.mid").track("soprano").notes


def test_the_python_of_the_readme_runs(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    if not (shelf / "runs" / "music-0001").exists():
        assert main(quick(["train", "music"])) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = {}
        exec(PYTHON.replace("bars=16", "bars=3"), names)
    assert [len(names[name]) for name in ("free", "harmonised", "filled", "longer")] == [8, 4, 4, 4]
    assert names["longer"][0].length_ticks == 13 * 1920
    assert names["filled"][0].track("alto").notes == Song.from_midi("song.mid").track("alto").notes
