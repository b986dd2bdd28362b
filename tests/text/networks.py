"""Small text networks, what they are given, and a loop that generates one position at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multigan.core.rng import keyed_rng
from multigan.text.condition import TextCondition
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator, TextLatent
from multigan.text.models.latent_generator import LatentTextGenerator, LineLatent
from multigan.text.models.transformer_discriminator import TextTransformer
from tests.text.special_ids import BOS, EOS, PAD, UNK

VOCABULARY, LENGTH, LABELS = 11, 6, 2
BACKBONES = ("lstm", "relational", "transformer")
GPT2 = {"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 8}


def redrawn(module: torch.nn.Module, scale: float = 0.5) -> Any:
    """The module with large weights from its parameters' names, whatever was drawn before."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            rng = keyed_rng("text weights", name)
            parameter.copy_(scale * torch.randn(parameter.shape, generator=rng))
    return module


def generator(backbone: str = "lstm", **arguments: Any) -> TextGenerator:
    sizes: dict[str, Any] = {"embedding": 5, "width": 8, "layers": 2, "memory_slots": 2}
    config = GPT2 if backbone == "hugging_face" else None
    return redrawn(
        TextGenerator(VOCABULARY, LENGTH, backbone=backbone, hf_config=config, **sizes | arguments)
    )


def latent_generator(backbone: str = "lstm", **arguments: Any) -> LatentTextGenerator:
    sizes: dict[str, Any] = {"embedding": 5, "width": 8, "layers": 2, "memory_slots": 2}
    sizes |= {"latent_dim": 3, "encoder_width": 4}
    return redrawn(LatentTextGenerator(VOCABULARY, LENGTH, backbone=backbone, **sizes | arguments))


def cnn(**arguments: Any) -> TextCNN:
    sizes = {"embedding": 6, "filters": 3, "hidden": 4, "dropout": 0.0}
    return redrawn(TextCNN(VOCABULARY, **sizes | arguments), 0.7)


def transformer(**arguments: Any) -> TextTransformer:
    sizes = {"width": 6, "layers": 1, "dropout": 0.0}
    return redrawn(TextTransformer(VOCABULARY, LENGTH, **sizes | arguments), 0.7)


def given(n: int) -> TextCondition:
    """A prompt of one or two tokens for all lines but the first, and labels in turn."""
    prompt = torch.full((n, LENGTH), PAD)
    prompt[1:, 0] = 5
    prompt[2:, 1] = 7
    return TextCondition(prompt, torch.arange(n) % LABELS)


def lines(n: int, seed: int = 0) -> Tensor:
    """Tokens (n, T) of random lines that end, and their padding."""
    tokens = torch.randint(4, VOCABULARY, (n, LENGTH), generator=keyed_rng("lines", seed))
    ends = torch.randint(1, LENGTH, (n, 1), generator=keyed_rng("ends", seed))
    places = torch.arange(LENGTH)
    tokens = torch.where(places == ends, EOS, tokens)
    return torch.where(places > ends, PAD, tokens)


def one_hot(tokens: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.nn.functional.one_hot(tokens, VOCABULARY).to(dtype)


def step_by_step(g: TextGenerator, latent: TextLatent, condition: TextCondition | None) -> Tensor:
    """The relaxed lines (B, T, V) from one loop with a graph: what the two passes must equal."""
    rows = [lane(g, latent, condition, b) for b in range(len(latent.seed))]
    return torch.stack(rows)


def lane(g: TextGenerator, latent: TextLatent, condition: Any, b: int) -> Tensor:
    """One line (T, V): every logit masked, every token drawn and relaxed by the book."""
    rng = torch.Generator().manual_seed(int(latent.seed[b]))
    fresh = -(-torch.rand(LENGTH, VOCABULARY, generator=rng).log()).log()
    fresh = iter(fresh.to(g.to_logits.weight.dtype))
    token, state, alive, found = (0 if g.fixed_length else BOS), None, True, []
    for t in range(LENGTH):
        x = g.embedding.weight[token][None]
        if condition is not None and g.label is not None:
            x = x + g.label.weight[condition.label[b]]
        if isinstance(latent, LineLatent):
            x = x + g.from_latent.weight @ latent.z[b].to(x.dtype) + g.from_latent.bias
        h, state = g.backbone.step(x, g.backbone.initial_state(x) if state is None else state)
        logits = g.to_logits(g.to_embedding(h))[0]
        if not g.fixed_length:
            for banned in (PAD, BOS, UNK) + ((EOS,) if t < g.min_length else ()):
                logits = logits - 1e9 * one_hot(torch.tensor(banned), logits.dtype)
        prompt = PAD if condition is None or g.fixed_length else int(condition.prompt[b, t])
        if not alive or prompt != PAD:
            token = prompt if alive else PAD
            found.append(one_hot(torch.tensor(token), logits.dtype))
        else:
            shares = logits.detach().softmax(0).cumsum(0)
            token = int((shares <= latent.uniform[b, t] * shares[-1]).sum())
            found.append(relaxed(logits, token, next(fresh), g))
        alive = alive and (g.fixed_length or token != EOS)
    return torch.stack(found)


def relaxed(logits: Tensor, token: int, fresh: Tensor, g: TextGenerator) -> Tensor:
    held = logits.detach()
    top = fresh[token] + held.logsumexp(0)
    z = -(torch.exp(-(held + fresh).clamp(min=-600)) + torch.exp(-top)).log()
    z[token] = top
    soft = ((logits + (z - held)) * g.inverse_temperature).softmax(0)
    if g.estimator == "soft":
        return soft
    return one_hot(torch.tensor(token), soft.dtype) + (soft - soft.detach())
