"""A causal language model of Hugging Face's as the body of the text generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.optional_dependencies import transformers
from multigan.storage.files import parse_json

# The body reads our embeddings, so its own table of tokens has one row, and nothing points into it.
NO_TOKENS = {"vocab_size": 1, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}

# Names of classes, and of code that the library would fetch or run: we build what model_type says.
NOT_TAKEN = ("model_type", "architectures", "auto_map", "attn_implementation",
             "_attn_implementation")  # fmt: skip


class HFCache(NamedTuple):
    """The library's cache of keys and values; None before the first position."""

    cache: Any


class HuggingFaceBody(nn.Module):
    """Inputs (B, T, E) -> features (B, T, hidden size) of a causal model without its token table.

    `config` is the content of a config.json: a name of the model under `model_type` and its sizes.
    Weights are fresh; `adopt_body` takes those of a local folder. Dropout is off.

    Raises ValueError where transformers is absent or knows no such model.
    """

    at_once = True

    def __init__(self, inputs: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        if "model_type" not in config:
            raise ValueError("the body's config names no model_type; wanted that of a config.json")
        library = transformers()
        arguments = {k: v for k, v in config.items() if k not in NOT_TAKEN}
        settings = library.AutoConfig.for_model(config["model_type"], **arguments | NO_TOKENS)
        self.model = library.AutoModel.from_config(settings, attn_implementation="eager")
        self.model.get_input_embeddings().requires_grad_(False)
        for part in self.model.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        self.features = int(settings.hidden_size)
        self.enter = nn.Linear(inputs, self.features)

    def start(self, x: Tensor) -> HFCache:
        """Nothing seen yet."""
        return HFCache(None)

    def step(self, x: Tensor, state: HFCache) -> tuple[Tensor, HFCache]:
        """(B, E) -> features (B, hidden size) and the longer cache."""
        found = self.model(
            inputs_embeds=self.enter(x)[:, None], past_key_values=state.cache, use_cache=True
        )
        return found.last_hidden_state[:, 0], HFCache(found.past_key_values)

    def unroll(self, x: Tensor) -> Tensor:
        """All positions at once: (B, T, E) -> (B, T, hidden size)."""
        return self.model(inputs_embeds=self.enter(x), use_cache=False).last_hidden_state


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config.json of a local model folder, as `TextGenerator(body=...)` takes it.

    Raises ValueError where there is none.
    """
    file = Path(folder) / "config.json"
    try:
        return parse_json(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no model folder of Hugging Face's: {error}") from error


def load_hf_weights(body: HuggingFaceBody, folder: str | Path) -> None:
    """Take the weights of a local model folder, all but its table of tokens; nothing is fetched.

    Raises ValueError where the folder holds another model.
    """
    library = transformers()
    source = library.AutoModel.from_pretrained(folder, local_files_only=True).state_dict()
    own = body.model.state_dict(keep_vars=True)
    table = body.model.get_input_embeddings().weight
    adopted = {name: tensor for name, tensor in own.items() if tensor is not table}
    for name, tensor in adopted.items():
        if name not in source or source[name].shape != tensor.shape:
            raise ValueError(f"{folder} does not fit the body at {name}")
    with torch.no_grad():
        for name, tensor in adopted.items():
            tensor.copy_(source[name])
