"""Every command and every Python block of the README and the documentation pages runs as written.

Those of the MIDI guide are in tests/music/test_documented_results.py.
"""

import importlib.util
import json
import re
import shlex
import shutil
import threading
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from multigan.cli import app
from multigan.core.evaluation_size import small_evaluations
from multigan.engine import refinement
from multigan.storage.pretrained import list_pretrained
from multigan.text import commands
from multigan.text.analysis import likelihood_baselines, temperature_sweep
from multigan.training import environment
from tests.documentation_blocks import (
    PAGES,
    blocks,
    commands_of,
    inline_code,
    inline_commands,
    python_of,
    shorten,
)
from tests.music.example_songs import write_example_songs
from tests.run_helpers import REPOSITORY, lines_of, python, train_tiny
from tests.studio.server_process import ask

pytestmark = pytest.mark.filterwarnings("always")  # warnings are printed lines, as for users

# Pages with commands, and the runs that their readers have: directory -> recipe.
RUNS = {
    "README.md": {},
    "docs/installation.md": {},
    "docs/quickstart.md": {},
    "docs/concepts/losses-and-penalties.md": {},
    "docs/guides/callbacks.md": {},
    "docs/guides/conditional-sampling.md": {"image-0001": "image", "text-0001": "text"},
    "docs/guides/evaluation.md": {"digits": "image", "faces": "image"},
    "docs/guides/export-to-hub.md": {"digits": "image"},
    "docs/guides/interpolation.md": {"digits": "image", "ring": "points"},
    "docs/guides/melody-and-accompaniment.md": {"pop-0001": "pop"},
    "docs/guides/refinement.md": {"points": "points"},
    "docs/guides/report-and-compare.md": {"a": "points", "b": "points", "digits": "image"},
    "docs/guides/resume-and-checkpoints.md": {},
    "docs/guides/train-on-your-images.md": {"image-0001": "image"},
    "docs/guides/train-on-your-text.md": {"text-0001": "text"},
    "docs/guides/writing-a-recipe.md": {},
    "docs/reference/cli.md": {"a": "points", "b": "points"},
}
PAGES_ELSEWHERE = {
    "docs/guides/train-on-your-midi.md": "tests/music/test_documented_results.py",
    "docs/guides/distributed.md": "torchrun: parsed here; tests/training/test_torchrun.py runs it",
    "docs/benchmarks/real-files.md": "minutes on published songs: make real-files",
}
PROGRAMS_NOT_RUN = {
    "python3": "installation needs the network",
    ".": "installation",
    "pip": "installation needs the network",
    "make": "targets are checked against the Makefile",
    "pytest": "runs this test",
}
RUN_ELSEWHERE = "runs/music-0001"  # tests/music/test_documented_results.py
PYTHON_PAGES = {
    "README.md",
    "docs/quickstart.md",
    "docs/guides/callbacks.md",
    "docs/guides/python-api.md",
    "docs/guides/refinement.md",
    "docs/guides/your-own-data-and-networks.md",
    "docs/guides/train-on-your-text.md",
    "docs/guides/train-on-your-midi.md",  # tests/music/test_documented_results.py
    "docs/guides/writing-a-recipe.md",
    "docs/guides/your-own-domain.md",  # includes files that tests/test_new_domain.py installs
}
LANGUAGES = {"bash", "python", "text", "toml"}
FEW_EPOCHS = refinement.RefinementSettings(1, 64, validation_samples=64)
FEWER = [  # besides the samples of small evaluations; the commands are the same
    (temperature_sweep, "REPEATS", 2),
    (temperature_sweep, "_inverse_temperatures", lambda *_: (1.0, 1.3)),
    (likelihood_baselines, "INVERSE_TEMPERATURES", (1.0, 1.3)),
    (commands, "MAX_HYPOTHESES", 50),
    (refinement, "RefinementSettings", lambda *_, **__: FEW_EPOCHS),
]


@pytest.fixture
def few_samples(monkeypatch):
    """Evaluations of few samples, helper models of few steps."""
    for module, name, value in FEWER:
        monkeypatch.setattr(module, name, value)
    with small_evaluations():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that returns a tiny run of a recipe, trained once."""
    folder, made = tmp_path_factory.mktemp("trained"), {}

    def run_of(recipe):
        if recipe not in made:
            options = {"steps": 2, "cache_dir": str(folder / "cache" / "multigan")}
            made[recipe] = train_tiny(recipe, folder / recipe, **options).path
        return made[recipe]

    return run_of


@pytest.fixture
def workplace(tmp_path, trained, few_samples, monkeypatch):
    """A function that fills the empty current folder with runs, and returns it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(trained("image").parent / "cache"))

    def put(runs):
        for name, recipe in runs.items():
            shutil.copytree(trained(recipe), tmp_path / "runs" / name)
        return tmp_path

    return put


class Flatten(torch.nn.Module):
    """A feature extractor: the bytes of the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().flatten(1)


def write_images(folder, first=0):
    """60 different color images in two classes."""
    rng = np.random.default_rng(first)
    for number in range(60):
        place = folder / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        image = Image.fromarray(noise).resize((16, 16), Image.Resampling.BILINEAR)
        image.save(place / f"{number:04d}.png")


def write_idx(file, array):
    """Write bytes as an IDX file: two zeros, the type, the number of axes, sizes, data."""
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    file.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def write_image_data(folder):
    """The images that pages name."""
    for name, first in {"photos": 0, "few": 0, "faces": 0, "more": 100}.items():
        write_images(folder / name, first)
    shutil.copy(folder / "photos" / "dog" / "0003.png", folder / "3.png")
    (folder / "mnist").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 8, 8))
    for part in ("train", "t10k"):
        write_idx(folder / "mnist" / f"{part}-images-idx3-ubyte", noise)
        write_idx(folder / "mnist" / f"{part}-labels-idx1-ubyte", np.arange(60) % 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Flatten()).save(str(folder / "inception.pt"))


def write_text_data(folder):
    """The text files that pages name."""
    lines = [f"the {a} cat and the {b} dog sleep.\n" for a in range(20) for b in range(20)]
    (folder / "my.txt").write_text("".join(lines))
    rows = [f'{k},"{line.strip()}",{("sad", "glad")[k % 2]}' for k, line in enumerate(lines)]
    (folder / "my.csv").write_text("\n".join(["id,text,mood", *rows]))
    (folder / "poems").mkdir()
    (folder / "poems" / "one.txt").write_text("\n".join(lines))
    (folder / "COCO").mkdir()
    for name, part in {"train.txt": lines[:200], "test.txt": lines[200:]}.items():
        (folder / "COCO" / name).write_text("".join(part))


@pytest.fixture
def page_folder(workplace):
    """A function that prepares what the reader of a page has."""

    def prepare(page):
        folder = workplace(RUNS[page])
        write_image_data(folder)
        write_text_data(folder)
        write_example_songs(folder)
        return folder

    return prepare


SERVERS = ("studio", "watch")  # commands


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


def execute(words, capsys):
    """Run a command in seconds and return its output."""
    words = shorten(words)
    port = ["--port", "0"] if words[0] in SERVERS else []
    status = app.main([*words, *port])
    printed = capsys.readouterr()
    assert status == 0 and "error" not in printed.err, f"{shlex.join(words)}: {printed.err}"
    return printed.out


FAST_PAGES = {
    "README.md",
    "docs/installation.md",
    "docs/quickstart.md",
}  # others: make docs-commands


@pytest.mark.parametrize(
    "page",
    [p if p in FAST_PAGES else pytest.param(p, marks=pytest.mark.slow) for p in RUNS],
)
def test_every_command_of_a_page_does_what_it_shows(page, page_folder, served, monkeypatch, capsys):
    monkeypatch.setattr(environment, "testable_domains", lambda: ["points"])
    folder, shown = page_folder(page), commands_of(page)
    shown = [words for words in shown if words[0] not in PROGRAMS_NOT_RUN]
    shown = [words for words in shown if RUN_ELSEWHERE not in words]
    assert shown and {words[0] for words in shown} == {"multigan"}
    for words in shown:
        if words[1:3] == ["image", "export-dataset"]:  # its folder must not exist
            shutil.rmtree(folder / words[words.index("--out") + 1], ignore_errors=True)
        assert execute(words[1:], capsys) or words[1] == "copy", words
        if "--out" in words:
            out = folder / words[words.index("--out") + 1]
            assert out.is_file() or any(out.iterdir()), words
    assert len(served) == sum(words[1] in SERVERS for words in shown)
    assert all(status == 200 for status, *_ in served)


def test_no_page_is_left_out():
    assert {b.language for b in blocks()} <= LANGUAGES
    assert {b.page for b in blocks() if b.language == "bash"} == {*RUNS, *PAGES_ELSEWHERE}
    assert {b.page for b in blocks() if b.language == "python"} == PYTHON_PAGES


def test_programs_that_are_not_run_are_shown():
    shown = {words[0] for page in RUNS for words in commands_of(page)}
    assert shown - {"multigan"} == PROGRAMS_NOT_RUN.keys()


def names_left_by(code):
    """The variables after a block of Python."""
    names = {"__name__": "block"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(code, names)
    return names


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/guides/python-api.md"])
def test_the_python_that_trains_a_recipe_runs(page, workplace):
    folder = workplace({})
    shutil.copytree(REPOSITORY / "recipes", folder / "recipes")
    code = python_of(page)[0].replace("steps=1000", "steps=2, tiny=True, show=False")
    assert "tiny=True" in code
    names = names_left_by(code)
    assert [image.size for image in names["images"]] == [(16, 16)] * 8


def test_the_python_of_a_training_loop_runs(workplace, capsys):
    workplace({})
    loop = python_of("docs/guides/python-api.md")[1]
    names = names_left_by(loop.replace("steps=500", "steps=200").replace("256", "16"))
    assert names["samples"].shape == (4, 2)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["100", "200"]


@pytest.mark.slow
def test_the_python_about_own_data_and_networks_runs(workplace):
    workplace({})
    for code in python_of("docs/guides/your-own-data-and-networks.md"):
        names = names_left_by(code.replace("steps=200", "steps=20"))
        assert names["run"].log[-1]["step"] == 20


@pytest.mark.slow
def test_the_python_about_refinement_runs(workplace):
    workplace({"points": "points"})
    (code,) = python_of("docs/guides/refinement.md")
    assert len(names_left_by(code)["points"]) == 100


@pytest.mark.slow
def test_the_python_about_text_runs(workplace):
    workplace({"text-0001": "text"})
    (code,) = python_of("docs/guides/train-on-your-text.md")
    names = names_left_by(code)
    assert len(names["lines"]) == 20 and len(names["scored"]) == 4
    assert all(line.startswith("We must") for line in names["lines"])


def test_the_recipe_of_the_guide_trains(workplace, capsys):
    folder = workplace({})
    (code,) = python_of("docs/guides/writing-a-recipe.md")
    (folder / "ring.py").write_text(f'"""Eight Gaussians."""\n{code}')
    assert "--gamma" in execute(["show", "./ring.py"], capsys)
    execute(["train", "./ring.py", "--out", "run"], capsys)
    assert (folder / "run" / "recipe.json").is_file()


def test_the_guide_to_a_domain_includes_the_files_of_a_tested_one():
    code = python_of("docs/guides/your-own-domain.md")
    included = [re.fullmatch(r'--8<-- "(.+)"\n', block) for block in code]
    folder = REPOSITORY / "tests" / "audio_toy_domain"
    assert all(included)
    assert {REPOSITORY / found[1] for found in included} == set(folder.glob("*.py"))


def test_every_included_file_exists():
    names = [name for text in PAGES.values() for name in re.findall(r'--8<-- "(.+)"', text)]
    assert len(names) > 7 and all((REPOSITORY / name).is_file() for name in names)


def test_a_run_holds_what_the_listing_says(workplace, capsys):
    folder = workplace({"image-0001": "image"}) / "runs" / "image-0001"
    execute(["evaluate", str(folder)], capsys)
    execute(["report", str(folder)], capsys)
    (text,) = (b.text for b in blocks() if b.page == "docs/reference/run-directory.md")
    names = re.findall(r"^  (\S+)", text, re.MULTILINE)
    assert len(names) == 8 and all(list(folder.glob(name)) for name in names)
    listed = {path for name in names for path in folder.glob(name)} | {folder / "recipe.py"}
    assert {path for path in folder.iterdir() if path.name[0] != "."} == listed


def test_a_run_of_text_holds_its_tokenizer(workplace):
    folder = workplace({"text-0001": "text"}) / "runs" / "text-0001" / "tokenizer"
    assert {path.name for path in folder.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}


SLOW_MUSIC = pytest.param("music", marks=pytest.mark.slow)


@pytest.mark.parametrize("recipe", ["image", SLOW_MUSIC, "points", "text"])
def test_every_log_key_of_a_run_is_documented(recipe, trained):
    page = PAGES["docs/reference/log-keys.md"]
    documented = set(re.findall(r"`([\w/]+)`", page)) | {"penalty/r1", "penalty/r2"}
    logged = {key for line in lines_of(trained(recipe) / "log.jsonl") for key in line}
    assert logged - documented == set()


def test_every_metric_of_the_pretrained_generators_is_documented():
    page = PAGES["docs/reference/metrics.md"]
    patterns = [re.sub(r"_k\b|\*", r"\\w+", name) for name in re.findall(r"`([\w*]+)`", page)]
    documented = re.compile("|".join(patterns))
    for weights in list_pretrained().values():
        rows = json.loads(weights.with_suffix(".json").read_text())["metrics"]["rows"]
        missing = {key for row in rows.values() for key in row if not documented.fullmatch(key)}
        assert missing - NOT_IN_THE_METRICS_PAGE == set(), weights.stem


NOT_IN_THE_METRICS_PAGE = {"windows", "lines"}  # counts of samples


def command_and_rest(words):
    """The command that the first words name, and the words after these."""
    import click

    found, rest = app.program(), list(words)
    while rest and hasattr(found, "get_command") and not rest[0].startswith("-"):
        context = click.Context(found)
        found, rest = found.get_command(context, rest[0]), rest[1:]
        assert found is not None, words
    return found, rest


def assert_known(words):
    """The command exists and accepts every option that is named."""
    command, rest = command_and_rest(words)
    known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "--install-completion"}
    assert {word for word in rest if word.startswith("-")} <= known, words


def test_commands_in_running_text_exist_with_their_options(workplace):
    workplace({"RUN": "image", "digits": "image"})
    found = inline_commands("multigan")
    assert len(found) > 20
    for words in found.values():
        assert_known(["runs/RUN" if word in ("RUN", "hub") else word for word in words[1:]])
    with pytest.raises(AssertionError):
        assert_known(["train", "points", "--no-such-option", "1"])


SAMPLED = [text for text in inline_commands("multigan") if text.startswith("multigan sample ")]


@pytest.mark.parametrize("text", [text for text in SAMPLED if "RUN" not in text])
def test_pretrained_generators_are_sampled_as_the_text_says(text, workplace, capsys):
    words = inline_commands("multigan")[text][1:]
    assert words[1] in list_pretrained()
    execute(words, capsys)
    assert any((workplace({}) / "samples").iterdir())


def test_a_line_of_torchrun_is_valid_and_names_a_command(workplace):
    from torch.distributed.run import get_args_parser

    workplace({"image-0001": "image"})
    lines = commands_of("docs/guides/distributed.md")
    assert len(lines) == 3
    for program, *words in lines:
        options = get_args_parser().parse_args(words)
        assert (program, options.module, options.training_script) == ("torchrun", True, "multigan")
        assert_known(options.training_script_args)


def targets():
    """The targets of the Makefile."""
    return set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def test_modules_and_targets_that_the_text_names_exist():
    modules = [words[2] for words in inline_commands("python").values() if words[1] == "-m"]
    assert len(modules) > 5 and all(map(importlib.util.find_spec, modules))
    named = [words for page in RUNS for words in commands_of(page) if words[0] == "make"]
    assert {words[1] for words in [*inline_commands("make").values(), *named]} <= targets()


def test_the_extras_of_the_makefile_are_those_of_the_pages():
    extras = re.search(r"EXTRAS := (\S+)", (REPOSITORY / "Makefile").read_text())[1]
    for page in ("README.md", "docs/installation.md"):
        assert f"'.[{extras}]'" in PAGES[page]


def test_files_that_the_text_names_exist():
    pattern = re.compile(r"(?:tests|multigan|recipes|docs)/[\w./-]+\.(?:py|md)")
    named = {span for span in inline_code() if pattern.fullmatch(span)}
    placeholders = {"recipes/benchmarks/NAME.py"}
    assert len(named) > 20
    assert [name for name in named - placeholders if not (REPOSITORY / name).is_file()] == []


def test_links_of_the_readme_exist():
    links = re.findall(r"\]\(([^)#]+)", PAGES["README.md"])
    local = [link for link in links if "://" not in link]
    assert len(local) > 20 and all((REPOSITORY / link).is_file() for link in local)


def test_the_site_builds_without_warnings(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings_handlers"):
        pytest.importorskip(package, reason="pip install 'multigan[docs]'")
    done = python(
        "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site", cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
