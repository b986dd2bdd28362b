"""Files below a folder: hidden ones are left out, links are followed once."""

import sys

import pytest

from multigan.storage.folders import files_below


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_followed_once_and_what_is_no_file_is_named(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for file in (root / "a" / "1", root / ".git" / "2", root / "Thumbs.db", elsewhere / "3"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (root / "b").symlink_to(elsewhere)
    (root / "c").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (root / "gone").symlink_to(root / "nothing")
    ignored = {}
    assert files_below(root, ignored) == ["a/1", "b/3"]
    assert ignored == {
        "hidden, or of the operating system": ["Thumbs.db", ".git/2"],
        "link to a folder that is read already": ["c", "a/up"],
        "link to nothing": ["gone"],
    }
