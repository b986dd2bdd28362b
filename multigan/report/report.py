"""Reports on one run and comparisons of several, as self-contained HTML files.

A page loads nothing: its Content-Security-Policy forbids every connection and every script but its
own. No code of a run is executed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from multigan.report.html_elements import TEMPLATES
from multigan.report.run_summary import RunSummary
from multigan.report.sample_media import collect_media
from multigan.report.sections import RunView, page_values
from multigan.runs.directory import RunDirectory
from multigan.storage.files import write_atomically
from multigan.storage.loading import Trusted

PAGE = Path(__file__).parent / "static"
SCRIPTS = (
    "uPlot.iife.min.js", "slides.js", "charts.js", "midi.js", "viewer.js", "sound.js", "songs.js",
)  # fmt: skip
STYLES = ("uPlot.min.css", "page.css")
BANNER = re.compile(r"\A/\*!.*?\*/\n")  # the first line of uPlot's script
REPORT, COMPARISON = "report.html", "comparison.html"


def report(path: str | Path, out: Path | None = None, trust: Trusted | None = None) -> Path:
    """Write the page about a run, as `report.html` in its directory if `out` is None.

    Errors of loading or sampling the generator stand on the page. Raises ValueError for a directory
    that holds no run.
    """
    views = _views([path], trust)
    file = Path(path) / REPORT if out is None else out
    return _write(file, f"Report on {views[0].summary.name}", views)


def compare(
    paths: Sequence[str | Path], out: Path | None = None, trust: Trusted | None = None
) -> Path:
    """Write the page about several runs, as `comparison.html` if `out` is None."""
    views = _views(paths, trust)
    return _write(Path(COMPARISON) if out is None else out, f"{len(views)} runs compared", views)


def report_quietly(path: Path, trust: Trusted | None = None) -> Path | None:
    """Write the page after training or evaluation; an error becomes a warning."""
    try:
        return report(path, trust=trust)
    except Exception as error:  # the training itself has succeeded
        message = " ".join(str(error).split())
        warnings.warn(f"no report: {message}; try: multigan report {path}", stacklevel=2)
        return None


def _views(paths: Sequence[str | Path], trust: Trusted | None) -> list[RunView]:
    summaries = [RunSummary(RunDirectory(path)) for path in paths]
    return [RunView(s, collect_media(s.run, len(summaries), trust)) for s in summaries]


def _write(file: Path, title: str, runs: list[RunView]) -> Path:
    write_atomically(file, page(title, runs).encode(errors="replace"))
    return file


def page(title: str, runs: list[RunView]) -> str:
    """Return the whole file; its policy names its script and its style by their SHA-256."""
    script, style = inlined(SCRIPTS), inlined(STYLES)
    license = charts_license()
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; script-src {_hashed(script)}; "
        f"style-src {_hashed(style)}; base-uri 'none'; form-action 'none'"
    )
    assets = {"policy": policy, "license": license, "style": style, "script": script}
    return TEMPLATES.get_template("page.html").render(title=title, **assets, **page_values(runs))


def charts_license() -> str:
    """Return the license of the library that plots the curves."""
    return (PAGE / "uPlot.LICENSE").read_text().strip()


def inlined(names: Sequence[str]) -> str:
    """Concatenate files without their banners; the page holds the license once."""
    return "\n".join(BANNER.sub("", (PAGE / name).read_text()) for name in names)


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
