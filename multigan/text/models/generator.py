"""The text generator: a cell says what comes next, tokens are drawn, and relaxed for D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, linear

from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.text.condition import TextCondition, no_condition
from multigan.text.models.backbones import BackboneConfig, build_backbone
from multigan.text.models.gumbel_softmax import RELAXATIONS, find_schedule, gumbel_noise
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
from multigan.text.tokenization.tokenizer import BOS, EOS, PAD, UNK, one_hot

REINFORCE = "reinforce"
ESTIMATORS = (*RELAXATIONS, REINFORCE)


class TextLatent(NamedTuple):
    """Where each token falls in its distribution, and the seed of the sample's Gumbel noise."""

    uniform: Tensor  # (B, T) in [0, 1)
    seed: Tensor  # (B,) int64


@component
class TextGenerator(nn.Module):
    """Latents and what is given of a line -> one-hot tokens (B, T, V), padding after the end.

    Each position sees those before it through the cell, and the class as a vector added to its
    input. Prompts come back as they are. In train() the tokens are relaxed: they are drawn without
    a graph, then one pass over all positions at once, which is taught the drawn tokens, gives
    values and gradients of the step-by-step loop (a cell that gains nothing `at_once` keeps its
    graph while it draws, and only the logits are found at once); with "reinforce" they stay hard,
    and `policy_loss` is what is minimised. In eval() they are hard.

    Args:
        vocabulary: V, specials included.
        length: T, the end of the line included.
        labels: classes; 0 for none.
        cell: lstm, relational, transformer or hugging_face.
        embedding: numbers that a token is to the cell.
        width: of the cell.
        layers: of an LSTM or a transformer.
        heads: of a transformer or a relational memory.
        slots: of a relational memory.
        published_scale: a relational memory's attention scaled as in its authors' code.
        body: the config of a Hugging Face model, for the cell hugging_face.
        estimator: how D's gradient comes through: soft, straight_through or reinforce.
        beta: inverse temperature of the relaxation at the end of training.
        schedule: how it gets there from 1, a name of `relaxation.SCHEDULES`.
        discount: of later positions' costs, for reinforce.
        dropout: of inputs and features where likelihood is learnt, and nowhere else.
        min_length: tokens before the end, at least.
        fixed_length: every line has T tokens, all ordinary, after a 0: no specials, no prompts.
        tied: what comes next is found with the table that tokens come in by: fewer weights.

    Raises ValueError for unknown names and sizes that do not fit.
    Source: Nie et al. 2019 (RelGAN), section 3; de Masson d'Autume et al. 2019 (ScratchGAN) for
    dense rewards.
    """

    is_batch_independent = True

    beta: Tensor  # of the relaxation now
    never: Tensor  # (V,) added to logits: tokens that no line has
    undrawn: Tensor  # (V,) those that are never drawn
    no_end: Tensor  # (V,) the end, where it would come too early

    def __init__(
        self,
        vocabulary: int,
        length: int,
        labels: int = 0,
        cell: str = "lstm",
        embedding: int = 64,
        width: int = 256,
        layers: int = 1,
        heads: int = 2,
        slots: int = 1,
        published_scale: bool = False,
        body: Mapping[str, Any] | None = None,
        estimator: str = "straight_through",
        beta: float = 4.0,
        schedule: str = "exponential",
        discount: float = 0.25,
        dropout: float = 0.0,
        min_length: int = 1,
        fixed_length: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator {estimator!r} is unknown; known: {', '.join(ESTIMATORS)}")
        if not 0 < beta < float("inf"):
            raise ValueError(f"beta is {beta}; wanted a finite number above 0")
        self.vocabulary, self.length = vocabulary, length
        self.estimator, self.discount, self.dropout = estimator, discount, dropout
        self.min_length, self.fixed_length = min_length, fixed_length
        self.start_token = 0 if fixed_length else BOS
        self.end_of_schedule, self.schedule = beta, find_schedule(schedule)
        self.embedding = scaled_embedding(vocabulary, embedding)
        self.label = scaled_embedding(labels, embedding) if labels else None
        sizes = BackboneConfig(
            embedding, width, layers, heads, slots, length, published_scale, body
        )
        self.cell = build_backbone(cell, sizes)
        self.narrow = nn.Linear(self.cell.features, embedding) if tied else nn.Identity()
        self.project = nn.Linear(embedding if tied else self.cell.features, vocabulary)
        if tied:
            self.project.weight = self.embedding.weight
        self.register_buffer("beta", torch.tensor(self.schedule(beta, 0.0)))
        specials = ((), (), ()) if fixed_length else ((PAD, BOS), (PAD, BOS, UNK), (EOS,))
        for name, tokens in zip(("never", "undrawn", "no_end"), specials, strict=True):
            self.register_buffer(name, token_mask(vocabulary, tokens), persistent=False)

    def sample_latent(self, n: int, rng: torch.Generator) -> TextLatent:
        """Draw `n` latents on the CPU."""
        return TextLatent(
            torch.rand(n, self.length, generator=rng), torch.randint(2**62, (n,), generator=rng)
        )

    def example_condition(self, n: int) -> TextCondition:
        """The condition of `n` lines of the first class, if there are any, without a prompt."""
        return no_condition(n, self.length)

    def forward(self, latent: TextLatent, condition: TextCondition | None = None) -> Tensor:
        """Latents, what is given (None: nothing) -> (B, T, V); relaxed in train(), else one-hot."""
        relaxes = self.training and self.estimator != REINFORCE
        if relaxes and torch.is_grad_enabled() and not self.cell.at_once:
            tokens, features = self._write(latent, condition)
            return self._relaxed(tokens, features, latent, condition)
        tokens = self.generate(latent, condition)
        if relaxes and (torch.is_grad_enabled() or self.estimator == "soft"):
            features = self.cell.unroll(self._inputs(tokens, condition))
            return self._relaxed(tokens, features, latent, condition)
        return one_hot(tokens, self.vocabulary, self.project.weight)

    def anneal(self, progress: float) -> dict[str, float]:
        """Set beta for this share of the run; nothing is relaxed under "reinforce"."""
        if self.estimator == REINFORCE:
            return {}
        beta = self.schedule(self.end_of_schedule, progress)
        self.beta.fill_(beta)
        return {"beta": beta}

    @torch.no_grad()
    def generate(
        self,
        latent: TextLatent,
        condition: TextCondition | None = None,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> Tensor:
        """Tokens (B, T) int64, step by step: PAD after the first EOS, prompts as they are.

        `top_k` 0 and `top_p` 1 allow all tokens. Raises ValueError for controls out of range.
        """
        check_controls(temperature, top_k, top_p)
        return self._write(latent, condition, (temperature, top_k, top_p))[0]

    def _write(
        self,
        latent: TextLatent,
        condition: TextCondition | None,
        controls: SamplingParams = UNRESTRICTED,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), drawn without a graph, and the features (B, T, F) they were drawn from."""
        prompt, label = self._given(condition)
        token = torch.full_like(latent.seed, self.start_token)
        alive = torch.ones_like(token, dtype=torch.bool)
        state, tokens, features = None, [], []
        for t in range(self.length):
            x = self.embedding(token) + label
            h, state = self.cell.step(x, self.cell.start(x) if state is None else state)
            with torch.no_grad():
                logits = filter_logits(self._logits(h, self._undrawn_at(t)), *controls)
                token = sample_tokens(logits, latent.uniform[:, t])
            if prompt is not None:
                token = torch.where(prompt[:, t] != PAD, prompt[:, t], token)
            if not self.fixed_length:
                token = torch.where(alive, token, PAD)
                alive = alive & (token != EOS)
            tokens.append(token)
            features.append(h)
        return torch.stack(tokens, dim=1), torch.stack(features, dim=1)

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Log-probability (B,), in nats, of each line after its prompt; dropout in train()."""
        share = self.dropout if self.training else 0.0
        tokens = batch.x.argmax(-1)
        return self._log_probabilities(tokens, batch.condition, share=share).sum(1)

    def token_log_likelihood(
        self, tokens: Tensor, condition: TextCondition | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Log-probability (B, T), in nats, of each token (B, T); 0 in a prompt, after the end.

        Of the model at that temperature, without top-k and top-p. UNK may occur, as in real lines.
        """
        check_controls(temperature, 0, 1.0)
        return self._log_probabilities(tokens, condition, temperature)

    def policy_loss(
        self,
        x: Tensor,
        condition: TextCondition | None,
        costs: Tensor,
        weights: Tensor,
        total: Callable[[Tensor], Tensor] = sum_of_rows,
    ) -> Tensor:
        """What "reinforce" minimises (B,): log-probabilities times what followed cost more or less.

        `costs` (B, L) are those of D's logits: T of them judge the tokens one by one, and a token
        is to blame for those from it on, discounted; any other number judges the line as a whole.
        Source: Williams 1992 (REINFORCE); de Masson d'Autume et al. 2019, section 3.1.
        """
        tokens = x.argmax(-1)
        log_p = self._log_probabilities(tokens, condition, drawn=True)
        free = ~self._fixed(tokens, condition)
        if costs.shape[1] == self.length:
            blame = token_advantages(costs * weights, free, self.discount, total)
        else:
            blame = sequence_advantages((costs * weights).sum(1) / weights.sum(1), free, total)
        return (log_p * blame).mean(1)

    def _relaxed(
        self, tokens: Tensor, features: Tensor, latent: TextLatent, condition: TextCondition | None
    ) -> Tensor:
        """The drawn tokens (B, T) relaxed (B, T, V), but for prompts and padding, all at once.

        `features` (B, T, F) are what the cell says before each of them.
        """
        free = ~self._fixed(tokens, condition)
        features = features[free]
        logits = self._logits(features, self.undrawn)
        self._forbid_early_ends(logits, free)
        noise = gumbel_noise(latent.seed, free.sum(1), self.vocabulary, logits)
        return RELAXATIONS[self.estimator](logits, tokens, free, noise, self.beta)

    def _log_probabilities(
        self,
        tokens: Tensor,
        condition: TextCondition | None,
        temperature: float = 1.0,
        drawn: bool = False,
        share: float = 0.0,
    ) -> Tensor:
        """(B, T), 0 where nothing is free; `drawn`: of the distribution that is sampled from."""
        free = ~self._fixed(tokens, condition)
        x = dropout(self._inputs(tokens, condition), share)
        features = dropout(self.cell.unroll(x)[free], share)  # (free positions, features)
        logits = self._logits(features, self.undrawn if drawn else self.never)
        if drawn:
            self._forbid_early_ends(logits, free)
        log_p = -cross_entropy(logits / temperature, tokens[free], reduction="none")
        return torch.zeros(free.shape, dtype=log_p.dtype, device=free.device).masked_scatter(
            free, log_p
        )

    def _logits(self, features: Tensor, ban: Tensor) -> Tensor:
        """Features (..., F) -> logits (..., V) in float32 or wider, very negative where banned."""
        logits = linear(self.narrow(features), self.project.weight, self.project.bias + ban)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _undrawn_at(self, t: int) -> Tensor:
        return self.undrawn + self.no_end if t < self.min_length else self.undrawn

    @torch.no_grad()  # a constant: no gradient of it
    def _forbid_early_ends(self, logits: Tensor, free: Tensor) -> None:
        """Change the logits (N, V) of the free positions (B, T) in place, as `generate` does."""
        places = torch.arange(self.length, device=free.device).expand_as(free)[free]
        logits[places < self.min_length] += self.no_end

    def _inputs(self, tokens: Tensor, condition: TextCondition | None) -> Tensor:
        """What the cell sees at each position (B, T, E): the token before it, and the class."""
        before = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=self.start_token)
        label = self._given(condition)[1]
        return self.embedding(before) + (label if self.label is None else label[:, None])

    def _given(self, condition: TextCondition | None) -> tuple[Tensor | None, Tensor]:
        """The prompt (B, T), if there may be one, and the class as a vector (B, E), else a zero."""
        prompt = None if condition is None or self.fixed_length else condition.prompt
        if self.label is None:
            return prompt, self.embedding.weight.new_zeros(())
        if condition is None:
            raise ValueError("this generator has classes; wanted a condition with a label")
        return prompt, self.label(condition.label)

    def _fixed(self, tokens: Tensor, condition: TextCondition | None) -> Tensor:
        """(B, T): where a token was not the generator's choice, in a prompt and after the end."""
        if self.fixed_length:
            return torch.zeros_like(tokens, dtype=torch.bool)
        ended = (tokens == EOS).cumsum(1) - (tokens == EOS).long() > 0
        return ended if condition is None else ended | (condition.prompt != PAD)
