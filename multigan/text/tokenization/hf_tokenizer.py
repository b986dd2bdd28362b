"""Import of tokenizers from local Hugging Face folders.

Ids are renumbered: the four specials come first, the other tokens follow in their original order.
The specials are renamed as in `tokenizer.SPECIALS`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multigan.storage.files import parse_json
from multigan.text.tokenization.tokenizer import SPECIAL_IDS, SPECIALS, TextTokenizer

# The keys of a folder's config for each special; the first present one is used.
SPECIAL_KEYS = {
    SPECIAL_IDS.eos: ("eos_token", "sep_token"),
    SPECIAL_IDS.bos: ("bos_token", "cls_token"),
    SPECIAL_IDS.pad: ("pad_token",),
    SPECIAL_IDS.unk: ("unk_token",),
}
SPECIAL_LOG_PROBABILITY = -1e4  # of a special as a piece of text


def import_hf_tokenizer(folder: Path) -> str:
    """Import the tokenizer.json of a folder, renumbered.

    A token with several roles keeps the first of: end, begin, padding, unknown; the others are
    added. Raises ValueError for a folder without a fast tokenizer, or of an unknown model.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ValueError(
            f"{folder} must be the folder of a fast tokenizer; it has no tokenizer.json"
        )
    try:
        text = _import(file)
        TextTokenizer(text)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        message = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} must be a supported tokenizer: {message}") from error
    return text


def _import(file: Path) -> str:
    """The tokenizer.json, renumbered. Raises several types of errors for a damaged file."""
    text, order = _read(file)
    numbers = {name: k for k, (name, special) in enumerate(order) if special is None}
    text["model"] = _renumbered(text["model"], order)
    added = [
        token | {"id": numbers[token["content"]]}
        for token in text["added_tokens"]
        if token["content"] in numbers
    ]
    specials = [_special(k) for k in range(len(SPECIALS))]
    text["added_tokens"] = specials + sorted(added, key=lambda token: token["id"])
    text |= {"truncation": None, "padding": None, "post_processor": None}
    return json.dumps(text, ensure_ascii=False)


def _read(file: Path) -> tuple[dict[str, Any], list[tuple[str, int | None]]]:
    """The tokenizer of a folder, and its tokens in the new order: (original name, special)."""
    text = parse_json(file.read_bytes())
    known = _vocabulary(text)
    names = _specials(file.parent, known)
    others = sorted(
        (token for token in known if token not in names.values()), key=known.__getitem__
    )
    if clash := [token for token in others if token in SPECIALS]:
        raise ValueError(f"{clash[0]} must be a special token; got an ordinary one")
    specials = [(names.get(k, ""), k) for k in range(len(SPECIALS))]
    return text, [*specials, *((token, None) for token in others)]


def _specials(folder: Path, known: dict[str, int]) -> dict[int, str]:
    """Special -> the name of its token."""
    stated: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            stated |= parse_json((folder / name).read_bytes())
    names: dict[int, str] = {}
    for special, keys in SPECIAL_KEYS.items():
        values = [stated[key] for key in keys if stated.get(key)] + [SPECIALS[special]]
        token = values[0]["content"] if isinstance(values[0], dict) else values[0]
        if token in known and token not in names.values():
            names[special] = token
    return names


def _vocabulary(text: dict[str, Any]) -> dict[str, int]:
    """Token -> id of a tokenizer.json."""
    table = text["model"]["vocab"]
    if not isinstance(table, dict):  # Unigram: pieces and log-probabilities by id
        table = {piece: k for k, (piece, _) in enumerate(table)}
    return table | {token["content"]: token["id"] for token in text["added_tokens"]}


def _renumbered(model: dict[str, Any], order: list[tuple[str, int | None]]) -> dict[str, Any]:
    """The model with new ids."""
    names = [_display_name(name, special) for name, special in order]
    if model.get("type") in ("BPE", "WordPiece", "WordLevel"):
        table = {name: k for k, name in enumerate(names)}
        unknown = {} if model.get("unk_token") is None else {"unk_token": SPECIALS[SPECIAL_IDS.unk]}
        return model | {"vocab": table} | unknown
    if model.get("type") == "Unigram":
        scores = dict(model["vocab"])
        pieces = [
            [
                piece,
                SPECIAL_LOG_PROBABILITY
                if special is not None
                else scores.get(name, SPECIAL_LOG_PROBABILITY),
            ]
            for piece, (name, special) in zip(names, order, strict=True)
        ]
        return model | {"vocab": pieces, "unk_id": SPECIAL_IDS.unk}
    raise ValueError(
        f"the model must be BPE, WordPiece, WordLevel or Unigram; got {model.get('type')!r}"
    )


def _display_name(name: str, special: int | None) -> str:
    return name if special is None else SPECIALS[special]


def _special(k: int) -> dict[str, Any]:
    """The entry of a special in the list of added tokens."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": k, "content": SPECIALS[k], **flags, "special": True}
