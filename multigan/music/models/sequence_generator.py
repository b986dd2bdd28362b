"""A generator of lines step by step, over a plan of chords, relative to a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.music.models.autoregressive import outer_voices_first
from multigan.music.models.binarization import (
    STRAIGHT_THROUGH_TEMPERATURE,
    gumbel,
    straight_through,
)
from multigan.music.models.harmonic_plan import (
    LAGS,
    Plan,
    PlanModel,
    bars_back,
    chord_labels,
    chord_pitch_classes,
    likeness_labels,
    sum_by,
    transpose_chords,
)
from multigan.music.models.key_conditioning import key_log_likelihood, sample_key
from multigan.music.models.layers import check_steps
from multigan.music.models.line_leading import LineLeading
from multigan.music.models.line_network import LineNetwork, LineTokens, StepContext
from multigan.music.representations.conditioning import (
    ANY_CHORD,
    Conditioning,
    apply_conditioning,
    by_line,
    unconditional,
)
from multigan.music.representations.tensors import slices
from multigan.music.representations.voices import Voice, single_lines
from multigan.music.theory import NUM_CHORDS, OCTAVE

ENDING_BARS = 2  # the last bars, which know that the song ends
KEY_WEIGHT = 1e4  # of the key asked for, in logits: no note outweighs it
DOWN, UP = 5, 6  # semitones that music moves at most to stand in the key of C


class SequenceLatent(NamedTuple):
    """Gumbel noise of every choice."""

    keys: Tensor  # (B, 1, 12)
    likeness: Tensor  # (B, bars, lags)
    chords: Tensor  # (B, half bars, chords)
    notes: Tensor  # (B, T, L, R + 2)


class _Observed(NamedTuple):
    """Observed lines: their rows, and where they are observed, (B, T, L) bool."""

    tokens: LineTokens
    mask: Tensor


@component
class SequenceGenerator(nn.Module):
    """Noise and observed cells -> music (B, T, C) in {0, 1}; observed cells come back exactly.

    A plan is chosen first: a chord for each half bar, and for each bar an earlier one that it is
    like. Then the lines are chosen step by step, each conditioned on the steps before and on the
    lines before it. All is relative to a key. In training the choices have a straight-through
    gradient; the notes before them are taken as they are.

    Args:
        voices: pitched voices, as in the domain; a polyphonic one is its lines.
        steps: T; bars of `steps_per_bar` divide it, and beats of `steps_per_beat` those.
        width: of the recurrent state.
        line_width: of the layers of one line.
        plan_width: of the recurrent state of the plan.
        dropout: of the recurrent state, in the likelihood stage.
        temperature: of the choice of notes and rests; plan_temperature: of the plan.
        pitch_temperature: of the pitch of a note that begins; the rhythm keeps its rates.
        likeness_bonus: added in sampling to the logit of what the likened bar has at a step.
        voice_leading: learn biases of the intervals, parallels and directions between lines.
        parallels_penalty: taken in sampling from the logit of a row in parallel unisons, octaves or
            fifths with a line, since the step before and, on a beat, the last beat: twice if both.

    Raises ValueError for sizes that do not fit, for drums, for a pitch temperature of 0, and for a
    penalty without voice leading.
    """

    is_batch_independent = True
    has_plan = True

    def __init__(
        self,
        voices: Sequence[Voice],
        steps: int = 128,
        steps_per_bar: int = 16,
        steps_per_beat: int = 4,
        width: int = 224,
        line_width: int = 128,
        plan_width: int = 96,
        dropout: float = 0.1,
        temperature: float = 1.0,
        plan_temperature: float = 1.0,
        pitch_temperature: float = 1.0,
        likeness_bonus: float = 0.0,
        voice_leading: bool = False,
        parallels_penalty: float = 0.0,
    ) -> None:
        super().__init__()
        check_steps(steps, steps_per_bar, steps_per_beat)
        self.tracks, self.voices = tuple(voices), single_lines(voices)
        if any(voice.kind == "drums" for voice in self.voices):
            raise ValueError("a sequence generator must have pitched voices; got drums")
        if pitch_temperature <= 0:
            raise ValueError(f"pitch_temperature must be greater than 0; got {pitch_temperature}")
        self.steps, self.steps_per_bar, self.bars = steps, steps_per_bar, steps // steps_per_bar
        self.steps_per_beat = steps_per_beat
        halves = 1 if steps_per_bar % (2 * steps_per_beat) else 2
        self.half_bars, self.half_steps = self.bars * halves, steps_per_bar // halves
        self.temperature, self.plan_temperature = temperature, plan_temperature
        if parallels_penalty and not voice_leading:
            raise ValueError("parallels_penalty must be 0 without voice_leading")
        self.pitch_temperature, self.likeness_bonus = pitch_temperature, likeness_bonus
        self.parallels_penalty = parallels_penalty
        self.lowest = min(voice.min_pitch for voice in self.voices) - DOWN
        highest = max(voice.min_pitch + voice.num_pitches - 1 for voice in self.voices) + UP
        self.rows = highest - self.lowest + 1
        self.plan = PlanModel(self.bars, halves, plan_width)
        self.network = LineNetwork(
            len(self.voices),
            self.rows,
            self.lowest,
            steps,
            steps_per_bar,
            len(LAGS) + 1,
            outer_voices_first(self.voices),
            width,
            line_width,
            dropout,
        )
        rank = torch.tensor(self.network.order).argsort()
        self.register_buffer("visible", (rank < rank[:, None]).float(), persistent=False)
        self.voice_leading = None
        if voice_leading:
            in_rows = (self.lowest, self.rows, self.visible, steps_per_beat)
            self.voice_leading = LineLeading(self.voices, *in_rows)

    visible: Tensor  # (L, L): 1 where the row's line is chosen after the column's

    def sample_latent(self, n: int, rng: torch.Generator) -> SequenceLatent:
        """Sample `n` latents on the CPU."""

        def noise(*shape: int) -> Tensor:
            return gumbel(torch.rand(n, *shape, generator=rng))

        return SequenceLatent(
            keys=noise(1, OCTAVE),
            likeness=noise(self.bars, len(LAGS) + 1),
            chords=noise(self.half_bars, NUM_CHORDS),
            notes=noise(self.steps, len(self.voices), self.rows + 2),
        )

    def example_condition(self, n: int) -> Conditioning:
        """Return the unconditional condition of `n` windows."""
        return unconditional(n, self.steps, self.tracks)

    def forward(self, latent: SequenceLatent, condition: Conditioning | None = None) -> Tensor:
        """Noise, observed cells (None: unconditional) -> (B, T, C) in {0, 1}."""
        given = self._condition(condition, len(latent.notes), latent.notes)
        shift = self._shift(latent.keys, given)
        noise = self.temperature * latent.notes
        with torch.no_grad():
            observed = self._observed(given, shift)
            ending = self._ending(given)
            asked = self._asked(given, shift)
            plan = self._sample_plan(latent, observed, ending, asked)
            context = self._context(plan, observed, ending, self._final(given, asked))
            tokens = self._sample(context, observed, shift, noise)
        hard = torch.zeros_like(noise)  # (B, T, L, R + 2)
        hard.scatter_(-1, self._choices(tokens)[..., None], 1)
        if self.training and torch.is_grad_enabled():
            like = self._earlier(tokens, self.steps_per_bar * bars_back(context.like))
            logits = self._logits(tokens, context, shift, self.parallels_penalty)
            noisy = self._biased(logits, like) + noise
            hard = straight_through(hard, (noisy / STRAIGHT_THROUGH_TEMPERATURE).softmax(-1))
        return apply_conditioning(self._cells(hard, shift), given, self.voices)

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Log-likelihood (B,) of the free cells and of their plan, in nats."""
        x = batch.x
        given = self._condition(batch.condition, len(x), x)
        shift = self._shift(x.new_zeros(len(x), 1, OCTAVE), given._replace(values=x))
        tokens = self._rows(x, torch.ones_like(given.mask), shift)
        observed = self._observed(given, shift)
        plan = self._plan_of(tokens)
        ending = self._ending(given)
        context = self._context(plan, observed, ending)
        logits = self._logits(tokens, context, shift, drops_out=self.training)
        log_p = logits.log_softmax(-1).gather(-1, self._choices(tokens)[..., None])[..., 0]
        of_plan = self.plan.log_likelihood(
            plan, self._chroma(observed.tokens), self._halves(ending)
        )
        return torch.where(observed.mask, 0.0, log_p).sum((1, 2)) + of_plan

    def _condition(self, condition: Conditioning | None, n: int, like: Tensor) -> Conditioning:
        if condition is None:
            condition = unconditional(n, self.steps, self.tracks)
        on_device = tree_map(lambda leaf: leaf.to(like.device), by_line(condition, self.tracks))
        return on_device._replace(values=on_device.values.to(like), mask=on_device.mask.to(like))

    def _shift(self, noise: Tensor, given: Conditioning) -> Tensor:
        """Return the semitones (B,) that the key lies above C, -6 to 5.

        It is the key asked for, else it fits the notes and the chords that are given.
        """
        if given.chords is not None:
            asked = given.chords[:, :: self.half_steps]
            classes = chord_pitch_classes().to(noise)[asked.clamp(min=0)]  # (B, half bars, 12)
            counts = (classes * (asked >= 0)[..., None]).sum(1)
            noise = noise + (counts @ key_log_likelihood().to(noise))[:, None]
        if given.key is not None:
            asked = given.key[:, None] * KEY_WEIGHT
            noise = noise + asked
        key = sample_key(noise, given.values, self.voices)[0].argmax(-1)
        return torch.where(key > DOWN, key - OCTAVE, key)

    def _rows(self, x: Tensor, mask: Tensor, shift: Tensor) -> LineTokens:
        """Return the rows of music (B, T, C) where `mask` (B, T, L) is 1, else silence."""
        sounding, onset = [], []
        steps = torch.arange(x.shape[1], device=x.device)
        for voice, block, seen in zip(
            self.voices, slices(self.voices), mask.unbind(-1), strict=True
        ):
            tokens = torch.where(seen > 0, x[..., block].argmax(-1), voice.rest)
            latest = torch.where(tokens != voice.hold, steps, 0).cummax(-1).values
            event = tokens.gather(1, latest)
            rows = event + voice.min_pitch - shift[:, None] - self.lowest
            sounding.append(torch.where(event < voice.num_pitches, rows, self.rows))
            onset.append((tokens < voice.num_pitches).long())
        return LineTokens(torch.stack(sounding, dim=-1), torch.stack(onset, dim=-1))

    def _observed(self, given: Conditioning, shift: Tensor) -> _Observed:
        tokens, mask = self._rows(given.values, given.mask, shift), given.mask > 0
        hidden = torch.where(mask, tokens.sounding, self.rows + 1)
        return _Observed(LineTokens(hidden, tokens.onset), mask)

    def _chroma(self, tokens: LineTokens) -> Tensor:
        """Return how long pitch classes sound in each half bar: (B, half bars, 12)."""
        played = self._counts(tokens.sounding, torch.ones_like(tokens.sounding))
        return sum_by(played @ self._classes(played), self.half_bars) / self.half_steps

    def _counts(self, sounding: Tensor, amounts: Tensor) -> Tensor:
        """Return the sum of the amounts (B, T, L) at each row that sounds: (B, T, R) float."""
        counts = torch.zeros(*sounding.shape[:2], self.rows + 2, device=sounding.device)
        return counts.scatter_add_(2, sounding, amounts.float())[..., : self.rows]

    def _classes(self, like: Tensor) -> Tensor:
        row = torch.arange(self.rows, device=like.device)
        return F.one_hot((row + self.lowest) % OCTAVE, OCTAVE).float()

    def _plan_of(self, tokens: LineTokens) -> Plan:
        """Return the plan that fits notes."""
        bass = tokens.sounding.amin(-1, keepdim=True)  # rows and beyond in silence
        low = self._counts(bass, torch.ones_like(bass)) @ self._classes(bass)
        chords = chord_labels(self._chroma(tokens), sum_by(low, self.half_bars))
        onsets = self._counts(tokens.sounding, tokens.onset).clamp(max=1)
        return Plan(chords, likeness_labels(onsets, self.bars))

    def _ending(self, given: Conditioning) -> Tensor:
        """Return 1 at the steps of the last bars of a song, (B, T)."""
        steps = torch.arange(self.steps, device=given.values.device)
        late = (steps >= self.steps - ENDING_BARS * self.steps_per_bar).to(given.values)
        ends = (
            given.values.new_zeros(len(given.values), 1) if given.ending is None else given.ending
        )
        return ends * late

    def _halves(self, ending: Tensor) -> Tensor:
        return ending[:, :: self.half_steps]

    def _asked(self, given: Conditioning, shift: Tensor) -> Tensor:
        """Return the chords asked for, relative to the key, or below 0: (B, half bars)."""
        if given.chords is None:
            return torch.full((len(shift), self.half_bars), ANY_CHORD, device=shift.device)
        asked = given.chords[:, :: self.half_steps]
        return torch.where(asked < 0, asked, transpose_chords(asked.clamp(min=0), -shift))

    def _final(self, given: Conditioning, asked: Tensor) -> Tensor | None:
        """Return 1 in the last half bar whose chord is asked for of songs that end."""
        if given.ending is None or given.chords is None:
            return None
        left = (asked != ANY_CHORD).flip(1).cumsum(1).flip(1)  # chords asked for from here on
        return ((left == 1) & (asked != ANY_CHORD)) * given.ending

    def _sample_plan(
        self, latent: SequenceLatent, observed: _Observed, ending: Tensor, asked: Tensor
    ) -> Plan:
        """Sample the plan; where all is observed it is the one that fits."""
        fitting = self._plan_of(observed.tokens)
        whole = observed.mask.all(-1)  # (B, T)
        halves, bars = (whole.unflatten(1, (n, -1)).all(-1) for n in (self.half_bars, self.bars))
        chords = torch.where(halves, fitting.chords, asked)
        fixed = Plan(chords, torch.where(bars, fitting.likeness, -1))
        noise = [self.plan_temperature * z for z in (latent.likeness, latent.chords)]
        chroma, halves = self._chroma(observed.tokens), self._halves(ending)
        return self.plan.sample(fixed, chroma, halves, (noise[0], noise[1]))

    def _context(
        self, plan: Plan, observed: _Observed, ending: Tensor, final: Tensor | None = None
    ) -> StepContext:
        chords = plan.chords.repeat_interleave(self.half_steps, dim=1)
        following = F.pad(plan.chords[:, 1:], (0, 1), value=NUM_CHORDS)
        return StepContext(
            chords,
            following.repeat_interleave(self.half_steps, dim=1),
            torch.arange(self.steps, device=chords.device).expand_as(chords),
            plan.likeness.repeat_interleave(self.steps_per_bar, dim=1),
            ending,
            observed.tokens,
            None if final is None else final.repeat_interleave(self.half_steps, dim=1),
        )

    def _earlier(self, tokens: LineTokens, back: Tensor) -> LineTokens:
        """Return the lines `back` (B, T) steps before each step; unknown where 0 or too early."""
        source = torch.arange(self.steps, device=back.device) - back
        known = ((back > 0) & (source >= 0))[..., None]
        source = source.clamp(min=0)[..., None].expand_as(tokens.sounding)
        return LineTokens(
            torch.where(known, tokens.sounding.gather(1, source), self.rows + 1),
            torch.where(known, tokens.onset.gather(1, source), 0),
        )

    def _choices(self, tokens: LineTokens) -> Tensor:
        """Return what is chosen at each step, (B, T, L): a row, R for a rest, R + 1 for a hold."""
        held = (tokens.onset == 0) & (tokens.sounding < self.rows)
        return torch.where(held, self.rows + 1, tokens.sounding)

    def _allowed(self, shift: Tensor) -> Tensor:
        """Return 0 at the rows inside the range of each line, else -inf: (B, L, R)."""
        pitch = torch.arange(self.rows, device=shift.device) + self.lowest + shift[:, None, None]
        low = torch.tensor([v.min_pitch for v in self.voices], device=shift.device)[:, None]
        count = torch.tensor([v.num_pitches for v in self.voices], device=shift.device)[:, None]
        inside = (pitch >= low) & (pitch < low + count)
        return torch.where(inside, 0.0, -torch.inf)

    def _logits(
        self,
        tokens: LineTokens,
        context: StepContext,
        shift: Tensor,
        parallels_penalty: float = 0.0,
        drops_out: bool = False,
    ) -> Tensor:
        """Return the logits (B, T, L, R + 2) of every choice, given the notes before it."""
        net = self.network
        past = LineTokens(
            F.pad(tokens.sounding[:, :-1], (0, 0, 1, 0), value=self.rows),
            F.pad(tokens.onset[:, :-1], (0, 0, 1, 0)),
        )
        like = self._earlier(tokens, self.steps_per_bar * bars_back(context.like))
        bar = self._earlier(tokens, torch.full_like(context.like, self.steps_per_bar))
        entered = net.known(context) + net.read_past(past, like, bar)
        h = net.states(entered)
        shared = net.shared(net.dropout(h) if drops_out else h, entered)
        age = self._ages(past)
        features = shared[:, :, None] + net.of_lines(past, like, bar, age)
        features = features + self.visible @ self._around(tokens)
        of_lines = features.movedim(2, 0).flatten(1, 2)  # (L, B T, line_width)
        logits = net.logits(of_lines, slice(None)).unflatten(1, shared.shape[:2]).movedim(0, 2)
        rows = logits[..., :-2] + net.bonus(past, context.chords) + self._allowed(shift)[:, None]
        silent = (past.sounding >= self.rows)[..., None]
        hold = logits[..., -1:].masked_fill(silent, -torch.inf)
        logits = torch.cat([rows, logits[..., -2:-1], hold], dim=-1)
        if self.voice_leading is not None:
            bias = self.voice_leading.bias_tables(parallels_penalty)
            logits = logits + self.voice_leading.of_windows(bias, past.sounding, tokens.sounding)
        if context.final is None:
            return logits
        return logits - net.final_penalty(context.final, context.chords, past)

    def _biased(self, logits: Tensor, like: LineTokens) -> Tensor:
        """Return the logits (..., R + 2) that are sampled from.

        The pitch of a note that begins has a temperature of its own; what the likened bar has
        gets a bonus.
        """
        if self.pitch_temperature != 1:
            rows = logits[..., : self.rows]
            tempered = rows / self.pitch_temperature
            plain, chosen = torch.stack([rows, tempered]).logsumexp(-1, keepdim=True)
            logits = torch.cat([tempered + (plain - chosen), logits[..., self.rows :]], dim=-1)
        if self.likeness_bonus != 0:
            bonus = self.likeness_bonus * (like.sounding <= self.rows).to(logits)
            same = self._choices(like)
            logits = logits.scatter_add(-1, same[..., None], bonus[..., None])
        return logits

    def _around(self, tokens: LineTokens) -> Tensor:
        """Embed each line for those after it: (B, T, L, line_width)."""
        count = len(self.voices)
        indices = self.network.indices(tokens).unflatten(-1, (2, count)).transpose(-1, -2)
        return self.network.around(indices.flatten(0, 2)).unflatten(0, indices.shape[:3])

    def _ages(self, past: LineTokens) -> Tensor:
        """Return the steps (B, T, L) since the latest onset before each step."""
        steps = torch.arange(self.steps, device=past.onset.device)[:, None]
        return steps - torch.where(past.onset > 0, steps, 0).cummax(1).values

    def _sample(
        self, context: StepContext, observed: _Observed, shift: Tensor, noise: Tensor
    ) -> LineTokens:
        """Choose the notes step by step."""
        net, (n, steps, count) = self.network, observed.mask.shape
        tokens = LineTokens(*(torch.zeros_like(observed.tokens.onset) for _ in range(2)))
        unknown = LineTokens(
            torch.full_like(tokens.sounding[:, 0], self.rows + 1), tokens.onset[:, 0]
        )
        past = LineTokens(unknown.sounding - 1, unknown.onset)
        known, allowed = net.known(context), F.pad(self._allowed(shift), (0, 2))
        tables, age = net.tables(), torch.zeros_like(past.onset)
        every = torch.arange(n, device=shift.device)
        h = known.new_zeros(n, net.recurrent.in_features)
        back = self.steps_per_bar * bars_back(context.like)
        choices = self._choices(observed.tokens)
        leading = self.voice_leading
        bias = None if leading is None else leading.bias_tables(self.parallels_penalty)
        for t in range(steps):
            bar = tokens.at(t - self.steps_per_bar) if t >= self.steps_per_bar else unknown
            source = t - back[:, t]
            is_like = ((back[:, t] > 0) & (source >= 0))[:, None]
            like = LineTokens(
                torch.where(is_like, tokens.sounding[every, source], unknown.sounding),
                torch.where(is_like, tokens.onset[every, source], 0),
            )
            entered = known[:, t] + net.read_past(past, like, bar)
            h = net.step(net.input(entered), h)
            features = net.shared(h, entered)[:, None] + net.of_lines(past, like, bar, age)
            rows = self._rows_of_step(context, t, past, tables) + allowed
            now = LineTokens(past.sounding.clone(), torch.zeros_like(past.onset))
            beat = t - self.steps_per_beat
            last = tokens.sounding[:, beat] if beat >= 0 else torch.full_like(now.onset, self.rows)
            around = torch.zeros_like(features[:, 0])
            seen = torch.full_like(past.sounding, self.rows)
            for k in net.order:
                logits = net.logits((features[:, k] + around)[None], slice(k, k + 1))[0]
                logits = logits + rows[:, k]
                if leading is not None and bias is not None:
                    between = torch.full_like(age[:, k], int(t % self.steps_per_beat > 0))
                    logits += leading.of_line(bias, k, between, past.sounding, last, seen)
                of_line = LineTokens(like.sounding[:, k], like.onset[:, k])
                chosen = (self._biased(logits, of_line) + noise[:, t, k]).argmax(-1)
                chosen = torch.where(observed.mask[:, t, k], choices[:, t, k], chosen)
                held = chosen > self.rows
                now.sounding[:, k] = torch.where(held, past.sounding[:, k], chosen)
                now.onset[:, k] = (chosen < self.rows).long()
                seen[:, k] = now.sounding[:, k]
                first = k * (self.rows + 2)
                half = count * (self.rows + 2) + first
                sounding = now.sounding[:, k]
                onset = torch.where(now.onset[:, k] > 0, sounding, self.rows + 1)
                around = around + net.around(torch.stack([first + sounding, half + onset], dim=-1))
            tokens.sounding[:, t], tokens.onset[:, t] = now.sounding, now.onset
            age = torch.where(now.onset > 0, 0, age + 1)
            past = now
        return tokens

    def _rows_of_step(
        self, context: StepContext, t: int, past: LineTokens, tables: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Return what is added to the logits of step t by its chord and the step before.

        (B, L, R + 2); `tables` are those of the network.
        """
        melody, of_chord = tables
        lines = torch.arange(len(self.voices), device=past.onset.device)
        chords = context.chords[:, t]
        rows = melody[lines, past.sounding] + of_chord[:, chords].movedim(0, 1)
        rows = F.pad(rows, (0, 2))
        rows[..., -1].masked_fill_(past.sounding >= self.rows, -torch.inf)
        if context.final is not None:
            rows -= self.network.final_penalty(context.final[:, t], chords, past)
        return rows

    def _cells(self, chosen: Tensor, shift: Tensor) -> Tensor:
        """Choices (B, T, L, R + 2), one-hot, -> music (B, T, C)."""
        blocks = []
        for k, voice in enumerate(self.voices):
            first = voice.min_pitch - self.lowest - shift
            rows = first[:, None] + torch.arange(voice.num_pitches, device=shift.device)
            rows = F.pad(rows, (0, 2))
            rows[:, -2:] = self.rows + torch.arange(2, device=shift.device)
            index = rows[:, None].expand(-1, self.steps, -1)
            blocks.append(chosen[:, :, k].gather(-1, index))
        return torch.cat(blocks, dim=-1)
