"""The text domain: lines of tokens, unconditional, continued from a prompt, or of a class.

Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "OracleDataset": "multigan.text.datasets.seqgan_oracle:OracleDataset",
    "OracleDomain": "multigan.text.datasets.seqgan_oracle:OracleDomain",
    "TextCNN": "multigan.text.models.cnn_discriminator:TextCNN",
    "TextDomain": "multigan.text.domain:TextDomain",
    "TextGenerator": "multigan.text.models.generator:TextGenerator",
    "TextLineDataset": "multigan.text.datasets.text_lines:TextLineDataset",
    "TextRefiner": "multigan.text.models.refiner:TextRefiner",
    "TextTransformer": "multigan.text.models.transformer_discriminator:TextTransformer",
}

COMMANDS = {
    "baseline-metrics": "multigan.text.commands:baseline_metrics",
    "compare-likelihood": "multigan.text.analysis.likelihood_baselines:compare_likelihood",
    "export-tokenizer": "multigan.text.commands:export_tokenizer",
    "inspect": "multigan.text.commands:inspect_text",
    "temperature-sweep": "multigan.text.analysis.temperature_sweep:temperature_sweep",
}

REQUIREMENTS = {
    "speeches": "multigan.text.datasets.state_of_the_union:check_speeches",
}

HUB = {"pipeline_tag": "text-generation"}


def load(path: str | Path) -> Sampler:
    """Load a trained text generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no text generator.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="text")
