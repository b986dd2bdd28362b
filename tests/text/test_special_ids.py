"""One place states the special ids; they are those of every tokenizer."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import multigan
from multigan.text.spec import TextSpec
from multigan.text.tokenization.tokenizer import (
    SPECIALS,
    TOKENIZERS,
    TextTokenizer,
    train_tokenizer,
)

PACKAGE = Path(multigan.__file__).parent
STATED_IN = "text/tokenization/tokenizer.py"
# What knows a vocabulary by its size alone; everything else reads a tokenizer or a TextSpec.
WITHOUT_TOKENIZER = ("text/tokenization/", "text/models/", "text/metrics/language_model.py")
SPECIAL_NAME = re.compile(r"(pad|bos|eos|unk)(_token)?(_id)?", re.IGNORECASE)
LINES = ["a man rides a horse", "two men sit on a bench"]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_special_ids_are_those_of_the_vocabulary(kind):
    text = train_tokenizer(LINES, kind, 300)
    tokenizer = TextTokenizer(text)
    assert [tokenizer.token(token) for token in tokenizer.special_ids] == list(SPECIALS)
    assert TextSpec(text, 8).special_ids == tokenizer.special_ids


@cache
def modules():
    files = [file for name in ("text", "benchmarks") for file in (PACKAGE / name).rglob("*.py")]
    return [
        (file.relative_to(PACKAGE).as_posix(), list(ast.walk(ast.parse(file.read_text()))))
        for file in files
    ]


def numbered(node):
    """The special names that a node gives a number."""
    if isinstance(node, ast.Assign) and any(
        isinstance(value, ast.Constant) and type(value.value) is int
        for value in ast.walk(node.value)
    ):
        targets = [name for target in node.targets for name in ast.walk(target)]
        return [n.id for n in targets if isinstance(n, ast.Name) and SPECIAL_NAME.fullmatch(n.id)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return [node.func.id] if node.func.id == "SpecialIds" else []
    return []


def test_one_module_states_the_numbers():
    stating = {place for place, nodes in modules() for node in nodes if numbered(node)}
    assert stating == {STATED_IN}


def test_only_what_has_no_tokenizer_reads_the_constant():
    readers = {
        place
        for place, nodes in modules()
        for node in nodes
        if isinstance(node, ast.Name | ast.alias)
        and "SPECIAL_IDS" in (getattr(node, "id", ""), getattr(node, "name", ""))
    }
    assert STATED_IN in readers
    assert [place for place in sorted(readers) if not place.startswith(WITHOUT_TOKENIZER)] == []
