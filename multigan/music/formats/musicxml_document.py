"""The XML of a score: unpacked, without namespaces, with measures in parts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

MOST_BYTES = 64_000_000  # of a score, unpacked
CONTAINER = "META-INF/container.xml"
SCORES = (".xml", ".musicxml")  # endings of the names of scores in an archive
NO_SCORES = ("META-INF/", "__MACOSX/")  # beginnings


def read_score(path: Path) -> Element:
    """Read the <score-partwise> of a file or a compressed score.

    Raises ValueError for other XML and a file that is too large, and the errors of the parser, the
    archive and the file system.
    """
    score = _without_namespaces(ElementTree.fromstring(_document(path)))
    if score.tag == "score-timewise":
        score = _partwise(score)
    if score.tag != "score-partwise":
        raise ValueError(f"its root must be <score-partwise>; got <{score.tag}>")
    return score


def _document(path: Path) -> bytes:
    """The XML of a file, unpacked where it is compressed."""
    _demand_small(path.stat().st_size)
    content = path.read_bytes()
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        scores = [n for n in names if n.lower().endswith(SCORES) and not n.startswith(NO_SCORES)]
        if CONTAINER in names:
            scores = [root for root in _roots(archive) if root in scores] + scores
        if not scores:
            raise ValueError("the archive holds no score")
        return _unpacked(archive, scores[0])


def _roots(archive: zipfile.ZipFile) -> list[str]:
    """Return the files that the container names; none if it is damaged."""
    try:
        container = ElementTree.fromstring(_unpacked(archive, CONTAINER))
    except ElementTree.ParseError:
        return []
    return [file.get("full-path", "").removeprefix("./") for file in container.iter()]


def _without_namespaces(score: Element) -> Element:
    """Remove the namespace that some programs declare from the names of the elements."""
    if score.tag.startswith("{"):
        for element in score.iter():
            element.tag = element.tag.rpartition("}")[2]
    return score


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    _demand_small(archive.getinfo(name).file_size)
    return archive.read(name)


def _demand_small(size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise ValueError(f"it must have {MOST_BYTES:,} bytes or fewer; got {size_bytes:,}")


def _partwise(score: Element) -> Element:
    """Return a score whose measures hold parts as one whose parts hold measures."""
    partwise = Element("score-partwise")
    partwise.extend(child for child in score if child.tag != "measure")
    parts: dict[str | None, Element] = {}
    for measure in score.findall("measure"):
        for part in measure.findall("part"):
            own = parts.setdefault(part.get("id"), Element("part", {"id": part.get("id", "")}))
            copied = Element("measure", measure.attrib)
            copied.extend(part)
            own.append(copied)
    partwise.extend(parts.values())
    return partwise
