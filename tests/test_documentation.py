"""Every command and every line of Python that the README shows does what stands there.

Those of music are in tests/music/test_documented_results.py.
"""

import importlib.util
import re
import shlex
import shutil
import threading
import warnings

import pytest
import torch

from multigan.cli import app
from multigan.image.metrics import feature_extractors, image_metrics, path_length
from multigan.text import commands
from multigan.text.analysis import likelihood_baselines, temperature_sweep
from multigan.text.metrics import evaluation, language_model, mauve
from multigan.training import environment
from tests.documentation_blocks import blocks, python_of, quick, said, shown
from tests.image.image_factory import content, folder_of, random_image
from tests.image.test_arrays import idx
from tests.image.test_feature_extractors import Flat, scripted
from tests.run_helpers import REPOSITORY, train_tiny
from tests.studio.server_process import ask

pytestmark = pytest.mark.filterwarnings("always")  # warnings are lines here, as users see them

# Blocks without a language whose lines are run elsewhere, or are no commands.
NOT_RUN = {
    "": "installation: needs the network",
    "Many processes": "torchrun: lines parsed here; tests/training/test_torchrun.py runs it",
    "Music": "tests/music/test_documented_results.py",
    "A run directory": "a listing, which is compared with a run",
}
PYTHON_ELSEWHERE = {"Music"}
QUICK = [
    (feature_extractors, "STEPS", 2),
    (image_metrics, "SUBSETS", 2),
    (path_length, "PLACES", 2),
    (path_length, "WALKS", 4),
    (evaluation, "MAX_SAMPLES", 64),
    (evaluation, "MAX_HELD_OUT", 64),
    (language_model, "MAX_STEPS", 2),
    (mauve, "CLUSTERINGS", 1),
    (temperature_sweep, "REPEATS", 2),
    (temperature_sweep, "_inverse_temperatures", lambda *_: (1.0, 1.3)),
    (likelihood_baselines, "INVERSE_TEMPERATURES", (1.0, 1.3)),
    (commands, "MAX_HYPOTHESES", 50),
]


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Measurements of few samples, helpers of few steps: the commands are the same."""
    for module, name, value in QUICK:
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny run of each domain that is asked for."""
    folder, made = tmp_path_factory.mktemp("trained"), {}

    def run_of(domain):
        if domain not in made:
            options = {"steps": 2, "cache_dir": str(folder / "cache" / "multigan")}
            made[domain] = train_tiny(domain, folder / domain, **options).path
        return made[domain]

    return run_of


@pytest.fixture
def shelf(tmp_path, tmp_path_factory, trained, monkeypatch):
    """An empty folder to work in, and what puts runs there."""
    monkeypatch.chdir(tmp_path)
    cache = trained("image").parent / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def put(**runs):
        for place, domain in runs.items():
            shutil.copytree(trained(domain), tmp_path / "runs" / place.replace("_", "-"))
        return tmp_path

    return put


def pictures_of_ones_own(folder):
    """What the sections about pictures name."""
    folder_of(folder / "photos", 60)
    folder_of(folder / "few", 60)
    folder_of(folder / "faces", 60)
    folder_of(folder / "more", 60, start=100)
    (folder / "3.png").write_bytes(content(random_image(3)))
    (folder / "mnist").mkdir()
    noise = torch.randint(0, 256, (60, 8, 8), generator=torch.Generator()).byte().numpy()
    for part in ("train", "t10k"):
        (folder / "mnist" / f"{part}-images-idx3-ubyte").write_bytes(idx(noise))
        labels = (torch.arange(60) % 10).byte().numpy()
        (folder / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    scripted(Flat(), folder / "inception.pt")


def lines_of_ones_own(folder):
    """What the section about text names."""
    lines = [f"the {a} cat and the {b} dog sleep.\n" for a in range(20) for b in range(20)]
    (folder / "my.txt").write_text("".join(lines))
    (folder / "COCO").mkdir()
    for name, part in {"train.txt": lines[:200], "test.txt": lines[200:]}.items():
        (folder / "COCO" / name).write_text("".join(part))


def prepared(section, shelf):
    """Put the runs and files there that a section begins with."""
    runs = {
        "The command line": {"a": "points", "b": "points"},
        "Studio, export, doctor, ready-made": {"digits": "image"},
        "How results are judged": {"digits": "image", "faces": "image"},
        "Pictures of your own": {"image_0001": "image"},
        "Text": {"text_0001": "text"},
    }
    folder = shelf(**runs.get(section, {}))
    pictures_of_ones_own(folder)
    lines_of_ones_own(folder)
    return folder


@pytest.fixture
def served(monkeypatch):
    """Servers that answer one request and stop as at Ctrl-C; the answers."""
    uvicorn = pytest.importorskip("uvicorn", reason="pip install 'multigan[studio]'")
    run, answers = uvicorn.Server.run, []

    def answer_once(server, sockets):
        thread = threading.Thread(target=run, args=(server, sockets))
        thread.start()
        answers.append(ask(sockets[0].getsockname()[1], "/"))
        server.should_exit = True
        thread.join(timeout=30)

    monkeypatch.setattr(uvicorn.Server, "run", answer_once)
    return answers


def do(words, capsys):
    """Run a command in seconds; what it printed."""
    words = quick(words)
    port = ["--port", "0"] if words[0] == "studio" else []
    status = app.main([*words, *port])
    printed = capsys.readouterr()
    assert status == 0 and "error" not in printed.err, f"{shlex.join(words)}: {printed.err}"
    return printed.out


SECTIONS = list(dict.fromkeys(b.section for b in blocks() if not b.language))


@pytest.mark.parametrize("section", [name for name in SECTIONS if name not in NOT_RUN])
def test_every_command_of_a_section_does_what_it_shows(section, shelf, served, monkeypatch, capsys):
    monkeypatch.setattr(environment, "testable_domains", lambda: ["points"])
    folder, commands = prepared(section, shelf), shown(section)
    assert commands and {words[0] for words in commands} == {"multigan"}
    for words in commands:
        if words[1:3] == ["image", "augment"]:
            shutil.rmtree(folder / "more")
        assert do(words[1:], capsys) or words[1] in ("copy",), words
        if "--out" in words:
            assert any((folder / words[words.index("--out") + 1]).iterdir()), words
        if words[1] == "export":
            do(["sample", "hub"], capsys)
    assert len(served) == sum("studio" in words for words in commands)
    assert all(status == 200 for status, *_ in served)


def test_no_section_is_left_out():
    assert set(NOT_RUN) < set(SECTIONS)
    assert {b.language for b in blocks()} == {"", "python"}
    assert {b.section for b in blocks() if b.language} == {"From Python", "Text", *PYTHON_ELSEWHERE}


def test_the_python_of_a_recipe_and_of_an_own_loop_runs(shelf, capsys):
    folder = shelf()
    shutil.copytree(REPOSITORY / "recipes", folder / "recipes")
    short, loop = python_of("From Python")
    names = executed(short.replace("steps=1000", "steps=2, tiny=True, show=False"))
    assert [picture.size for picture in names["pictures"]] == [(16, 16)] * 8
    capsys.readouterr()
    names = executed(loop.replace("steps=500", "steps=200").replace("256", "16"))
    assert names["samples"].shape == (4, 2)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["100", "200"]


def test_the_python_about_text_runs(shelf):
    shelf(text_0001="text")
    (code,) = python_of("Text")
    names = executed(code)
    assert len(names["lines"]) == 20 and len(names["scored"]) == 4
    assert all(line.startswith("We must") for line in names["lines"])


def executed(code):
    """The names that a block of Python leaves."""
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(code, names)
    return names


def test_a_run_holds_what_the_listing_says(shelf, capsys):
    folder = shelf(image_0001="image") / "runs" / "image-0001"
    do(["evaluate", str(folder)], capsys)
    do(["report", str(folder)], capsys)
    (text,) = (b.text for b in blocks() if b.section == "A run directory")
    names = re.findall(r"^  (\S+)", text, re.MULTILINE)
    assert len(names) == 7 and all(list(folder.glob(name)) for name in names)
    listed = {path for name in names for path in folder.glob(name)} | {folder / "recipe.py"}
    assert {path for path in folder.iterdir() if path.name[0] != "."} == listed


def test_a_run_of_text_holds_its_tokenizer(shelf):
    folder = shelf(text_0001="text") / "runs" / "text-0001" / "tokenizer"
    assert {path.name for path in folder.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}


def command_and_rest(words):
    """The command of the program that the first words name, and the words after these."""
    import click
    import typer

    found, rest = typer.main.get_command(app.app), list(words)
    while rest and hasattr(found, "get_command") and not rest[0].startswith("-"):
        context = click.Context(found)
        found, rest = found.get_command(context, rest[0]), rest[1:]
        assert found is not None, words
    return found, rest


def assert_known(words):
    """The command is there and takes every option that is named."""
    command, rest = command_and_rest(words)
    known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "--install-completion"}
    assert {word for word in rest if word.startswith("-")} <= known, words


def test_commands_in_running_text_exist_with_their_options(shelf):
    shelf(RUN="image", digits="image")
    app._add_verbs()
    texts = said("multigan")
    assert len(texts) > 20
    for words in texts.values():
        assert_known(["runs/RUN" if word in ("RUN", "hub") else word for word in words[1:]])
    with pytest.raises(AssertionError):
        assert_known(["train", "points", "--no-such-option", "1"])


@pytest.mark.parametrize("text", [t for t in said("multigan") if t.startswith("multigan sample ")])
def test_ready_made_generators_are_sampled_as_the_text_says(text, shelf, capsys):
    words = said("multigan")[text][1:]
    if words[1] not in ("RUN", "hub"):
        folder = shelf()
        do(words, capsys)
        assert any((folder / "samples").iterdir())


def test_a_line_of_torchrun_is_one_that_it_reads_and_names_a_command_of_ours(shelf, trained):
    from torch.distributed.run import get_args_parser

    shelf(image_0001="image")
    lines = shown("Many processes")
    assert len(lines) == 3
    for program, *words in lines:
        options = get_args_parser().parse_args(words)
        assert (program, options.module, options.training_script) == ("torchrun", True, "multigan")
        assert_known(options.training_script_args)


def test_modules_and_targets_that_the_text_names_exist():
    modules = [words[2] for words in said("python").values()]
    assert len(modules) > 5 and all(map(importlib.util.find_spec, modules))
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    lines = shown("")
    assert {words[1] for words in [*said("make").values(), *lines[:2]]} <= set(targets)
    wanted = re.search(r"EXTRAS := (\S+)", (REPOSITORY / "Makefile").read_text())[1]
    assert any(wanted in word for words in lines for word in words if word.startswith(".["))
