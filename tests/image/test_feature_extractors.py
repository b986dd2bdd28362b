"""Feature extractors: built-in networks by name, and a file of the user."""

import re
import warnings

import pytest
import torch
from torch import nn

from multigan.image.metrics import feature_extractors
from multigan.image.metrics.feature_extractors import (
    PerChannelExtractor,
    TorchScriptExtractor,
    get_extractor,
)
from tests.image.tiny import Images

COLOR = (3, 8, 8)


class Means(nn.Module):
    """Stands in for Inception: bytes in, the channel means and the largest byte out."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if not return_features:
            return torch.zeros(images.shape[0], 1000)
        assert images.dtype == torch.uint8
        flat = images.float().flatten(2)
        return torch.cat([flat.mean(2), flat.amax(2)], 1)[:, :, None, None]


class Flat(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().flatten(1)


def scripted(module, file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(file))
    return file


def test_a_torchscript_file_receives_rgb_bytes_and_returns_features(tmp_path):
    file = scripted(Means(), tmp_path / "inception.pt")
    extractor = get_extractor(str(file), Images(), (1, 8, 8), 2, tmp_path)
    x = torch.full((2, 1, 8, 8), -1.0)
    x[1, 0, 0, 0] = 1
    assert extractor.width == 6
    found = extractor.features(x)
    torch.testing.assert_close(found[0], torch.zeros(6))
    torch.testing.assert_close(found[1], torch.tensor([255 / 64] * 3 + [255.0] * 3))
    assert re.fullmatch(
        r"the TorchScript file inception\.pt \([0-9a-f]{8}\), .*", extractor.description
    )


def test_a_torchscript_file_without_that_argument_is_called_plainly(tmp_path):
    extractor = TorchScriptExtractor(scripted(Flat(), tmp_path / "flat.pt"), COLOR)
    assert extractor.features(torch.ones(2, *COLOR)).tolist() == [[255.0] * 192] * 2


def test_what_is_no_torchscript_file_is_refused_in_one_line(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"weights\.pt must be a TorchScript file; got: [^\n]*$"):
        TorchScriptExtractor(file, COLOR)


def test_a_network_that_fails_on_the_images_is_one_line(tmp_path):
    file = scripted(nn.Conv2d(3, 4, 3).eval(), tmp_path / "floats.pt")  # takes no bytes
    with pytest.raises(ValueError, match=r"fails on uint8 \(2, 3, 8, 8\): [^\n]*$"):
        TorchScriptExtractor(file, COLOR)


@pytest.mark.parametrize(
    ("wish", "num_classes", "answer"),
    [
        ("inception", 2, "must be auto, classifier, random, .* got 'inception'"),
        ("random:x", 2, "got 'random:x'"),
        ("classifier", 0, "images without classes"),
    ],
)
def test_an_unknown_extractor_is_refused(wish, num_classes, answer, tmp_path):
    with pytest.raises(ValueError, match=answer):
        get_extractor(wish, Images(), (1, 8, 8), num_classes, tmp_path)


def test_auto_is_the_classifier_of_labelled_images_and_else_random_weights(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(feature_extractors, "_train", lambda *_: trained.append(1))
    for wish, classes, expected in [
        ("auto", 2, True),
        ("classifier", 2, True),
        ("auto", 0, False),
        ("random", 2, False),
    ]:
        extractor = get_extractor(wish, Images(), (1, 8, 8), classes, tmp_path / wish)
        assert (
            (extractor.head is not None)
            == expected
            == extractor.description.startswith("a classifier")
        )
    assert len(trained) == 2


def test_the_weights_of_a_random_extractor_follow_from_its_seed(tmp_path):
    def opened(wish, cache):
        extractor = get_extractor(wish, Images(), (1, 8, 8), 2, tmp_path / cache)
        return extractor.features(Images().batch(torch.arange(5)).x)

    first, same, other = opened("random", "a"), opened("random:0", "b"), opened("random:7", "a")
    assert torch.equal(first, same) and torch.equal(other, opened("random:7", "c"))
    assert not torch.allclose(first, other, atol=0.1)


@pytest.mark.parametrize(("wish", "seed"), [("random", 0), ("random:7", 7), ("auto", 0)])
def test_a_random_extractor_describes_its_seed(wish, seed, tmp_path):
    extractor = get_extractor(wish, Images(), (1, 8, 8), 0, tmp_path)
    assert extractor.description.endswith(f"with the fixed weights of seed {seed}")


def test_a_stack_is_classified_channel_by_channel():
    layer = feature_extractors.Extractor(1, 8, 8, num_classes=4).eval()
    stack = torch.randn(5, 3, 8, 8)
    eyes = PerChannelExtractor(layer, 3)
    with torch.no_grad():
        alone = [layer.features(stack[:, c : c + 1]) for c in range(3)]
        torch.testing.assert_close(eyes.features(stack), torch.cat(alone, 1))
        last = layer(stack[:, 2:]).argmax(1)
        assert torch.equal(eyes.predict_classes(stack)[:, 2], last)
    assert eyes.width == 3 * feature_extractors.FEATURES
