import numpy as np
import pytest
import torch

from multigan.benchmarks.musegan import MuseGANDiscriminator
from multigan.core.protocols import Discriminator
from multigan.core.rng import keyed_rng
from multigan.music.datasets import sources
from multigan.music.datasets.song_windows import SongWindowDataset, load_splits
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.representations import conditioning, tensors
from multigan.music.representations.voices import Voice, single_lines
from tests.music.pianoroll_factory import VOICES, random_roll

STEPS, BAR, N = 16, 8, 5
SMALL = {
    "music": lambda voices=VOICES, **more: MusicDiscriminator(
        voices, STEPS, BAR, 4, 16, 8, 8, 1, **more
    ),
    "musegan": lambda voices=VOICES: MuseGANDiscriminator(voices, STEPS, BAR, width=4),
}
TINY_VOICES = (
    Voice("lead", min_pitch=60, num_pitches=2),
    Voice("chords", kind="polyphonic", min_pitch=50, num_pitches=1, lines=1),
)
every_family = pytest.mark.parametrize("family", SMALL)


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def made(family, voices=VOICES, **more):
    """A discriminator away from its start, where residual blocks are closed."""
    network = SMALL[family](voices, **more)
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def music(n=N, seed=0):
    rolls = [random_roll(np.random.default_rng([seed, i]), STEPS) for i in range(n)]
    return torch.stack([tensors.encode(roll, VOICES) for roll in rolls])


def some_given(x):
    mask = (torch.rand(len(x), STEPS, len(VOICES), generator=keyed_rng("mask")) < 0.5).float()
    return conditioning.make_conditioning(x, mask, VOICES)


def with_repeat(x):
    """The first voice strikes a note and holds it, or strikes it again: two windows (1, T, C)."""
    lead = torch.full((STEPS,), VOICES[0].rest)
    lead[0], lead[1] = 3, VOICES[0].hold
    again = lead.clone()
    again[1] = 3
    block, windows = tensors.slices(VOICES)[0], []
    for tokens in (lead, again):
        window = x[:1].clone()
        window[..., block] = torch.nn.functional.one_hot(tokens, VOICES[0].num_pitches + 2).float()
        windows.append(window)
    return windows


def test_what_is_forgotten_is_forgotten_while_learning_and_nowhere_else():
    network, x, last = made("music", dropout=0.5), music(), []
    network.last.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    assert not torch.equal(network.features(x), network.features(x))  # beats
    network(x)
    assert 0.3 < (last[0] == 0).float().mean() < 0.7  # and what is known at the end
    network.eval()
    assert torch.equal(network(x), network(x)) and torch.equal(last[1], last[2])
    assert (last[1] == 0).float().mean() < 0.1
    without = made("music").train()
    assert torch.equal(without(x), without(x))


@every_family
def test_one_logit_comes_back_for_each_window(family):
    network, x = made(family), music()
    assert isinstance(network, Discriminator) and not network.uses_batch_statistics
    assert network(x).shape == (N,) and network(x, some_given(x)).shape == (N,)
    features = network.features(x, some_given(x))
    assert features.dim() == 2 and len(features) == N


@every_family
def test_shuffled_bars_change_the_score(family):
    network, x = made(family), music()
    first, second = (tensors.slice_window(x, a, a + BAR, VOICES) for a in (0, BAR))
    there, back = (torch.cat(bars, dim=1) for bars in ((first, second), (second, first)))
    assert ((network(there) - network(back)).abs() > 1e-4).all()


def test_a_bar_of_musegan_changes_its_own_vector_only():
    network, x = made("musegan"), music()
    vectors = network.bar_vectors(x)
    assert vectors.shape[:2] == (N, 2)
    for bar in range(2):
        y = x.clone()
        y[:, bar * BAR : (bar + 1) * BAR] = music(seed=9)[:, :BAR]
        changed = (network.bar_vectors(y) != vectors).any(-1)
        assert changed[:, bar].all() and not changed[:, 1 - bar].any()
    swapped = torch.cat([x[:, BAR:], x[:, :BAR]], dim=1)
    torch.testing.assert_close(network.bar_vectors(swapped), vectors.flip(1))
    assert ((network(swapped) - network(x)).abs() > 1e-5).all()


def test_a_voice_trunk_is_blind_to_the_other_voices():
    network, x, other = made("music"), music(), music(seed=9)
    trunks = network.voice_features(x)
    lines = single_lines(VOICES)
    assert trunks.shape == (len(lines), N, STEPS // 4, 8)
    for k, block in enumerate(tensors.slices(lines)):
        y = x.clone()
        y[..., block] = other[..., block]
        changed = (network.voice_features(y) != trunks).flatten(1).any(1)
        assert changed.tolist() == [j == k for j in range(len(lines))]


@every_family
@pytest.mark.parametrize("interval_features", [True, False])
def test_a_repeated_note_is_heard(family, interval_features):
    more = {"interval_features": interval_features} if family == "music" else {}
    network = made(family, **more)
    held, again = with_repeat(music())
    assert (network(held) - network(again)).abs() > 1e-5


def test_writings_of_one_music_have_one_score():
    network = made("music")
    x = with_repeat(music())[0]
    block = tensors.slices(VOICES)[0]
    rest, hold = (block.start + token for token in (VOICES[0].rest, VOICES[0].hold))
    y = x.clone()  # a hold after a rest is silence too
    y[:, 5, rest], y[:, 5, hold] = 0, 1
    assert torch.equal(tensors.binarize(y, VOICES), x) and torch.equal(network(x), network(y))


@every_family
def test_the_score_depends_on_what_is_given(family):
    network, x = made(family), music()
    given = some_given(x)
    assert ((network(x, given) - network(x)).abs() > 1e-5).all()
    mask_only = given._replace(values=0 * given.values)
    assert ((network(x, given) - network(x, mask_only)).abs() > 1e-6).all()
    nothing = conditioning.unconditional(N, STEPS, VOICES)
    assert torch.equal(network(x), network(x, nothing))


@every_family
def test_one_forward_on_two_batches_equals_two_forwards(family):
    network, x, y = made(family), music(), music(seed=4)
    both = network(torch.cat([x, y]))
    torch.testing.assert_close(both, torch.cat([network(x), network(y)]))


@every_family
def test_discriminators_are_twice_differentiable(family):
    build = {
        "music": lambda: MusicDiscriminator(TINY_VOICES, 4, 2, 1, 4, 2, 2, 1),
        "musegan": lambda: MuseGANDiscriminator(TINY_VOICES, 4, 2, width=2),
    }[family]
    network = build().double()
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.rand(1, 4, 7, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=torch.float64)[None]
    given = conditioning.Conditioning(torch.rand(1, 4, 7).double(), mask)
    assert torch.autograd.gradcheck(lambda x: network(x, given), x)
    assert torch.autograd.gradgradcheck(lambda x: network(x, given), x)


@every_family
def test_a_penalty_reaches_every_weight_matrix(family):
    network, x = made(family), music()
    entry = x.clone().requires_grad_()
    logits = network(entry, some_given(x))
    (slope,) = torch.autograd.grad(logits.sum(), entry, create_graph=True)
    slope.square().sum().backward()
    weights = {name: p for name, p in network.named_parameters() if p.dim() > 1}
    missed = [name for name, p in weights.items() if p.grad is None or not p.grad.any()]
    assert missed == []


@pytest.mark.parametrize(
    "voices",
    [(VOICES[3],), (VOICES[0],), (VOICES[2],), (VOICES[0], VOICES[3])],
    ids=["drums", "one voice", "chords", "voice and drums"],
)
@every_family
def test_few_voices_are_heard_too(family, voices):
    network = made(family, voices)
    x = (
        torch.rand(2, STEPS, tensors.total_channels(voices), generator=keyed_rng("x")) < 0.3
    ).float()
    assert network(x).shape == (2,) and network(x).isfinite().all()
    assert all(p.grad is not None for p in backward(network, x).parameters())


def backward(network, x):
    network(x, conditioning.unconditional(len(x), STEPS, network.voices)).sum().backward()
    return network


@every_family
def test_music_of_another_shape_is_refused(family):
    with pytest.raises(ValueError, match=r"music must be \(B, 16, 140\); got \(2, 17, 140\)"):
        made(family)(torch.zeros(2, STEPS + 1, tensors.total_channels(VOICES)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: MusicDiscriminator(VOICES, steps=40),
        lambda: MusicDiscriminator(VOICES, steps_per_beat=5),
        lambda: MuseGANDiscriminator(VOICES, steps=20),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_one_line(build):
    with pytest.raises(ValueError, match="whole beats in a bar and whole bars") as caught:
        build()
    assert "\n" not in str(caught.value)


def fresh_gradient(source, bars):
    """The mean squared input gradient of a new discriminator on real windows."""
    data = SongWindowDataset(source, bars=bars)
    grid = data.domain.grid
    sizes = (grid.steps, grid.bar_steps, grid.beat_steps)
    network = MusicDiscriminator(data.domain.voices, *sizes, compare_bars=True)
    embedded = network.embed(data.batch(torch.arange(8) * (len(data) // 8)).x).requires_grad_()
    (slope,) = torch.autograd.grad(network.score(embedded).sum(), embedded)
    return float(network.squared_input_norm(slope).mean())


@pytest.fixture
def few_songs(monkeypatch):
    """Fewer songs by rule; they are composed anew afterwards."""
    monkeypatch.setattr(sources, "COMPOSED", {split: 12 for split in sources.COMPOSED})
    load_splits.cache_clear()
    yield
    load_splits.cache_clear()


@pytest.mark.parametrize("source", ["composed-band", "composed-tunes", "composed-pop"])
def test_a_fresh_gradient_is_near_that_of_chorales_in_every_layout(few_songs, source):
    usual = fresh_gradient("composed", 2)
    for bars in (2, 8):
        assert usual / 10 < fresh_gradient(source, bars) < 10 * usual


def test_bars_are_compared_with_those_before():
    network = MusicDiscriminator(VOICES, 4 * 16, 16, 4, 16, 8, 8, 1, compare_bars=True)
    rolls = [random_roll(np.random.default_rng(i), 16) for i in range(3)]
    a, b, c = (tensors.encode(roll, VOICES) for roll in rolls)
    likeness = network._likeness(network.embed(torch.cat([a, b, a, c])[None]))
    assert likeness.shape == (1, 4, 4)  # notes at lags 1 and 2, then pitch classes
    assert not likeness[0, 0].any() and likeness[0, 2, 1] > 0.9 and likeness[0, 2, 3] > 0.9
    assert likeness[0, 3, 1] < 0.5 and ((likeness >= 0) & (likeness <= 1)).all()
