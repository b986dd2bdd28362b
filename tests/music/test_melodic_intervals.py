import pytest
import torch

from multigan.music.representations import conditioning, tensors
from tests.music.test_generators import SINGERS, SMALL, STEPS, N, latent_of


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_voices_sing_as_their_melody_wishes():
    generator = SMALL["music"]("composer", SINGERS).eval()
    for melody in generator.autoregressive.melodies:
        with torch.no_grad():
            melody.interval_bias.fill_(-1000)
            melody.interval_bias[len(melody.interval_bias) // 2 + 3] = (
                0  # three semitones up, or hold
            )
    for x in generator(latent_of(generator)).split(22, dim=-1):
        for tokens in x.argmax(-1):
            sung = tokens[tokens < 20]
            fits = sung[1:] - sung[:-1] == 3
            assert (fits | (sung[:-1] >= 17)).all()  # at the top of the range nothing fits


def test_a_melody_goes_on_from_given_notes():
    generator = SMALL["music"]("composer", SINGERS).eval()
    for melody in generator.autoregressive.melodies:
        with torch.no_grad():
            melody.interval_bias.fill_(-1000)
            melody.interval_bias[len(melody.interval_bias) // 2 - 2] = (
                1000  # two semitones down, always
            )
    x = torch.nn.functional.one_hot(torch.full((N, STEPS, 4), 21), 22).flatten(2).float()
    for block in tensors.slices(SINGERS):
        x[:, 0, block], x[:, 5, block] = 0, 0
        x[:, 0, block.start + 18] = x[:, 5, block.start + 15] = 1
    mask = torch.zeros(N, STEPS, 4)
    mask[:, 0], mask[:, 5:7] = 1, 1
    y = generator(latent_of(generator), conditioning.make_conditioning(x, mask, SINGERS))
    for block in tensors.slices(SINGERS):
        tokens = y[..., block].argmax(-1)
        assert (tokens[:, :5] == torch.tensor([18, 16, 14, 12, 10])).all()
        assert (tokens[:, 5:9] == torch.tensor([15, 21, 13, 11])).all()
