"""Generated images become a dataset that is read back with its classes."""

import pytest
import torch

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.image.commands import export_dataset
from multigan.image.datasets import sources
from multigan.image.datasets.images import load_images
from multigan.image.domain import ImageDomain
from multigan.image.formats.labels import class_of_folder, folder_name
from tests.image.test_projector import Shade
from tests.run_helpers import snapshot


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()


@pytest.fixture
def sampler():
    return Sampler(ImageDomain(1, 4, 4, ("light", "dark")), Shade())


def test_what_is_written_is_read_back_as_a_labelled_set(sampler, tmp_path, capsys):
    out = tmp_path / "made"
    export_dataset(sampler, per_class=20, out=str(out))
    assert capsys.readouterr().out == f"40 images of 2 classes in {out}: train --data {out}\n"
    data = load_images(str(out), resolution=4)
    assert data.domain.class_names == ("dark", "light")
    batch = data.batch(torch.arange(40))
    assert batch.condition.tolist() == [0] * 20 + [1] * 20
    requested = sampler.sample(20, keyed_rng(0, "augment", 1).initial_seed(), label="dark")
    assert torch.equal(batch.x[:20], sampler.domain.images_to_tensor(requested))
    assert batch.x[:20].mean() > batch.x[20:].mean() + 0.5, "Shade's second class is the lighter"


def test_the_same_seed_writes_the_same_files_and_more_go_on_from_fewer(sampler, tmp_path):
    made = {}
    for name, options in {
        "a": {"per_class": 3},
        "b": {"per_class": 5},
        "c": {"per_class": 3, "seed": 1},
        "d": {"per_class": 3, "truncation": 0.1},
    }.items():
        export_dataset(sampler, out=str(tmp_path / name), **options)
        made[name] = snapshot(tmp_path / name)
    assert made["a"].items() <= made["b"].items() and len(made["b"]) == 10
    assert not made["a"].items() & made["c"].items()
    assert not made["a"].items() & made["d"].items()


def test_no_two_classes_share_their_latents(sampler, tmp_path):
    export_dataset(sampler, per_class=4, out=str(tmp_path / "made"))
    data = open_images_of(tmp_path / "made")
    centered = data - data.mean((1, 2), keepdim=True)
    assert (centered[:4] - centered[4:]).abs().flatten(1).amax(1).min() > 0.05


def open_images_of(folder):
    """The images (N, H, W) of a folder with class folders, in [-1, 1]."""
    domain = ImageDomain(1, 4, 4)
    files = [file for file in sorted(folder.rglob("*.png"))]
    from PIL import Image

    return domain.images_to_tensor([Image.open(file) for file in files])[:, 0]


@pytest.mark.parametrize(
    ("labels", "options", "answer"),
    [
        ((), {}, "must be trained on a dataset with classes"),
        (("a", "b"), {"per_class": 0}, "per-class must be 1 or more; got 0"),
        (("a", "b"), {"truncation": -1.0}, "truncation must be positive; got -1.0"),
    ],
)
def test_invalid_requests_are_refused_in_one_line(labels, options, answer, tmp_path):
    with pytest.raises(ValueError, match=answer) as caught:
        export_dataset(
            Sampler(ImageDomain(1, 4, 4, labels), Shade()), out=str(tmp_path / "made"), **options
        )
    assert "\n" not in str(caught.value) and not (tmp_path / "made").exists()


def test_nothing_is_added_to_a_folder_that_holds_something(sampler, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be empty or missing; choose another --out"):
        export_dataset(sampler, out=str(tmp_path))
    assert set(snapshot(tmp_path)) == {"mine.txt"}


def test_a_generator_of_something_else_is_refused(tmp_path):
    from multigan.points.domain import PointsDomain

    with pytest.raises(ValueError, match="generator must be one of images"):
        export_dataset(Sampler(PointsDomain("ring"), Shade()), out=str(tmp_path / "made"))


def test_a_class_name_stays_inside_its_folder_and_no_two_become_one(tmp_path):
    names = [
        "cat",
        "t-shirt/top",
        "..",
        "../../x",
        "",
        ".hidden",
        "a%2Fb",
        "a/b",
        "Größe 4.5",
        "\0",
    ]
    folders = [folder_name(name) for name in names]
    assert folders[:4] == ["cat", "t-shirt%2Ftop", "%2E%2E", "%2E.%2F..%2Fx"]
    assert folders[8] == "Größe 4.5" and len(set(folders)) == len(names)
    assert [class_of_folder(folder) for folder in folders] == names
    sampler = Sampler(ImageDomain(1, 4, 4, ("../../out", "/abs")), Shade())
    export_dataset(sampler, per_class=1, out=str(tmp_path / "a" / "b"))
    assert set(snapshot(tmp_path)) == {"a/b/%2E.%2F..%2Fout/000000.png", "a/b/%2Fabs/000000.png"}
