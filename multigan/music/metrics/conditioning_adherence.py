"""Whether a model listens: what it does with a melody that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from multigan.music.domain import MusicDomain

MAX_MELODIES = 256  # melodies
ASKED_TOGETHER = 64  # per forward pass


def melody_voice(domain: MusicDomain) -> int | None:
    """The highest single voice, if it has company: the one that is given to be harmonised."""
    single = [k for k, voice in enumerate(domain.voices) if voice.kind == "monophonic"]
    if len(domain.voices) < 2 or not single:
        return None
    return max(single, key=lambda k: domain.voices[k].lowest)


def melody_line(domain: MusicDomain) -> int | None:
    """The place of that voice among the lines."""
    voice = melody_voice(domain)
    return None if voice is None else line_names(domain.voices).index(domain.voices[voice].name)


def melody_conditioning(domain: MusicDomain, x: Tensor) -> Conditioning:
    """The melodies of canonical windows (N, T, C) as what is given."""
    mask = torch.zeros(*x.shape[:2], len(domain.voices))
    mask[..., melody_voice(domain)] = 1
    return make_conditioning(x, mask, domain.voices)


def conditioning_metrics(
    domain: MusicDomain, generator: Generator, given: Conditioning, rng: torch.Generator
) -> dict[str, float]:
    """What becomes of the other lines when a melody is exchanged, the latent staying as it is.

    given_exact: the share of windows in which the generator itself returns every given cell bit by
    bit; changed_by_melody: the share of steps of the other lines whose pitch is another one.
    """
    chosen = torch.linspace(0, len(given.mask) - 1, min(MAX_MELODIES, len(given.mask))).long()
    one = Conditioning(given.known[chosen], given.mask[chosen])
    far = len(chosen) // 2  # neighbours may be of one piece
    other = Conditioning(one.known.roll(far, 0), one.mask.roll(far, 0))
    drawn: list[Tensor] = []
    exchanged: list[Tensor] = []
    exact = 0
    for part in torch.arange(len(chosen)).split(ASKED_TOGETHER):
        again = rng.clone_state()
        for seen, kept, source in ((one, drawn, rng), (other, exchanged, again)):
            asked = Conditioning(seen.known[part], seen.mask[part])
            x = sample_batch(generator, len(part), source, asked)
            there = expand_mask(asked.mask, domain.voices) > 0
            exact += int(((x == asked.known) | ~there).flatten(1).all(1).sum())
            kept.append(binarize(apply_conditioning(x, asked, domain.voices), domain.voices))
    lines = [voice_lines(torch.cat(x), domain.voices) for x in (drawn, exchanged)]
    others = [k for k in range(lines[0].shape[2]) if k != melody_line(domain)]
    changed = (lines[0] != lines[1])[:, :, others]
    return {
        "given_exact": exact / (2 * len(chosen)),
        "changed_by_melody": float(changed.double().mean()),
    }
