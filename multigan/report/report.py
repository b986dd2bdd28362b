"""A page about a run, or about several side by side: one HTML file that needs no other.

It works from a disk or a mail attachment, loads nothing and may not: its Content-Security-Policy
forbids every connection, and every script but its own. Nothing of a run is executed.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from string import Template
from types import ModuleType

from multigan.core.results_table import ResultsTable
from multigan.report.run_summary import RunSummary, metric_sources
from multigan.report.sample_media import collect_media
from multigan.report.sections import RunView, body_of
from multigan.runs.directory import RunDirectory
from multigan.storage.files import write_atomically

PAGE = Path(__file__).parent / "static"
SCRIPTS = ("uPlot.iife.min.js", "slides.js", "charts.js", "sound.js", "songs.js")
STYLES = ("uPlot.min.css", "page.css")
BANNER = re.compile(r"\A/\*!.*?\*/\n")  # the first line of uPlot's script
REPORT, COMPARISON = "report.html", "comparison.html"


def report(path: str | Path, out: Path | None = None, trust: ModuleType | None = None) -> Path:
    """Write the page about a run, as `report.html` in its directory if `out` is not given.

    Raises ValueError for a directory that holds no run; what cannot be drawn is said on the page.
    """
    shown = _shown([path], trust)
    file = Path(path) / REPORT if out is None else out
    return _write(file, f"Report on {shown[0].summary.name}", shown)


def compare(
    paths: Sequence[str | Path], out: Path | None = None, trust: ModuleType | None = None
) -> Path:
    """Write the page about several runs, as `comparison.html` if `out` is not given."""
    shown = _shown(paths, trust)
    return _write(Path(COMPARISON) if out is None else out, f"{len(shown)} runs compared", shown)


def compared(paths: Sequence[str | Path]) -> ResultsTable:
    """The figures of several runs, a row for each, and where they are from."""
    summaries = [RunSummary(RunDirectory(path)) for path in paths]
    rows = {summary.name: summary.model for summary in summaries}
    return ResultsTable(rows, tuple(metric_sources(summaries)))


def report_quietly(path: Path, trust: ModuleType | None = None) -> None:
    """Write the page at the end of a training, which it never fails: trouble is one warning."""
    try:
        report(path, trust=trust)
    except Exception as error:  # whatever it is, the training has ended well
        said = " ".join(str(error).split())
        warnings.warn(f"no report: {said}; try: multigan report {path}", stacklevel=2)


def _shown(paths: Sequence[str | Path], trust: ModuleType | None) -> list[RunView]:
    summaries = [RunSummary(RunDirectory(path)) for path in paths]
    return [RunView(s, collect_media(s.run, len(summaries), trust)) for s in summaries]


def _write(file: Path, title: str, runs: list[RunView]) -> Path:
    write_atomically(file, page(title, body_of(title, runs)).encode(errors="replace"))
    return file


def page(title: str, body: str) -> str:
    """The whole file; its policy names its script and its style by their SHA-256."""
    script, style = _inlined(SCRIPTS), _inlined(STYLES)
    licence = (PAGE / "uPlot.LICENSE").read_text().strip()
    policy = (
        f"default-src 'none'; img-src data:; script-src {_hashed(script)}; "
        f"style-src {_hashed(style)}; base-uri 'none'; form-action 'none'"
    )
    template = Template((PAGE / "template.html").read_text())
    return template.substitute(
        policy=policy, title=html.escape(title), licence=licence, style=style, script=script,
        body=body,
    )  # fmt: skip


def _inlined(names: Sequence[str]) -> str:
    """The files, one after the other, without their banners: the licence stands in the page."""
    return "\n".join(BANNER.sub("", (PAGE / name).read_text()) for name in names)


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
