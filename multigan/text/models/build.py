"""Build generators and discriminators by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from multigan.text.models.backbones import BACKBONES
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator
from multigan.text.models.hf_backbone import load_hf_weights
from multigan.text.models.hf_config import read_config
from multigan.text.models.latent_generator import LatentTextGenerator
from multigan.text.models.transformer_discriminator import TextTransformer


def build_discriminator(name: str, vocabulary_size: int, length: int, num_classes: int = 0) -> Any:
    """Build a new discriminator of lines (B, T, V) by its name.

    Raises ValueError, listing the known ones, for an unknown name.
    """
    if name not in DISCRIMINATORS:
        known = ", ".join(DISCRIMINATORS)
        raise ValueError(f"discriminator must be one of {known}; got {name!r}")
    return DISCRIMINATORS[name](vocabulary_size, length, num_classes)


DISCRIMINATORS: dict[str, Callable[[int, int, int], Any]] = {
    "token": lambda v, t, n: TextTransformer(v, t, n),
    "sequence": lambda v, t, n: TextTransformer(v, t, n, level="sequence"),
    "cnn": lambda v, t, n: TextCNN(v, n, dropout=0.5),
    "relgan": lambda v, t, n: TextCNN(v, n, num_representations=8),
}


def build_generator(
    backbone: str,
    vocabulary_size: int,
    length: int,
    num_classes: int,
    latent_dim: int = 0,
    **arguments: Any,
) -> TextGenerator:
    """Build a new TextGenerator; `arguments` are its other ones.

    With a `latent_dim` above 0 it is a LatentTextGenerator, with a latent of the whole line.
    `backbone` is a name of `backbones.BACKBONES`, or a local folder with a causal language model of
    Hugging Face's. Its weights, all but the token embedding, initialize the backbone. The folder is
    not needed again: the generator is described by the model's config. Raises ValueError for an
    unknown name and for a folder that holds no such model.
    """
    sizes, kind = (vocabulary_size, length, num_classes), TextGenerator
    if latent_dim:
        kind, arguments = LatentTextGenerator, arguments | {"latent_dim": latent_dim}
    if backbone in BACKBONES:
        return kind(*sizes, backbone, **arguments)
    if not Path(backbone).is_dir():
        known = ", ".join(BACKBONES)
        raise ValueError(f"backbone must be one of {known} or a model folder; got {backbone!r}")
    config = read_config(backbone)
    generator = kind(*sizes, "hugging_face", hf_config=config, **arguments)
    load_hf_weights(generator.backbone, backbone)
    return generator
