"""A run directory written by hand, with markup in every field that an attacker controls."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from multigan.core.data_comparison import Statistic
from multigan.core.media import SCORED_TEXT
from multigan.core.protocols import Medium
from multigan.report.run_summary import RunSummary
from multigan.report.sample_media import NearestPair, SampleMedia, plain
from multigan.report.sections import RunView
from multigan.runs.data_comparison import DataComparison
from multigan.runs.directory import RunDirectory

EVIL = "<img src=x onerror=alert(1)></script><b>\"' &amp;"
ROLL = "application/json;profile=piano-roll"
SONG = {
    "tempo_bpm": 240,
    "length_beats": 24,  # 6 s: machines are busy
    "beats_per_bar": 4,
    "bar_lines": [0, 4],
    "tracks": [
        {"name": EVIL, "program": 52, "drums": False, "given": [[0, 4]], "notes": [[0, 8, 60, 1]]},
        {"name": "drums", "program": 0, "drums": True, "given": [], "notes": [[0, 1, 36, 1]]},
    ],
}


SCORED = {"given": "we ", "pieces": [[EVIL, -9.0], [" can", -0.1], [" do", -1.0], [" it", -3.0]]}
COMPARED = DataComparison(
    f"distance {EVIL}",
    10,
    10,
    [],
    [0.1, 0.3],
    [0.2, 0.4],
    [Statistic(f"Phrases {EVIL}", "% of lines", [(EVIL, 50.0, 2.0)]), Statistic("none", "%", [])],
)


def png(width: int = 8, height: int = 8, label: str = "", pixels: bytes | None = None) -> bytes:
    """A gray image, as a file."""
    from multigan.image.rendering import encode_png

    pixels = bytes(range(256)) * (width * height // 256 + 1) if pixels is None else pixels
    image = Image.frombytes("L", (width, height), pixels[: width * height])
    image.info |= {"label": label} if label else {}
    return encode_png(image)


def written_run(folder: Path, **changes: object) -> Path:
    """A run without checkpoints: recipe.json, both logs, an evaluation, two moments of samples."""
    component = {"component": f"points/{EVIL}", "arguments": {"source": EVIL, "width": 8}}
    recipe = {"steps": 200, "batch_size": 64, "loss": "hinge", "penalties": {"r1": 0.5}}
    recipe |= dict.fromkeys(("data", "generator", "discriminator"), component)
    description = {
        "format": 2,
        "name": "points",
        "hyperparameters": {"steps": 200, "layout": EVIL, "ring": True, "nothing": None},
        "flags": {"save_every": 50, "log_every": 2},
        "seed": 3,
        "horizon": 200,
        "fingerprint": "abc",
        "recipe": recipe,
        "versions": {"multigan": "0.1.0"},
    }
    samples = folder / "samples"
    samples.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(description | changes))
    log = [{"step": step, "seconds": step, "loss/generator": 1 / step} for step in range(1, 201)]
    log[99] |= {"diagnostics": {"collapse": f"fakes are alike {EVIL}"}, EVIL: 4.0, "odd": "text"}
    write_lines(folder / "log.jsonl", log)
    write_lines(folder / "metrics.jsonl", [{"step": 100, "kl": 0.5}, {"step": 200, "kl": 0.25}])
    table = {"rows": {"real": {"kl": 0.01}, EVIL: {"kl": 0.25}}, "notes": [EVIL]}
    table["intervals"] = {EVIL: {"kl": [0.2, 0.3]}}
    (folder / "evaluation.json").write_text(json.dumps(table))
    (samples / "step-000000100.png").write_bytes(png())
    (samples / "step-000000200.txt").write_text(f"a line\n{EVIL}\n")
    return folder


def write_lines(file: Path, lines: list[dict]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def every_medium() -> list[list[Medium]]:
    """Samples of each type that a page can show, by type."""
    song = Medium(ROLL, json.dumps(SONG).encode())
    stream = io.BytesIO()
    Image.new("RGB", (100, 80), "red").save(stream, format="WEBP")
    return [
        [song, song],
        [Medium("image/png", png(label=EVIL))] * 3,
        [Medium("image/webp", stream.getvalue())],
        [Medium("text/plain", EVIL.encode()), Medium("text/plain", b"word " * 60)],
        [Medium(SCORED_TEXT, json.dumps(SCORED).encode())] * 2,
        [Medium("model/unknown", b"?")],
    ]


def shown_run(folder: Path) -> list[RunView]:
    """The same run once for each type of medium, as a page shows it."""
    summary = RunSummary(RunDirectory(written_run(folder)))
    return [
        RunView(
            summary,
            SampleMedia(
                {1: media, 2: media},
                media,
                [media, media[::-1]],
                refined=media[-1:],
                nearest=[NearestPair(1, plain(media[0]), plain(media[0]), 0.1)],
                data_comparison=COMPARED,
            ),
        )
        for media in every_medium()
    ]


class Elements(HTMLParser):
    """Elements of a page with their attributes, its scripts and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        last, attributes = self.found[-1] if self.found else ("", {})
        if last == "script" and data.strip():
            self.scripts.append((attributes.get("type"), data))
        elif last != "style":
            self.text += data
