from collections import Counter

import pytest

from multigan.music.datasets import chorales
from multigan.music.datasets.chorales import corpus_files, read_chorales, satb_songs, split_chorales
from multigan.music.formats.song import KeySignature, Note, Song, TimeSignature, Track
from multigan.music.representations.pianoroll import from_pianoroll, to_pianoroll
from multigan.music.representations.voices import SATB

COMPARED = 20  # pieces held against music21's own parser, spread over the corpus


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def songs(cache):
    return read_chorales(cache)


def test_there_are_407_chorales_in_four_voices(songs):
    assert len(songs) == 407
    assert list(songs)[:3] == ["bwv1.6", "bwv2.6", "bwv3.6"] and list(songs)[-1] == "bwv438"
    assert {tuple(t.name for t in song.tracks) for song in songs.values()} == {
        ("soprano", "alto", "tenor", "bass")
    }
    assert sum(len(track.notes) for song in songs.values() for track in song.tracks) == 96_189


def test_their_metres_pickups_keys_and_ranges_are_known(songs):
    time_signatures = Counter(song.time_signatures[0][1:] for song in songs.values())
    assert time_signatures == {(4, 4): 362, (3, 4): 43, (3, 2): 1, (12, 8): 1}
    assert sum(song.anacrusis_ticks > 0 for song in songs.values()) == 284
    assert songs["bwv66.6"].key == KeySignature(6, minor=True) and songs[
        "bwv1.6"
    ].key == KeySignature(5)
    pitches = [
        sorted({n.pitch_midi for song in songs.values() for n in song.tracks[voice].notes})
        for voice in range(4)
    ]
    assert [(p[0], p[-1]) for p in pitches] == [(57, 81), (53, 74), (48, 69), (36, 64)]


def test_a_known_chorale_begins_as_printed(songs):
    first = songs["bwv269"]  # "Aus meines Herzens Grunde", in G, 3/4 with a pickup
    assert (
        first.time_signatures == (TimeSignature(0, 3, 4),)
        and first.anacrusis_ticks == 480
        and first.key == KeySignature(7)
    )
    opening = [track.notes[0].pitch_midi for track in first.tracks]
    assert opening == [67, 62, 59, 43]


def test_bars_around_a_repeat_sign_are_whole(songs):
    assert songs["bwv101.7"].time_signatures == (
        TimeSignature(0, 4, 4),
    )  # its 5th and 6th measure have 3 and 1
    assert songs["bwv101.7"].bar_lines() == list(range(480, songs["bwv101.7"].length_ticks, 1920))


def test_all_pieces_become_tokens_that_hold_every_sounding_sixteenth(songs):
    steps = 0
    for song in songs.values():
        roll = to_pianoroll(song, SATB, 4)
        steps += len(roll[0])
        back = to_pianoroll(from_pianoroll(roll, SATB, 4), SATB, 4)
        assert all((a == b).all() for a, b in zip(roll, back, strict=True))
    assert steps == 92_870


def test_the_second_reading_comes_from_the_cache(songs, cache, monkeypatch):
    monkeypatch.setattr(chorales, "read_musicxml", None)
    assert read_chorales(cache) == songs


def test_a_damaged_cache_is_made_again(tmp_path, monkeypatch):
    few = corpus_files()[:2]
    monkeypatch.setattr(chorales, "corpus_files", lambda: few)
    first = read_chorales(tmp_path)
    [kept] = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    assert read_chorales(tmp_path) == first and kept.stat().st_size > 100


def test_splits_are_disjoint_whole_and_the_same_every_time(songs):
    splits = split_chorales(songs)
    assert {name: len(part) for name, part in splits.items()} == {
        "train": 284, "valid": 62, "test": 61,
    }  # fmt: skip
    assert sorted(name for part in splits.values() for name in part) == sorted(songs)
    assert split_chorales(dict(reversed(songs.items()))) == splits


def test_no_work_and_no_tune_stands_in_two_splits(songs):
    seen = {}
    for split, part in split_chorales(songs).items():
        for name, song in part.items():
            soprano = song.track("soprano").notes
            tune = tuple((a - soprano[0][0], b - a, p - soprano[0][2]) for a, b, p, _ in soprano)
            for mark in (tune, chorales._number(name)[0]):
                assert seen.setdefault(mark, split) == split


def test_pieces_are_related_by_way_of_others():
    def piece(*pitches):
        notes = tuple(Note(480 * k, 480 * (k + 1), p) for k, p in enumerate(pitches))
        return Song((Track("soprano", notes),), 4800)

    songs = {
        "bwv1.1": piece(60, 62),
        "bwv2": piece(64, 65),
        "bwv1.2": piece(60, 61),
        "bwv3-a": piece(60, 67),
    }
    groups = sorted(sorted(group) for group in chorales._related(songs))
    assert groups == [["bwv1.1", "bwv1.2", "bwv2"], ["bwv3-a"]]


def test_a_missing_music21_gets_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'multigan\[music\]'"):
        read_chorales()


@pytest.mark.slow
def test_twenty_pieces_equal_what_music21_parses():
    music21 = pytest.importorskip("music21")
    files = corpus_files()
    chosen = {file.stem: file for file in files[1 :: len(files) // COMPARED][:COMPARED]}
    songs = dict(satb_songs(list(chosen.values())))
    assert len(songs) == COMPARED
    for name, song in songs.items():
        path = chosen[name]
        score = music21.converter.parse(path, forceSource=True).toSoundingPitch().stripTies()
        parts = {(part.partName or "").split()[0].lower(): part for part in score.parts}
        for track in song.tracks:
            found = [
                (round(n.getOffsetInHierarchy(score) * 480), round(n.quarterLength * 480), p.midi)
                for n in parts[track.name].recurse().notes
                if n.quarterLength
                for p in n.num_pitches
            ]
            assert sorted(found) == sorted((a, b - a, p) for a, b, p, _ in track.notes), name
