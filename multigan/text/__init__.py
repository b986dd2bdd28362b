"""The domain of text: lines of at most so many tokens, free, begun by a prompt, or of a class.

Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.contract import Sampler

PARTS = {
    "OracleDomain": "multigan.text.oracle_data:OracleDomain",
    "OracleLines": "multigan.text.oracle_data:OracleLines",
    "TextCNN": "multigan.text.cnn:TextCNN",
    "TextDomain": "multigan.text.domain:TextDomain",
    "TextGenerator": "multigan.text.generators:TextGenerator",
    "TextLines": "multigan.text.data:TextLines",
    "TextTransformer": "multigan.text.judge:TextTransformer",
}

COMMANDS = {
    "baselines": "multigan.text.baselines:baselines",
    "reference": "multigan.text.reference:reference",
    "sweep": "multigan.text.sweep:sweep",
    "tokenizer": "multigan.text.folder:tokenizer",
}

REQUIREMENTS = {
    "speeches": "multigan.text.needs:speeches",
}

HUB = {"pipeline_tag": "text-generation"}


def load(path: str | Path) -> Sampler:
    """Load a trained text generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of text.
    """
    from multigan.sampler import load as load_sampler

    return load_sampler(path, domain="text")
