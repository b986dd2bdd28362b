"""Images come in one fixed range, and splits are disjoint, stratified and the same everywhere."""

import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_digits

from multigan.core.recipe_file import build_recipe, read_recipe
from multigan.core.serialization import from_config, to_config
from multigan.image.datasets.images import SPLITS, ImageDataset, load_images
from multigan.image.datasets.sources import read_images
from multigan.image.formats.decode import Size

SMALL = {"resolution": 8, "width": 4}


def everything(data):
    return data.batch(torch.arange(len(data)))


def test_digits_at_their_own_size_are_scikit_learns():
    batch = everything(load_images("digits", resolution=8))
    digits = load_digits()
    assert batch.x.shape == (1797, 1, 8, 8) and batch.x.dtype == torch.float32
    levels = (batch.x[:, 0] + 1) * 127.5 * 16 / 255  # to within half a byte
    torch.testing.assert_close(levels.double(), torch.from_numpy(digits.images), atol=0.04, rtol=0)
    assert batch.condition.dtype == torch.int64
    assert batch.condition.tolist() == digits.target.tolist()


def test_the_range_is_fixed_and_not_that_of_the_batch():
    batch = everything(load_images("digits", resolution=8))
    assert batch.x.min() == -1 and batch.x.max() == 1
    bytes_again = (batch.x + 1) * 127.5
    torch.testing.assert_close(bytes_again, bytes_again.round(), atol=1e-4, rtol=0)
    dim = batch.x[:, 0].flatten(1).amax(1).argmin()  # no image is stretched to the full range
    alone = load_images("digits", resolution=8).batch(dim[None])
    assert torch.equal(alone.x[0], batch.x[dim]) and alone.x.max() < 1


def test_doubling_the_size_interpolates_between_pixel_centres():
    small, large = (everything(load_images("digits", resolution=r)).x for r in (8, 16))
    assert large.shape == (1797, 1, 16, 16)
    corner = small[:, 0, 0, 0]
    torch.testing.assert_close(large[:, 0, 0, 0], corner, atol=1e-5, rtol=0)
    expected = 0.75 * small[:, 0, 3, 0] + 0.25 * small[:, 0, 4, 0]
    torch.testing.assert_close(large[:, 0, 7, 0], expected, atol=0.01, rtol=0)


def test_shrinking_averages_what_it_drops():
    small, tiny = (everything(load_images("digits", resolution=r)).x for r in (8, 4))
    torch.testing.assert_close(small.mean(), tiny.mean(), atol=0.02, rtol=0)
    assert tiny.std() < small.std()


def test_splits_are_disjoint_complete_and_hold_every_class_in_the_same_share():
    data = load_images("digits", resolution=8)
    parts = {name: everything(data.split(name)) for name in SPLITS}
    assert [len(part.x) for part in parts.values()] == [1258, 270, 269]
    rows = sorted(tuple(x.flatten().tolist()) for part in parts.values() for x in part.x)
    assert rows == sorted(tuple(x.flatten().tolist()) for x in everything(data).x)
    totals = everything(data).condition.bincount()
    for name, (first, last) in SPLITS.items():
        shares = parts[name].condition.bincount() / totals
        torch.testing.assert_close(shares, torch.full((10,), last - first), atol=0.006, rtol=0)


def test_splits_hold_the_same_images_at_every_resolution():
    labels = [
        everything(load_images("digits", resolution=r).split("valid")).condition for r in (8, 16)
    ]
    assert torch.equal(*labels)


def test_splits_are_the_same_on_every_machine():
    valid = load_images("digits", resolution=8).split("valid")
    assert valid.fingerprint == "2e62d88b31484d1c1f96be049c613e20"
    assert everything(valid).condition[:12].tolist() == [3, 0, 5, 6, 0, 7, 4, 1, 9, 5, 2, 1]


def test_a_split_of_a_split_is_cut_from_the_whole_source():
    data = ImageDataset("digits", 8, split="train")
    assert data.split("test").fingerprint == ImageDataset("digits", 8, split="test").fingerprint


def test_the_fingerprint_follows_the_bytes():
    prints = {ImageDataset("digits", r, subset).fingerprint for r in (8, 16) for subset in SPLITS}
    assert len(prints) == 6
    assert ImageDataset("digits", 8).fingerprint == ImageDataset("digits", 8).fingerprint


def test_the_same_indices_give_the_same_batch_whatever_the_generator():
    data = load_images("digits", resolution=8)
    indices = torch.tensor([3, 3, 1700])
    first, second = data.batch(indices), data.batch(indices, torch.Generator())
    assert torch.equal(first.x, second.x) and torch.equal(first.x[0], first.x[1])
    assert first.condition.shape == (3,)


def test_a_batch_lies_on_the_device_of_its_indices():
    data = load_images("digits", resolution=8)
    assert data.batch(torch.arange(2, device="meta")).x.device.type == "meta"
    assert read_images("digits", Size(8, 8)).pixels.device.type == "cpu"


def test_images_survive_json():
    data = ImageDataset("digits", 8, "valid")
    description = to_config(data)
    assert description["component"] == "image/ImageDataset"
    again = from_config(description)
    assert again.fingerprint == data.fingerprint
    assert again.domain == data.domain and data.domain.class_names[3] == "3"


def test_mistakes_are_answered_in_one_line():
    with pytest.raises(
        ValueError, match=r"data must be one of digits, fashion-mnist, .*; got 'cats'"
    ):
        load_images("cats", resolution=8)
    with pytest.raises(ValueError, match="must have 1 x 1 pixels or more; got 0 x 0"):
        load_images("digits", resolution=0)
    with pytest.raises(ValueError, match="split must be one of train, valid, test; got 'dev'"):
        load_images("digits", resolution=8).split("dev")


def test_importing_the_domain_imports_no_torch():
    code = "import sys, multigan.image; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_margin_is_black_and_the_images_inside_it_are_that_much_smaller():
    framed, plain = (
        ImageDataset("digits", 12, "valid", padding=2),
        ImageDataset("digits", 8, "valid"),
    )
    x = framed.batch(torch.arange(len(framed))).x
    assert framed.domain.shape == (1, 12, 12) and framed.fingerprint != plain.fingerprint
    assert torch.equal(x[:, :, 2:-2, 2:-2], plain.batch(torch.arange(len(plain))).x)
    edge = torch.ones(12, 12, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    assert (x[:, :, edge] == -1).all()
    for again in (from_config(to_config(framed)), framed.split("valid")):
        assert again.fingerprint == framed.fingerprint
    with pytest.raises(ValueError, match="must have 1 x 1 pixels or more; got 0 x 0"):
        ImageDataset("digits", 4, padding=2)


def test_unconditional_images_are_those_of_the_labeled_splits_without_labels():
    labeled, plain = (load_images("digits", resolution=8, unconditional=u) for u in (False, True))
    for name in SPLITS:
        of_labeled, of_plain = everything(labeled.split(name)), everything(plain.split(name))
        assert torch.equal(of_plain.x, of_labeled.x)
        assert of_labeled.condition is not None and of_plain.condition is None
    assert plain.domain.num_classes == 0 and plain.split("train").domain.class_names == ()
    assert plain.fingerprint != labeled.fingerprint
    again = from_config(to_config(plain))
    assert again.fingerprint == plain.fingerprint and again.labels is None


def test_unconditional_networks_of_labeled_images_have_no_classes():
    built = build_recipe(read_recipe("image"), {"unconditional": True} | SMALL, 0)
    assert built.generator.num_classes is None and built.discriminator.num_classes is None
    assert build_recipe(read_recipe("image"), SMALL, 0).generator.num_classes == 10
