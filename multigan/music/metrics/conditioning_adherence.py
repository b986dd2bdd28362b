"""Adherence of samples to a conditioning melody."""

from __future__ import annotations

import torch
from torch import Tensor

from multigan.core.modules import sample_batch
from multigan.core.protocols import Generator
from multigan.music.metrics.voice_lines import line_names, voice_lines
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    expand_mask,
    make_conditioning,
)
from multigan.music.representations.tensors import binarize
from multigan.music.spec import MusicSpec

MAX_MELODIES = 256
BATCH_SIZE = 64  # melodies per forward pass


def melody_voice(spec: MusicSpec) -> int | None:
    """Return the index of the highest monophonic voice; None without one or another voice."""
    monophonic = [k for k, voice in enumerate(spec.voices) if voice.kind == "monophonic"]
    if len(spec.voices) < 2 or not monophonic:
        return None
    return max(monophonic, key=lambda k: spec.voices[k].min_pitch)


def melody_line(spec: MusicSpec) -> int | None:
    """Return the index of the melody voice among the lines."""
    voice = melody_voice(spec)
    return None if voice is None else line_names(spec.voices).index(spec.voices[voice].name)


def melody_conditioning(spec: MusicSpec, x: Tensor) -> Conditioning:
    """Condition on the melodies of canonical windows (N, T, C)."""
    mask = torch.zeros(*x.shape[:2], len(spec.voices))
    mask[..., melody_voice(spec)] = 1
    return make_conditioning(x, mask, spec.voices)


def conditioning_metrics(
    spec: MusicSpec, generator: Generator, conditioning: Conditioning, rng: torch.Generator
) -> dict[str, float]:
    """Compare samples of the same latents under two melodies.

    conditioning_exact_rate: fraction of windows in which the generator itself returns every
    observed cell exactly. melody_sensitivity: fraction of steps of the other lines whose pitch
    changes with the melody.
    """
    indices = torch.linspace(
        0, len(conditioning.mask) - 1, min(MAX_MELODIES, len(conditioning.mask))
    ).long()
    one = Conditioning(conditioning.values[indices], conditioning.mask[indices])
    far = len(indices) // 2  # neighbors may be of one piece
    other = Conditioning(one.values.roll(far, 0), one.mask.roll(far, 0))
    with_one: list[Tensor] = []
    with_other: list[Tensor] = []
    exact = 0
    for batch in torch.arange(len(indices)).split(BATCH_SIZE):
        same_latents = rng.clone_state()
        for melodies, samples, source in ((one, with_one, rng), (other, with_other, same_latents)):
            condition = Conditioning(melodies.values[batch], melodies.mask[batch])
            x = sample_batch(generator, len(batch), source, condition)
            observed = expand_mask(condition.mask, spec.voices) > 0
            exact += int(((x == condition.values) | ~observed).flatten(1).all(1).sum())
            samples.append(binarize(apply_conditioning(x, condition, spec.voices), spec.voices))
    lines = [voice_lines(torch.cat(x), spec.voices) for x in (with_one, with_other)]
    others = [k for k in range(lines[0].shape[2]) if k != melody_line(spec)]
    changed = (lines[0] != lines[1])[:, :, others]
    return {
        "conditioning_exact_rate": exact / (2 * len(indices)),
        "melody_sensitivity": float(changed.double().mean()),
    }
