"""Every command and Python block about music in the documentation runs as written."""

import shlex
import warnings

import pytest

from multigan.cli.app import main
from multigan.music import commands
from multigan.music.datasets import sources
from multigan.music.datasets.song_windows import load_splits
from multigan.music.formats.midi import read_midi
from multigan.music.metrics import evaluation, window_boundaries
from tests.documentation_blocks import commands_of, python_of, shorten
from tests.music.example_songs import write_example_songs
from tests.music.jsb_data import FILE

GUIDE = "docs/guides/train-on-your-midi.md"
CONDITIONAL = [
    words for words in commands_of("docs/guides/conditional-sampling.md") if "music" in words[2]
]
COMMANDS = [words[1:] for words in [*commands_of(GUIDE), *CONDITIONAL]]
(PYTHON,) = python_of(GUIDE)
REPLACED = {FILE.name: FILE, "chorales": "composed"}


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """Few songs and few windows to evaluate; the commands are the same."""
    monkeypatch.setattr(sources, "COMPOSED", {"train": 12, "valid": 4, "test": 4})
    monkeypatch.setattr(evaluation, "SAMPLED", 48)
    monkeypatch.setattr(evaluation, "COMPARED", 8)
    monkeypatch.setattr(window_boundaries, "PIECES", 4)
    monkeypatch.setattr(commands, "SAMPLED", 48)
    load_splits.cache_clear()
    yield
    load_splits.cache_clear()  # other tests have more songs under this name


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("music")
    write_example_songs(folder)
    return folder


@pytest.mark.slow  # make docs-commands
def test_every_command_about_music_does_what_it_shows(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
    shown = {command[0] for command in COMMANDS}
    assert shown == {"train", "sample", "interpolate", "music", "evaluate"} and len(COMMANDS) > 15
    for command in COMMANDS:
        if FILE.name in command and not FILE.exists():
            continue
        assert main(shorten(command, REPLACED)) == 0, (
            f"{shlex.join(command)}: {capsys.readouterr().err}"
        )
        assert "error" not in capsys.readouterr().err
        if "--out" in command:
            assert any((workplace / command[command.index("--out") + 1]).iterdir())
    longer = [read_midi(workplace / name / "000000.mid") for name in ("longer", "separate")]
    assert longer[0].length_ticks == longer[1].length_ticks == 7 * 1920
    harmonized = read_midi(workplace / "harmonized" / "000000.mid").track("soprano")
    assert harmonized.notes == read_midi(workplace / "melody.mid").track("soprano").notes


@pytest.mark.slow
def test_the_python_about_music_runs(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    if not (workplace / "runs" / "music-0001").exists():
        assert main(shorten(["train", "music"])) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = {}
        exec(PYTHON.replace("bars=16", "bars=3"), names)
    assert [len(names[name]) for name in ("free", "harmonized", "infilled", "longer")] == [
        8,
        4,
        4,
        4,
    ]
    assert names["longer"][0].length_ticks == 13 * 1920
    assert names["infilled"][0].track("alto").notes == read_midi("song.mid").track("alto").notes
