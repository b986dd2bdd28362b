"""The text generator: a backbone, token sampling, and relaxation for the discriminator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, dropout1d, linear, pad

from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.text.condition import TextCondition, no_condition
from multigan.text.models.adaptive_embedding import AdaptiveEmbedding
from multigan.text.models.backbones import BackboneConfig, build_backbone
from multigan.text.models.gumbel_softmax import RELAXATIONS, get_schedule, gumbel_noise
from multigan.text.models.reinforce import sequence_advantages, sum_of_rows, token_advantages
from multigan.text.models.token_sampling import (
    UNRESTRICTED,
    SamplingParams,
    check_controls,
    filter_logits,
    sample_tokens,
    token_mask,
)
from multigan.text.models.transformer import scaled_embedding
from multigan.text.models.whole_characters import WholeCharacters
from multigan.text.tokenization.tokenizer import SPECIAL_IDS, one_hot

REINFORCE = "reinforce"
ESTIMATORS = (*RELAXATIONS, REINFORCE)
MASKED = {
    "train_mask": (SPECIAL_IDS.pad, SPECIAL_IDS.bos),
    "sample_mask": (SPECIAL_IDS.pad, SPECIAL_IDS.bos, SPECIAL_IDS.unk),
    "eos_mask": (SPECIAL_IDS.eos,),
}  # buffer of the generator -> the tokens that it masks


class TextLatent(NamedTuple):
    """Quantiles that select each token, and the seed of the sample's Gumbel noise."""

    uniform: Tensor  # (B, T) in [0, 1)
    seed: Tensor  # (B,) int64


@component
class TextGenerator(nn.Module):
    """Latents and a condition -> one-hot tokens (B, T, V), padding after the end.

    Each position depends on those before it through the backbone, and on the class through a vector
    added to its input. Prompts are returned as they are.

    In eval() tokens are one-hot. In train() they are relaxed: they are sampled without a graph,
    then one teacher-forced pass over all positions gives the values and gradients of the
    step-by-step loop. A backbone that is not `is_parallel` keeps the graph of its loop instead, and
    only the logits are computed in one pass. With "reinforce" tokens stay one-hot, and
    `policy_loss` is minimized.

    Args:
        vocabulary_size: V, specials included.
        length: T, the end of the line included.
        num_classes: 0 for none.
        backbone: lstm, relational, transformer or hugging_face.
        embedding: size of the token embedding.
        width: of the backbone.
        layers: of an LSTM or a transformer.
        heads: of a transformer or a relational memory.
        memory_slots: of a relational memory.
        relgan_scaling: scale the attention of a relational memory as in RelGAN's code.
        hf_config: the config of a Hugging Face model, for the backbone hugging_face.
        estimator: the gradient estimator: soft, straight_through or reinforce.
        inverse_temperature: of the relaxation at the end of training.
        schedule: its path from 1, a name of `gumbel_softmax.SCHEDULES`.
        discount: of the losses of later positions, for reinforce.
        dropout: of inputs and features in likelihood training, and nowhere else.
        min_length: minimum number of tokens before the end.
        fixed_length: every line has T tokens, all ordinary, after a 0: no specials, no prompts.
        tie_embeddings: share the weights of the input embedding and of the output layer.
        head_size: with tied ones, number of frequent tokens, whose ids come first; 0 for all.
        tail_width: size of the embedding of the other tokens.

    Raises ValueError for unknown names and sizes that do not fit.
    Source: Nie et al. 2019 (RelGAN), section 3; de Masson d'Autume et al. 2019 (ScratchGAN) for
    dense rewards.
    """

    is_batch_independent = True

    inverse_temperature: Tensor  # () of the relaxation now
    train_mask: Tensor  # (V,) added to logits: tokens that no line has
    sample_mask: Tensor  # (V,) added to logits: tokens that are never sampled
    eos_mask: Tensor  # (V,) added to logits: the end, at positions below min_length

    def __init__(
        self,
        vocabulary_size: int,
        length: int,
        num_classes: int = 0,
        backbone: str = "lstm",
        embedding: int = 64,
        width: int = 256,
        layers: int = 1,
        heads: int = 2,
        memory_slots: int = 1,
        relgan_scaling: bool = False,
        hf_config: Mapping[str, Any] | None = None,
        estimator: str = "straight_through",
        inverse_temperature: float = 4.0,
        schedule: str = "exponential",
        discount: float = 0.25,
        dropout: float = 0.0,
        min_length: int = 1,
        fixed_length: bool = False,
        tie_embeddings: bool = False,
        head_size: int = 0,
        tail_width: int = 32,
    ) -> None:
        super().__init__()
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}; got {estimator!r}")
        if not 0 < inverse_temperature < float("inf"):
            raise ValueError(
                f"inverse_temperature must be a finite number above 0; got {inverse_temperature}"
            )
        if head_size and not tie_embeddings:
            raise ValueError(f"head_size must be 0 without tie_embeddings; got {head_size}")
        self.vocabulary_size, self.length = vocabulary_size, length
        self.estimator, self.discount, self.dropout = estimator, discount, dropout
        self.min_length, self.fixed_length = min_length, fixed_length
        self.start_token = 0 if fixed_length else SPECIAL_IDS.bos
        self.schedule, self.schedule_end = get_schedule(schedule), inverse_temperature
        self.embedding: Any = scaled_embedding(vocabulary_size, embedding)
        if head_size:
            sizes = (vocabulary_size, embedding, head_size, tail_width)
            self.embedding = AdaptiveEmbedding(*sizes)
        self.label = scaled_embedding(num_classes, embedding) if num_classes else None
        config = BackboneConfig(
            embedding, width, layers, heads, memory_slots, length, relgan_scaling, hf_config
        )
        self.backbone = build_backbone(backbone, config)
        features = self.backbone.output_dim
        self.to_embedding = nn.Linear(features, embedding) if tie_embeddings else nn.Identity()
        self.to_logits: Any = None  # an adaptive embedding has logits of its own
        if not head_size:
            self.to_logits = nn.Linear(embedding if tie_embeddings else features, vocabulary_size)
        if tie_embeddings and not head_size:
            self.to_logits.weight = self.embedding.weight
        start = torch.tensor(self.schedule(inverse_temperature, 0.0))
        self.register_buffer("inverse_temperature", start)
        for name, tokens in MASKED.items():
            mask = token_mask(vocabulary_size, () if fixed_length else tokens)
            self.register_buffer(name, mask, persistent=False)

    def sample_latent(self, n: int, rng: torch.Generator) -> TextLatent:
        """Sample `n` latents on the CPU."""
        return TextLatent(
            torch.rand(n, self.length, generator=rng), torch.randint(2**62, (n,), generator=rng)
        )

    def example_condition(self, n: int) -> TextCondition:
        """The condition of `n` lines of the first class, if there are any, without a prompt."""
        return no_condition(n, self.length, SPECIAL_IDS.pad)

    def forward(self, latent: TextLatent, condition: TextCondition | None = None) -> Tensor:
        """Latents and conditions -> (B, T, V): relaxed in train(), else one-hot."""
        relaxes = self.training and self.estimator != REINFORCE
        if relaxes and torch.is_grad_enabled() and not self.backbone.is_parallel:
            tokens, features = self._generate(latent, condition)
            return self._relax(tokens, features, latent, condition)
        tokens = self.generate(latent, condition)
        if relaxes and (torch.is_grad_enabled() or self.estimator == "soft"):
            x = self._inputs(tokens, self._line_vector(condition, latent))
            features = self.backbone.forward_sequence(x)
            return self._relax(tokens, features, latent, condition)
        return self.expand(tokens)

    @property
    def is_hard(self) -> bool:
        """Samples without a graph are one-hot in train(), too: those of `generate`.

        False for a subclass with a `forward` of its own.
        """
        return self.estimator != "soft" and type(self).forward is TextGenerator.forward

    def expand(self, x: Tensor) -> Tensor:
        """Tokens (B, T) -> one-hot rows (B, T, V), as `forward` has them in eval()."""
        return one_hot(x, self.vocabulary_size, self.embedding.weight)

    def anneal(self, progress: float) -> dict[str, float]:
        """Set the inverse temperature for this fraction of the run; a no-op for "reinforce"."""
        if self.estimator == REINFORCE:
            return {}
        value = self.schedule(self.schedule_end, progress)
        self.inverse_temperature.fill_(value)
        return {"anneal/inverse_temperature": value}

    @torch.no_grad()
    def generate(
        self,
        latent: TextLatent,
        condition: TextCondition | None = None,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        transitions: Tensor | None = None,
    ) -> Tensor:
        """Generate tokens (B, T) int64, step by step: padding after the end, prompts kept.

        `top_k` 0 and `top_p` 1 allow all tokens. With the `transitions` (states, V) of a tokenizer,
        tokens that would break a character are sampled again. Raises ValueError for controls out
        of range.
        """
        check_controls(temperature, top_k, top_p)
        whole = None
        if transitions is not None:
            whole = WholeCharacters(transitions.to(latent.seed.device), len(latent.seed))
        return self._generate(latent, condition, (temperature, top_k, top_p), whole)[0]

    def _generate(
        self,
        latent: TextLatent,
        condition: TextCondition | None,
        controls: SamplingParams = UNRESTRICTED,
        whole: WholeCharacters | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), sampled without a graph, and the features (B, T, F) that predict them."""
        prompt, vector = self._prompt(condition), self._line_vector(condition, latent)
        token = torch.full_like(latent.seed, self.start_token)
        unfinished = torch.ones_like(token, dtype=torch.bool)
        state, tokens, features = None, [], []
        for t in range(self.length):
            x = self.embedding(token) + vector
            state = self.backbone.initial_state(x) if state is None else state
            h, state = self.backbone.step(x, state)
            free = unfinished if prompt is None else unfinished & (prompt[:, t] == SPECIAL_IDS.pad)
            token = self._sample_next(h, t, latent.uniform[:, t], controls, whole, free)
            if prompt is not None:
                token = torch.where(prompt[:, t] != SPECIAL_IDS.pad, prompt[:, t], token)
            if whole is not None:
                whole.advance(token, unfinished)
            if not self.fixed_length:
                token = torch.where(unfinished, token, SPECIAL_IDS.pad)
                unfinished = unfinished & (token != SPECIAL_IDS.eos)
            tokens.append(token)
            features.append(h)
        return torch.stack(tokens, dim=1), torch.stack(features, dim=1)

    @torch.no_grad()
    def _sample_next(
        self, h: Tensor, t: int, quantiles: Tensor, controls: SamplingParams,
        whole: WholeCharacters | None, free: Tensor,
    ) -> Tensor:  # fmt: skip
        """Sample the tokens (B,) at position t from features (B, F) at their quantiles (B,)."""
        mask = self._sample_mask_at(t)
        if self.to_logits is None and controls == UNRESTRICTED:
            token: Tensor = self.embedding.sample(self.to_embedding(h), mask, quantiles)
        else:
            token = sample_tokens(filter_logits(self._logits(h, mask), *controls), quantiles)
        if whole is not None:
            remaining = self.length - t - 1
            rows = whole.broken(token, free, remaining)
            if len(rows):
                logits = self._logits(h[rows], mask)
                whole.sample_again(token, rows, logits, quantiles, controls, remaining)
        return token

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Log-probability (B,), in nats, of each line after its prompt; dropout in train().

        The lines are one-hot rows, or tokens (B, T) int64.
        """
        rate = self.dropout if self.training else 0.0
        tokens = batch.x.argmax(-1) if batch.x.is_floating_point() else batch.x
        vector = self._line_vector(batch.condition)
        return self._log_probabilities(tokens, batch.condition, vector, dropout_rate=rate).sum(1)

    def token_log_likelihood(
        self, tokens: Tensor, condition: TextCondition | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Log-probability (B, T), in nats, of each token (B, T); 0 in a prompt, after the end.

        Under the model at that temperature, without top-k and top-p. `unk` may occur, as in
        real lines.
        """
        check_controls(temperature, 0, 1.0)
        vector = self._line_vector(condition)
        return self._log_probabilities(tokens, condition, vector, temperature)

    def hidden_states(self, tokens: Tensor, condition: TextCondition | None = None) -> Tensor:
        """The state (B, T, F) of the backbone from which each token (B, T) is predicted."""
        x = self._inputs(tokens, self._line_vector(condition))
        states: Tensor = self.backbone.forward_sequence(x)
        return states

    def policy_loss(
        self,
        x: Tensor,
        condition: TextCondition | None,
        costs: Tensor,
        weights: Tensor,
        total: Callable[[Tensor], Tensor] = sum_of_rows,
        latent: TextLatent | None = None,
    ) -> Tensor:
        """The REINFORCE loss (B,): log-probabilities times advantages.

        `costs` (B, L) are the losses of the discriminator's logits. With L = T they are losses of
        single tokens, and the advantage of a token is discounted over those from it on. With any
        other L they are losses of the line as a whole.
        Source: Williams 1992 (REINFORCE); de Masson d'Autume et al. 2019, section 3.1.
        """
        tokens = x.argmax(-1)
        vector = self._line_vector(condition, latent)
        log_p = self._log_probabilities(tokens, condition, vector, sampled=True)
        free = ~self._is_given(tokens, condition)
        if costs.shape[1] == self.length:
            advantages = token_advantages(costs * weights, free, self.discount, total)
        else:
            line_costs = (costs * weights).sum(1) / weights.sum(1)
            advantages = sequence_advantages(line_costs, free, total)
        return (log_p * advantages).mean(1)

    def _relax(
        self, tokens: Tensor, features: Tensor, latent: TextLatent, condition: TextCondition | None
    ) -> Tensor:
        """Relax the tokens (B, T) as (B, T, V), except prompts and padding.

        `features` (B, T, F) are those that predict each of them.
        """
        free = ~self._is_given(tokens, condition)
        features = features[free]
        logits = self._logits(features, self.sample_mask)
        self._mask_early_ends(logits, free)
        noise = gumbel_noise(latent.seed, free.sum(1), self.vocabulary_size, logits)
        return RELAXATIONS[self.estimator](logits, tokens, free, noise, self.inverse_temperature)

    def _log_probabilities(
        self,
        tokens: Tensor,
        condition: TextCondition | None,
        vector: Tensor,
        temperature: float = 1.0,
        sampled: bool = False,
        dropout_rate: float = 0.0,
        word_dropout: float = 0.0,
    ) -> Tensor:
        """(B, T), 0 where nothing is free; `sampled`: of the distribution of samples."""
        free = ~self._is_given(tokens, condition)
        x = dropout(self._inputs(tokens, vector, word_dropout), dropout_rate)
        features = self.backbone.forward_sequence(x)[free]  # (free positions, F)
        features = dropout(features, dropout_rate)
        if self.to_logits is None and temperature == 1 and not sampled:
            h = self.to_embedding(features)
            log_p = self.embedding.log_probability(h, tokens[free], self.train_mask)
            return _scattered(log_p, free)
        logits = self._logits(features, self.sample_mask if sampled else self.train_mask)
        if sampled:
            self._mask_early_ends(logits, free)
        log_p = -cross_entropy(logits / temperature, tokens[free], reduction="none")
        return _scattered(log_p, free)

    def _logits(self, features: Tensor, mask: Tensor) -> Tensor:
        """Features (..., F) -> logits (..., V) in float32 or wider, plus the mask."""
        if self.to_logits is None:
            own: Tensor = self.embedding.logits(self.to_embedding(features)) + mask
            return own
        bias = self.to_logits.bias + mask
        logits = linear(self.to_embedding(features), self.to_logits.weight, bias)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _sample_mask_at(self, t: int) -> Tensor:
        return self.sample_mask + self.eos_mask if t < self.min_length else self.sample_mask

    @torch.no_grad()  # a constant: no gradient of it
    def _mask_early_ends(self, logits: Tensor, free: Tensor) -> None:
        """Mask the logits (N, V) of the free positions (B, T) in place, as `generate` does."""
        positions = torch.arange(self.length, device=free.device).expand_as(free)[free]
        logits[positions < self.min_length] += self.eos_mask

    def _inputs(self, tokens: Tensor, vector: Tensor, word_dropout: float = 0.0) -> Tensor:
        """Inputs (B, T, E) of the backbone: the previous token plus the vector of the line.

        `word_dropout` is the probability that a previous token is left out.
        """
        x: Tensor = self.embedding(pad(tokens[:, :-1], (1, 0), value=self.start_token))
        if word_dropout:
            x = dropout1d(x, word_dropout)
        return x + (vector[:, None] if vector.ndim else vector)

    def _prompt(self, condition: TextCondition | None) -> Tensor | None:
        """The prompt (B, T), if any."""
        return None if condition is None or self.fixed_length else condition.prompt

    def _line_vector(
        self, condition: TextCondition | None, latent: TextLatent | None = None
    ) -> Tensor:
        """The vector (B, E) that is added to every input: of the class, else a zero.

        A subclass adds what else the whole line depends on, from its latent.
        """
        if self.label is None:
            zero: Tensor = self.embedding.weight.new_zeros(())
            return zero
        if condition is None:
            raise ValueError("condition must have a label for a generator with classes; got None")
        found: Tensor = self.label(condition.label)
        return found

    def _is_given(self, tokens: Tensor, condition: TextCondition | None) -> Tensor:
        """(B, T): True for tokens that the generator does not choose: prompts and padding."""
        if self.fixed_length:
            return torch.zeros_like(tokens, dtype=torch.bool)
        ended = (tokens == SPECIAL_IDS.eos).cumsum(1) - (tokens == SPECIAL_IDS.eos).long() > 0
        return ended if condition is None else ended | (condition.prompt != SPECIAL_IDS.pad)


def _scattered(values: Tensor, free: Tensor) -> Tensor:
    """(B, T): the values (N,) at the N free positions, in order, and 0 elsewhere."""
    zeros = torch.zeros(free.shape, dtype=values.dtype, device=free.device)
    return zeros.masked_scatter(free, values)
