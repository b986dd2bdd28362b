import json
import math
from dataclasses import replace

import pytest
import soundfile
import torch
from PIL import Image

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.core.signature import options_of
from multigan.music.domain import MusicDomain
from multigan.music.formats.midi import read_midi, write_midi
from multigan.music.formats.song import (
    CompletedSong,
    GivenSpan,
    KeySignature,
    Note,
    Song,
    TimeSignature,
    Track,
)
from multigan.music.representations.pianoroll import to_pianoroll
from multigan.music.representations.voices import BAND
from tests.music.tiny import Tiny

DOMAIN = MusicDomain(tempo_bpm=240.0)  # quick to render
BAR = 1920


def sampler(domain=DOMAIN, **settings):
    return Sampler(domain, Tiny(domain.voices, domain.grid.steps, **settings))


@pytest.fixture
def melody(tmp_path):
    """A soprano of three bars with a pickup, in A minor at 97."""
    pitches = (69, 71, 72, 74, 76, 76, 74, 72, 71, 69, 69, 64)
    notes = tuple(Note(480 * i, 480 * i + 480, p) for i, p in enumerate(pitches))
    track = Track("soprano", notes, 52)
    header = {"tempo_bpm": 97.0, "anacrusis_ticks": 480, "key": KeySignature(9, minor=True)}
    return write_midi(Song((track,), 5760, **header), tmp_path / "melody.mid")


def test_a_song_is_one_window_in_the_voices_of_the_domain():
    for song in sampler().sample(3):
        assert [track.name for track in song.tracks] == ["soprano", "alto", "tenor", "bass"]
        assert song.length_ticks == 2 * BAR and song.tempo_bpm == 240
        assert song.time_signatures == (TimeSignature(0, 4, 4),) and type(song) is Song


def test_samples_depend_on_the_seed_and_not_on_their_number():
    many = sampler().sample(66, seed=5)
    assert sampler().sample(3, seed=5) == many[:3]
    assert many[64] != many[0] and sampler().sample(3, seed=6) != many[:3]


def test_wishes_for_length_and_tempo_are_kept():
    for song in sampler().sample(2, bars=5, tempo=97.5):
        assert song.length_ticks == 5 * BAR and song.tempo_bpm == 97.5


def test_a_melody_is_harmonised_note_for_note(melody):
    for song in sampler().sample(2, given=melody, keep="soprano"):
        source = read_midi(melody)
        assert song.track("soprano").notes == source.track("soprano").notes
        assert all(song.track(name).notes for name in ("alto", "tenor", "bass"))
        assert (song.anacrusis_ticks, song.length_ticks) == (480, 5760)
        assert (song.tempo_bpm, song.key) == (97.0, KeySignature(9, minor=True))
        assert song.given == (GivenSpan("soprano", 0, 5760),)
    (slow,) = sampler().sample(1, given=melody, keep="soprano", tempo=60.0)
    assert slow.tempo_bpm == 60 and isinstance(slow, CompletedSong)


def test_other_voices_differ_from_sample_to_sample(melody):
    one, other = sampler().sample(2, given=melody, keep="soprano")
    assert one.track("bass").notes != other.track("bass").notes


def test_a_song_is_continued_from_its_last_note(tmp_path):
    (start,) = sampler().sample(1, seed=1, bars=3)
    file = write_midi(start, tmp_path / "start.mid")
    for song in sampler().sample(2, seed=2, continue_from=file, bars=4):
        assert song.length_ticks == 7 * BAR
        there = song.window(0, 3 * BAR)
        assert [track.notes for track in there.tracks] == [track.notes for track in start.tracks]


def test_the_last_given_notes_ring_on_unless_their_ends_are_locked(tmp_path):
    notes = {"soprano": 72, "alto": 65, "tenor": 58, "bass": 48}
    tracks = tuple(Track(name, (Note(0, BAR, p),), 52) for name, p in notes.items())
    file = write_midi(Song(tracks, BAR), tmp_path / "chord.mid")
    wishes = {"continue_from": file, "bars": 1, "seed": 4}
    (free,) = sampler(holds=5.0).sample(1, **wishes)
    (locked,) = sampler(holds=5.0).sample(1, retrigger=True, **wishes)
    assert [track.notes[0].end_tick for track in free.tracks] == [2 * BAR] * 4
    assert [track.notes[0].end_tick for track in locked.tracks] == [BAR] * 4
    assert [track.notes[1].start_tick for track in locked.tracks] == [BAR] * 4


def test_a_box_is_filled_in_and_the_rest_stays(tmp_path):
    (start,) = sampler().sample(1, seed=1, bars=4)
    file = write_midi(start, tmp_path / "start.mid")
    (song,) = sampler().sample(1, seed=2, given=file, infill_bars="2-3", infill_tracks="bass")
    for name in ("soprano", "alto", "tenor"):
        assert song.track(name).notes == start.track(name).notes
    old, new = (to_pianoroll(s, DOMAIN.voices)[3].tolist() for s in (start, song))
    assert new[:16] == old[:16] and new[49:] == old[49:]  # what is held into bar 4 is struck there
    assert song.track("bass").notes != start.track("bass").notes


def test_a_window_of_a_completed_song_forgets_what_was_given(melody):
    (song,) = sampler().sample(1, given=melody, keep="soprano")
    assert song.window(480, 2400).given == () and replace(song, key=None).given == song.given


def test_every_wish_is_an_option_with_a_help_line():
    options = {option.name: option for option in options_of(MusicDomain.sample)}
    assert list(options) == [
        "bars", "tempo", "given", "keep", "infill_bars", "infill_tracks", "continue_from",
        "retrigger", "key", "chords", "ending", "swing", "instruments"]  # fmt: skip
    assert all(option.help for option in options.values())
    assert options["bars"].type is int and options["tempo"].type is float


def test_what_is_written_is_read_back(tmp_path):
    songs = sampler().sample(2, bars=3)
    files = DOMAIN.write(songs, tmp_path / "out")
    names = [f"00000{i}.{suffix}" for i in range(2) for suffix in ("mid", "wav", "png")]
    assert [file.name for file in files] == names
    assert DOMAIN.read_samples(tmp_path / "out") == songs
    seconds = 3 * 4 * 60 / 240
    assert seconds < soundfile.info(files[1]).duration < seconds + 1
    with Image.open(files[2]) as picture:
        assert picture.width > 300
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_the_same_songs_are_written_as_the_same_bytes(tmp_path):
    songs = sampler().sample(1)
    once, again = (DOMAIN.write(songs, tmp_path / name) for name in ("once", "again"))
    for one, other in zip(once, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(("columns", "count"), [(None, 20), (3, 6), (1, 1)])
def test_a_preview_shows_and_plays_the_first_songs(tmp_path, columns, count):
    songs = sampler().sample(count)
    files = DOMAIN.preview(songs, tmp_path / "step-7", columns=columns)
    assert [file.name for file in files] == ["step-7.png", "step-7.wav", "step-7.mid"]
    heard = min(4, count)
    joined = read_midi(files[2])
    assert joined.length_ticks == (2 * heard + heard - 1) * BAR
    assert [t.notes for t in joined.window(0, 2 * BAR).tracks] == [t.notes for t in songs[0].tracks]


def test_a_domain_survives_json():
    domain = MusicDomain(BAND, 4, "6/8", 4, 120.0)
    again = from_config(json.loads(json.dumps(to_config(domain))))
    assert again == domain and hash(again) == hash(domain)
    assert again.grid == (12, 6, 4, 4) and again.grid.steps == 48


@pytest.mark.parametrize("time_signature", ["3/4", "6/8", "2/2", "5/4", "12/8", "7/8"])
def test_other_metres_are_drawn_and_written(time_signature, tmp_path):
    domain = MusicDomain(time_signature=time_signature)
    (song,) = sampler(domain).sample(1, bars=3)
    assert f"{song.time_signatures[0].counts}/{song.time_signatures[0].unit}" == time_signature
    assert len(song.bar_lines()) == 3
    assert read_midi(write_midi(song, tmp_path / "song.mid")) == song


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"time_signature": "four"},
            "time_signature must be a fraction such as 4/4 or 6/8; got 'four'",
        ),
        ({"time_signature": "4/5"}, "got '4/5'"),
        ({"time_signature": "3/16", "steps_per_quarter": 3}, "into whole steps; got 3"),
        ({"steps_per_quarter": 7}, "into whole steps; got 7"),
        ({"bars": 0}, "must be 1 or more; got 0 and 4"),
        ({"tempo_bpm": 0.0}, "tempo_bpm must be more than 0; got 0.0"),
        ({"voices": ()}, "voices must be one or more"),
        ({"voices": (BAND[0], BAND[0])}, "with distinct names"),
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        MusicDomain(**arguments)


def test_values_that_are_not_finite_are_no_song():
    with pytest.raises(ValueError, match="must be finite"):
        DOMAIN.decode(torch.full((1, 32, 132), math.nan))


def test_drawing_leaves_the_generator_as_it_was():
    generator = Tiny(DOMAIN.voices).train()
    DOMAIN.sample(generator, 2, keyed_rng(0))
    assert generator.training


@pytest.mark.parametrize("asked", [{"key": "G"}, {"chords": "C G"}, {"ending": True}])
def test_a_generator_without_a_plan_refuses_key_chords_and_ending(asked):
    with pytest.raises(ValueError, match=r"must have a generator that plans chords \(pop\)"):
        sampler().sample(1, seed=0, **asked)


def test_each_window_of_a_long_song_gets_its_chords_and_the_last_the_ending():
    network = Tiny(DOMAIN.voices, DOMAIN.grid.steps)
    network.has_plan = True
    Sampler(DOMAIN, network).sample(2, seed=0, bars=3, chords="C D E", key="D", ending=True)
    chords = [condition.chords[0, ::16].tolist() for condition in network.seen]
    assert chords == [[0, 2], [2, 4]]
    assert [condition.ending.unique().tolist() for condition in network.seen] == [[0], [1]]
    assert all(condition.key.argmax(-1).unique().tolist() == [2] for condition in network.seen)
