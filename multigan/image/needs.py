"""What this domain can use, as `multigan doctor` asks for it."""

from __future__ import annotations

from pathlib import Path


def fashion() -> str:
    """The folder of Fashion-MNIST; ValueError with the line that gets it."""
    from multigan.image.sources import FASHION

    if not Path(FASHION).is_dir():
        raise ValueError("apt install dataset-fashion-mnist (for --data fashion-mnist)")
    return FASHION
