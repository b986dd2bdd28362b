"""Evaluation of text generators, with floors, baselines and a selection score."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import EvaluationSkipped, Generator
from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.text.metrics import language_model
from multigan.text.metrics.language_model import LanguageModel, train_language_model
from multigan.text.metrics.ngram_model import NgramModel
from multigan.text.sampling import sample_lines
from multigan.text.tokenization.tokenizer import PAD
from multigan.text.tokenization.words import split_words

if TYPE_CHECKING:
    from multigan.text.domain import TextDomain
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from multigan.core import fidelity
from multigan.text.metrics import bleu, diversity
from multigan.text.metrics.language_model import features, score
from multigan.text.metrics.mauve import mauve_scores

SAMPLED = 2000  # lines in a row, at most
HELD = 2000  # lines of a held-out split that are measured against, at most
LEAST = 20  # lines of a split that can be measured with
SCORED_TOGETHER = 64
COPY = "copy of train"  # the row that is the floor of the joint figure
VERSION = 1  # raise it when a row would come out otherwise: caches go by it
Rows = dict[str, dict[str, float]]


def evaluate(
    domain: TextDomain, generator: Generator, data: Any, rng: torch.Generator, cache: Path
) -> ResultsTable:
    """Measure real lines, count models and `generator` against the held-out split `data`.

    Raises Unmeasurable for a split of fewer than LEAST lines.
    """
    yardstick, rows = load_references(domain, data, cache, device_of(generator))
    rows["this model"] = model_row(yardstick, rows, generator, data, rng)
    return ResultsTable(rows, _notes(yardstick, data, rows))


def model_row(
    yardstick: TextEvaluator,
    rows: Rows,
    generator: Any,
    data: Any,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> dict[str, float]:
    """Every figure of lines that a generator draws, and its own likelihood of held-out ones."""
    n, labels = sampled(yardstick), None
    if yardstick.domain.classes:  # in the proportion of the held-out lines
        labels = data.labels[torch.randint(len(data), (n,), generator=rng)]
    drawn = sample_lines(yardstick.domain, generator, n, rng, labels, temperature)
    row = yardstick.measure(drawn.texts)
    row |= {"joint": selection_score(row, rows[COPY]), "truncated": drawn.truncated}
    return row | heldout_nll(generator, data, temperature)


def heldout_nll(generator: Any, data: Any, temperature: float = 1.0) -> dict[str, float]:
    """Nats per token and per word of the lines of a split, under the model at that temperature.

    Nothing without a likelihood.
    """
    if not hasattr(generator, "token_log_likelihood"):
        return {}
    nats, tokens, device = 0.0, 0, device_of(generator)
    with eval_mode(generator), torch.no_grad():
        for indices in torch.arange(len(data)).split(SCORED_TOGETHER):
            batch = data.batch(indices)
            tokens += int((batch.x[..., PAD] == 0).sum())
            batch = tree_map(lambda leaf: leaf.to(device), batch)
            given = (batch.x.argmax(-1), batch.condition, temperature)
            nats -= generator.token_log_likelihood(*given).double().sum().item()
    words = sum(len(split_words(line)) for line in data.texts)
    return {"nll_token": nats / tokens, "nll_word": nats / words}


def load_references(
    domain: TextDomain, data: Any, cache: Path, device: str | torch.device = "cpu"
) -> tuple[TextEvaluator, Rows]:
    """What every model of one data set is held against, from the cache or made and kept there.

    Raises Unmeasurable for a split of fewer than LEAST lines.
    """
    train = data.split("train")
    if len(data) < LEAST or len(train) < LEAST:
        raise EvaluationSkipped(
            f"{len(data)} lines to measure with, {len(train)} to train on; wanted {LEAST} of each"
        )
    stated = f"{VERSION} {domain} {train.fingerprint} {data.fingerprint}"
    key = hashlib.blake2b(stated.encode(), digest_size=8).hexdigest()
    file = cache / f"text-references-{key}.safetensors"
    model = LanguageModel(domain.vocabulary)
    yardstick = TextEvaluator(domain, evenly_spaced(data.texts, HELD), train.texts, model)
    try:
        rows = _load(file, model)
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError):  # none, or damaged
        tokens = domain.encode(list(train.texts))
        model = train_language_model(tokens, domain.vocabulary, keyed_rng("language model"), device)
        yardstick = yardstick._replace(model=model)
        rows = _reference_rows(yardstick, data)
        _save(file, model, rows)
    model.to(device).eval()
    return yardstick, rows


def sampled(yardstick: TextEvaluator) -> int:
    """How many lines a row has: SAMPLED, or as many as there are training lines."""
    return min(SAMPLED, len(yardstick.train))


def evenly_spaced(lines: Sequence[str], at_most: int) -> list[str]:
    """At most so many lines, from all over a set."""
    places = torch.linspace(0, len(lines) - 1, min(len(lines), at_most)).long()
    return [lines[k] for k in places.tolist()]


def _reference_rows(yardstick: TextEvaluator, data: Any) -> Rows:
    """The rows that do not depend on a model."""
    other = data.split({"valid": "test"}.get(data.subset, "valid"))
    held = yardstick.measure(evenly_spaced(other.texts, SAMPLED), reverse=False)
    copy = yardstick.measure(evenly_spaced(yardstick.train, SAMPLED))
    rows = {"real (held out)": held, COPY: copy | {"joint": 0.0}}
    lines = yardstick.domain.read.encode(list(yardstick.train))
    for order in (3, 4):
        rng = keyed_rng("n-grams", order)
        model = NgramModel(lines, order)
        drawn = model.sample(sampled(yardstick), rng, yardstick.domain.length - 1)
        row = yardstick.measure([yardstick.domain.read.decode(line) for line in drawn])
        rows[f"{order}gram"] = row | {"joint": selection_score(row, copy)}
    return rows


def _save(file: Path, model: LanguageModel, rows: Rows) -> None:
    """Write a safetensors file, whole or not at all."""
    stored = json.dumps({name: finite_or_none(row) for name, row in rows.items()})
    tensors: dict[str, Tensor] = {k: v.cpu().contiguous() for k, v in model.state_dict().items()}
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, {"rows": stored})
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _load(file: Path, model: LanguageModel) -> Rows:
    """What `_save` wrote; figures that were not finite are NaN."""
    with safe_open(file, "pt") as stored:
        rows = json.loads(stored.metadata()["rows"])
        model.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
    return {
        name: {metric: float("nan") if v is None else v for metric, v in row.items()}
        for name, row in rows.items()
    }


def _notes(yardstick: TextEvaluator, data: Any, rows: Rows) -> tuple[str, ...]:
    """What the rows and columns of the table are."""
    counted = f"{int(rows[COPY]['lines']):,}"
    return (
        f"against {len(yardstick.held):,} held-out lines ({data.left_out} longer ones left out), "
        f"with {len(yardstick.train):,} training lines; {counted} lines of {COPY}; words are cut "
        "by words.WORD, case kept; NLL in nats",
        f"lm: nats per token under an LSTM of {language_model.WIDTH} units, trained on the "
        f"training lines ({language_model.EPOCHS} epochs, at most {language_model.MOST_STEPS:,} "
        f"batches): the goal is the row real (held out); less is mode seeking, and "
        f"{COPY} is in its training set",
        "reverse_lm: nats per token of the held-out lines under the same LSTM trained on the row; "
        f"the goal is {COPY}: as many real lines",
        f"frechet: between the mean states ({language_model.WIDTH}) of that first LSTM, of a "
        f"row and of the held-out lines; {COPY} is the floor; real (held out) are the lines of the "
        "other held-out split, which may differ more; not comparable with other encoders",
        f"frontier: on the same features; joint: ln(frechet / {COPY}'s) + reverse_lm - {COPY}'s, "
        "on which checkpoints are chosen",
        "nll_token, nll_word: the model's own likelihood of the held-out lines; bleu: against them "
        "all; self_bleu: of a row, each line against all its others; BLEU alone tells nothing: "
        "count models with sharpened counts exceed real lines",
    )


class TextEvaluator(NamedTuple):
    """Held-out lines, the training lines, and the language model trained on the latter."""

    domain: TextDomain
    held: Sequence[str]
    train: Sequence[str]
    model: LanguageModel

    def measure(self, texts: Sequence[str], reverse: bool = True) -> dict[str, float]:
        """Every figure of some lines; equal lines have equal figures. See `evaluation.NOTES`."""
        words = [split_words(line) for line in texts]
        held = [split_words(line) for line in self.held]
        tokens, real = (self.domain.encode(list(side)) for side in (texts, self.held))
        here, there = features(self.model, tokens), features(self.model, real)
        frontier = mauve_scores(there, here, keyed_rng("clusterings"))
        return {
            "lines": float(len(texts)),
            "frechet": fidelity.frechet_distance(there, here),
            **({"reverse_lm": self.reverse(tokens, real)} if reverse else {}),
            "lm": score(self.model, tokens).per_token,
            "frontier": frontier.area,
            "frontier_integral": frontier.integral,
            **diversity.bleu_metrics("bleu", bleu.bleu(words, held)),
            **diversity.bleu_metrics("self_bleu", bleu.self_bleu(words)),
            "distinct_2": diversity.distinct(words, 2),
            "unique": diversity.unique(words),
            "copied": diversity.copied(words, [split_words(line) for line in self.train]),
            "length_distance": diversity.length_distance(words, held),
        }

    def reverse(self, tokens: Tensor, real: Tensor) -> float:
        """Nats per token of real lines under a language model trained on `tokens` (N, T)."""
        device = device_of(self.model)
        rng = keyed_rng("reverse language model")
        model = train_language_model(tokens, self.domain.vocabulary, rng, device)
        return score(model, real).per_token


def selection_score(row: Mapping[str, float], floor: Mapping[str, float]) -> float:
    """Quality and diversity in one, lower is better; 0 for lines as good as real ones.

    The logarithm of how many times the Frechet distance is that of real lines, and by how many
    nats the reverse language model is worse than theirs.
    """
    if not (row["frechet"] > 0 and floor["frechet"] > 0):
        return math.nan
    excess = row["reverse_lm"] - floor["reverse_lm"]
    return math.log(row["frechet"] / floor["frechet"]) + excess
