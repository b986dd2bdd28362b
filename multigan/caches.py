"""Where computed things are kept between runs: the user's XDG cache folder, or `--cache`."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(chosen: str | Path | None = None) -> Path:
    """`chosen`, else the user's cache folder; created if missing."""
    folder = Path(chosen) if chosen is not None else users_cache()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def users_cache() -> Path:
    """$XDG_CACHE_HOME/multigan, else ~/.cache/multigan; perhaps not there yet."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "multigan"
