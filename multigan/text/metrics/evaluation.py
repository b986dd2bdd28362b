"""Evaluation of text generators, with floors, baselines and a selection score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core import fidelity
from multigan.core.compact_samples import SupportsCompactBatches
from multigan.core.evaluation_size import evaluation_size
from multigan.core.fingerprint import fingerprint
from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.storage.tensor_cache import load_network, store_tensors
from multigan.text.metrics import bleu, diversity, language_model
from multigan.text.metrics.language_model import (
    LanguageModel,
    features,
    score,
    train_language_model,
)
from multigan.text.metrics.latent_use import describe_latent_use, latent_use
from multigan.text.metrics.mauve import mauve_scores
from multigan.text.metrics.ngram_model import NgramModel
from multigan.text.sampling import sample_lines
from multigan.text.spec import SupportsTokenLikelihood, TextSpec
from multigan.text.tokenization.words import split_words

MAX_SAMPLES = 2000  # lines in a row
MAX_HELD_OUT = 2000  # held-out lines to compare with
MIN_LINES = 20  # of a split that can be evaluated
NLL_BATCH_SIZE = 64
ROW_TRAINING_COPY = "real (training copy)"  # the floor of the selection score
ROW_HELD_OUT = "real (held out)"
ROW_GENERATOR = "generator"
ROW_BASELINE = "4gram"
CACHE_VERSION = 2  # raise it when a cached row would change
Rows = dict[str, dict[str, float]]


def evaluate(
    spec: TextSpec, generator: Generator, data: Any, rng: torch.Generator, cache: Path
) -> ResultsTable:
    """Compare real lines, n-gram models and `generator` with the held-out split `data`.

    Raises EvaluationSkipped for a split of fewer than MIN_LINES lines.
    """
    evaluator, rows = load_references(spec, data, cache, device_of(generator))
    row = generator_metrics(evaluator, rows, generator, data, rng)
    rows[ROW_GENERATOR] = row | latent_use(generator, data, rng)
    return ResultsTable(
        rows,
        _notes(evaluator, data, rows),
        headline="selection_score",
        floor=ROW_TRAINING_COPY,
        baseline=ROW_BASELINE,
    )


def generator_metrics(
    evaluator: TextEvaluator,
    rows: Rows,
    generator: Generator,
    data: Any,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> dict[str, float]:
    """The metrics of sampled lines, and the NLL of held-out lines under the generator."""
    n, labels = num_samples(evaluator), None
    if evaluator.spec.class_names:  # in the proportion of the held-out lines
        labels = data.labels[torch.randint(len(data), (n,), generator=rng)]
    samples = sample_lines(evaluator.spec, generator, n, rng, labels, temperature)
    row = evaluator.compute_metrics(samples.texts)
    row["selection_score"] = selection_score(row, rows[ROW_TRAINING_COPY])
    row["unfinished_fraction"] = samples.unfinished
    return row | heldout_nll(generator, data, temperature)


def heldout_nll(generator: Generator, data: Any, temperature: float = 1.0) -> dict[str, float]:
    """NLL of the lines of a split at a temperature, in nats per token, word, character and line.

    Empty for a generator without a likelihood.
    """
    if not isinstance(generator, SupportsTokenLikelihood):
        return {}
    nats, num_tokens, device = 0.0, 0, device_of(generator)
    lines = data.compact() if isinstance(data, SupportsCompactBatches) else data
    with eval_mode(generator), torch.no_grad():
        for indices in torch.arange(len(data)).split(NLL_BATCH_SIZE):
            batch = lines.batch(indices)
            batch = tree_map(lambda leaf: leaf.to(device), batch)
            tokens = batch.x.argmax(-1) if batch.x.is_floating_point() else batch.x
            num_tokens += int((tokens != data.domain.special_ids.pad).sum())
            log_p = generator.token_log_likelihood(tokens, batch.condition, temperature)
            nats -= log_p.double().sum().item()
    units = {"token": num_tokens, **count_units(data.texts)}
    return {f"nll_{unit}": nats / count for unit, count in units.items()}


def count_units(texts: Sequence[str]) -> dict[str, int]:
    """The numbers of words, of characters with one for each end, and of lines."""
    return {
        "word": sum(len(split_words(line)) for line in texts),
        "char": sum(len(line) + 1 for line in texts),
        "line": len(texts),
    }


def load_references(
    spec: TextSpec, data: Any, cache: Path, device: str | torch.device = "cpu"
) -> tuple[TextEvaluator, Rows]:
    """The evaluator of a dataset and the rows of its baselines, cached in the folder `cache`.

    Raises EvaluationSkipped for a split of fewer than MIN_LINES lines.
    """
    train = data.split("train")
    if len(data) < MIN_LINES or len(train) < MIN_LINES:
        raise EvaluationSkipped(
            f"evaluation must have {MIN_LINES} or more held-out and training lines; "
            f"got {len(data)} and {len(train)}"
        )
    text = f"{CACHE_VERSION} {spec} {train.fingerprint} {data.fingerprint}"
    key = fingerprint((text,), size=8)
    file = cache / f"text-references-{key}.safetensors"
    vocabulary_size = spec.vocabulary_size
    model = LanguageModel(vocabulary_size)
    evaluator = TextEvaluator(
        spec, evenly_spaced(data.texts, evaluation_size(MAX_HELD_OUT)), train.texts, model
    )
    rows = _load(file, model)
    if rows is None:  # absent or damaged
        tokens = spec.encode(list(train.texts))
        model = train_language_model(tokens, vocabulary_size, keyed_rng("language model"), device)
        evaluator = evaluator._replace(model=model)
        rows = _reference_rows(evaluator, data)
        _save(file, model, rows)
    model.to(device).eval()
    return evaluator, rows


def num_samples(evaluator: TextEvaluator) -> int:
    """The number of lines in a row: MAX_SAMPLES, or that of the training lines if it is smaller."""
    return min(evaluation_size(MAX_SAMPLES), len(evaluator.train))


def evenly_spaced(lines: Sequence[str], max_lines: int) -> list[str]:
    """At most `max_lines` lines, evenly spaced over all of them."""
    indices = torch.linspace(0, len(lines) - 1, min(len(lines), max_lines)).long()
    return [lines[k] for k in indices.tolist()]


def _reference_rows(evaluator: TextEvaluator, data: Any) -> Rows:
    """The rows that do not depend on a generator."""
    other = data.split({"valid": "test"}.get(data.split_name, "valid"))
    held_out = evaluator.compute_metrics(
        evenly_spaced(other.texts, evaluation_size(MAX_SAMPLES)), reverse=False
    )
    copy = evaluator.compute_metrics(evenly_spaced(evaluator.train, evaluation_size(MAX_SAMPLES)))
    rows = {ROW_HELD_OUT: held_out, ROW_TRAINING_COPY: copy | {"selection_score": 0.0}}
    tokenizer = evaluator.spec.tokenizer_model
    lines = tokenizer.encode(list(evaluator.train))
    for order in (3, 4):
        rng = keyed_rng("n-grams", order)
        model = NgramModel(lines, order)
        samples = model.sample(num_samples(evaluator), rng, evaluator.spec.length - 1)
        row = evaluator.compute_metrics([tokenizer.decode(line) for line in samples])
        rows[f"{order}gram"] = row | {"selection_score": selection_score(row, copy)}
    return rows


def _save(file: Path, model: LanguageModel, rows: Rows) -> None:
    """Store the weights of `model` and the rows."""
    text = json.dumps({name: finite_or_none(row) for name, row in rows.items()})
    store_tensors(file, model.state_dict(), {"rows": text})


def _load(file: Path, model: LanguageModel) -> Rows | None:
    """Load the weights of `model` and return the rows; null values become NaN.

    None is returned for a file that is missing or damaged.
    """
    metadata = load_network(file, model)
    if metadata is None or "rows" not in metadata:
        return None
    return {
        name: {metric: float("nan") if v is None else v for metric, v in row.items()}
        for name, row in json.loads(metadata["rows"]).items()
    }


def _notes(evaluator: TextEvaluator, data: Any, rows: Rows) -> tuple[str, ...]:
    """Descriptions of the rows and columns of the table."""
    count = f"{int(rows[ROW_TRAINING_COPY]['lines']):,}"
    lm = language_model
    return (
        f"against {len(evaluator.held_out):,} held-out lines ({data.num_truncated} longer ones "
        f"left out), with {len(evaluator.train):,} training lines; {count} lines of "
        f"{ROW_TRAINING_COPY}; words as split by words.WORD, case kept; NLL in nats",
        f"lm_nll: nats per token under an LSTM of {lm.WIDTH} units, trained on the training lines "
        f"({lm.EPOCHS} epochs, at most {lm.MAX_STEPS:,} batches): the target is the row "
        f"{ROW_HELD_OUT}; less is mode seeking, and {ROW_TRAINING_COPY} is in its training set",
        "reverse_lm_nll: nats per token of the held-out lines under the same LSTM trained on the "
        f"row; the target is {ROW_TRAINING_COPY}: as many real lines",
        f"frechet: between the mean states ({lm.WIDTH}) of that first LSTM, of a row and of the "
        f"held-out lines; {ROW_TRAINING_COPY} is the floor; {ROW_HELD_OUT} are the lines of the "
        "other held-out split, which may differ more; not comparable with other encoders",
        f"mauve: on the same features; selection_score: ln(frechet / that of {ROW_TRAINING_COPY}) "
        f"+ reverse_lm_nll - that of {ROW_TRAINING_COPY}, by which checkpoints are selected",
        "nll_token, nll_word: of the held-out lines under the generator; bleu: against all of "
        "them; self_bleu: of a row, each line against all its others; BLEU alone is not enough: "
        "n-gram models with sharpened counts exceed real lines",
        *describe_latent_use(rows.get(ROW_GENERATOR, {})),
    )


class TextEvaluator(NamedTuple):
    """Held-out lines, the training lines, and the language model trained on the latter."""

    spec: TextSpec
    held_out: Sequence[str]
    train: Sequence[str]
    model: LanguageModel

    def compute_metrics(self, texts: Sequence[str], reverse: bool = True) -> dict[str, float]:
        """The metrics of lines; equal lines have equal values. See `_notes`."""
        words = [split_words(line) for line in texts]
        held_out = [split_words(line) for line in self.held_out]
        tokens, real_tokens = (self.spec.encode(list(side)) for side in (texts, self.held_out))
        fake, real = features(self.model, tokens), features(self.model, real_tokens)
        divergence = mauve_scores(real, fake, keyed_rng("clusterings"))
        train = [split_words(line) for line in self.train]
        return {
            "lines": float(len(texts)),
            "frechet": fidelity.frechet_distance(real, fake),
            **({"reverse_lm_nll": self.reverse_lm_nll(tokens, real_tokens)} if reverse else {}),
            "lm_nll": score(self.model, tokens).per_token,
            "mauve": divergence.area,
            "frontier_integral": divergence.integral,
            **diversity.bleu_metrics("bleu", bleu.bleu(words, held_out)),
            **diversity.bleu_metrics("self_bleu", bleu.self_bleu(words)),
            "distinct_2": diversity.distinct(words, 2),
            "unique_fraction": diversity.unique_fraction(words),
            "memorized_fraction": diversity.memorized_fraction(words, train),
            "length_total_variation": diversity.length_total_variation(words, held_out),
        }

    def reverse_lm_nll(self, tokens: Tensor, real_tokens: Tensor) -> float:
        """Nats per token of real lines under a language model trained on `tokens` (N, T)."""
        device = device_of(self.model)
        rng = keyed_rng("reverse language model")
        model = train_language_model(tokens, self.spec.vocabulary_size, rng, device)
        return score(model, real_tokens).per_token


def selection_score(row: Mapping[str, float], floor: Mapping[str, float]) -> float:
    """Combine quality and diversity, lower is better; 0 for lines as good as real ones.

    The logarithm of the ratio of the Frechet distance to that of real lines, plus the difference
    in nats between the reverse language models.
    """
    if not (row["frechet"] > 0 and floor["frechet"] > 0):
        return math.nan
    excess = row["reverse_lm_nll"] - floor["reverse_lm_nll"]
    return math.log(row["frechet"] / floor["frechet"]) + excess
