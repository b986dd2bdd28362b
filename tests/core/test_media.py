"""What a page shows of samples: every domain has it, and one that has not shows its previews."""

import io
import json
from mimetypes import guess_extension

import pytest
from PIL import Image

from multigan.core.media import PIANO_ROLL, sample_media
from multigan.core.protocols import Medium, Sampler
from multigan.image.domain import ImageDomain
from multigan.music.domain import MusicDomain
from multigan.music.formats.song import CompletedSong, GivenSpan, Note, TimeSignature, Track
from tests.audio_toy_domain.domain import WavesDomain
from tests.run_helpers import DOMAINS, tiny_recipe


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_shows_one_medium_of_each_sample_or_one_of_them_all(name):
    recipe = tiny_recipe(name)
    samples = Sampler(recipe.data.domain, recipe.generator).sample(3)
    media = sample_media(recipe.data.domain, samples)
    assert len(media) in (1, 3) and media == sample_media(recipe.data.domain, samples)
    assert all(guess_extension(medium.type.partition(";")[0]) for medium in media)
    assert all(type(medium.content) is bytes and medium.content for medium in media)


def test_a_domain_without_media_shows_its_previews():
    assert sample_media(WavesDomain(2), [(0.5, -1.0)]) == [Medium("text/plain", b"+0.5 -1.0\n")]


def test_a_picture_is_shown_pixel_by_pixel_with_its_class():
    picture = Image.new("L", (3, 2), 7)
    picture.info["label"] = "<b>cat"
    (medium,) = ImageDomain(1, 2, 3, ("<b>cat",)).media([picture])
    read = Image.open(io.BytesIO(medium.content))
    assert medium.type == "image/png" and read.info["label"] == "<b>cat"
    assert (read.size, read.tobytes()) == ((3, 2), bytes([7] * 6))


def test_a_line_is_shown_in_utf_8_whatever_it_holds():
    media = tiny_recipe("text").data.domain.media(["käse", "\ud800"])
    assert media == [Medium("text/plain", "käse".encode()), Medium("text/plain", b"?")]


def test_a_song_is_shown_as_notes_in_beats():
    drums = Track("drums", (Note(0, 240, 36),), is_drum=True)
    alto = Track("alto", (Note(480, 1680, 60), Note(1920, 2880, 62)), 52)
    song = CompletedSong(
        (drums, alto),
        2880,
        90.0,
        (TimeSignature(0, 3, 4),),
        480,
        given=(GivenSpan("alto", 480, 960),),
    )
    (medium,) = MusicDomain().media([song])
    assert medium.type == PIANO_ROLL
    shown = json.loads(medium.content)
    header = [shown[key] for key in ("tempo_bpm", "length_beats", "beats_per_bar", "bar_lines")]
    assert header == [90, 6, 3, [1, 4]]
    first, second = shown["tracks"]
    assert (first["drums"], first["given"], first["notes"]) == (True, [], [[0, 0.5, 36, 0.693]])
    assert (second["name"], second["program"], second["given"]) == ("alto", 52, [[1, 2]])
    assert second["notes"] == [[1, 2.5, 60, 0.819], [4, 2, 62, 0.819]]
