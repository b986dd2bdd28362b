"""Links, hidden files, names of archives and our own grids: followed, ignored or named, counted."""

import os
import sys
import warnings
import zipfile

import pytest
from PIL import Image

from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size, decode_one
from multigan.image.formats.labels import class_of_folder, folder_labels
from multigan.image.formats.listing import list_files
from tests.image.image_factory import content, folder_of, random_image

posix = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@posix
def test_links_are_followed_once_and_loops_are_named(tmp_path):
    root = folder_of(tmp_path / "set", 4)
    elsewhere = folder_of(tmp_path / "elsewhere", 2, classes=(), start=10)
    (root / "cow").symlink_to(elsewhere)
    (root / "cow2").symlink_to(elsewhere)
    (root / "cat" / "again").symlink_to(root)
    (root / "cat" / "up").symlink_to(root / "cat")
    (root / "linked.png").symlink_to(root / "cat" / "0000.png")
    (root / "broken.png").symlink_to(root / "nothing.png")
    os.mkfifo(root / "pipe.png")
    listing = list_files(str(root))
    assert [file for file in listing.files if file.startswith("cow")] == [
        "cow/0010.png",
        "cow/0011.png",
    ]
    assert "linked.png" in listing.files and len(listing.files) == 7
    assert listing.ignored == {
        "link to a folder that is read already": ["cow2", "cat/again", "cat/up"],
        "link to nothing": ["broken.png"],
        "no regular file": ["pipe.png"],
    }


def test_files_of_operating_systems_are_ignored_and_counted(tmp_path):
    root = folder_of(tmp_path / "set", 2)
    hidden = (".DS_Store", "cat/._0000.png", "Thumbs.db", "__MACOSX/cat/0000.png", ".git/x.png")
    for name in hidden:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    listing = list_files(str(root))
    assert len(listing.files) == 2
    assert sorted(listing.ignored["hidden, or of the operating system"]) == sorted(hidden)


def archive(file, names, encoding):
    """An archive whose names are stored in an encoding, without a declaration."""
    with zipfile.ZipFile(file, "w") as archive:
        for k, name in enumerate(names):
            item = zipfile.ZipInfo("x" * len(name.encode(encoding)))
            archive.writestr(item, content(random_image(k)))
    data = file.read_bytes()
    for name in names:
        raw = name.encode(encoding)
        data = data.replace(b"x" * len(raw), raw, 2)  # in the member and in the directory
    file.write_bytes(data)
    return str(file)


@pytest.mark.parametrize(
    ("encoding", "folder"),
    [
        ("utf-8", "猫"),
        ("gbk", "猫狗"),
        ("cp932", "ネコ"),
        ("euc_kr", "고양이강아지토끼"),
        ("cp866", "кошка"),
        ("cp1251", "кошка"),
        ("cp437", "café"),
    ],
)
def test_names_in_an_archive_are_read_in_their_encoding(encoding, folder, tmp_path):
    source = archive(tmp_path / "set.zip", [f"{folder}/1.png"], encoding)
    listing = list_files(source)
    (file,) = listing.files
    assert listing.name(file) == f"{folder}/1.png"
    declared = encoding == "utf-8"
    assert declared or any("declare no encoding and are read as" in n for n in listing.notes)
    with zipfile.ZipFile(source) as opened:
        assert decode_one(source, opened, file, Size(8, 8))[0].images == 1


def test_what_is_written_next_to_samples_is_never_data(tmp_path):
    domain = ImageDomain(3, 16, 16)
    domain.write([random_image(k) for k in range(4)], tmp_path / "samples")
    domain.preview([random_image(k) for k in range(4)], tmp_path / "samples" / "step-000100")
    domain.animate([[random_image(k)] for k in range(3)], tmp_path / "samples" / "animation")
    listing = list_files(str(tmp_path / "samples"))
    assert listing.ignored == {"grid of samples by multigan": ["grid.png"]}
    results = {
        f: decode_one(str(tmp_path / "samples"), None, f, Size(8, 8))[0] for f in listing.files
    }
    reasons = {file: result.reason for file, result in results.items() if result.reason}
    assert set(reasons) == {"animation.png", "step-000100.png"}
    assert set(reasons.values()) == {"written by multigan next to its samples"}
    (tmp_path / "photos").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "photos" / "grid.png")
    assert list_files(str(tmp_path / "photos")).files == ["grid.png"], "a grid of another kind"


def test_classes_are_in_natural_order_and_one_form_of_unicode():
    files = ["10/a", "2/b", "1/c", "caf\u00e9/d", "cafe\u0301/e", "b/f", "a10/g", "a9/h"]
    assert folder_labels(files).names == ("1", "2", "10", "a9", "a10", "b", "caf\u00e9")


def test_a_name_that_is_not_utf8_is_shown_with_its_bytes():
    name = os.fsdecode(b"caf\xe9") if sys.platform != "win32" else "caf\udce9"
    assert class_of_folder(name) == "caf\\xe9"
    assert folder_labels([f"{name}/1", "tea/2"]).names == ("caf\\xe9", "tea")


@pytest.mark.parametrize(
    ("labels", "indices"),
    [
        ("Cherry, red,2", [2, 1]),
        ('"Cherry, red",2', [2, 1]),
        ("2,Cherry, red", [1, 2]),
        ("Cherry, red", [2]),
        ("Cherry", [0]),
        ("a,b,Cherry", [3, 0]),
    ],
)
def test_a_name_with_a_comma_can_be_listed(labels, indices):
    domain = ImageDomain(1, 4, 4, ("Cherry", "2", "Cherry, red", "a,b"))
    assert domain._label_indices(domain._split_labels(labels)) == indices


def test_members_of_one_name_in_an_archive_are_counted(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for k in range(3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of zipfile, about the name
                archive.writestr("a.png", content(random_image(k)))
    listing = list_files(str(tmp_path / "a.zip"))
    assert listing.files == ["a.png"] and list(listing.ignored.values()) == [["a.png"]]


def test_folders_of_an_archive_of_windows_are_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("cat\\0.png", "dog\\0.png"):
            archive.writestr(name, b"x")
    listing = list_files(str(tmp_path / "set.zip"))
    names = [listing.name(file) for file in listing.files]
    assert names == ["cat/0.png", "dog/0.png"] and folder_labels(names).names == ("cat", "dog")
