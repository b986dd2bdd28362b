"""Nothing in an untrusted file is executed, and nothing is written outside the output folder."""

import contextlib
import pickle

import pytest

from multigan.core.evaluation_size import small_evaluations
from multigan.runs.directory import RunDirectory
from multigan.training import launch
from tests.fuzz.malicious import effect_of, working_in
from tests.fuzz.malicious_files import CASES, EXECUTED, Payload

FEW = [  # one of each kind; `make crafted` tries all
    "generator_ema: torch's",
    "mailed weights: a pickle",
    "train_state.pt: nested",
    "train_state.pt: the old format",
    "weights: domain os.system",
    "recipe.json: data recipe/Evil",
    "recipe.json: cache_dir {outside}/escaped",
    "manifest.json: {outside}/escaped",
    "zip: ../../outside/escaped",
    "link: .lock to victim.txt",
    "link: log.jsonl to absent",
    "x.npy of objects",
    "songs.npz of objects",
    "tokenizer folder with code",
]


@pytest.fixture(autouse=True)
def _few_samples():
    with small_evaluations():
        yield


@pytest.mark.parametrize("name", FEW)
def test_a_crafted_file_runs_nothing_and_writes_nothing_outside(
    name, points_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    effect = effect_of(name, points_run, tmp_path / "box")
    assert (effect.executed, effect.written_outside, effect.escaped) == (False, (), ())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES.keys() - set(FEW)))
def test_no_other_crafted_file_does_either(name, points_run, tmp_path, monkeypatch):
    test_a_crafted_file_runs_nothing_and_writes_nothing_outside(
        name, points_run, tmp_path, monkeypatch
    )


def test_the_payload_works_where_a_pickle_is_opened(tmp_path):
    with working_in(tmp_path):
        pickle.loads(pickle.dumps(Payload()))
    assert (tmp_path / EXECUTED).exists()


def test_a_link_that_is_followed_is_found_out(points_run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(RunDirectory, "reject_links", lambda self: None)
    monkeypatch.setattr(launch, "run_lock", lambda folder: contextlib.nullcontext())
    effect = effect_of("link: checkpoints to victim.txt", points_run, tmp_path / "box")
    assert effect.written_outside
