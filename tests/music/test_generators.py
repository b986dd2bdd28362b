import numpy as np
import pytest
import torch

from multigan.benchmarks.musegan import MuseGANDiscriminator, MuseGANGenerator
from multigan.core.protocols import Generator
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.generator import COUPLINGS, MusicGenerator
from multigan.music.representations import conditioning, tensors
from multigan.music.representations.voices import Voice, single_lines
from tests.music.pianoroll_factory import VOICES, random_roll

SINGERS = tuple(
    Voice(f"from {lowest}", min_pitch=lowest, num_pitches=20) for lowest in (60, 55, 48, 40)
)
SMALL = {
    "music": lambda coupling="hybrid", voices=VOICES, **more: MusicGenerator(
        voices, 16, 8, 4, coupling, width=16, voice_width=8, depth=1, **more
    ),
    "musegan": lambda coupling="hybrid", voices=VOICES, **more: MuseGANGenerator(
        voices, 16, 8, coupling, width=4, latent_dim=16, **more
    ),
}
STEPS, N = 16, 6
every_family = pytest.mark.parametrize("family", SMALL)
every_coupling = pytest.mark.parametrize("coupling", COUPLINGS)


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def made(family, coupling="hybrid", voices=VOICES, **more):
    """A generator away from its start: open residual blocks, batch norms that have seen a batch."""
    generator = SMALL[family](coupling, voices, **more)
    for parameter in generator.parameters() if family == "music" else ():
        with torch.no_grad():
            parameter.add_(0.3 * torch.randn_like(parameter))
    for module in generator.modules():
        if hasattr(module, "running_mean"):
            module.momentum = 1.0
    generator(latent_of(generator, 32, "statistics"))
    return generator


def latent_of(generator, n=N, key="latent"):
    return generator.sample_latent(n, keyed_rng(key))


def music(n=N, steps=STEPS, seed=0):
    rolls = [random_roll(np.random.default_rng([seed, i]), steps) for i in range(n)]
    return torch.stack([tensors.encode(roll, VOICES) for roll in rolls])


def given_voice(x, k):
    mask = torch.zeros(len(x), STEPS, len(VOICES))
    mask[..., k] = 1
    return conditioning.make_conditioning(x, mask, VOICES)


@every_family
@every_coupling
def test_cells_are_exactly_zero_or_one_with_one_event_per_step(family, coupling):
    generator = made(family, coupling)
    assert isinstance(generator, Generator)
    for module in (generator.train(), generator.eval()):
        x = module(latent_of(generator))
        assert x.shape == (N, STEPS, tensors.total_channels(VOICES)) and x.dtype == torch.float32
        assert ((x == 0) | (x == 1)).all()
        for voice, block in zip(VOICES, tensors.slices(VOICES), strict=True):
            if voice.kind == "monophonic":
                assert (x[..., block].sum(-1) == 1).all()
                assert not x[:, 0, block][:, voice.hold].any()
            elif voice.kind == "polyphonic":
                assert not x[:, 0, block][:, voice.num_pitches + 1 :: voice.num_pitches + 2].any()


@every_family
@every_coupling
def test_windows_and_voices_differ_from_the_start(family, coupling):
    x = SMALL[family](coupling)(latent_of(SMALL[family](coupling), 16))
    assert len(x.flatten(1).unique(dim=0)) == 16
    assert all(x[..., block].any() for block in tensors.slices(VOICES))


@every_family
@every_coupling
def test_given_cells_come_back_bit_by_bit_and_sound_as_they_did(family, coupling):
    generator, x = made(family, coupling), music()
    mask = torch.rand(N, STEPS, len(VOICES), generator=keyed_rng("mask")) < 0.5
    given = conditioning.make_conditioning(x, mask, VOICES)
    cells = conditioning.expand_mask(given.mask, VOICES) > 0
    for module in (generator.train(), generator.eval()):
        out = module(latent_of(generator), given)
        assert torch.equal(out[cells], given.values[cells])
        said = tensors.binarize(out, VOICES)
        for a, b, m in zip(
            *(tensors.active_cells(y, VOICES) for y in (x, said)), range(4), strict=True
        ):
            assert torch.equal(a[mask[..., m]], b[mask[..., m]])


@every_family
@every_coupling
def test_other_voices_follow_what_is_given_under_the_same_latent(family, coupling):
    generator = made(family, coupling).eval()
    latent = latent_of(generator)
    first, second = (
        generator(latent, given_voice(music(seed=seed), 0))[..., tensors.slices(VOICES)[1]]
        for seed in (1, 2)
    )
    assert (first != second).any(-1).float().mean() > 0.05  # of the cells of the second voice


@every_family
def test_nothing_given_is_what_no_condition_means(family):
    generator = made(family).eval()
    latent, nothing = latent_of(generator), conditioning.unconditional(N, STEPS, VOICES)
    assert torch.equal(generator(latent), generator(latent, nothing))


@every_family
@pytest.mark.parametrize("coupling", ["jamming", "hybrid"])
def test_another_latent_of_a_voice_leaves_all_others_bit_identical(family, coupling):
    generator = made(family, coupling).eval()
    one, other = latent_of(generator), latent_of(generator, key="another")
    x = generator(one)
    lines = single_lines(VOICES)
    for k in range(len(lines)):
        names = {"music": ("voice", "voice_bars", "voice_beats"),
                 "musegan": ("voice", "voice_course")}[family]  # fmt: skip
        changed = {name: getattr(one, name).clone() for name in names}
        for name in names:
            changed[name][:, k] = getattr(other, name)[:, k]
        y = generator(one._replace(**changed))
        for j, block in enumerate(tensors.slices(lines)):
            assert torch.equal(x[..., block], y[..., block]) == (j != k)


@every_family
def test_a_coupling_has_only_the_latents_of_its_kind(family):
    for coupling, shared, private in (
        ("composer", True, False),
        ("jamming", False, True),
        ("hybrid", True, True),
    ):
        latent = latent_of(SMALL[family](coupling))
        assert (latent.piece.shape[-1] > 0) == shared
        assert (latent.voice.shape[-1] > 0) == private


@every_family
@every_coupling
def test_a_walk_keeps_its_ends_and_never_mixes_the_noise(family, coupling):
    generator = made(family, coupling).eval()
    a, b = latent_of(generator, key="a"), latent_of(generator, key="b")
    for t, end in ((0.0, a), (1.0, b)):
        walked = generator.interpolate(a, b, t)
        tree_map(torch.testing.assert_close, walked, end)
        assert torch.equal(generator(walked), generator(end))
    for t in (0.2, 0.49, 0.51, 0.9):
        walked, nearer = generator.interpolate(a, b, t), a if t < 0.5 else b
        assert torch.equal(walked.noise, nearer.noise)
        assert family == "musegan" or torch.equal(walked.keys, nearer.keys)
    half = generator.interpolate(a, b, 0.5)
    side = "voice" if coupling == "jamming" else "piece"
    torch.testing.assert_close(getattr(half, side), (getattr(a, side) + getattr(b, side)) / 2**0.5)


@every_family
def test_latents_come_from_the_given_rng_only(family):
    generator = SMALL[family]()
    one, same, other = (latent_of(generator, key=key) for key in ("x", "x", "y"))
    tree_map(lambda a, b: torch.testing.assert_close(a, b, rtol=0, atol=0), one, same)
    assert not torch.equal(one.noise, other.noise) and not torch.equal(one.piece, other.piece)


@every_family
@every_coupling
def test_every_parameter_has_a_gradient_and_moves_within_three_steps(family, coupling):
    generator = SMALL[family](coupling)
    judge = {
        "music": lambda: MusicDiscriminator(VOICES, 16, 8, 4, 16, 8, 8, 1),
        "musegan": lambda: MuseGANDiscriminator(VOICES, 16, 8, width=4),
    }[family]()
    before = [p.clone() for p in generator.parameters()]
    adam = torch.optim.Adam(generator.parameters(), 1e-2, betas=(0.0, 0.99))
    x = music(16)
    mask = (torch.rand(16, STEPS, len(VOICES), generator=keyed_rng("mask")) < 0.4).float()
    given = conditioning.make_conditioning(x, mask, VOICES)
    for step in range(3):
        adam.zero_grad()
        (-judge(generator(latent_of(generator, 16, f"{step}"), given), given)).mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())
        adam.step()
    moved = zip(generator.named_parameters(), before, strict=True)
    assert [name for (name, p), start in moved if torch.equal(p, start)] == []


def test_a_key_turns_the_music_of_a_fresh_generator():
    generator = SMALL["music"]("composer", SINGERS, refinement_steps=0).eval()
    for melody in generator.autoregressive.melodies:  # ranges end at other degrees
        torch.nn.init.zeros_(melody.interval_bias)
    for logits in generator.to_logits:  # say it by degrees alone
        with torch.no_grad():
            logits.linear.weight[12:].zero_()
            logits.linear.bias.zero_()
            logits.linear.weight[:12] *= 10
    latent = latent_of(generator)
    latent = latent._replace(noise=0 * latent.noise)
    keys = torch.zeros(N, 1, 12)
    keys[..., 0] = 1
    x = generator(latent._replace(keys=keys))
    y = generator(latent._replace(keys=keys.roll(3, dims=-1)))
    for block in tensors.slices(SINGERS):
        # the same degrees three semitones higher, an octave aside where the range ends
        one, other = x[..., block], y[..., block]
        struck = one[..., :20].any(-1) & other[..., :20].any(-1)
        assert torch.equal(one[..., :20].any(-1), other[..., :20].any(-1)) and struck.any()
        assert ((other.argmax(-1) - one.argmax(-1))[struck] % 12 == 3).all()


def test_noise_is_annealed_and_its_scale_travels_with_the_weights():
    generator = made("music", initial_noise=0.4, final_noise=0.1)
    assert [generator.anneal(p)["anneal/noise_scale"] for p in (0.0, 0.5, 1.0)] == pytest.approx(
        [0.4, 0.25, 0.1]
    )
    other = made("music")
    other.load_state_dict(generator.state_dict())
    assert other.noise_scale.item() == pytest.approx(0.1)
    assert made("music", binarization="stochastic").anneal(1.0) == {"anneal/noise_scale": 1.0}


def test_the_plain_head_knows_no_key():
    generator = made("music", key_relative=False).eval()
    latent = latent_of(generator)
    turned = latent._replace(keys=latent.keys.roll(1, dims=-1))
    assert torch.equal(generator(latent), generator(turned))


@every_family
@pytest.mark.parametrize("binarization", ["threshold", "bernoulli"])
def test_soft_heads_are_soft_in_training_only(family, binarization):
    generator = made(family, binarization=binarization)
    latent = latent_of(generator)
    assert ((generator(latent) % 1) != 0).any()
    assert ((generator.eval()(latent) % 1) == 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: MusicGenerator(VOICES, coupling="solo"),
            "coupling must be one of composer.*; got 'solo'",
        ),
        (lambda: MusicGenerator(VOICES, steps=40), "whole bars in a window"),
        (lambda: MusicGenerator(VOICES, steps_per_beat=5), "whole beats in a bar"),
        (lambda: MusicGenerator(VOICES, binarization="tanh"), "binarization must be one of"),
        (lambda: MuseGANGenerator(VOICES, coupling="solo"), "no coupling 'solo'"),
        (lambda: MuseGANGenerator(VOICES, steps=20), "whole bars in a window"),
        (
            lambda: MuseGANGenerator(VOICES, latent_dim=10),
            "latent_dim must be a multiple of .*; got 10",
        ),
    ],
)
def test_sizes_and_names_that_do_not_fit_are_refused_in_one_line(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
