"""A file that is not UTF-8 is named as what it is, with the likeliest encodings by its content."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from multigan.text.datasets.line_files import read_lines
from multigan.text.datasets.sources import read_corpus
from multigan.text.formats.encodings import broken_text_note

TEXTS = {
    "GB18030": ("gbk", "春天来了,小河边的柳树绿了,真好。\n那家书店在公园里。\n"),
    "BIG5": ("big5", "你好,世界。今天天氣很好,我們去公園散步。\n"),
    "CP932": ("shift_jis", "こんにちは、世界。今日はとても良い天気ですね。ありがとう。\n"),
    "EUC-JP": ("euc_jp", "こんにちは、世界。今日はとても良い天気ですね。\n"),
    "CP949": ("euc_kr", "안녕하세요 세계 오늘은 날씨가 좋네요\n"),
    "CP1251": ("cp1251", "Старый дом стоит у моря. Сегодня хорошая погода.\n"),
    "KOI8-R": ("koi8_r", "Привет, мир. Сегодня хорошая погода, пойдём гулять в парк.\n"),
    "CP1253": ("cp1253", "Καλημέρα κόσμε, τι κάνεις σήμερα; Όλα καλά.\n"),
    "CP1256": ("cp1256", "مرحبا بالعالم كيف حالك اليوم\n"),
    "CP1252": ("cp1252", "“L’été dernier” — nous étions à la plage, très agitée…\n"),
}


def archive(member):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(member, "x")
    return stream.getvalue()


KINDS = {
    "a gzip file: unpack it: gunzip -k my.txt": gzip.compress(b"text"),
    "a bzip2 file": bz2.compress(b"text"),
    "an xz file": lzma.compress(b"text"),
    "a zip archive: unpack it: unzip my.txt": archive("poems.txt"),
    "a Word document": archive("word/document.xml"),
    "an Excel table": archive("xl/workbook.xml"),
    "an e-book": archive("META-INF/container.xml"),
    "an OpenDocument file": archive("content.xml"),
    "a PDF document": b"%PDF-1.7\n",
    "an RTF document": b"{\\rtf1 text}",
    "an image": b"\x89PNG\r\n",
    "NUL bytes say that it is binary": bytes(range(256)) * 9,
    "NUL bytes say": b"a line \0 of text\n" * 30,
    "a file of subtitles": b"1\n00:00:01,000 --> 00:00:02,500\nHello.\n",
    "a file of subtitles: grep": b"WEBVTT\n\n00:01.000 --> 00:02.500\nHello.\n",
    "audio: text is needed": b"ID3\3\0\0\0\0",
    "a pickle": b"\x80\4\x95\x0b",
}
WIDE = "one line of words\ntwo lines of words\n"


def refusal(tmp_path, content):
    file = tmp_path / "my.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"my\.txt.* must be ") as error:
        read_lines(file)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", TEXTS)
def test_the_encoding_is_among_the_named_ones_with_an_excerpt(name, tmp_path):
    pytest.importorskip("charset_normalizer")
    coding, text = TEXTS[name]
    said = refusal(tmp_path, b"plain ASCII first\n" * 3 + text.encode(coding) * 5)
    assert "line 4: must be UTF-8; by its content it may be " in said
    assert f"{name} ('" in said and text.split()[0][:4] in said


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_text_is_named(kind, tmp_path):
    assert kind in refusal(tmp_path, KINDS[kind])


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [WIDE, "Привет, мир\nновая строка\n", "你好 世界\n今天天气\n"])
def test_wide_encodings_without_a_mark_are_recognized(coding, text, tmp_path):
    said = refusal(tmp_path, (text * 20).encode(coding))
    assert f"it is {coding.upper().replace('-LE', 'LE').replace('-BE', 'BE')}:" in said


def test_without_the_package_no_encoding_is_guessed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "charset_normalizer", None)
    assert "its encoding is not known" in refusal(tmp_path, "café\n".encode("cp1252"))


MARKUP = {
    "a web page": "\n<!DOCTYPE html><p>Hello\n",
    "an XML file": "<?xml version='1.0'?><a/>\n",
    "a Git LFS pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}


@pytest.mark.parametrize("kind", MARKUP)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.html"])
def test_markup_and_pointers_are_named_as_what_they_are(kind, name, tmp_path):
    (tmp_path / name).write_text(MARKUP[kind])
    with pytest.raises(ValueError, match=f"it is {kind}: "):
        read_corpus(str(tmp_path / name))


@pytest.mark.parametrize(
    ("encoding", "text"), [("iso2022_jp", "今日はとても良い天気"), ("hz", "今天天气很好")]
)
def test_encodings_of_seven_bits_are_recognized(encoding, text, tmp_path):
    (tmp_path / "a.txt").write_bytes(f"{text}\n".encode(encoding) * 9)
    with pytest.raises(ValueError, match=r"by its escape sequences it is (ISO-2022-JP|HZ): iconv"):
        read_corpus(str(tmp_path / "a.txt"))
    (tmp_path / "b.txt").write_text("~{ this is no\nletter }~ of it\nbut plain\n")
    read_corpus(str(tmp_path / "b.txt"))


def test_texts_that_were_decoded_wrongly_before_are_said_to_be(tmp_path):
    lines = [f"L’école numéro {k} a déjà fermé à midi" for k in range(40)]
    wrong = [line.encode().decode("cp1252", "replace") for line in lines]
    shown = [
        "".join(chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252")
                for b in line.encode())
        for line in lines
    ]  # fmt: skip
    assert broken_text_note(lines) == "" and "U+FFFD" in broken_text_note(["caf\ufffd"] * 3)
    assert "read as cp1252" in broken_text_note(shown) and broken_text_note(wrong)
    (tmp_path / "a.txt").write_text("\n".join(shown))
    with pytest.warns(UserWarning, match="40 of the first 40 texts look like UTF-8"):
        read_corpus(str(tmp_path / "a.txt"))
