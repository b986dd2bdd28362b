"""Interpolation between classes, animations, and sampling of classes in turn."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from multigan.cli.sample import interpolate_command
from multigan.core.interpolation import interpolate
from multigan.core.modules import sample_batch
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import to_config
from multigan.image.domain import ImageDomain
from multigan.image.models.dcgan import DCGANGenerator
from multigan.image.models.r3gan import R3GANGenerator
from multigan.image.rendering import write_animation
from multigan.points.models import MLPGenerator
from tests.image.test_projector import Shade

LABELS = tuple("abcdefghij")


def dcgan(num_classes=3):
    return DCGANGenerator(8, 1, [8], latent_dim=6, num_classes=num_classes).eval()


def residual(num_classes=3):
    return R3GANGenerator(8, 1, [8, 8], group_size=4, latent_dim=6, num_classes=num_classes).eval()


def moved_weights(generator):
    """The generator with weights that are no initial zeros, so that labels show."""
    rng = keyed_rng("weights")
    with torch.no_grad():
        for weight in generator.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=rng))
    return generator


@pytest.mark.parametrize("build", [dcgan, residual])
def test_a_morph_begins_at_one_class_and_ends_at_the_other(build):
    generator = moved_weights(build())
    z = generator.sample_latent(4, keyed_rng(0))
    one, two = torch.zeros(4, dtype=torch.long), torch.full((4,), 2)
    with torch.no_grad():
        start, half, end = (
            generator.interpolate_condition(z, one, two, t) for t in (0.0, 0.5, 1.0)
        )
        torch.testing.assert_close(start, generator(z, one))
        torch.testing.assert_close(end, generator(z, two))
        table = generator.label.weight
        table[1] = (table[0] + table[2]) / 2
        torch.testing.assert_close(half, generator(z, torch.ones_like(one)), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(start, end)


def test_a_generator_without_classes_cannot_morph():
    z = torch.zeros(1, 6)
    with pytest.raises(ValueError, match="must have classes to interpolate labels"):
        dcgan(num_classes=None).interpolate_condition(z, torch.zeros(1), torch.ones(1), 0.5)


def test_a_class_morph_keeps_the_latent_and_walks_between_the_labels(tmp_path):
    sampler = Sampler(ImageDomain(1, 8, 8, ("cat", "dog", "owl")), moved_weights(dcgan()))
    files = interpolate(
        sampler, tmp_path, num_paths=2, num_steps=3, seed=5, label="cat", to={"label": "owl"}
    )
    assert [file.name for file in files[-3:]] == ["grid.png", "paths.png", "paths-animation.png"]
    for label, columns in (("cat", (0, 3)), ("owl", (2, 5))):
        rng = keyed_rng(5, "interpolate")
        wanted = sampler.domain.sample(sampler.generator, 2, rng, label=label)
        for image, number in zip(wanted, columns, strict=True):
            assert np.array_equal(Image.open(tmp_path / f"{number:06d}.png"), image)


@pytest.mark.parametrize(
    ("generator", "wishes", "to", "answer"),
    [
        (Shade(), {}, {"label": "dog"}, "Shade has no `interpolate_condition`; its conditions"),
        (dcgan(), {"label": "dog"}, {"label": "1"}, "the conditions of both ends must differ"),
        (dcgan(), {}, {"label": "cow"}, "label cow: no such class; known: cat, dog, owl"),
    ],
)
def test_what_cannot_be_morphed_is_one_line(generator, wishes, to, answer, tmp_path):
    sampler = Sampler(ImageDomain(1, 8, 8, ("cat", "dog", "owl")), generator)
    with pytest.raises(ValueError, match=answer):
        interpolate(sampler, tmp_path / "out", to=to, **wishes)
    unlabeled = Sampler(ImageDomain(1, 8, 8), dcgan(num_classes=None))
    with pytest.raises(
        ValueError, match=r"DCGANGenerator must have a condition to interpolate; got none"
    ):
        interpolate(unlabeled, tmp_path / "out", to={"truncation": 1.0})
    assert not (tmp_path / "out").exists()


def test_only_what_makes_the_condition_is_asked_for_at_the_other_end(monkeypatch):
    description = {
        "domain": to_config(ImageDomain(1, 8, 8, LABELS)),
        "generator": to_config(dcgan()),
    }
    monkeypatch.setattr(
        "multigan.storage.checkpoint_integrity.resolve_weights_file", lambda path: path
    )
    monkeypatch.setattr("multigan.storage.weights.read_description", lambda file: description)

    def offered():
        options = interpolate_command("run").params
        return {option.name for option in options if option.name.startswith("to_")}

    assert offered() == {"to_label", "to_labels"}
    monkeypatch.delattr(ImageDomain, "condition_options")
    assert offered() == {"to_label", "to_labels", "to_scale", "to_truncation"}, (
        "a domain that says nothing"
    )
    description["generator"] = to_config(MLPGenerator(width=2))
    assert offered() == set(), "it cannot morph"


def test_an_animation_shows_every_frame_forward_and_backward(tmp_path):
    pages = [Image.new("L", (5, 4), 60 * k) for k in range(4)]
    write_animation(pages, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as moving:
        assert moving.is_animated and moving.info["loop"] == 0
        played = [(np.asarray(p)[0, 0], p.info["duration"]) for p in ImageSequence.Iterator(moving)]
    values = [0, 60, 120, 180, 120, 60]
    assert played == list(zip(values, [600, 120, 120, 600, 120, 120], strict=True))
    assert (tmp_path / "x.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_walk_moves_all_its_images_at_once(tmp_path):
    sampler = Sampler(ImageDomain(1, 8, 8, ("cat", "dog", "owl")), moved_weights(dcgan()))
    interpolate(sampler, tmp_path, num_paths=4, num_steps=3)
    with Image.open(tmp_path / "paths-animation.png") as moving:
        pages = [np.asarray(page) for page in ImageSequence.Iterator(moving)]
    strip = np.asarray(Image.open(tmp_path / "paths.png"))
    side = 64 + 2
    assert len(pages) == 4 and pages[0].shape == (2 * side + 2,) * 2
    for frame in range(3):
        assert np.array_equal(pages[frame][2:66, 68:132], strip[68:132, 2 + frame * side :][:, :64])


def test_classes_are_dealt_out_in_turn_beyond_a_chunk():
    sampler = Sampler(ImageDomain(1, 4, 4, LABELS), Shade())
    samples = sampler.sample(200)
    assert [s.info["label"] for s in samples] == [LABELS[k % 10] for k in range(200)]
    some = sampler.sample(130, labels="7,1,4")
    assert [s.info["label"] for s in some] == ["hbe"[k % 3] for k in range(130)]
    many = Sampler(ImageDomain(1, 4, 4, tuple(map(str, range(150)))), Shade()).sample(150)
    assert len({s.info["label"] for s in many}) == 150
    fewer = sampler.sample(70)
    assert [s.tobytes() for s in fewer] == [s.tobytes() for s in samples[:70]]


def test_the_first_sample_moves_no_latent():
    domain = ImageDomain(1, 4, 4, LABELS)
    later = domain.sample(Shade(), 3, keyed_rng(0), 64)
    raw = sample_batch(Shade(), 3, keyed_rng(0), torch.tensor([4, 5, 6]))
    assert [s.tobytes() for s in later] == [s.tobytes() for s in domain.decode(raw)]
