"""Named edits: principal components, another class, and a latent found for an uploaded file."""

import base64
import io
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from multigan.core.modules import sample_batch
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.image.domain import ImageDomain
from multigan.studio.form import form
from multigan.studio.handlers import RequestHandler
from multigan.studio.latent_directions import COMPONENTS, principal_directions
from multigan.studio.latent_edits import EditSettings, LatentEdit, Origin, sample_with_edits
from tests.run_helpers import tiny_recipe
from tests.studio.server_process import request_body


class Linear(nn.Module):
    """x = A z, whose principal directions are the right singular vectors of A."""

    def __init__(self):
        super().__init__()
        basis = torch.linalg.qr(torch.randn(12, 12, generator=keyed_rng("basis"))).Q
        self.map = basis[:, :8] * torch.tensor([9.0, 5.0, 3.0, 2.0, 0.1, 0.1, 0.1, 0.1])

    def sample_latent(self, n, rng):
        return torch.randn(n, 8, generator=rng)

    def interpolate(self, a, b, t):
        return torch.cos(torch.tensor(t * torch.pi / 2)) * a + np.sin(t * np.pi / 2) * b

    def forward(self, latent, condition=None):
        return latent @ self.map.T


@dataclass(frozen=True)
class Rows:
    """A domain whose samples are rows of numbers."""

    def sample(self, generator, n, rng):
        return list(sample_batch(generator, n, rng))


@pytest.fixture(scope="module")
def images():
    """A tiny generator of images of ten classes."""
    recipe = tiny_recipe("image")
    return Sampler(recipe.data.domain, recipe.generator.eval().requires_grad_(False))


def pixels(samples):
    return np.stack([np.asarray(image, float) for image in samples])


def upload(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return {"name": "face.png", "content": base64.b64encode(stream.getvalue()).decode()}


def test_directions_are_the_principal_axes_of_a_linear_generator():
    found = principal_directions(Sampler(Rows(), Linear()))
    assert len(found) == COMPONENTS
    for k, ends in enumerate(found):  # column k of the map has the k-th largest norm
        cosine = ends.high[0] / ends.high.norm()
        assert abs(float(cosine[k])) > 0.97
        assert torch.equal(ends.low, -ends.high)
        assert float(ends.high.norm()) == pytest.approx(8**0.5, rel=1e-5)  # that of a latent


def test_a_component_moves_all_samples_to_its_side_and_zero_to_none():
    sampler = Sampler(Rows(), Linear())
    origin = Origin(ends=principal_directions(sampler))
    axis = origin.ends[0].high[0] @ sampler.generator.map.T
    at = [
        torch.stack(sample_with_edits(sampler, 6, 0, EditSettings(components=(p,)), origin)) @ axis
        for p in (-1.0, -0.5, 0.0, 0.5, 1.0)
    ]
    assert all((low < high).all() for low, high in pairwise(at))
    assert torch.equal(at[2], torch.stack(sampler.sample(6)) @ axis)


@pytest.mark.parametrize("name", ["points", "music"])
def test_components_move_latents_of_any_structure_and_keep_choices(name):
    recipe = tiny_recipe(name)
    sampler = Sampler(recipe.data.domain, recipe.generator.eval().requires_grad_(False))
    origin = Origin(ends=principal_directions(sampler))
    assert len(origin.ends) == COMPONENTS
    edits = EditSettings(components=(1.0,))
    moved = LatentEdit(sampler.generator, edits, origin=origin).sample_latent(3, keyed_rng(0))
    plain = LatentEdit(sampler.generator, EditSettings()).sample_latent(3, keyed_rng(0))
    if name == "music":
        assert torch.equal(moved.noise, plain.noise) and torch.equal(moved.keys, plain.keys)
        moved, plain = moved.bars, plain.bars
    assert moved.shape == plain.shape and not torch.allclose(moved, plain)


def test_directions_are_the_same_every_time_and_leave_global_random_numbers_alone(images):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = principal_directions(images)
    assert torch.equal(torch.rand(3), expected)
    again = principal_directions(images)
    assert all(torch.equal(a.high, b.high) for a, b in zip(first, again, strict=True))


def test_a_generator_without_one_pass_has_no_components():
    recipe = tiny_recipe("text")
    assert principal_directions(Sampler(recipe.data.domain, recipe.generator.eval())) == []


def test_all_of_the_way_to_a_class_gives_its_samples(images):
    there = EditSettings(class_index=3, class_fraction=1.0)
    moved = sample_with_edits(images, 4, 0, there, label="7")
    assert np.abs(pixels(moved) - pixels(images.sample(4, label="3"))).max() <= 1  # rounding
    half = EditSettings(class_index=3, class_fraction=0.5)
    own = images.sample(4, label="7")
    assert (pixels(sample_with_edits(images, 4, 0, half, label="7")) != pixels(own)).any()


class Smooth(Linear):
    """Images (n, 1, 4, 3) of eight latents."""

    def forward(self, latent, condition=None):
        return (super().forward(latent) / 9).tanh().reshape(-1, 1, 4, 3)


def test_an_uploaded_sample_is_found_and_comes_first():
    sampler = Sampler(ImageDomain(1, 4, 3), Smooth())
    target = sampler.sample(8)[5]
    handler, request = RequestHandler(sampler, "image"), request_body(project=upload(target), n=5)
    answer = handler.handle(request)
    assert answer["command"] == "" and answer["html"].count("<li>") == 5
    (found,) = handler._projected.values()
    shown = pixels(sample_with_edits(sampler, 5, 0, EditSettings(), Origin(found.latent)))
    errors = np.abs(shown - np.asarray(target, float)).mean((1, 2))
    assert errors[0] < 4 and (errors[1:] > errors[0]).all()
    assert handler.handle(request)["html"] == answer["html"]
    other = handler.handle(request | {"seed": 1})["html"]
    assert other != answer["html"] and other.split("<li>")[1] == answer["html"].split("<li>")[1]


def test_the_class_that_was_found_is_that_of_the_samples(images):
    handler = RequestHandler(images, "image")
    request = request_body(project=upload(images.sample(1, label="7")[0]), n=2)
    first = handler.handle(request)["html"]
    (found,) = handler._projected.values()
    label = found.options["label"]
    assert first.count(f"<small>{label}</small>") == 2
    chosen = handler.handle(request | {"options": {"labels": "1"}})
    assert chosen["html"].count("<small>1</small>") == 2
    assert chosen["warnings"] == ["the chosen condition is drawn, not that of the file"]


def test_truncation_of_the_latent_of_a_file_is_mentioned(images):
    handler = RequestHandler(images, "image")
    request = request_body(project=upload(images.sample(1, label="7")[0]), n=1)
    cut = handler.handle(request | {"options": {"truncation": "0.5"}})
    assert cut["warnings"] == ["truncation also moves the latent of the file"]
    assert handler.handle(request)["warnings"] == []


def test_more_samples_of_classes_than_a_batch_are_those_of_the_command(images):
    found = sample_with_edits(images, 70, 0, EditSettings())
    assert [image.info["label"] for image in found] == [
        image.info["label"] for image in images.sample(70)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": [0] * 5}, "components must be a list of at most 4 numbers"),
        ({"components": [2]}, "each of components must be a number from -1 to 1; got 2"),
        ({"class_fraction": 1, "class_index": 10}, "class_index must be an integer from 0 to 9"),
        ({"project": {"name": "a.png", "content": "bm8="}}, r"a\.png cannot be used"),
        ({"project": "x"}, "project must be a file; got a str"),
    ],
)
def test_a_wrong_edit_is_refused_in_one_line(images, changes, message):
    with pytest.raises(ValueError, match=message) as raised:
        RequestHandler(images, "image").handle(request_body(**changes))
    assert "\n" not in str(raised.value) and "/tmp" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_fraction": 0.5}, "class_fraction must be 0"),
        ({"project": upload(Image.new("L", (4, 4)))}, "project must be left out"),
    ],
)
def test_edits_that_a_domain_does_not_have_are_refused(changes, message):
    recipe = tiny_recipe("points")
    handler = RequestHandler(Sampler(recipe.data.domain, recipe.generator.eval()), "points")
    with pytest.raises(ValueError, match=message):
        handler.handle(request_body(**changes))


def test_the_form_offers_the_edits_that_a_generator_has(images):
    html = str(form(images))
    assert all(f'name="component-{k}"' in html for k in range(COMPONENTS))
    assert 'name="project"' in html and 'name="class_fraction"' in html
    recipe = tiny_recipe("points")
    other = str(form(Sampler(recipe.data.domain, recipe.generator)))
    assert 'name="component-0"' in other
    assert 'name="project"' not in other and 'name="class_fraction"' not in other
