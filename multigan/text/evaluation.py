"""The table of a text model: real lines, their copy, count models, and what it writes itself.

What does not depend on the model is kept in the cache.
"""

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

from multigan.contract import (
    Generator,
    Unmeasurable,
    device_of,
    evaluating,
    tree_map,
)
from multigan.rng import keyed_rng
from multigan.table import Table, finite_or_none
from multigan.text import scorers
from multigan.text.drawing import draw_lines
from multigan.text.ngrams import NgramModel
from multigan.text.scorers import LanguageModel, train_language_model
from multigan.text.tokens import PAD
from multigan.text.words import split_words
from multigan.text.yardstick import Yardstick, joint

if TYPE_CHECKING:
    from multigan.text.domain import TextDomain

SAMPLED = 2000  # lines in a row, at most
HELD = 2000  # lines of a held-out split that are measured against, at most
LEAST = 20  # lines of a split that can be measured with
SCORED_TOGETHER = 64
COPY = "copy of train"  # the row that is the floor of the joint figure
VERSION = 1  # raise it when a row would come out otherwise: caches go by it

Rows = dict[str, dict[str, float]]


def evaluate(
    domain: TextDomain, generator: Generator, data: Any, rng: torch.Generator, cache: Path
) -> Table:
    """Measure real lines, count models and `generator` against the held-out split `data`.

    Raises Unmeasurable for a split of fewer than LEAST lines.
    """
    yardstick, rows = references(domain, data, cache, device_of(generator))
    rows["this model"] = model_row(yardstick, rows, generator, data, rng)
    return Table(rows, _notes(yardstick, data, rows))


def model_row(
    yardstick: Yardstick,
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
    drawn = draw_lines(yardstick.domain, generator, n, rng, labels, temperature)
    row = yardstick.measure(drawn.texts)
    row |= {"joint": joint(row, rows[COPY]), "truncated": drawn.truncated}
    return row | held_out_nll(generator, data, temperature)


def held_out_nll(generator: Any, data: Any, temperature: float = 1.0) -> dict[str, float]:
    """Nats per token and per word of the lines of a split, under the model at that temperature.

    Nothing without a likelihood.
    """
    if not hasattr(generator, "token_log_likelihood"):
        return {}
    nats, tokens, device = 0.0, 0, device_of(generator)
    with evaluating(generator), torch.no_grad():
        for indices in torch.arange(len(data)).split(SCORED_TOGETHER):
            batch = data.batch(indices)
            tokens += int((batch.x[..., PAD] == 0).sum())
            batch = tree_map(lambda leaf: leaf.to(device), batch)
            given = (batch.x.argmax(-1), batch.condition, temperature)
            nats -= generator.token_log_likelihood(*given).double().sum().item()
    words = sum(len(split_words(line)) for line in data.texts)
    return {"nll_token": nats / tokens, "nll_word": nats / words}


def references(
    domain: TextDomain, data: Any, cache: Path, device: str | torch.device = "cpu"
) -> tuple[Yardstick, Rows]:
    """What every model of one data set is held against, from the cache or made and kept there.

    Raises Unmeasurable for a split of fewer than LEAST lines.
    """
    train = data.split("train")
    if len(data) < LEAST or len(train) < LEAST:
        raise Unmeasurable(
            f"{len(data)} lines to measure with, {len(train)} to train on; wanted {LEAST} of each"
        )
    stated = f"{VERSION} {domain} {train.fingerprint} {data.fingerprint}"
    key = hashlib.blake2b(stated.encode(), digest_size=8).hexdigest()
    file = cache / f"text-references-{key}.safetensors"
    model = LanguageModel(domain.vocabulary)
    yardstick = Yardstick(domain, spread(data.texts, HELD), train.texts, model)
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


def sampled(yardstick: Yardstick) -> int:
    """How many lines a row has: SAMPLED, or as many as there are training lines."""
    return min(SAMPLED, len(yardstick.train))


def spread(lines: Sequence[str], at_most: int) -> list[str]:
    """At most so many lines, from all over a set."""
    places = torch.linspace(0, len(lines) - 1, min(len(lines), at_most)).long()
    return [lines[k] for k in places.tolist()]


def _reference_rows(yardstick: Yardstick, data: Any) -> Rows:
    """The rows that do not depend on a model."""
    other = data.split({"valid": "test"}.get(data.subset, "valid"))
    held = yardstick.measure(spread(other.texts, SAMPLED), reverse=False)
    copy = yardstick.measure(spread(yardstick.train, SAMPLED))
    rows = {"real (held out)": held, COPY: copy | {"joint": 0.0}}
    lines = yardstick.domain.read.encode(list(yardstick.train))
    for order in (3, 4):
        rng = keyed_rng("n-grams", order)
        model = NgramModel(lines, order)
        drawn = model.sample(sampled(yardstick), rng, yardstick.domain.length - 1)
        row = yardstick.measure([yardstick.domain.read.decode(line) for line in drawn])
        rows[f"{order}gram"] = row | {"joint": joint(row, copy)}
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


def _notes(yardstick: Yardstick, data: Any, rows: Rows) -> tuple[str, ...]:
    """What the rows and columns of the table are."""
    counted = f"{int(rows[COPY]['lines']):,}"
    return (
        f"against {len(yardstick.held):,} held-out lines ({data.left_out} longer ones left out), "
        f"with {len(yardstick.train):,} training lines; {counted} lines of {COPY}; words are cut "
        "by words.WORD, case kept; NLL in nats",
        f"lm: nats per token under an LSTM of {scorers.WIDTH} units, trained on the training lines "
        f"({scorers.EPOCHS} epochs, at most {scorers.MOST_STEPS:,} batches): the goal is the row "
        f"real (held out); less is mode seeking, and {COPY} is in its training set",
        "reverse_lm: nats per token of the held-out lines under the same LSTM trained on the row; "
        f"the goal is {COPY}: as many real lines",
        f"frechet: between the mean states ({scorers.WIDTH}) of that first LSTM, of a row and "
        f"of the held-out lines; {COPY} is the floor; real (held out) are the lines of the other "
        "held-out split, which may differ more; not comparable with other encoders",
        f"frontier: on the same features; joint: ln(frechet / {COPY}'s) + reverse_lm - {COPY}'s, "
        "on which checkpoints are chosen",
        "nll_token, nll_word: the model's own likelihood of the held-out lines; bleu: against them "
        "all; self_bleu: of a row, each line against all its others; BLEU alone tells nothing: "
        "count models with sharpened counts exceed real lines",
    )
