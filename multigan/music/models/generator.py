"""The music generator: latents of piece, bars and beats; backbones; logits; binary cells."""

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
    forbid_initial_holds,
    get_binarizer,
    gumbel,
    sample_noise,
)
from multigan.music.models.interval_features import IntervalFeatures, onsets_and_active
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
    by_line,
    unconditional,
)
from multigan.music.representations.tensors import slices, total_channels
from multigan.music.representations.voices import Voice, single_lines
from multigan.music.theory import OCTAVE

COUPLINGS = ("composer", "jamming", "hybrid")
BEAT_TO_STEP_WIDTH = 2  # ratio of the channels of a beat to those of a step


class MusicLatent(NamedTuple):
    """Latents of a window: Gaussian but for `keys` and `noise`.

    `piece`, `bars` and `beats` are shared by all voices; the `voice` ones belong to one each. A
    coupling without shared or private latents gives them no channels (Z or N of 0).
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
    """Latents and observed cells -> music (B, T, C) in {0, 1}; observed cells come back exactly.

    The lines of a polyphonic voice are voices of their own here.

    "composer": one backbone generates all voices from shared latents; monophonic voices are
    autoregressive, note by note. "jamming": independent backbones, one for each voice, with private
    latents. "hybrid": a shared backbone, then one for each voice with private latents. Every
    backbone sees the observed cells. A key, one for all (under "jamming" one for each voice),
    rotates the pitch-class logits: what is learned in one key holds in all. It is sampled to fit
    the observed notes.

    Args:
        voices: the voices, as in the domain.
        steps: T; bars of `steps_per_bar` divide it, and beats of `steps_per_beat` those.
        coupling: "composer", "jamming" or "hybrid".
        width: channels of a beat in the shared backbone.
        voice_width: channels of a beat in the backbone of one voice.
        depth: residual blocks of each backbone at beats; one more at steps.
        shared_latent_dim: shared latents of the piece, and of each bar.
        private_latent_dim: a voice's own latents of the piece, and of each bar.
        beat_latent_dim: latents of each beat, shared and a voice's own.
        key_relative: whether pitch classes are generated relative to a key.
        refinement_steps: refinements of a draft from features of its notes: of all voices under
            "composer", else of each voice alone.
        binarization: rule that rounds logits to cells, a key of `binarization.BINARIZERS`.
        initial_noise: scale of the logits' noise under "straight_through" at the start of training.
        final_noise: the same at the end of training; at 0 the latents alone decide.

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
        shared_latent_dim: int = 32,
        private_latent_dim: int = 16,
        beat_latent_dim: int = 16,
        key_relative: bool = True,
        refinement_steps: int = 1,
        binarization: str = "straight_through",
        initial_noise: float = 0.3,
        final_noise: float = 0.0,
    ) -> None:
        super().__init__()
        check_steps(steps, steps_per_bar, steps_per_beat)
        _check_coupling(coupling)
        self.tracks, self.steps, self.steps_per_beat = tuple(voices), steps, steps_per_beat
        self.voices = single_lines(voices)
        self.bars, self.beats = steps // steps_per_bar, steps // steps_per_beat
        self.binarizer, self.key_relative = get_binarizer(binarization), key_relative
        fixed, free = self.binarizer.scale, (initial_noise, final_noise)
        self.noise_ends = free if fixed is None else (fixed, fixed)
        self.register_buffer("noise_scale", torch.tensor(self.noise_ends[0]))
        self.shared, self.private = coupling != "jamming", coupling != "composer"
        self.shared_sizes = (shared_latent_dim, beat_latent_dim) if self.shared else (0, 0)
        self.private_sizes = (private_latent_dim, beat_latent_dim) if self.private else (0, 0)
        count, pitched = len(self.voices), sum(v.kind != "drums" for v in self.voices)
        observed = steps_per_beat * (total_channels(voices) + count + OCTAVE * pitched)
        if self.shared:
            self.shared_backbone = ResidualBackbone(
                1, self.beats, 2 * shared_latent_dim + beat_latent_dim + observed, width, depth
            )
        if self.private:
            seen = 2 * private_latent_dim + beat_latent_dim + (width if self.shared else observed)
            self.voice_backbones = ResidualBackbone(count, self.beats, seen, voice_width, depth)
        groups, wide = (count, voice_width) if self.private else (1, width)
        self.to_steps = GroupLinear(groups, wide, steps_per_beat * (wide // BEAT_TO_STEP_WIDTH))
        self.at_steps = blocks(1, groups, wide // BEAT_TO_STEP_WIDTH)
        features = VOICE_FEATURES * (1 if self.private else count)
        self.interval_features = None
        if not self.private and pitched > 1:
            self.interval_features = IntervalFeatures(self.voices, steps_per_beat)
            features += self.interval_features.pairs_width
        self.refine = nn.ModuleList(
            RefinementBlock(groups, features, wide // BEAT_TO_STEP_WIDTH, wide, steps_per_beat)
            for _ in range(refinement_steps)
        )
        self.autoregressive = AutoregressiveVoices(
            self.voices, steps_per_beat, coupled=not self.private
        )
        self.shared_logits = None if self.private else SharedHarmony(wide // BEAT_TO_STEP_WIDTH)
        self.to_logits = nn.ModuleList(
            VoiceLogits(voice, wide // BEAT_TO_STEP_WIDTH, key_relative) for voice in self.voices
        )

    noise_scale: Tensor  # ()

    def anneal(self, progress: float) -> dict[str, float]:
        """Set the scale of the noise for `progress` in [0, 1] of a run; return it for the log."""
        first, last = self.noise_ends
        scale = first + (last - first) * progress
        self.noise_scale.fill_(scale)
        return {"anneal/noise_scale": scale}

    def sample_latent(self, n: int, rng: torch.Generator) -> MusicLatent:
        """Sample `n` latents on the CPU."""
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
            keys=gumbel(torch.rand(n, keys, OCTAVE, generator=rng)),
            noise=sample_noise(n, self.steps, self.voices, rng),
        )

    def example_condition(self, n: int) -> Conditioning:
        """Return the unconditional condition of `n` windows."""
        return unconditional(n, self.steps, self.tracks)

    def forward(self, latent: MusicLatent, condition: Conditioning | None = None) -> Tensor:
        """Latents, observed cells (None: unconditional) -> (B, T, C) in {0, 1}."""
        if condition is None:
            free = unconditional(len(latent.noise), self.steps, self.tracks)
            condition = tree_map(lambda leaf: leaf.to(latent.noise), free)
        condition = by_line(condition, self.tracks)
        keys = self._keys(latent, condition)  # (1 or K, B, 12)
        h = self.to_steps(self._beats(latent, condition, keys))
        h = rms_norm(self.at_steps(ungroup_steps(h, self.steps_per_beat)))
        keys = self._for_each_voice(keys)
        x = self._cells(h, keys, latent.noise, condition)
        for refine in self.refine:
            h = rms_norm(refine(h, self._note_features(x, keys)))
            x = self._cells(h, keys, latent.noise, condition)
        return x

    def interpolate(self, a: MusicLatent, b: MusicLatent, t: float) -> MusicLatent:
        """Return the latent at `t` in [0, 1] between a and b.

        cos and sin weights keep the mixture of two Gaussian latents Gaussian. Keys and the noise
        of choices are never mixed: they are those of the nearer end.
        """
        angle = t * math.pi / 2
        mixed = tree_map(lambda x, y: math.cos(angle) * x + math.sin(angle) * y, a, b)
        nearer = a if t < 0.5 else b
        return mixed._replace(keys=nearer.keys, noise=nearer.noise)

    def _keys(self, latent: MusicLatent, condition: Conditioning) -> Tensor:
        """Return the key of each backbone (1 or K, B, 12); C if nothing is relative to a key."""
        keys = sample_key(latent.keys, condition.values, self.voices)
        return keys if self.key_relative else F.one_hot(keys.argmax(-1) * 0, OCTAVE).to(keys)

    def _beats(self, latent: MusicLatent, condition: Conditioning, keys: Tensor) -> Tensor:
        """Return the hidden states of beats: (1 or K, B, beats, width of the last backbone)."""
        chroma = key_relative_chroma(condition.values, keys, self.voices)  # (1 or K, B, T, 12 K')
        cells = torch.cat([condition.values, condition.mask], dim=-1).expand(len(keys), -1, -1, -1)
        h = group_steps(torch.cat([cells, chroma], dim=-1), self.steps_per_beat)
        if self.shared:
            own = self._each_beat(latent.piece, latent.bars, latent.beats)  # (B, beats, ...)
            h = self.shared_backbone(torch.cat([own[None], h], dim=-1))
        if self.private:
            own = self._each_beat(latent.voice, latent.voice_bars, latent.voice_beats)
            h = torch.cat([own.transpose(0, 1), self._for_each_voice(h)], dim=-1)
            h = self.voice_backbones(h)
        return h

    def _each_beat(self, *latents: Tensor) -> Tensor:
        """Repeat latents (..., 1, bars or beats, Z) at all their beats and concatenate them."""
        repeated = [z.repeat_interleave(self.beats // z.shape[-2], dim=-2) for z in latents]
        return torch.cat(repeated, dim=-1)

    def _for_each_voice(self, x: Tensor) -> Tensor:
        """(1 or K, ...) -> (K, ...)."""
        return x.expand(len(self.voices), *x.shape[1:])

    def _cells(self, h: Tensor, keys: Tensor, noise: Tensor, condition: Conditioning) -> Tensor:
        """Hidden states (1 or K, B, T, C), keys (K, B, 12) -> cells (B, T, C)."""
        shared = None if self.shared_logits is None else self.shared_logits(h[0])
        h, blocks = self._for_each_voice(h), slices(self.voices)
        logits = [
            forbid_initial_holds(voice, to_logits(of_voice, key, shared))
            for voice, to_logits, of_voice, key in zip(
                self.voices, self.to_logits, h, keys, strict=True
            )
        ]
        noises = [self.noise_scale * noise[..., block] for block in blocks]
        observed = [condition.values[..., block] for block in blocks]
        logits = self.autoregressive(logits, noises, observed)
        cells = [
            binarize_logits(self.binarizer, voice, of_voice, of_noise, self.training)
            for voice, of_voice, of_noise in zip(self.voices, logits, noises, strict=True)
        ]
        return apply_conditioning(torch.cat(cells, dim=-1), condition, self.voices)

    def _note_features(self, x: Tensor, keys: Tensor) -> Tensor:
        """Return the refinement's features of cells (B, T, C): (1 or K, B, T, inputs).

        A backbone of all voices also gets the intervals between them, as the discriminator does.
        """
        features = voice_features(x, keys, self.voices)  # (K, B, T, VOICE_FEATURES)
        if self.private:
            return features
        features = features.permute(1, 2, 0, 3).flatten(2)
        if self.interval_features is not None:
            pairs = self.interval_features(*onsets_and_active(x, self.voices)).pairs
            features = torch.cat([features, pairs], dim=-1)
        return features[None]


def _check_coupling(coupling: str) -> None:
    """Raise ValueError for an unknown coupling."""
    if coupling not in COUPLINGS:
        raise ValueError(f"coupling must be one of {', '.join(COUPLINGS)}; got {coupling!r}")
