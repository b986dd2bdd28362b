"""Images in memory as a dataset of the image domain, with its splits, training and evaluation."""

import numpy as np
import pytest
import torch
from torch import nn

from multigan import Recipe, load, train
from multigan.image.datasets.images import ImageDataset
from tests.run_helpers import OFTEN

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def whole(data):
    return data.batch(torch.arange(len(data)))


@pytest.mark.parametrize(
    "x",
    [
        PIXELS,
        PIXELS.transpose(0, 3, 1, 2),
        torch.from_numpy(PIXELS),
        PIXELS / 255,
        (PIXELS / 127.5 - 1).astype("float32"),
        PIXELS.astype("float64"),
    ],
)
def test_every_layout_and_range_gives_the_same_images(x):
    data = ImageDataset.from_arrays(x)
    expected = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert torch.allclose(whole(data).x, expected, atol=1e-6)
    assert data.domain.shape == (3, 8, 8) and whole(data).condition is None


def test_splits_are_disjoint_and_labels_are_numbered_with_their_names():
    data = ImageDataset.from_arrays(PIXELS[..., 0], ["b", "a"] * 20, horizontal_flip=True)
    assert data.domain.class_names == ("a", "b") and data.domain.shape == (1, 8, 8)
    parts = [data.split(name) for name in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [56, 6, 6]  # the first one also flipped
    assert len({part.fingerprint for part in parts}) == 3
    assert parts[0].split("test").fingerprint == parts[2].fingerprint
    named = ImageDataset.from_arrays(PIXELS, np.arange(40) % 2, class_names=["cat", "dog"])
    assert named.domain.class_names == ("cat", "dog")
    assert ImageDataset.from_arrays(PIXELS, resolution=4).domain.shape == (3, 4, 4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((PIXELS[0, 0],), r"x must be images \(N, H, W\).*got the shape \(8, 3\)"),
        ((PIXELS, np.arange(39)), "x must have 40 labels; got 39"),
        ((PIXELS, np.linspace(0, 1, 40)), "labels must be integers or names"),
        ((np.full((40, 8, 8), np.nan),), "must be finite"),
        ((PIXELS[:3],), "10 or more usable images; got 3"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        ImageDataset.from_arrays(*arguments)
    assert "\n" not in str(caught.value)


def test_a_run_of_images_in_memory_trains_and_samples_images(tmp_path):
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.label, self.body = nn.Embedding(2, 4), nn.Linear(4, 64)

        def forward(self, latent, label):
            return self.body(latent + self.label(label)).tanh().reshape(-1, 1, 8, 8)

    data = ImageDataset.from_arrays(PIXELS[..., 0], np.arange(40) % 2)
    scores = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    with pytest.warns(UserWarning, match="the discriminator takes no second argument"):
        recipe = Recipe(
            data=data,
            generator=Decoder(),
            latent_dim=4,
            discriminator=scores,
            steps=2,
            batch_size=8,
        )
    assert recipe.data.split_name == "train"
    with pytest.warns(UserWarning, match="not measured"):  # 6 images are held out
        run = train(recipe, out=str(tmp_path / "run"), show=0, **OFTEN)
    assert [s.info["label"] for s in run.sampler().sample(3)] == ["0", "1", "0"]
    with pytest.raises(ValueError, match=r"cannot rebuild.*trust=recipe"):
        load(run.path)


@pytest.mark.parametrize(
    "shape, channels",
    [((3, 9, 3), 3), ((1, 3, 3), 1), ((3, 9, 9), 3), ((9, 9, 3), 3), ((9, 9, 1), 1), ((9, 9), 1)],
)
def test_a_layout_that_could_be_both_has_its_channels_first(shape, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    size = shape[1:] if shape[0] == channels and len(shape) == 3 else shape[:2]
    assert ImageDataset.from_arrays(pixels).domain.shape == (channels, *size)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "b"] * 20, dtype=object),
        (np.arange(40) % 2)[:, None],
        torch.arange(40) % 2,
    ],
)
def test_labels_may_be_objects_and_columns(labels):
    assert len(ImageDataset.from_arrays(PIXELS, labels).domain.class_names) == 2


def test_tensors_of_half_precision_are_images():
    data = ImageDataset.from_arrays(torch.from_numpy(PIXELS).bfloat16())
    assert data.domain.shape == (3, 8, 8)
    with pytest.raises(ValueError, match="resolution must be 1 or more; got 0"):
        ImageDataset.from_arrays(PIXELS, resolution=0)
    with pytest.raises(ValueError, match="got a tensor on the meta device"):
        ImageDataset.from_arrays(torch.empty(40, 8, 8, device="meta"))


def test_a_mask_of_bytes_is_told_of_booleans():
    with pytest.warns(UserWarning, match="end at 1 of 255.*give a mask of 0 and 1 as booleans"):
        ImageDataset.from_arrays((PIXELS[..., 0] > 9).astype(np.uint8))
    ImageDataset.from_arrays(PIXELS[..., 0] > 9)
