"""Names, docstrings, comments, messages and documentation use the terms of docs/glossary.md.

`python -m tests.test_language [PATH ...]` prints every finding, and the number of each file.
"""

from __future__ import annotations

import ast
import fnmatch
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.run_helpers import REPOSITORY

# Private words of earlier versions: word -> the term to use.
BANNED = {
    "anew": "again, afresh",
    "beside": "next to, with",
    "choir": "autoregressive voices",
    "clothes": "Fashion-MNIST",
    "draw": "sample (or plot)",
    "drawing": "sample (or plot)",
    "drawings": "samples (or plots)",
    "drawn": "sampled (or plotted)",
    "draws": "samples (or plots)",
    "drew": "sampled",
    "eyes": "feature extractor",
    "foreign": "external, untrusted",
    "game": "adversarial training, loss",
    "games": "adversarial training, losses",
    "healthy": "no diagnosis",
    "hear": "embed, encode",
    "heard": "embedded, features",
    "hears": "is conditioned on",
    "house": "project",
    "knob": "hyperparameter",
    "knobs": "hyperparameters",
    "listen": "condition on, encode",
    "listens": "conditions on, encodes",
    "picture": "image",
    "pictures": "images",
    "play": "train",
    "played": "trained",
    "player": "network",
    "players": "networks",
    "playing": "training",
    "plays": "trains",
    "shelf": "cache",
    "shelves": "caches",
    "sick": "diagnosed",
    "sickness": "diagnosis",
    "sing": "sample",
    "singing": "sampling",
    "sings": "samples",
    "stranger": "untrusted source",
    "strangers": "untrusted sources",
    "struck": "onset",
    "sung": "sampled",
    "told": "described, reported",
    "said": "reported, message",
    "twin": "near-duplicate",
    "twins": "near-duplicates",
    "verdict": "diagnosis, comparison",
    "verdicts": "diagnoses, comparisons",
    "wanted": "must be, expected",
    "wish": "sampling option",
    "wished": "requested",
    "wishes": "sampling options",
    "worth": "gain, bias",
    "worths": "biases",
}
# Ordinary verbs in prose ("draw `n` latents"); as names they meant both to sample and to plot.
NAMES_ONLY = {"draw", "drawing", "drawings", "drawn", "draws", "drew"}
PHRASES = {
    r"ready[- ]made": "pretrained",
    r"by heart": "memorizes",
    r"in as many ways as": "third-party decoders raise arbitrary exceptions",
}
BRITISH = re.compile(
    r"(?:colour|grey|metre(?!d)|centre|neighbour|behaviour|favour|licence|catalogue|analyse|labell"
    r"|(?:normal|standard|quant|memor|optim|maxim|minim|initial|harmon|general|real|summar|synchron"
    r"|token|binar|visual|regular|serial|random|util|organ|recogn)is(?:e|ed|es|er|ing|ation)$)"
)
QUESTION = re.compile(r"(?:What|How|Where|Whether|Which|Who|Whose|Why|When)\b")


class Allowed(NamedTuple):
    """A legitimate use of a banned word: files by pattern, context by regular expression."""

    word: str
    files: str
    context: str
    reason: str


ALLOWED = [
    Allowed("*", "multigan/music/*", r"play(s|ed|ing)?\b", "songs are played: audio"),
    Allowed("*", "multigan/report/*", r"play(s|ed|ing|er)?\b", "the page plays songs: audio"),
    Allowed("*", "docs/guides/report-and-compare.md", r"Songs? can be played|songs can be played",
            "audio"),
    Allowed("*", "*", r"ImageDraw|\.draw\(|draw_if|def draw\(", "names of Pillow and matplotlib"),
    Allowed("*", "multigan/report/*", r"listen", "addEventListener and audio"),
    Allowed("listen", "*", r"look at, read and listen|\.listen\(|socket", "audio; sockets"),
    Allowed("listen", "docs/guides/evaluation.md", r"[Ll]ook", "audio"),
    Allowed("*", "docs/gallery.md", r".", "lines that a generator sampled"),
    Allowed("listens", "docs/*", r"on this machine", "a server listens on a port"),
    Allowed("listens", "multigan/studio/*", r"port|machine|127", "a server listens on a port"),
    Allowed("*", "*", r"keyed_rng\(|_rng\(", "strings of random keys are seeds: they stay"),
]  # fmt: skip


class Finding(NamedTuple):
    """A banned word in a file."""

    file: str
    line: int
    kind: str
    word: str
    context: str


def sub_words(identifier: str) -> list[str]:
    """The words of a snake_case or CamelCase identifier, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", identifier)
    return [word.lower() for word in spaced.split("_") if word]


def words_of(text: str) -> list[str]:
    """The words of prose, in lower case; identifiers in it are split."""
    return [word for name in re.findall(r"[A-Za-z_]+", text) for word in sub_words(name)]


def banned_in(text: str) -> Iterator[str]:
    """Banned words and phrases of prose or of an identifier."""
    yield from (word for word in words_of(text) if word in BANNED)
    yield from (p for p in PHRASES if re.search(p, text.replace("\n", " "), re.IGNORECASE))


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of all docstrings."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node, clean=False)):
            yield node.body[0].lineno, text


def prose_strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of string constants with a space: messages, help texts, docstrings."""
    seeds = {
        id(item)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and "rng" in ast.unparse(call.func)
        for item in ast.walk(call)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and " " in node.value.strip() and id(node) not in seeds:
            yield node.lineno, node.value


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of all comments."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def findings_in_python(file: str, source: str) -> Iterator[Finding]:
    """Banned words, question-word docstrings and British spellings of a module."""
    tree = ast.parse(source)
    for line, name in sorted(set(defined_names(tree))):
        for word in banned_in(name):
            yield Finding(file, line, "identifier", word, name)
        for word in sub_words(name):
            if BRITISH.search(word):
                yield Finding(file, line, "British identifier", word, name)
    for line, text in docstrings(tree):
        if found := QUESTION.match(text.strip()):
            yield Finding(file, line, "question docstring", found[0], text.strip()[:60])
    for line, text in [*prose_strings(tree), *comments(source)]:
        for word in set(banned_in(text)) - NAMES_ONLY:
            yield Finding(file, line, "text", word, around(word, text))


def findings_in_prose(file: str, text: str) -> Iterator[Finding]:
    """Banned words and British spellings of a page."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in set(banned_in(line)) - NAMES_ONLY:
            yield Finding(file, number, "text", word, around(word, line))
        for word in words_of(line):
            if BRITISH.search(word):
                yield Finding(file, number, "British word", word, around(word, line))


def around(word: str, text: str) -> str:
    """The text near a word, on one line."""
    text = " ".join(text.split())
    at = max(text.lower().find(word), 0)
    return text[max(0, at - 40) : at + 40]


def is_allowed(found: Finding) -> bool:
    """A legitimate use."""
    return any(
        entry.word in ("*", found.word)
        and fnmatch.fnmatch(found.file, entry.files)
        and re.search(entry.context, found.context)
        for entry in ALLOWED
    )


def findings(*patterns: str) -> list[Finding]:
    """All findings in the files of the repository that match."""
    found: list[Finding] = []
    for path in sorted({path for pattern in patterns for path in REPOSITORY.glob(pattern)}):
        name, text = path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")
        read = findings_in_python if path.suffix == ".py" else findings_in_prose
        found += [item for item in read(name, text) if not is_allowed(item)]
    return found


def listing(found: list[Finding]) -> str:
    """Findings, and their number by file."""
    lines = [f"{f.file}:{f.line}: {f.kind} {f.word!r}: {f.context}" for f in found]
    counts = Counter(f.file for f in found).most_common()
    return "\n".join([*lines, *(f"{count:4} {file}" for file, count in counts)])


def undefined_arguments(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every argument that an `Args:` section has and the signature has not."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        text = ast.get_docstring(node) or ""
        section = re.search(r"^Args:\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
        if section is None:
            continue
        functions = [n for n in node.body if getattr(n, "name", "") == "__init__"] or [node]
        fields = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
        known = {item.arg for item in ast.walk(functions[0]) if isinstance(item, ast.arg)} | fields
        named = re.findall(r"^    (\w[\w, ]*): ", section[1], re.MULTILINE)
        for name in (name for group in named for name in group.split(", ")):
            if name not in known:
                yield node.lineno, name


def test_documented_arguments_exist():
    found = {
        f"{path.relative_to(REPOSITORY)}:{line}: {name}"
        for path in REPOSITORY.glob("multigan/**/*.py")
        for line, name in undefined_arguments(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()
    code = 'def f(a):\n    """F.\n\n    Args:\n        a, b: numbers\n    """'
    assert list(undefined_arguments(ast.parse(code))) == [(1, "b")]


SCOPES = {
    "package": ("multigan/**/*.py",),
    "recipes": ("recipes/**/*.py",),
    "documentation": (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "data/README.md",
        "docs/**/*.md",
        "docs/*.py",
        "examples/**/*.py",
    ),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_only_the_terms_of_the_field_are_used(scope):
    found = findings(*SCOPES[scope])
    assert not found, "\n" + listing(found)


def test_the_readme_has_at_most_200_lines():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_glossary_terms_are_unique_and_sorted():
    text = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [row.split("|")[1].strip().lower() for row in text.splitlines()[6:] if row]
    assert len(terms) > 50 and terms == sorted(set(terms))


PLANTED = '''
"""What a picture is."""


def shelf(colour):
    """Return the image."""
    heard = 1  # the stranger's
    raise ValueError(f"x is {heard}; wanted 2, ready-made")
'''


def test_planted_words_are_found():
    found = {(f.kind, f.word) for f in findings_in_python("x.py", PLANTED)}
    assert found == {
        ("question docstring", "What"),
        ("text", "picture"),
        ("identifier", "shelf"),
        ("British identifier", "colour"),
        ("identifier", "heard"),
        ("text", "stranger"),
        ("text", "wanted"),
        ("text", "ready[- ]made"),
    }
    prose = {(f.kind, f.word) for f in findings_in_prose("x.md", "Two players.\nGrey metres.")}
    assert prose == {("text", "players"), ("British word", "grey"), ("British word", "metres")}


def test_words_that_contain_a_banned_one_are_no_findings():
    text = "display, drawback, worthwhile, besides, swish, using, gameplan, key, playlist"
    assert list(findings_in_prose("x.md", text)) == []


def test_an_allowance_holds_in_its_files_only():
    def allowed(file: str, text: str) -> list[bool]:
        return [is_allowed(item) for item in findings_in_prose(file, text)]

    assert allowed("multigan/music/rendering/audio.py", "the song is played") == [True]
    assert allowed("multigan/engine/trainer.py", "the loss is played") == [False]


if __name__ == "__main__":
    print(listing(findings(*(sys.argv[1:] or [p for scope in SCOPES.values() for p in scope]))))
