"""The smallest text data and generators."""

import json

import torch

from multigan.core.fitting import build_with_seed
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import to_config
from multigan.storage.checkpoint_integrity import (
    GENERATOR_EMA_FILE,
    LIKELIHOOD_CHECKPOINT,
    MANIFEST,
    sha256,
)
from multigan.storage.weights import FORMAT, save_weights
from multigan.text.datasets.text_lines import TextLineDataset
from multigan.text.models.generator import TextGenerator


def tiny_lines(**settings):
    return TextLineDataset(**{"source": "phrases", "length": 16, "tokenizer": "word"} | settings)


def tiny_generator(domain, seed=0, **settings):
    """A generator of fresh weights for a domain."""
    sizes = {"width": 16, "embedding": 8, "num_classes": len(domain.class_names)} | settings
    return build_with_seed(
        lambda: TextGenerator(domain.vocabulary_size, domain.length, **sizes),
        keyed_rng("tiny", seed),
    )


def tiny_sampler(data=None, **settings):
    domain = (data or tiny_lines()).domain
    return Sampler(domain, tiny_generator(domain, **settings).eval())


def tiny_run(path):
    """A run directory with the weights of a model and of its likelihood stage."""
    data = tiny_lines()
    for folder, seed in (("best", 0), (LIKELIHOOD_CHECKPOINT, 1)):
        generator = tiny_generator(data.domain, seed)
        described = {"domain": to_config(data.domain), "generator": to_config(generator)}
        weights = path / "checkpoints" / folder / GENERATOR_EMA_FILE
        weights.parent.mkdir(parents=True)
        save_weights(weights, generator, described)
        (weights.parent / MANIFEST).write_text(json.dumps({GENERATOR_EMA_FILE: sha256(weights)}))
    rate = {"schedule": {"start": 0.1, "end": 0.01, "fraction": 1.0, "shape": "cosine"}}
    recipe = {"data": to_config(data), "steps": 3, "batch_size": 8, "likelihood_lr": rate}
    content = {"format": FORMAT, "recipe": recipe, "fingerprint": data.fingerprint}
    content |= {"name": "tiny", "hyperparameters": {}, "flags": {}, "seed": 0, "horizon": 3}
    (path / "recipe.json").write_text(json.dumps(content))
    return path


class Parrot(torch.nn.Module):
    """Repeats lines in order, whatever the latent and the condition; without a likelihood."""

    def __init__(self, domain, lines):
        super().__init__()
        self.tokens, self.said = domain.encode(list(lines)), 0

    def sample_latent(self, n, rng):
        return torch.rand(n, generator=rng)

    def generate(self, latent, condition=None, **controls):
        places = (self.said + torch.arange(len(latent))) % len(self.tokens)
        self.said += len(latent)
        return self.tokens[places]
