"""Adding a domain is adding one package and one recipe, and editing nothing.

The package is tests/audio_toy_domain, short enough to read as a tutorial. It is copied out of the
tests as `waves` and installed as by pip: a package on the path, and an entry point in the group
multigan.domains.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.run_helpers import lines_of, python

WAVES = Path(__file__).parent / "audio_toy_domain"
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: waves\nVersion: 1\n",
    "entry_points.txt": "[multigan.domains]\nwaves = waves\n",
}
EVERY_COMMAND = """
import sys
from multigan.cli import app
for line in open(sys.argv[1]).read().splitlines():
    print(f"$ multigan {line}", flush=True)
    assert app.main(line.split()) == 0, line
"""
TRAIN = "train ./toy.py --tiny --save-every 10 --out run"
COMMANDS = f"""\
{TRAIN}
--help
show ./toy.py
sample run -n 3 --gain 0.5 --out some
sample run -n 3 --gain 0.5 --out again
sample run -n 3 --gain 0.0 --out silence
evaluate run --json
resume run --steps 24
waves loudness run --n 4
list --runs --folder .
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package `waves` installed, and its recipe beside it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(WAVES, folder / "waves", ignore=shutil.ignore_patterns("toy.py", "__py*"))
    shutil.copy(WAVES / "toy.py", folder)
    (folder / "waves-1.dist-info").mkdir()
    for name, text in METADATA.items():
        (folder / "waves-1.dist-info" / name).write_text(text)
    (folder / "commands").write_text(COMMANDS)
    return folder


@pytest.fixture(scope="module")
def output(site):
    """What each command prints, by command."""
    done = python("-c", EVERY_COMMAND, "commands", path=site, cwd=site)
    assert done.returncode == 0, done.stderr + done.stdout
    parts = [part.partition("\n") for part in done.stdout.split("$ multigan ")[1:]]
    return {command: text for command, _, text in parts}


@pytest.fixture(scope="module")
def trained(site, output):
    """The run that the command line trained from the recipe file."""
    assert "finished at step 20" in output[TRAIN]
    return site / "run"


def test_a_new_domain_trains_from_a_recipe_file_through_the_command_line(trained):
    description = json.loads((trained / "recipe.json").read_text())
    assert description["recipe"]["generator"]["component"] == "waves/WaveGenerator"
    assert (trained / "samples" / "step-000000020.txt").is_file()
    steps = [line["step"] for line in lines_of(trained / "metrics.jsonl")]
    assert steps[:2] == [10, 20]


def test_a_new_domain_is_in_the_help_with_its_commands(output):
    assert "waves" in output["--help"] and "loudness" in output["--help"]
    assert "--length" in output["show ./toy.py"]


def test_the_parameters_of_its_sample_are_options_of_the_command(site, output):
    assert "3 samples: 3 files in some" in output["sample run -n 3 --gain 0.5 --out some"]
    heights = {
        folder: [(site / folder / f"{k:06d}.txt").read_text() for k in range(3)]
        for folder in ("some", "again", "silence")
    }
    assert heights["some"] == heights["again"] != heights["silence"]
    assert {float(height) for wave in heights["silence"] for height in wave.split()} == {0.0}


def test_a_new_domain_is_evaluated_with_its_floor(output):
    table = json.loads(output["evaluate run --json"])
    assert list(table["rows"]) == ["real", "generator"] and table["notes"]
    assert table["rows"]["generator"]["loudness_error"] > 0


def test_a_new_domain_is_resumed(trained, output):
    assert "finished at step 24" in output["resume run --steps 24"]
    assert (trained / "checkpoints" / "step-000000024").is_dir()
    assert "run  finished  step 24 of 24" in output["list --runs --folder ."]


def test_a_command_of_a_new_domain_takes_a_trained_generator(output):
    assert output["waves loudness run --n 4"].startswith("loudness of 4 waves: 0.")
