"""`--init-from`: rows of classes are matched by name, and fresh tensors are reported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from multigan.core.serialization import to_config
from multigan.engine.trainer import AdversarialTrainer
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.r3gan import R3GANDiscriminator, R3GANGenerator
from multigan.storage.weights import load_matching, match_embedding_rows, save_weights, unique_state
from multigan.text.domain import TextDomain
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator
from multigan.text.models.transformer_discriminator import TextTransformer
from multigan.training.launch import train
from multigan.training.loop import Loop
from multigan.training.warm_start import warm_start
from tests.run_helpers import STEPS, tiny_recipe

OLD, NEW = ("cat", "dog"), ("ape", "cat", "dog")
SIZES = {"resolution": 8, "channels": 1}
IMAGE_DOMAIN = {
    "component": "image/ImageDomain",
    "arguments": {"channels": 3, "height": 16, "width": 16},
}
WITH_CLASSES = {
    "dcgan": lambda n: DCGANGenerator(**SIZES, widths=(4,), num_classes=n),
    "dcgan_d": lambda n: DCGANDiscriminator(**SIZES, widths=(4,), num_classes=n),
    "spectral_d": lambda n: DCGANDiscriminator(
        **SIZES, widths=(4,), norm="spectral", num_classes=n
    ),
    "r3gan": lambda n: R3GANGenerator(**SIZES, widths=(8, 8), group_size=8, num_classes=n),
    "r3gan_d": lambda n: R3GANDiscriminator(**SIZES, widths=(8, 8), group_size=8, num_classes=n),
    "text": lambda n: TextGenerator(9, 5, n, "lstm"),
    "text_d": lambda n: TextTransformer(9, 5, n, width=8),
    "cnn_d": lambda n: TextCNN(9, n),
}


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begin a run, which trains no step, on images in sub-folders that are its classes."""
    monkeypatch.setattr(Loop, "run", lambda self: self)

    def on(*classes, **options):
        data = tmp_path / "-".join(classes)
        drawn = np.random.default_rng(len(classes))
        for path in (data / name / f"{number}.png" for name in classes for number in range(12)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(path)
        out = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        settings = {"width": 4, "resolution": 16, "report": False}
        settings["cache_dir"] = str(tmp_path / "cache")
        train("image", tiny=True, out=str(out), data=str(data), show=False, **settings | options)
        return out

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return on


def rows_of(run, *classes):
    """The row of each class in the tables of the networks that a run began with."""
    folder = run / "checkpoints" / "step-000000000"
    tables = {file.stem: load_file(file)["label.weight"] for file in folder.glob("*.safetensors")}
    return {
        (network, name): table[number]
        for network, table in tables.items()
        for number, name in enumerate(classes)
    }


def fresh_in(run):
    return json.loads((run / "recipe.json").read_text())["init"]["fresh"]


@pytest.mark.parametrize("new", [("dog", "zebra"), NEW, ("ant", "bee", "cat", "dog")])
def test_a_class_keeps_its_row_in_any_order_and_a_new_one_is_reported_as_fresh(new, begin):
    old = begin(*OLD, seed=1)
    lacking = [name for name in new if name not in OLD]
    with pytest.warns(UserWarning, match=rf"fresh: generator\.label \({lacking[0]}\)"):
        run = begin(*new, init_from=str(old))
    assert fresh_in(run) == [
        f"{network}.label ({name})"
        for network in ("generator", "discriminator")
        for name in lacking
    ]
    before, after, unrelated = rows_of(old, *OLD), rows_of(run, *new), rows_of(begin(*new), *new)
    for (network, name), row in after.items():
        source = "generator_ema" if network == "generator" else network
        wanted = unrelated[network, name] if name in lacking else before[source, name]
        assert torch.equal(row, wanted), (network, name)


def test_the_same_classes_start_from_the_same_tensors_and_nothing_is_fresh(begin):
    old = begin(*OLD, seed=1)
    run = begin(*OLD, init_from=str(old))
    assert fresh_in(run) == []
    for name in ("generator_ema", "discriminator"):
        was, now = (
            load_file(r / "checkpoints" / "step-000000000" / f"{name}.safetensors")
            for r in (old, run)
        )
        assert was.keys() == now.keys() and all(torch.equal(was[k], now[k]) for k in was)


def test_where_no_class_is_known_the_whole_table_is_fresh(begin):
    old = begin(*OLD, seed=1)
    with pytest.warns(UserWarning, match=r"fresh: generator\.label\.weight"):
        run = begin("ant", "bee", init_from=str(old))
    assert fresh_in(run) == ["generator.label.weight", "discriminator.label.weight"]


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_every_network_with_classes_has_its_rows_moved(name):
    old, new = WITH_CLASSES[name](len(OLD)), WITH_CLASSES[name](len(NEW))
    table = next(key for key in unique_state(new) if key.startswith("label") and "0._" not in key)
    first, before = unique_state(new)[table].clone(), unique_state(old)[table]
    moved, lacking = match_embedding_rows(new, unique_state(old), {"label": NEW}, {"label": OLD})
    assert lacking == {"label": ["ape"]}
    assert table not in load_matching(new, moved)
    assert torch.equal(unique_state(new)[table], torch.stack([first[0], *before]))
    moved, lacking = match_embedding_rows(old, unique_state(new), {"label": OLD}, {"label": NEW})
    assert lacking == {"label": []} and torch.equal(moved[table], before)


def test_lines_of_text_keep_their_classes_too(tmp_path):
    recipe = tiny_recipe("text")
    domain = recipe.data.domain
    turned = TextDomain(domain.tokenizer, domain.length, domain.class_names[::-1])
    save_weights(tmp_path / "old", recipe.generator, {"domain": to_config(turned)})
    before = recipe.generator.label.weight.detach().clone()
    trainer = AdversarialTrainer(tiny_recipe("text", seed=1), seed=0)
    assert warm_start(trainer, str(tmp_path / "old"))["fresh"] == ["discriminator (all of it)"]
    for network in (trainer.generator, trainer.ema.module):
        assert torch.equal(network.label.weight, before.flip(0))


def test_weights_of_another_vocabulary_are_refused(tmp_path):
    """The rows of its tables have the same shape, and belong to other words."""
    recipe = tiny_recipe("text")
    domain = recipe.data.domain
    vocabulary = json.loads(domain.tokenizer)
    ids = vocabulary["model"]["vocab"]
    one, other = sorted(ids, key=ids.get)[-2:]
    ids[one], ids[other] = ids[other], ids[one]
    turned = TextDomain(json.dumps(vocabulary), domain.length, domain.class_names)
    save_weights(tmp_path / "old", recipe.generator, {"domain": to_config(turned)})
    trainer = AdversarialTrainer(tiny_recipe("text", seed=1), seed=0)
    with pytest.raises(ValueError, match=r"its vocabulary must be that of this run.*--tokenizer"):
        warm_start(trainer, str(tmp_path / "old"))


def test_only_a_table_that_is_called_like_the_wish_and_is_as_long_goes_by_name():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.label, self.token = nn.Embedding(4, 3), nn.Embedding(3, 3)

    tensors = unique_state(Network())
    moved, lacking = match_embedding_rows(Network(), tensors, {"label": NEW}, {"label": OLD})
    assert lacking == {} and moved == tensors


@pytest.mark.parametrize(
    "domain",
    [
        {"component": "recipe/Unknown", "arguments": {}},
        IMAGE_DOMAIN,
        {"component": "image/ImageDomain", "arguments": IMAGE_DOMAIN["arguments"] | {"labels": 5}},
        {
            "component": "image/ImageDomain",
            "arguments": IMAGE_DOMAIN["arguments"] | {"labels": ["cat"]},
        },
    ],
)
def test_of_a_file_that_does_not_say_which_class_a_row_is_no_row_is_taken(domain, begin, tmp_path):
    old = begin(*OLD, seed=1)
    tensors = load_file(old / "checkpoints" / "step-000000000" / "generator_ema.safetensors")
    text = json.dumps({"format": 2, "domain": domain})
    save_file(tensors, tmp_path / "mailed", metadata={"multigan": text})
    with pytest.warns(UserWarning, match=r"generator\.label\.weight"):
        run = begin(*OLD, init_from=str(tmp_path / "mailed"))
    assert "generator.label.weight" in fresh_in(run)


@pytest.fixture
def points(points_run, tmp_path, monkeypatch):
    """A copy of a finished run whose best generator is that of an earlier step."""
    monkeypatch.setattr(Loop, "run", lambda self: self)
    run = Path(shutil.copytree(points_run, tmp_path / "points"))
    best = run / "checkpoints" / "best"
    shutil.rmtree(best)
    shutil.copytree(run / "checkpoints" / f"step-{STEPS - 2:09d}", best)
    return run


def begun_from(source, out, **hyperparameters):
    """The tensors of a points run that begins from there, by network; and its record."""
    settings = {"init_from": str(source), "show": False, "report": False}
    train("points", tiny=True, out=str(out), **settings, **hyperparameters)
    folder = out / "checkpoints" / "step-000000000"
    found = {file.stem: load_file(file) for file in folder.glob("*.safetensors")}
    return found, json.loads((out / "recipe.json").read_text())["init"]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_discriminator_of_a_run_comes_with_the_generator_it_was_trained_with(points, tmp_path):
    start, record = begun_from(points, tmp_path / "again")
    newest = points / "checkpoints" / f"step-{STEPS:09d}"
    files = [newest / f"{name}.safetensors" for name in ("generator_ema", "discriminator")]
    assert same(start["generator"], load_file(files[0]))
    assert same(start["generator_ema"], load_file(files[0]))
    assert same(start["discriminator"], load_file(files[1]))
    assert set(record["files"]) == {str(file) for file in files} and record["fresh"] == []


def test_where_the_newest_checkpoint_is_damaged_both_come_from_the_one_before(points, tmp_path):
    newest, before = (points / "checkpoints" / f"step-{n:09d}" for n in (STEPS, STEPS - 2))
    (newest / "discriminator.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="the one before it is used"):
        start, record = begun_from(points, tmp_path / "again")
    assert same(start["generator"], load_file(before / "generator_ema.safetensors"))
    assert {Path(file).parent for file in record["files"]} == {before}


def test_where_there_is_a_generator_alone_the_discriminator_is_reported_as_fresh(points, tmp_path):
    file = points / "checkpoints" / "best" / "generator_ema.safetensors"
    (tmp_path / "exported").mkdir()
    shutil.copy(file, tmp_path / "exported")
    for number in (0, 2, 4, 6):
        shutil.rmtree(points / "checkpoints" / f"step-{number:09d}", ignore_errors=True)
    for source in (file, tmp_path / "exported", points):
        with pytest.warns(UserWarning, match=r"is fresh: discriminator \(all of it\)"):
            start, record = begun_from(source, tmp_path / f"of-{source.name}")
        assert record["fresh"] == ["discriminator (all of it)"] and len(record["files"]) == 1
        assert same(start["generator"], load_file(file))


def test_it_is_reported_first_however_much_else_does_not_fit(points, tmp_path):
    file = points / "checkpoints" / "best" / "generator_ema.safetensors"
    with pytest.warns(UserWarning, match=r"is fresh: discriminator \(all of it\), generator\."):
        begun_from(file, tmp_path / "wider", width=9)
