"""A file that is not UTF-8 is named as what it is, with the likeliest encodings by its content."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from multigan.text.datasets.line_files import read_lines

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
