"""Truncation cuts the tails and nothing else; a generator's own image is found again."""

import json

import pytest
import torch
from PIL import Image
from scipy.stats import truncnorm
from torch import nn

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.image.commands import project
from multigan.image.domain import ImageDomain
from multigan.image.projector import MAX_STARTS, invert
from multigan.image.sampling import TruncatedLatents, truncate_normal

DOMAIN = ImageDomain(1, 4, 4, ("dark", "light"))


class Shade(nn.Module):
    """Images that are a linear map of the latent, lighter in the second class."""

    def __init__(self):
        super().__init__()
        self.map = nn.Parameter(0.1 * torch.randn(3, 16, generator=keyed_rng("map")))

    def sample_latent(self, n, rng):
        return torch.randn(n, 3, generator=rng)

    def forward(self, latent, condition=None):
        level = condition[:, None, None, None].to(latent) - 0.5
        return (latent @ self.map).unflatten(1, (1, 4, 4)) + level


def test_truncated_latents_follow_the_truncated_normal_distribution():
    z = torch.randn(20_000, generator=keyed_rng(0))
    for limit in (0.5, 1.0, 2.0):
        cut = truncate_normal(z, limit)
        assert cut.abs().max() <= limit
        quantiles = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
        expected = torch.tensor(truncnorm(-limit, limit).ppf(quantiles), dtype=torch.float32)
        torch.testing.assert_close(cut.quantile(quantiles), expected, atol=0.03, rtol=0)
        assert (cut[z.argsort()].diff() >= 0).all()
    torch.testing.assert_close(truncate_normal(z, 9.0), z, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="truncation must be positive; got 0"):
        TruncatedLatents(Shade(), 0)


def test_samples_can_be_truncated_and_of_several_classes_in_turn():
    sampler = Sampler(DOMAIN, Shade())
    near, far = (sampler.sample(40, truncation=t, label="dark") for t in (0.01, 3.0))
    assert len({s.tobytes() for s in near}) < 15 < len({s.tobytes() for s in far})
    samples = Sampler(ImageDomain(1, 4, 4, ("a", "b", "c")), Shade()).sample(5, labels="c,0")
    assert [s.info["label"] for s in samples] == ["c", "a", "c", "a", "c"]
    with pytest.raises(ValueError, match="only one of label and labels can be given"):
        sampler.sample(1, label="dark", labels="0")
    with pytest.raises(ValueError, match="label 7: no such class; known: dark, light"):
        sampler.sample(1, labels="0,7")


def test_of_many_classes_the_nearest_are_searched():
    rows = []

    class Gray(Shade):
        """A class number that is the gray level, and a latent that says little."""

        def forward(self, latent, label):
            rows.append(len(latent))
            level = 2 * label.float() / 299 - 1
            return level[:, None, None, None] + 0.01 * latent[:, :1, None, None].expand(-1, 1, 4, 4)

    wanted = torch.full((1, 1, 4, 4), 2 * 120 / 299 - 1)
    found = invert(Gray(), 300, wanted, 20, keyed_rng(0))
    assert abs(found.label - 120) <= 4 and found.distance < 0.01
    assert max(rows) <= MAX_STARTS


def test_the_latent_of_a_generators_own_image_is_found_with_its_class(tmp_path, capsys):
    generator = Shade()
    latent = 0.5 * torch.randn(1, 3, generator=keyed_rng(5))
    with torch.no_grad():
        wanted = generator(latent, torch.tensor([1]))
    found, label, made, distance = invert(generator, 2, wanted, 300, keyed_rng(0))
    assert label == 1 and distance < 0.02
    torch.testing.assert_close(made, wanted, atol=0.06, rtol=0)
    torch.testing.assert_close(found, latent[0], atol=0.3, rtol=0)
    (tmp_path / "in").mkdir()
    file = DOMAIN.write(DOMAIN.decode(wanted), tmp_path / "in")[0]
    project(Sampler(DOMAIN, generator), str(file), out=str(tmp_path / "out"), steps=100)
    assert "class light" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "projected.json").read_text())
    assert told["label"] == "light" and len(told["latent"]) == 3
    assert Image.open(tmp_path / "out" / "000000.png").tobytes() == Image.open(file).tobytes()
    with pytest.raises(ValueError, match=r"gone.png cannot be read"):
        project(Sampler(DOMAIN, generator), str(tmp_path / "gone.png"))
