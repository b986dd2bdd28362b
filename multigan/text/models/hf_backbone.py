"""A causal language model of Hugging Face's as the backbone of the text generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.optional_dependencies import offline, transformers
from multigan.text.models.hf_config import hf_settings, read_config

# The model gets our embeddings, so its own token embedding is unused and has one row.
NO_TOKENS = {"vocab_size": 1, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}


class HFCache(NamedTuple):
    """The library's cache of keys and values; None before the first position."""

    cache: Any


class HFBackbone(nn.Module):
    """Inputs (B, T, E) -> features (B, T, hidden size) of a causal model without its embedding.

    `config` is the content of a config.json: a model name under `model_type` and its sizes.
    Weights are random; `load_hf_weights` loads those of a local folder. Dropout is off. It is built
    offline. Raises ValueError for a config that `hf_settings` refuses.
    """

    is_parallel = True

    def __init__(self, inputs: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        settings = hf_settings(config, **NO_TOKENS)
        with offline():
            self.model = transformers().AutoModel.from_config(
                settings, attn_implementation="eager", trust_remote_code=False
            )
        self.model.get_input_embeddings().requires_grad_(False)
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.output_dim = int(settings.hidden_size)
        self.input_projection = nn.Linear(inputs, self.output_dim)

    def initial_state(self, x: Tensor) -> HFCache:
        """The empty cache."""
        return HFCache(None)

    def step(self, x: Tensor, state: HFCache) -> tuple[Tensor, HFCache]:
        """(B, E) -> features (B, hidden size) and the longer cache."""
        outputs = self.model(
            inputs_embeds=self.input_projection(x)[:, None],
            past_key_values=state.cache,
            use_cache=True,
        )
        return outputs.last_hidden_state[:, 0], HFCache(outputs.past_key_values)

    def forward_sequence(self, x: Tensor) -> Tensor:
        """All positions in one pass: (B, T, E) -> (B, T, hidden size)."""
        return self.model(inputs_embeds=self.input_projection(x), use_cache=False).last_hidden_state


def load_hf_weights(backbone: HFBackbone, folder: str | Path) -> None:
    """Load the weights of a local model folder, except its token embedding; nothing is fetched.

    Raises ValueError where the folder holds another model.
    """
    settings = hf_settings(read_config(folder))
    with offline():
        source = (
            transformers()
            .AutoModel.from_pretrained(
                folder, config=settings, local_files_only=True, trust_remote_code=False
            )
            .state_dict()
        )
    own = backbone.model.state_dict(keep_vars=True)
    table = backbone.model.get_input_embeddings().weight
    loaded = {name: tensor for name, tensor in own.items() if tensor is not table}
    for name, tensor in loaded.items():
        if name not in source or source[name].shape != tensor.shape:
            shape = tuple(source[name].shape) if name in source else "nothing"
            raise ValueError(
                f"{folder}: {name} must have the shape {tuple(tensor.shape)}; got {shape}"
            )
    with torch.no_grad():
        for name, tensor in loaded.items():
            tensor.copy_(source[name])
