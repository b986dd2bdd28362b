"""`image inspect` and `train --data` answer odd sets in clear lines and write nothing outside."""

import resource
import zipfile

import pytest
from PIL import Image

from multigan.cli.app import main
from multigan.image.datasets import sources
from tests.image.image_factory import content, folder_of, random_image
from tests.run_helpers import snapshot

pytestmark = pytest.mark.filterwarnings("always::UserWarning")  # as lines, as users see them

TRAIN = "train image --tiny --steps 2 --width 4 --resolution 8 --data {} --out run"
PIXELS = 20_000  # a side of the bomb, which would be 1.2 GB as RGB


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """What a command says of a set: its status, and the lines of stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()

    def call(command):
        status = main(command.split())
        told = capsys.readouterr()
        return status, told.out.splitlines(), told.err.splitlines()

    return call


def broken(root):
    """100 files, 20 of which are empty, cut short, text, or hold the first bytes of a PNG only."""
    folder_of(root, 100)
    for k in range(0, 100, 5):
        (file,) = root.rglob(f"{k:04d}.png")
        bad = (b"", file.read_bytes()[:60], b"not an image", b"\x89PNG broken")
        file.write_bytes(bad[k // 5 % 4])


def test_20_broken_files_among_100_are_counted_and_each_is_explained(said, tmp_path):
    broken(tmp_path / "many")
    status, out, err = said("image inspect many")
    assert status == 0 and err == []
    assert len([line for line in out if line.startswith("skipped: ")]) == 20
    assert out[:2] == ["many: 80 color images", "classes: cat 40, dog 40"]
    assert "skipped: cat/0000.png: cannot be read: it is empty" in out
    assert "skipped: cat/0010.png: cannot be read: no image of a known format" in out
    assert "skipped: dog/0005.png: cannot be read: image file is truncated" in out
    assert not [line for line in out if "0x" in line]
    status, out, err = said(TRAIN.format("many"))
    assert status == 0, err
    assert [line for line in out if line.startswith("ended     finished at step 2 ")], out
    warned = [line for line in err if line.startswith("warning: many")]
    assert len(warned) == 1 and "20 of 100 files are skipped: 20 cannot be read" in warned[0]


def test_three_images_are_too_few_and_both_commands_say_so(said, tmp_path):
    folder_of(tmp_path / "three", 3)
    told = "three: 3 color images; training needs 10 or more"
    status, out, err = said("image inspect three")
    assert (status, out[:2], err) == (0, [told, "classes: cat 2, dog 1"], [])
    told = ["error: three must have 10 or more usable images; got 3"]
    assert said(TRAIN.format("three")) == (2, [], told)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("inside", [0, 12])
def test_a_path_that_climbs_out_is_named_and_followed_nowhere(inside, said, tmp_path):
    (tmp_path / "a").mkdir()
    with zipfile.ZipFile(tmp_path / "a" / "evil.zip", "w") as archive:
        archive.writestr("../out.png", content(random_image(99)))
        for k in range(inside):
            archive.writestr(f"{k}.png", content(random_image(k)))
    before = set(snapshot(tmp_path))
    status, out, err = said("image inspect a/evil.zip")
    count = "12 color images" if inside else "no image; training needs 10 or more"
    skipped = "skipped: ../out.png: path outside the archive"
    assert (out[0], out[-1]) == (f"a/evil.zip: {count}", skipped)
    status, out, err = said(TRAIN.format("a/evil.zip"))
    assert status == (0 if inside else 2)
    told = f"1 of {1 + inside} files are skipped: 1 path outside the archive (../out.png)"
    assert len([line for line in err if told in line]) == 1
    written = {name for name in snapshot(tmp_path) if not name.startswith(("cache/", "run/"))}
    assert written == before


def test_an_image_of_20000_pixels_a_side_is_named_at_no_cost(said, tmp_path):
    folder_of(tmp_path / "bomb", 12, classes=())
    (tmp_path / "bomb" / "x.png").write_bytes(content(Image.new("1", (PIXELS, PIXELS))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status, out, err = said("image inspect bomb")
    assert (status, out[0], err) == (0, "bomb: 12 color images", [])
    assert out[-1] == "skipped: x.png: too large: more pixels than the limit of Pillow"
    status, out, err = said(TRAIN.format("bomb"))
    assert status == 0 and "1 of 13 files are skipped: 1 too large (x.png)" in err[0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
