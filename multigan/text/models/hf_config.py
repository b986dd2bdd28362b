"""Configs of Hugging Face models, which may come from an untrusted weight file.

A config may name another model, code of its author, or a quantizer: the library would fetch or
import it. Only the sizes of known causal language models are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multigan.core.optional_dependencies import transformers
from multigan.storage.files import parse_json

# Causal language models of plain text, built from their config alone.
MODEL_TYPES = (
    "bloom", "cohere", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2",
    "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "granite", "llama", "mistral", "olmo", "olmo2",
    "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2",
)  # fmt: skip
SINCE_5 = ("gemma2", "gemma3_text")  # their caches are at fault in transformers below 5

# Keys with which a config names another model, code or a quantizer.
EXTERNAL_KEY = re.compile(
    r"adapter|auto_map|backbone|custom|endpoint|file|hub|implementation|kernel|name_or_path|_path$"
    r"|pretrained|quant|remote|repo|revision|timm|url",
    re.IGNORECASE,
)
# Keys that only say how a folder was written; its weights are converted to float32.
NOTES = (
    "architectures", "dtype", "torch_dtype", "transformers_version", "tokenizer_class", "use_cache",
    "torchscript", "return_dict", "output_attentions", "output_hidden_states", "model_type",
)  # fmt: skip
# Keys of a local folder that are harmless there: its own name, and code that is not used.
LOCAL_NOTES = ("_name_or_path", "name_or_path", "auto_map", "attn_implementation",
               "_attn_implementation", "_attn_implementation_autoset")  # fmt: skip


def check_hf_config(config: Mapping[str, Any]) -> None:
    """Raise ValueError, in one line, unless a config is of one of MODEL_TYPES and names nothing.

    A model is named by a key of EXTERNAL_KEY with any value but None, False or an empty one, or by
    a config inside the config.
    """
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise ValueError(
            f"hf_config must have a model_type, as a config.json has, one of "
            f"{', '.join(MODEL_TYPES)}; got {str(kind)[:40]!r}"
        )
    for key, value in _entries(config):
        if EXTERNAL_KEY.search(key) and key not in NOTES and value:
            raise ValueError(
                f"hf_config must name no other model and no code; got the key {key[:60]!r}"
            )
        if isinstance(value, Mapping) and "model_type" in value:
            raise ValueError(f"hf_config must hold no other config; got one under {key[:60]!r}")


def _entries(tree: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over the keys and values of all mappings in a JSON tree."""
    children = tree.values() if isinstance(tree, Mapping) else tree
    if isinstance(tree, Mapping):
        yield from ((str(key), value) for key, value in tree.items())
    for child in children:
        if isinstance(child, Mapping | list | tuple):
            yield from _entries(child)


def hf_settings(config: Mapping[str, Any], **changes: Any) -> Any:
    """The library's settings of a checked config.

    Of the keys that its model type does not document, numbers alone are passed on. Raises
    ValueError for a config that `check_hf_config` refuses, where transformers is absent, and for a
    model type that the installed transformers lacks.
    """
    check_hf_config(config)
    library = transformers()
    mapping, kind = library.CONFIG_MAPPING, config["model_type"]
    is_old = int(library.__version__.partition(".")[0]) < 5
    if kind not in mapping or (is_old and kind in SINCE_5):
        raise ValueError(
            f"model_type must be known to the installed transformers {library.__version__}; "
            f"got {kind!r}: pip install -U transformers"
        )
    cls = mapping[kind]
    known = set(cls().to_dict()) | set(cls.attribute_map)
    arguments = {
        key: value
        for key, value in config.items()
        if key not in NOTES and (key in known or isinstance(value, int | float | None))
    }
    return cls(**arguments | changes)


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config.json of a local model folder, for `TextGenerator(hf_config=...)`.

    Raises ValueError where there is none, or one that `check_hf_config` refuses.
    """
    file = Path(folder) / "config.json"
    try:
        config = parse_json(file.read_text())
        if not isinstance(config, dict):
            raise ValueError("config.json must be a JSON object")
        config = {key: value for key, value in config.items() if key not in LOCAL_NOTES}
        check_hf_config(config)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} must be a Hugging Face model folder: {error}") from error
    return config
