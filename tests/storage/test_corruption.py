"""A damaged file of a run is recovered from or refused by name; `-m slow -s` prints the table."""

import os
import pickle
import shutil
import warnings
from pathlib import Path

import pytest

from multigan.cli import app
from tests.run_helpers import STEPS


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def empty(file):
    file.write_bytes(b"")


DAMAGES = {
    "truncated": truncate,
    "bit flipped": flip_a_bit,
    "emptied": empty,
    "missing": Path.unlink,
}
NEWEST, BEST = f"checkpoints/step-{STEPS:09d}", "checkpoints/best"
FILES = [
    *("recipe.json", "recipe.py", "log.jsonl", "metrics.jsonl"),
    *(f"{NEWEST}/{n}.safetensors" for n in ("generator", "generator_ema", "discriminator")),
    *(f"{NEWEST}/train_state.pt", f"{NEWEST}/manifest.json"),
    *(f"{BEST}/generator_ema.safetensors", f"{BEST}/manifest.json"),
]
NEEDED = {  # by each command, beside recipe.json; what it does not open cannot harm it
    "resume": {"log.jsonl", *(file for file in FILES if file.startswith(NEWEST))},
    "sample": {file for file in FILES if file.startswith(BEST)},
    "evaluate": {file for file in FILES if file.startswith(BEST)},
}
VERBS = {
    "resume": ["--steps", str(STEPS + 1)],
    "sample": ["-n", "1"],
    "evaluate": ["--json"],
}


def outcome(verb, run, capsys):
    """What a command says about a run: recovered (with a warning), refused, or goes on."""
    capsys.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        status = app.main([verb, str(run), *VERBS[verb]])
    said = capsys.readouterr().err.splitlines()
    told = [str(w.message) for w in caught if "change nothing" not in str(w.message)]
    told += [line for line in said if line.startswith("warning") and "change nothing" not in line]
    if status == 0:
        return "recovered" if told else "goes on", told
    assert status == 2 and said[-1].startswith("error: ") and "internal error" not in said[-1], said
    return "refused", said[-1:]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_recovered_from_or_refused(
    file, points_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    row = []
    for damage, harm in DAMAGES.items():
        for verb in VERBS:
            run = Path(shutil.copytree(points_run, tmp_path / verb / damage))
            harm(run / file)
            found, told = outcome(verb, run, capsys)
            if file == "recipe.json" and verb != "sample":
                assert found == "refused" and "recipe.json" in told[0]
            elif file in NEEDED[verb] and (file, damage) != ("log.jsonl", "bit flipped"):
                place = Path(file).parent.name or file  # which checkpoint it was, or the log
                assert found == "recovered" and place in told[0], (damage, verb, told)
            row.append(f"{damage}, {verb}: {found}")
    with capsys.disabled():
        print(f"\n{file}\n  " + "\n  ".join(row))


class Payload:
    """A pickle that runs a command when it is opened."""

    def __reduce__(self):
        return (os.system, ("touch executed",))


@pytest.fixture
def copied(points_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(points_run, tmp_path / "run"))


@pytest.mark.parametrize("name", ["generator_ema.safetensors", "discriminator.safetensors"])
def test_a_pickle_in_the_place_of_weights_is_refused_and_runs_nothing(name, copied, capsys):
    from multigan.storage.checkpoint_integrity import MANIFEST, sha256
    from tests.run_helpers import edit_json

    for folder in (copied / "checkpoints").iterdir():
        if (folder / name).exists():
            (folder / name).write_bytes(pickle.dumps(Payload()))
            edit_json(folder / MANIFEST, **{name: sha256(folder / name)})
    verbs = ["resume"] if name.startswith("disc") else list(VERBS)
    for verb in verbs:
        found, told = outcome(verb, copied, capsys)
        assert found == "refused" and f"{name} must be an intact safetensors file" in told[0]
    assert not Path("executed").exists()


HOSTILE = ["os.system", "os/system", "builtins/eval", "../points/MLPGenerator", "points/", "", None]


@pytest.mark.parametrize("name", [*HOSTILE, "points/domain.PointsDomain", "multigan.points/layers"])
def test_a_part_is_looked_up_and_never_imported(name, copied, capsys):
    import json

    from tests.run_helpers import edit_json

    recipe = json.loads((copied / "recipe.json").read_text())["recipe"]
    recipe["data"] = {"component": name, "arguments": {"command": "touch executed"}}
    edit_json(copied / "recipe.json", recipe=recipe)
    for verb in ("resume", "evaluate"):
        assert outcome(verb, copied, capsys)[0] == "refused"
    assert not Path("executed").exists()


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(copied, capsys):
    file = copied / "mailed.safetensors"
    for size in (2**63 - 1, 2**40, 10**9):
        file.write_bytes(size.to_bytes(8, "little") + b"{}")
        found, told = outcome("sample", file, capsys)
        assert found == "refused" and "must be an intact safetensors file" in told[0]


def test_sampling_a_file_writes_below_its_output_folder_only(copied, capsys):
    file = Path(shutil.copy(copied / BEST / "generator_ema.safetensors", "..points..safetensors"))
    before = {path for path in Path().rglob("*") if not path.is_relative_to("samples")}
    assert outcome("sample", file, capsys)[0] == "goes on"
    assert {path for path in Path().rglob("*") if not path.is_relative_to("samples")} == before


def test_a_recipe_file_in_a_run_is_never_executed(copied, capsys):
    (copied / "recipe.py").write_text("import os; os.system('touch executed')")
    for verb in VERBS:
        assert outcome(verb, copied, capsys)[0] == "goes on"
    assert not Path("executed").exists()
