"""Small files that ask for much are refused before time or memory is spent."""

import gzip
import io
import json
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest

from multigan.image.datasets.sources import read_images
from multigan.image.formats import decode as formats_decode
from multigan.image.formats.decode import Size, SkippedFile, decode, decode_one
from multigan.image.formats.hf_tables import _content
from multigan.music.datasets.jsb_chorales import read_pieces
from multigan.music.formats import musicxml_document
from multigan.music.formats.midi import read_midi
from multigan.music.formats.musicxml import read_musicxml
from multigan.runs.directory import RunDirectory, read_jsonl
from multigan.storage import files
from multigan.storage.checkpoint_integrity import find_corruption
from multigan.text.datasets.sources import read_corpus
from multigan.text.tokenization.hf_tokenizer import import_hf_tokenizer
from tests.fuzz.harness import Fed, memory_limit, peak_memory, time_limit
from tests.image.image_factory import content, random_image
from tests.music.midi_corruption import track

MIB = 2**20
DEEP = "[" * 10**6 + "]" * 10**6
SIZE = Size(8, 8)


@pytest.fixture(autouse=True)
def _bounded(tmp_path, monkeypatch):
    """No test takes more memory than a small machine has to spare, or more than seconds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fed = Fed()
    with time_limit(), memory_limit(), peak_memory(fed):
        yield
    assert fed.peak_bytes < 300 * MIB


def png(width, height, pixels=b""):
    """A PNG of that size in its header, whatever pixels it has."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_a_giant_picture_is_refused_by_its_header(side):
    with pytest.raises(SkippedFile, match="too large"):
        decode(png(side, side), SIZE)


def sparse(path, size):
    """A file of zeros that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_a_giant_file_is_not_read(tmp_path):
    sparse(tmp_path / "x.png", 2**30)
    assert decode_one(str(tmp_path), None, "x.png", SIZE)[0].reason == "too large"
    with pytest.raises(ValueError, match=r"1,073,741,824 bytes"):
        read_midi(sparse(tmp_path / "x.mid", 2**30))
    for name, read in {"x.json": read_pieces, "x.musicxml": read_musicxml}.items():
        with pytest.raises(ValueError, match=r"bytes or fewer; got 1,073,741,824"):
            read(sparse(tmp_path / name, 2**30))


def test_a_giant_line_is_passed_over(tmp_path):
    text = sparse(tmp_path / "x.txt", 2**29)
    with text.open("r+b") as file:
        file.write(b"x" * MIB)  # zeros at the start would show that it is no text
        file.seek(0, os.SEEK_END)
        file.write(b"\none\ntwo\nthree\n")
    corpus = read_corpus(str(text))
    lines = [line for part in corpus.lines.values() for line in part]
    assert sorted(lines) == ["one", "three", "two"]
    assert "1 longer than 64 KiB" in corpus.counts.summary()
    log = sparse(tmp_path / "log.jsonl", 2**28)
    with log.open("ab") as file:
        file.write(b'\n{"step": 1}\n')
    assert list(read_jsonl(log)) == [{"step": 1}]


def packed(path, **contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name.replace("_", "."), data)
    return path


def test_an_archive_that_unpacks_to_much_is_not_unpacked(tmp_path, monkeypatch):
    zeros = bytes(40 * MIB)
    monkeypatch.setattr(formats_decode, "MAX_FILE_BYTES", 30 * MIB)
    good = {f"{k}_png": content(random_image(k, side=4)) for k in range(10)}
    with pytest.warns(UserWarning, match=r"too large \(bomb.png\)"):
        read_images.__wrapped__(str(packed(tmp_path / "x.zip", **good, bomb_png=zeros)), SIZE)
    monkeypatch.setattr(musicxml_document, "MOST_BYTES", 30 * MIB)
    with pytest.raises(ValueError, match=r"bytes or fewer; got 41,943,040"):
        read_musicxml(packed(tmp_path / "x.mxl", bomb_xml=zeros))
    monkeypatch.setattr(files, "MAX_ARRAY_BYTES", 30 * MIB)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((40, 1024, 1024), np.uint8))
    with pytest.raises(ValueError, match=r"must take [\d,]+ bytes or less; got 41,943,1\d\d bytes"):
        read_images.__wrapped__(str(tmp_path / "x.npz"), SIZE)


def test_gzipped_pictures_are_unpacked_as_far_as_their_header_says(tmp_path):
    head = bytes([0, 0, 8, 3]) + struct.pack(">III", 12, 4, 4)
    file = tmp_path / "x-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(head + bytes(60 * MIB)))
    fed = Fed()
    with peak_memory(fed), pytest.raises(ValueError, match="header declares 192 bytes; got more"):
        read_images.__wrapped__(str(file), SIZE)
    assert fed.peak_bytes < 20 * MIB


@pytest.mark.parametrize("side", [10_000, 2**31 - 1])
def test_pictures_are_not_enlarged_beyond_all_measure(side, tmp_path):
    small = np.zeros((500, 4, 4), np.uint8)
    small[0] = 255  # images must differ
    np.save(tmp_path / "x.npy", small)
    for source in ("digits", str(tmp_path / "x.npy")):
        with pytest.raises(
            ValueError, match=rf"got [\d,]+ for \d+ images of {side} x {side} pixels"
        ):
            read_images.__wrapped__(source, Size(side, side))


@pytest.mark.parametrize("count", [2**60, 2**40, -1])
def test_an_array_that_claims_to_be_endless_is_refused(count, tmp_path):
    buffer = io.BytesIO()
    head = {"descr": "|u1", "fortran_order": False, "shape": (count, 4, 4)}
    np.lib.format.write_array_header_1_0(buffer, head)
    (tmp_path / "x.npy").write_bytes(buffer.getvalue() + bytes(100))
    packed(tmp_path / "x.npz", x_npy=buffer.getvalue() + bytes(100))
    idx = bytes([0, 0, 8, 3]) + b"\xff" * 12
    (tmp_path / "x-images-idx3-ubyte").write_bytes(idx)
    for name in ("x.npy", "x.npz", "x-images-idx3-ubyte"):
        with pytest.raises(ValueError, match=name):
            read_images.__wrapped__(str(tmp_path / name), SIZE)


def test_a_note_after_two_thousand_million_ticks_is_refused(tmp_path):
    note = b"\x90\x3c\x40" + b"\x88\x80\x80\x80\x00" + b"\x80\x3c\x40" + b"\0\xff\x2f\0"
    (tmp_path / "x.mid").write_bytes(track(b"\0" + note))
    with pytest.raises(ValueError, match="is impossibly long"):
        read_midi(tmp_path / "x.mid")


def laughs(levels=12):
    """Entities of entities: a few hundred bytes that mean 10^12."""
    names = [f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, levels)]
    score = f"<score-partwise>&a{levels - 1};</score-partwise>"
    return f'<!DOCTYPE x [<!ENTITY a0 "x">{"".join(names)}]>{score}'


@pytest.mark.parametrize("score", [laughs(), "<a>" * 10**6, "<score-partwise/>"])
def test_a_score_of_entities_or_endless_depth_is_refused(score, tmp_path):
    (tmp_path / "x.musicxml").write_text(score)
    with pytest.raises(ValueError, match=r"x\.musicxml: cannot be read"):
        read_musicxml(tmp_path / "x.musicxml")


def test_json_that_is_nested_too_deeply_is_refused_wherever_it_stands(tmp_path):
    for name in ("recipe.json", "tokenizer.json", "x.json", "log.jsonl", "manifest.json"):
        (tmp_path / name).write_text(DEEP)
    with pytest.raises(ValueError, match=r"recipe\.json is damaged: its JSON is nested"):
        RunDirectory(tmp_path).read_config()
    with pytest.raises(ValueError, match=r"tokenizer\.json .* its JSON is nested"):
        import_hf_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=r"x\.json: no JSON \(its JSON is nested"):
        read_pieces(tmp_path / "x.json")
    assert list(read_jsonl(tmp_path / "log.jsonl")) == []
    assert find_corruption(tmp_path) == "manifest.json is damaged"


@pytest.mark.parametrize("depth", [99, 101])
def test_the_depth_of_json_is_counted(depth):
    text = json.dumps({"x": json.loads("[" * (depth - 1) + "]" * (depth - 1))})
    if depth > files.MAX_JSON_DEPTH:
        with pytest.raises(ValueError, match="nested more than 100 levels"):
            files.parse_json(text)
    else:
        assert files.parse_json(text) == json.loads(text)


def test_numbers_of_json_with_too_many_digits_are_refused_in_plain_words():
    for text in ("9" * 5000, b'{"x": [' + b"1" * 5000 + b"]}"):
        with pytest.raises(ValueError, match="a number of too many digits"):
            files.parse_json(text)


@pytest.mark.parametrize("name", ["/dev/zero", "../../dev/zero", "sub/x"])
def test_a_manifest_cannot_name_a_device(name, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({name: "0" * 64}))
    assert find_corruption(tmp_path) == "manifest.json is damaged"


def test_a_cell_of_a_table_cannot_name_a_device():
    with pytest.raises(SkippedFile, match="no file: /dev/zero"):
        _content({"bytes": None, "path": "/dev/zero"})
