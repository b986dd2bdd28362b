"""Model card of an exported generator: README.md for the Hugging Face Hub."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from multigan.core.results_table import MAX_COLUMNS

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>&~$-])")
FRONT_MATTER = ("pipeline_tag", "sdk", "app_file")  # metadata that is copied
MAX_LENGTH = 500  # characters of a name or note


class ModelCard(NamedTuple):
    """Content of a model card. All texts may be untrusted: `markdown` escapes them."""

    title: str
    domain: str
    generator: str  # its component name
    parameters: int
    license: str
    hub: Mapping[str, str]  # metadata: pipeline_tag of the domain; sdk and app_file of a Space
    source: str  # what `multigan sample` and `load` take: a folder, or hf://user/name
    command: str  # that trained it
    inputs: Sequence[tuple[str, str, str]]  # name, shape, type
    sampling: Mapping[str, Any]  # options that samples are drawn with by default
    files: Sequence[tuple[str, str]]  # name, description
    previews: Sequence[str]  # files of samples
    table: Mapping[str, Any] | None  # of evaluation.json


def markdown(card: ModelCard) -> str:
    """Return the whole file: YAML front matter, then Markdown."""
    about = (
        f"A generator ({escaped(card.generator)}, {card.parameters:,} parameters) of the domain "
        f"{escaped(card.domain)}, trained by multigan."
    )
    parts = [
        _front_matter(card),
        f"# {escaped(card.title)}",
        about,
        *map(_sample, card.previews),
        "## Use",
        _code(f"pip install multigan\nmultigan sample {shlex.quote(card.source)} -n 16", "bash"),
        _code(f"from multigan import load\n\nsamples = load({card.source!r}).sample(16)", "python"),
        *_defaults(card.sampling),
        "## Files",
        _table(("file", "description"), card.files),
        *_inputs(card.inputs),
        "## Training command",
        _code(card.command, "bash"),
        *_results(card.table),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: Any) -> str:
    """Escape untrusted text as one line of Markdown without markup."""
    line = " ".join(printable(text).split())[:MAX_LENGTH]
    return SPECIAL.sub(r"\\\1", line)


def printable(text: Any) -> str:
    """Replace unprintable characters by question marks."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in str(text))


def _defaults(sampling: Mapping[str, Any]) -> list[str]:
    """A sentence on the sampling options that the weight file carries; empty without any."""
    if not sampling:
        return []
    named = ", ".join(f"{escaped(name)} {escaped(value)}" for name, value in sampling.items())
    return [f"Samples are drawn with {named}, unless other values are given."]


def _inputs(inputs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Section on the inputs of the exported programs; empty without programs."""
    if not inputs:
        return []
    text = "In this order; B is the number of samples."
    return ["## Inputs of the exported programs", text, _table(("name", "shape", "type"), inputs)]


def _front_matter(card: ModelCard) -> str:
    """YAML with JSON values: JSON is valid YAML, and text cannot add keys."""
    values: dict[str, Any] = {
        "license": card.license,
        "library_name": "multigan",
        "tags": ["multigan", "gan", card.domain],
    }
    values |= {name: card.hub[name] for name in FRONT_MATTER if name in card.hub}
    if card.table is not None:
        values["model-index"] = [_model_index(card, card.table)]
    lines = [
        f"{k}: {json.dumps(_printable_tree(v), ensure_ascii=False)}" for k, v in values.items()
    ]
    return "\n".join(["---", *lines, "---"])


def _model_index(card: ModelCard, table: Mapping[str, Any]) -> dict[str, Any]:
    """The last row of the table, in the Hub's format of results."""
    *_, model = table["rows"].values()
    task = card.hub.get("pipeline_tag", "other")
    metrics = [
        {"type": name, "name": name, "value": value}
        for name, value in model.items()
        if value is not None
    ]
    data = {"name": "the data of the recipe, held-out split", "type": card.domain}
    result = {"task": {"type": task}, "dataset": data, "metrics": metrics}
    return {"name": card.title, "results": [result]}


def _printable_tree(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {printable(key): _printable_tree(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_printable_tree(value) for value in tree]
    return printable(tree) if isinstance(tree, str) else tree


def _sample(file: str) -> str:
    """Markdown of a file of samples: an image, an audio element, or a link."""
    kind = file.rpartition(".")[2]
    return MARKDOWN_OF.get(kind, "[{file}]({file})").format(file=file)


MARKDOWN_OF = {"png": "![samples]({file})", "wav": '<audio controls src="{file}"></audio>'}


def _code(text: str, language: str = "") -> str:
    """A block of code, fenced by more backticks than it contains."""
    runs = re.findall(r"`+", text)
    fence = "`" * max(3, 1 + max(map(len, runs), default=0))
    lines = "\n".join(printable(line) for line in text.split("\n"))
    return f"{fence}{language}\n{lines}\n{fence}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(escaped, row)) + " |" for row in rows])


def _results(table: Mapping[str, Any] | None) -> list[str]:
    """The evaluation with all rows; more than MAX_COLUMNS metrics become table rows."""
    if table is None:
        return ["No evaluation is available."]
    rows = table["rows"]
    metrics = list(dict.fromkeys(name for row in rows.values() for name in row))
    if len(metrics) > MAX_COLUMNS:
        header = ("", *map(escaped, rows))
        cells = [(m, *(_number(row.get(m)) for row in rows.values())) for m in metrics]
    else:
        header = ("", *map(escaped, metrics))
        cells = [(name, *(_number(row.get(m)) for m in metrics)) for name, row in rows.items()]
    notes = "\n".join(f"- {escaped(note)}" for note in table["notes"])
    return ["## Results", _table(header, cells), notes]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
