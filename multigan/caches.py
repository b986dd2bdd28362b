"""Where computed things are kept between runs: the user's XDG cache folder, or `--cache`."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(chosen: str | Path | None = None) -> Path:
    """`chosen`, else $XDG_CACHE_HOME/multigan, else ~/.cache/multigan; created if missing."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(chosen) if chosen is not None else Path(home) / "multigan"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
