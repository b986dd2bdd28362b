"""The music generator: latents of four kinds, beats, then steps, then hard cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.music.models.autoregressive import AutoregressiveVoices
from multigan.music.models.binarization import (
    binarize_logits,
    draw_noise,
    forbid_initial_holds,
    get_binarizer,
    gumbel,
)
from multigan.music.models.interval_features import CLASSES, IntervalFeatures, onsets_and_active
from multigan.music.models.key_conditioning import (
    VOICE_FEATURES,
    SharedHarmony,
    VoiceLogits,
    key_relative_chroma,
    sample_key,
    voice_features,
)
from multigan.music.models.layers import (
    GroupLinear,
    RefinementBlock,
    ResidualBackbone,
    blocks,
    check_steps,
    group_steps,
    rms_norm,
    ungroup_steps,
)
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    unconditional,
)
from multigan.music.representations.tensors import slices, total_channels
from multigan.music.representations.voices import Voice

COUPLINGS = ("composer", "jamming", "hybrid")
BEAT_TO_STEP_WIDTH = 2  # a step is half as wide as a beat


class MusicLatent(NamedTuple):
    """What a window is drawn from: Gaussian but for `keys` and `noise`.

    Shared by all voices: `piece`, `bars`, `beats`; a voice's own: the other three. A coupling
    without one of the two sides gives it no channels (Z or N of 0).
    """

    piece: Tensor  # (B, 1, Z)
    bars: Tensor  # (B, bars, Z)
    beats: Tensor  # (B, beats, N)
    voice: Tensor  # (B, K, 1, Z)
    voice_bars: Tensor  # (B, K, bars, Z)
    voice_beats: Tensor  # (B, K, beats, N)
    keys: Tensor  # (B, 1 or K, 12) Gumbel: the key is the largest
    noise: Tensor  # (B, T, C) Gumbel or logistic: for the hard choices


@component
class MusicGenerator(nn.Module):
    """Latents and what is given -> music (B, T, C) in {0, 1}; given cells come back bit by bit.

    "composer": one body writes all voices from shared latents, and single voices hear each other
    note by note (`choir`). "jamming": a body for each voice,
    from latents of its own; they hear nothing of each other. "hybrid": a shared body, then one for
    each voice with its own latents. Every body sees the given cells. A key, one for all (jamming:
    each voice has its own), turns the pitch-class logits, so that music learnt in one key is
    known in all; it is drawn to fit what is given.

    Args:
        voices: what is written, as in the domain.
        steps: T; bars of `steps_per_bar` divide it, and beats of `steps_per_beat` those.
        coupling: "composer", "jamming" or "hybrid".
        width: channels of a beat in the shared body.
        voice_width: channels of a beat in the body of one voice.
        depth: residual blocks of each body at beats; one more at steps.
        shared_size: shared latents of the piece, and of each bar.
        private_size: a voice's own latents of the piece, and of each bar.
        beat_size: latents of each beat, shared and a voice's own.
        key_relative: whether pitch classes are written relative to a key.
        revisions: how often the voices hear what they have drafted, and write it anew: all of them
            together under "composer", else each only itself.
        head: how logits become hard, a name of `heads.HEADS`.
        noise: scale of the noise on the logits under the head "straight_through", at the start.
        last_noise: the same at the end of training: there the latents alone decide.

    Raises ValueError for sizes that do not fit and unknown names.
    Source of couplings: Dong et al. 2018 (MuseGAN), arXiv:1709.06298, section 3.2.
    """

    def __init__(
        self,
        voices: Sequence[Voice],
        steps: int = 32,
        steps_per_bar: int = 16,
        steps_per_beat: int = 4,
        coupling: str = "hybrid",
        width: int = 128,
        voice_width: int = 48,
        depth: int = 3,
        shared_size: int = 32,
        private_size: int = 16,
        beat_size: int = 16,
        key_relative: bool = True,
        revisions: int = 1,
        head: str = "straight_through",
        noise: float = 0.3,
        last_noise: float = 0.0,
    ) -> None:
        super().__init__()
        check_steps(steps, steps_per_bar, steps_per_beat)
        if coupling not in COUPLINGS:
            raise ValueError(f"no coupling {coupling!r}; known: {', '.join(COUPLINGS)}")
        self.voices, self.steps, self.steps_per_beat = tuple(voices), steps, steps_per_beat
        self.bars, self.beats = steps // steps_per_bar, steps // steps_per_beat
        self.head, self.key_relative = get_binarizer(head), key_relative
        fixed = self.head.scale
        self.noise_ends = (noise, last_noise) if fixed is None else (fixed, fixed)
        self.register_buffer("noise_scale", torch.tensor(self.noise_ends[0]))
        self.shared, self.private = coupling != "jamming", coupling != "composer"
        self.shared_sizes = (shared_size, beat_size) if self.shared else (0, 0)
        self.private_sizes = (private_size, beat_size) if self.private else (0, 0)
        count, pitched = len(self.voices), sum(v.kind != "drums" for v in self.voices)
        given = steps_per_beat * (total_channels(voices) + count + CLASSES * pitched)
        if self.shared:
            self.together = ResidualBackbone(
                1, self.beats, 2 * shared_size + beat_size + given, width, depth
            )
        if self.private:
            seen = 2 * private_size + beat_size + (width if self.shared else given)
            self.apart = ResidualBackbone(count, self.beats, seen, voice_width, depth)
        groups, wide = (count, voice_width) if self.private else (1, width)
        self.to_steps = GroupLinear(groups, wide, steps_per_beat * (wide // BEAT_TO_STEP_WIDTH))
        self.at_steps = blocks(1, groups, wide // BEAT_TO_STEP_WIDTH)
        heard = VOICE_FEATURES * (1 if self.private else count)
        self.relations = None
        if not self.private and pitched > 1:
            self.relations = IntervalFeatures(self.voices, steps_per_beat)
            heard += self.relations.pairs_width
        self.revise = nn.ModuleList(
            RefinementBlock(groups, heard, wide // BEAT_TO_STEP_WIDTH, wide, steps_per_beat)
            for _ in range(revisions)
        )
        self.choir = AutoregressiveVoices(self.voices, steps_per_beat, together=not self.private)
        self.agree = None if self.private else SharedHarmony(wide // BEAT_TO_STEP_WIDTH)
        self.to_logits = nn.ModuleList(
            VoiceLogits(voice, wide // BEAT_TO_STEP_WIDTH, key_relative) for voice in self.voices
        )

    noise_scale: Tensor  # ()

    def anneal(self, progress: float) -> dict[str, float]:
        """Set the scale of the noise for `progress` in [0, 1] of a run; return it."""
        first, last = self.noise_ends
        scale = first + (last - first) * progress
        self.noise_scale.fill_(scale)
        return {"noise": scale}

    def sample_latent(self, n: int, rng: torch.Generator) -> MusicLatent:
        """Draw `n` latents on the CPU."""
        count, keys = len(self.voices), 1 if self.shared else len(self.voices)
        (shared, shared_beat), (private, private_beat) = self.shared_sizes, self.private_sizes

        def normal(*shape: int) -> Tensor:
            return torch.randn(n, *shape, generator=rng)

        return MusicLatent(
            piece=normal(1, shared),
            bars=normal(self.bars, shared),
            beats=normal(self.beats, shared_beat),
            voice=normal(count, 1, private),
            voice_bars=normal(count, self.bars, private),
            voice_beats=normal(count, self.beats, private_beat),
            keys=gumbel(torch.rand(n, keys, CLASSES, generator=rng)),
            noise=draw_noise(n, self.steps, self.voices, rng),
        )

    def example_condition(self, n: int) -> Conditioning:
        """Nothing is given."""
        return unconditional(n, self.steps, self.voices)

    def forward(self, latent: MusicLatent, condition: Conditioning | None = None) -> Tensor:
        """Latents, given cells (None: nothing is given) -> (B, T, C) in {0, 1}."""
        given = condition
        if given is None:
            nothing = unconditional(len(latent.noise), self.steps, self.voices)
            given = tree_map(lambda leaf: leaf.to(latent.noise), nothing)
        keys = self._keys(latent, given)  # (1 or K, B, 12)
        h = self.to_steps(self._beats(latent, given, keys))
        h = rms_norm(self.at_steps(ungroup_steps(h, self.steps_per_beat)))
        keys = self._for_each_voice(keys)
        x = self._write(h, keys, latent.noise, given)
        for revise in self.revise:
            h = rms_norm(revise(h, self._hear(x, keys)))
            x = self._write(h, keys, latent.noise, given)
        return x

    def interpolate(self, a: MusicLatent, b: MusicLatent, t: float) -> MusicLatent:
        """The latent at `t` in [0, 1] on the way from a to b.

        cos and sin weights keep the mixture of two Gaussian latents Gaussian. Keys and the noise
        of choices are never mixed: they are those of the nearer end.
        """
        angle = t * math.pi / 2
        mixed = tree_map(lambda x, y: math.cos(angle) * x + math.sin(angle) * y, a, b)
        nearer = a if t < 0.5 else b
        return mixed._replace(keys=nearer.keys, noise=nearer.noise)

    def _keys(self, latent: MusicLatent, given: Conditioning) -> Tensor:
        """The key of each body (1 or K, B, 12); C where nothing is relative to it."""
        keys = sample_key(latent.keys, given.known, self.voices)
        return keys if self.key_relative else F.one_hot(keys.argmax(-1) * 0, CLASSES).to(keys)

    def _beats(self, latent: MusicLatent, given: Conditioning, keys: Tensor) -> Tensor:
        """What is said beat by beat: (1 or K, B, beats, width of the last body)."""
        chroma = key_relative_chroma(given.known, keys, self.voices)  # (1 or K, B, T, 12 K')
        cells = torch.cat([given.known, given.mask], dim=-1).expand(len(keys), -1, -1, -1)
        heard = group_steps(torch.cat([cells, chroma], dim=-1), self.steps_per_beat)
        if self.shared:
            own = self._each_beat(latent.piece, latent.bars, latent.beats)  # (B, beats, ...)
            heard = self.together(torch.cat([own[None], heard], dim=-1))
        if self.private:
            own = self._each_beat(latent.voice, latent.voice_bars, latent.voice_beats)
            heard = torch.cat([own.transpose(0, 1), self._for_each_voice(heard)], dim=-1)
            heard = self.apart(heard)
        return heard

    def _each_beat(self, *latents: Tensor) -> Tensor:
        """Latents (..., 1, bars or beats, Z), each said again at all its beats, side by side."""
        said = [z.repeat_interleave(self.beats // z.shape[-2], dim=-2) for z in latents]
        return torch.cat(said, dim=-1)

    def _for_each_voice(self, x: Tensor) -> Tensor:
        """(1 or K, ...) -> (K, ...)."""
        return x.expand(len(self.voices), *x.shape[1:])

    def _write(self, h: Tensor, keys: Tensor, noise: Tensor, given: Conditioning) -> Tensor:
        """What is meant at each step (1 or K, B, T, C), keys (K, B, 12) -> cells (B, T, C)."""
        agreed = None if self.agree is None else self.agree(h[0])
        h, blocks = self._for_each_voice(h), slices(self.voices)
        logits = [
            forbid_initial_holds(voice, to_logits(of_voice, key, agreed))
            for voice, to_logits, of_voice, key in zip(
                self.voices, self.to_logits, h, keys, strict=True
            )
        ]
        noises = [self.noise_scale * noise[..., block] for block in blocks]
        logits = self.choir(logits, noises, [given.known[..., block] for block in blocks])
        cells = [
            binarize_logits(self.head, voice, of_voice, chance, self.training)
            for voice, of_voice, chance in zip(self.voices, logits, noises, strict=True)
        ]
        return apply_conditioning(torch.cat(cells, dim=-1), given, self.voices)

    def _hear(self, x: Tensor, keys: Tensor) -> Tensor:
        """What a body that revises hears of cells (B, T, C): (1 or K, B, T, inputs).

        A body that writes all voices also hears how they stand to each other, as D does.
        """
        heard = voice_features(x, keys, self.voices)  # (K, B, T, HEARD)
        if self.private:
            return heard
        heard = heard.permute(1, 2, 0, 3).flatten(2)
        if self.relations is not None:
            heard = torch.cat(
                [heard, self.relations(*onsets_and_active(x, self.voices)).pairs], dim=-1
            )
        return heard[None]
