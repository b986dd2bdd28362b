"""Music discriminator on sounding notes: voice by voice, together, and bar by bar."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.music.models.interval_features import (
    IntervalFeatures,
    num_rows,
    onsets_and_active,
    pitch_class_matrix,
)
from multigan.music.models.layers import (
    GroupLinear,
    activation,
    blocks,
    check_steps,
    group_steps,
    linear,
)
from multigan.music.representations.conditioning import Conditioning, by_line, unconditional
from multigan.music.representations.tensors import shift_time, total_channels
from multigan.music.representations.voices import Voice, single_lines
from multigan.music.theory import OCTAVE

ONSET_WEIGHT = 3.0  # a note has one onset and sounds for several steps: see `embed`
LAGS = (1, 2, 4, 8)  # bars between those that are compared
AT_ONCE = 8  # about how many numbers of a step of one voice are not 0


@component
class MusicDiscriminator(nn.Module):
    """Music (B, T, C), and what of it is given, -> logits (B,).

    Cells are decoded to onsets and sounding notes, so equivalent notations look the same. Each
    voice has a trunk for its onsets, melodic intervals and height, or the cells of drums and
    chords. It works step by step, then beat by beat. The joint trunk reads all trunks and the
    intervals between voices; scale and shift tell it which cells are given. Then bars are compared
    with each other, and the pitch classes of the whole window are judged.

    Gradient penalties are taken at the output of `embed`, which has no parameters. At x the
    gradient of a note would grow with its length, and long notes would be judged more gently.

    Args:
        voices: the voices of the domain.
        steps: T; bars of `steps_per_bar` divide it, and beats of `steps_per_beat` those.
        width: channels of a beat, and of a bar, in the joint trunk.
        voice_width: channels of a beat in the trunk of one voice.
        step_width: channels of a step in the trunk of one voice.
        depth: residual blocks of the joint trunk, and of the part that compares bars.
        interval_features: use onsets and intervals; if False, use the notes as such.
        absolute_pitch: also use the notes and chroma of single voices as such. They mostly show the
            current drift of a generator, so that the two networks circle each other.
        compare_bars: how much of each bar is that of 1, 2, 4 and 8 bars before.
        dropout: share of the joint features, by beat and at the end, that is left out in training.
            Without it, D memorizes a training set of a few hundred pieces.

    Raises ValueError for sizes that do not fit.
    Source of scale and shift: Perez et al. 2018 (FiLM), arXiv:1709.07871, section 2.
    """

    uses_batch_statistics = False

    def __init__(
        self,
        voices: Sequence[Voice],
        steps: int = 32,
        steps_per_bar: int = 16,
        steps_per_beat: int = 4,
        width: int = 96,
        voice_width: int = 48,
        step_width: int = 24,
        depth: int = 2,
        interval_features: bool = True,
        absolute_pitch: bool = False,
        dropout: float = 0.0,
        compare_bars: bool = False,
    ) -> None:
        super().__init__()
        check_steps(steps, steps_per_bar, steps_per_beat)
        self.tracks, self.voices, self.steps = tuple(voices), single_lines(voices), steps
        self.steps_per_beat, self.beats_per_bar = steps_per_beat, steps_per_bar // steps_per_beat
        self.step_width = step_width
        count = len(self.voices)
        plain = absolute_pitch or not interval_features
        self.embed_notes = nn.ModuleDict(
            {
                str(k): linear(2 * num_rows(voice), step_width, AT_ONCE)
                for k, voice in enumerate(self.voices)
                if plain or voice.kind != "monophonic"
            }
        )
        self.to_beats = GroupLinear(count, steps_per_beat * step_width, voice_width)
        self.voice_blocks = blocks(1, count, voice_width)
        pitched = any(voice.kind != "drums" for voice in self.voices)
        self.interval_features = (
            IntervalFeatures(self.voices, steps_per_beat, absolute_pitch)
            if interval_features and pitched
            else None
        )
        pairs_width = window_width = 0
        if self.interval_features is not None:
            self.embed_intervals = GroupLinear(
                len(self.interval_features.pitched), self.interval_features.voice_width, step_width
            )
            window_width = width // 2
            self.embed_window = linear(self.interval_features.window_width, window_width)
            if self.interval_features.pairs_width:
                pairs_width = 2 * step_width
                self.embed_pairs = linear(self.interval_features.pairs_width, pairs_width, AT_ONCE)
        self.embed_conditioning = linear(
            steps_per_beat * (total_channels(voices) + count), 2 * width
        )
        self.join = linear(count * voice_width + steps_per_beat * pairs_width, width)
        self.joint_blocks = blocks(depth, 1, width)
        bars = steps // steps_per_bar
        self.lags = tuple(lag for lag in LAGS if lag < bars) if compare_bars else ()
        compared = 2 * len(self.lags)
        self.to_bars = linear(self.beats_per_bar * width + compared, width)
        self.bar_blocks = blocks(depth, 1, width)
        self.dropout_layer = nn.Dropout(dropout)
        self.last = linear(steps // steps_per_bar * width + window_width, 1)

    def forward(self, x: Tensor, condition: Conditioning | None = None) -> Tensor:
        """(B, T, C), given cells (None: nothing is given) -> logits (B,)."""
        return self.score(self.embed(x), condition)

    def embed(self, x: Tensor) -> Tensor:
        """Onsets, then sounding notes, of all voices: (B, T, C) -> (B, T, 2 rows)."""
        if x.shape[1:] != (self.steps, total_channels(self.voices)):
            shape = f"(B, {self.steps}, {total_channels(self.voices)})"
            raise ValueError(f"music must be {shape}; got {tuple(x.shape)}")
        onsets, sounds = onsets_and_active(x, self.voices)
        return torch.cat([*(ONSET_WEIGHT * a for a in onsets), *sounds], dim=-1)

    def score(self, embedded: Tensor, condition: Conditioning | None = None) -> Tensor:
        """Features of `embed` and given cells -> logits (B,)."""
        h = self.dropout_layer(self._features(embedded, condition))
        return in_float32(self.last, h).squeeze(1)

    def squared_input_norm(self, slope: Tensor) -> Tensor:
        """|slope|^2 at the features of `embed`: (B, T, 2 rows) -> (B,)."""
        return slope.flatten(1).square().sum(1)

    def features(self, x: Tensor, condition: Conditioning | None = None) -> Tensor:
        """Inputs of the last linear map: (B, F)."""
        return self._features(self.embed(x), condition)

    def _features(self, embedded: Tensor, condition: Conditioning | None) -> Tensor:
        trunks, pairs, window = self._encode(embedded)
        known = torch.cat(self._given(embedded, condition)[:2], dim=-1)  # (B, T, C + K)
        beats = torch.cat([trunks.permute(1, 2, 0, 3).flatten(2), *pairs], dim=-1)
        scale, shift = self.embed_conditioning(group_steps(known, self.steps_per_beat)).chunk(
            2, dim=-1
        )  # nothing given: at first 0
        h = self.dropout_layer(activation(self.join(beats) * (1 + scale) + shift))
        h = self.joint_blocks(h[None])[0]  # (B, beats, width)
        h = group_steps(h, self.beats_per_bar)
        if self.lags:
            h = torch.cat([h, self._likeness(embedded)], dim=-1)
        h = activation(self.to_bars(h))
        h = self.bar_blocks(h[None])[0]  # (B, bars, width)
        return torch.cat([h.flatten(1), *window], dim=1)

    def _likeness(self, embedded: Tensor) -> Tensor:
        """Likeness of each bar to those before, of notes and of pitch classes: (B, bars, 2 lags).

        Cosines, 0 where there is no bar so long before.
        """
        onsets, sounds = embedded.chunk(2, dim=-1)
        blocks = sounds.split([num_rows(voice) for voice in self.voices], dim=-1)
        folded = [
            block @ pitch_class_matrix(voice).to(block)
            for block, voice in zip(blocks, self.voices, strict=True)
            if voice.kind != "drums"
        ]
        chroma = torch.stack([*folded, torch.zeros_like(embedded[..., :OCTAVE])]).sum(0)
        bars = self.steps // (self.steps_per_beat * self.beats_per_bar)
        found = []
        for cells in (onsets, chroma):
            of_bars = cells.unflatten(1, (bars, -1))
            of_bars = of_bars.flatten(2) if cells is onsets else of_bars.sum(2)
            unit = of_bars * (of_bars.square().sum(-1, keepdim=True) + 1).rsqrt()
            for lag in self.lags:
                found.append((unit * shift_time(unit, lag)).sum(-1))
        return torch.stack(found, dim=-1)

    def voice_features(self, x: Tensor) -> Tensor:
        """Features of each voice alone: (B, T, C) -> (K, B, beats, voice_width)."""
        return self._encode(self.embed(x))[0]

    def _encode(self, embedded: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The voices' trunks, pairs beat by beat [(B, beats, ...)] and the window [(B, ...)].

        Without such features the lists are empty.
        """
        both = embedded.split([num_rows(voice) for voice in self.voices] * 2, dim=-1)
        onsets = [a / ONSET_WEIGHT for a in both[: len(self.voices)]]
        sounds = both[len(self.voices) :]
        silence = embedded.new_zeros(*embedded.shape[:2], self.step_width)
        steps = [silence] * len(self.voices)
        for name, embed in self.embed_notes.items():
            steps[int(name)] = embed(torch.cat([onsets[int(name)], sounds[int(name)]], dim=-1))
        pairs: list[Tensor] = []
        window: list[Tensor] = []
        if self.interval_features is not None:
            streams = self.interval_features(onsets, sounds)
            own = self.embed_intervals(streams.voice)  # (K', B, T, C)
            for k, stream in zip(self.interval_features.pitched, own, strict=True):
                steps[k] = steps[k] + stream
            window = [activation(self.embed_window(streams.window))]
            if self.interval_features.pairs_width:
                pairs = [
                    group_steps(activation(self.embed_pairs(streams.pairs)), self.steps_per_beat)
                ]
        beats = self.to_beats(group_steps(activation(torch.stack(steps)), self.steps_per_beat))
        return self.voice_blocks(activation(beats)), pairs, window

    def _given(self, x: Tensor, condition: Conditioning | None) -> Conditioning:
        if condition is None:
            condition = unconditional(len(x), self.steps, self.tracks)
        return tree_map(lambda leaf: leaf.to(x), by_line(condition, self.tracks))
