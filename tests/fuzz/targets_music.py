"""Files of music: MIDI, scores, the JSB chorales, imported songs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from tests.fuzz.reader import Reader


def _song() -> Any:
    from multigan.music.formats.song import KeySignature, TimeSignature
    from tests.music.test_sampling_options import chorale

    return chorale(
        2,
        tempo_bpm=90.0,
        time_signatures=(TimeSignature(0, 4, 4), TimeSignature(1920, 4, 4)),
        key=KeySignature(9, True),
    )


def _midi(folder: Path) -> list[bytes]:
    """A song of ours, with its tag, and one without."""
    from multigan.music.formats.midi import write_midi

    whole = write_midi(_song(), folder / "good.mid").read_bytes()
    return [whole, whole.replace(b'{"multigan"', b'{"somebody"')]


def _read_midi(path: Path) -> None:
    from multigan.music.formats.midi import read_midi

    read_midi(path)


def _read_given(path: Path) -> None:
    from multigan.music.domain import MusicDomain
    from multigan.music.sampling.options import SamplingOptions, plan_sampling

    plan_sampling(MusicDomain(), SamplingOptions(given=path, keep="soprano"))


SCORE = """<score-partwise version="4.0"><part-list><score-part id="P1">
<part-name>soprano</part-name></score-part></part-list><part id="P1">
<measure number="1"><attributes><divisions>2</divisions>
<key><fifths>-3</fifths><mode>minor</mode></key>
<time><beats>4</beats><beat-type>4</beat-type></time>
<transpose><chromatic>-2</chromatic></transpose></attributes><sound tempo="90"/>
<note><pitch><step>C</step><alter>1</alter><octave>4</octave></pitch><duration>4</duration>
<tie type="start"/></note><note><chord/><pitch><step>E</step><octave>4</octave></pitch>
<duration>4</duration></note><note><rest/><duration>4</duration></note><backup><duration>2</duration>
</backup><forward><duration>2</duration></forward></measure><measure number="2"><note><pitch><step>C
</step><octave>4</octave></pitch><duration>8</duration></note></measure></part></score-partwise>"""


def _score(_: Path) -> list[bytes]:
    return [SCORE.replace("C\n<", "C<").encode()]


def _packed_score(folder: Path) -> list[bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        rootfile = '<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>'
        archive.writestr("META-INF/container.xml", rootfile)
        archive.writestr("a.xml", _score(folder)[0])
    return [buffer.getvalue()]


def _read_score(path: Path) -> None:
    from multigan.music.formats.musicxml import read_musicxml

    read_musicxml(path)


def _jsb(_: Path) -> list[bytes]:
    piece = [[72, 65, 58, 48]] * 4 + [[-1, 64, 57, 45]] * 4
    return [json.dumps({split: [piece, piece] for split in ("train", "valid", "test")}).encode()]


def _songs(folder: Path) -> list[bytes]:
    from multigan.music.formats.npz import save_songs

    save_songs({"a": _song(), "b": _song()}, folder / "good.npz")
    return [(folder / "good.npz").read_bytes()]


def _read_songs(path: Path) -> None:
    from multigan.music.formats.npz import load_songs

    load_songs(path)


def _read_jsb(path: Path) -> None:
    from multigan.music.datasets.sources import read_songs

    read_songs(str(path), "4/4")


READERS = {
    "midi": Reader("x.mid", _midi, _read_midi, share=2),
    "midi --given": Reader("x.mid", _midi, _read_given),
    "imported songs": Reader("songs.npz", _songs, _read_songs),
    "musicxml": Reader("x.musicxml", _score, _read_score),
    "mxl": Reader("x.mxl", _packed_score, _read_score, share=0.5),
    "jsb json": Reader("x.json", _jsb, _read_jsb, is_json=True),
}
