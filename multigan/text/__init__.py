"""The domain of text: lines of at most so many tokens, free, begun by a prompt, or of a class.

Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "OracleDomain": "multigan.text.datasets.seqgan_oracle:OracleDomain",
    "OracleLines": "multigan.text.datasets.seqgan_oracle:OracleDataset",
    "TextCNN": "multigan.text.models.cnn_discriminator:TextCNN",
    "TextDomain": "multigan.text.domain:TextDomain",
    "TextGenerator": "multigan.text.models.generator:TextGenerator",
    "TextLines": "multigan.text.datasets.text_lines:TextLineDataset",
    "TextTransformer": "multigan.text.models.transformer_discriminator:TextTransformer",
}

COMMANDS = {
    "baselines": "multigan.text.analysis.likelihood_baselines:baselines",
    "reference": "multigan.text.commands:reference",
    "sweep": "multigan.text.analysis.temperature_sweep:sweep",
    "tokenizer": "multigan.text.commands:tokenizer",
}

REQUIREMENTS = {
    "speeches": "multigan.text.datasets.state_of_the_union:check_speeches",
}

HUB = {"pipeline_tag": "text-generation"}


def load(path: str | Path) -> Sampler:
    """Load a trained text generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of text.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="text")
