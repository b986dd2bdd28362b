"""Lines drawn from a small grammar by our own code: for tests, and for a first look."""

from __future__ import annotations

import torch

from multigan.core.rng import keyed_rng

COUNTS = {"train": 400, "valid": 100, "test": 100}  # different lines in each split
CLASSES = ("statement", "question")

# What a symbol may become; words that are no symbols stay.
GRAMMAR = {
    "statement": ("NOUN VERB NOUN .", "NOUN VERB NOUN PLACE .", "PLACE NOUN VERB NOUN ."),
    "question": ("does NOUN DO NOUN ?", "when did NOUN DO NOUN PLACE ?", "who VERB NOUN ?"),
    "NOUN": ("the THING", "the ADJECTIVE THING", "a THING", "an old THING"),
    "PLACE": ("near the river", "in the garden", "at night", "by the ADJECTIVE THING"),
    "ADJECTIVE": ("red", "small", "quiet", "young", "green"),
    "THING": ("dog", "boat", "gardener", "letter", "house", "painter", "horse", "lamp"),
    "VERB": ("sees", "finds", "paints", "carries", "forgets"),
    "DO": ("see", "find", "paint", "carry", "forget"),
}


def read_phrases() -> dict[str, list[tuple[str, int]]]:
    """Different lines and their classes, indices into CLASSES, in three splits."""
    rng = keyed_rng(0, "phrases")
    found: dict[str, int] = {}
    while len(found) < sum(COUNTS.values()):
        label = len(found) % len(CLASSES)
        words = " ".join(_expand(CLASSES[label], rng))
        found[words.replace(" .", ".").replace(" ?", "?")] = label
    lines = iter(found.items())
    return {split: [next(lines) for _ in range(count)] for split, count in COUNTS.items()}


def _expand(symbol: str, rng: torch.Generator) -> list[str]:
    """The words that a symbol becomes."""
    if symbol not in GRAMMAR:
        return [symbol]
    choices = GRAMMAR[symbol]
    chosen = choices[int(torch.randint(len(choices), (), generator=rng))]
    return [word for part in chosen.split() for word in _expand(part, rng)]
