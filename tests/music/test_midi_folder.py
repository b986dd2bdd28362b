import json

import pytest

from multigan.core.rng import keyed_rng
from multigan.music.datasets import midi_folder
from multigan.music.datasets.midi_folder import import_midi_folder, load_folder
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.datasets.track_assignment import UnsuitableSong, assign_tracks
from multigan.music.formats.midi import read_midi, write_midi
from multigan.music.formats.song import Note, Song, TimeSignature, Track
from multigan.music.representations.pianoroll import to_pianoroll
from multigan.music.representations.voices import TRACK_LAYOUTS
from tests.benchmarks.music import importing, write_folder
from tests.music.midi_corruption import DAMAGED


def line(*pitches, name="", program=0, is_drum=False, length=480):
    notes = (Note(480 * k, 480 * k + length, pitch) for k, pitch in enumerate(pitches))
    return Track(name, tuple(notes), program, is_drum)


def song(*tracks, bars=4, **fields):
    return Song(tracks, bars * 1920, **fields)


def choir(*names):
    homes = (67, 60, 55, 43)
    names = names or ("", "", "", "")
    return song(*(line(*[h] * 4, name=n) for h, n in zip(homes, names, strict=True)))


def fill(root, n=6, preset="satb", **wishes):
    root.mkdir(exist_ok=True)
    for k, piece in enumerate(generate_songs(preset, n, keyed_rng(3, preset), **wishes)):
        write_midi(piece.song, root / f"{preset}-{k}.mid")


def imported(tmp_path, **wishes):
    return import_midi_folder(str(tmp_path / "in"), out=str(tmp_path / "out"), **wishes)


def reasons(outcomes):
    return {outcome.file: outcome.reason for outcome in outcomes if outcome.reason}


def test_a_folder_becomes_a_data_set_that_holds_the_songs(tmp_path):
    fill(tmp_path / "in")
    outcomes = imported(tmp_path)
    assert not reasons(outcomes) and all(outcome.windows == 5 for outcome in outcomes)
    splits = load_folder(tmp_path / "out")
    songs = {name: song for part in splits.values() for name, song in part.items()}
    assert set(songs) == {f"satb-{k}.mid" for k in range(6)}
    for name, found in songs.items():
        assert found == read_midi(tmp_path / "in" / name)


def test_twelve_kinds_of_damage_and_more_are_named_and_the_rest_is_used(tmp_path, capsys):
    fill(tmp_path / "in", n=2)
    for name, (content, _) in DAMAGED.items():
        (tmp_path / "in" / f"{name}.mid").write_bytes(content)
    assert len(DAMAGED) >= 12
    outcomes = imported(tmp_path)
    assert reasons(outcomes) == {f"{name}.mid": said for name, (_, said) in DAMAGED.items()}
    printed = capsys.readouterr().out
    assert f"used 2 of {2 + len(DAMAGED)} files, 10 windows" in printed
    assert "5  is damaged: bad-status.mid" in printed and "Traceback" not in printed
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["used"] == 2 and sum(report["skipped"].values()) == len(DAMAGED)
    assert all(
        "\n" not in f["line"] and bool(f["line"]) == bool(f["reason"]) for f in report["files"]
    )


def test_songs_that_do_not_fit_the_wish_are_skipped_with_the_reason(tmp_path):
    root = tmp_path / "in"
    fill(root, n=1)
    short = Song(choir().tracks, 1920)
    write_midi(short, root / "short.mid")
    write_midi(song(line(60, 62), bars=8), root / "alone.mid")
    fill(root, n=1, preset="band")
    (root / "copy.mid").write_bytes((root / "satb-0.mid").read_bytes())
    found = reasons(imported(tmp_path))
    assert found.pop("satb-0.mid") == "repeats another file"  # copy.mid comes first
    assert found == {
        "short.mid": "is too short",
        "alone.mid": "has not four voices",
        "band-0.mid": "has not four voices",
    }


def test_windows_never_cross_a_change_of_metre(tmp_path):
    time_signatures = (TimeSignature(0, 4, 4), TimeSignature(3 * 1920, 3, 4))
    mixed = Song(choir().tracks, 3 * 1920 + 5 * 1440, time_signatures=time_signatures)
    (tmp_path / "in").mkdir()
    write_midi(mixed, tmp_path / "in" / "mixed.mid")
    assert [o.windows for o in imported(tmp_path, bars=3)] == [1 + 3]
    assert [o.windows for o in imported(tmp_path, bars=3, time_signature="3/4")] == [3]
    with pytest.raises(ValueError, match="no file can be used"):
        imported(tmp_path, bars=2, time_signature="6/8")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["skipped"] == {"is in another time signature": 1}
    assert report["files"][0]["line"].endswith("is in another time signature (3/4, 4/4)")


def test_an_import_is_kept_until_files_or_wishes_change(tmp_path, monkeypatch):
    fill(tmp_path / "in", n=2)
    first = imported(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(midi_folder, "import_files", None)
        assert imported(tmp_path) == first
    assert [o.windows for o in imported(tmp_path, bars=2)] == [7, 7]
    fill(tmp_path / "in", n=3)
    assert len(imported(tmp_path)) == 3
    (tmp_path / "out" / "songs.npz").write_bytes(b"damaged")
    assert len(imported(tmp_path)) == 3 and load_folder(tmp_path / "out")


def test_two_processes_find_what_one_finds(tmp_path):
    fill(tmp_path / "in", n=3)
    (tmp_path / "in" / "empty.mid").write_bytes(b"")
    one = imported(tmp_path)
    whole = (tmp_path / "out" / "songs.npz").read_bytes()
    (tmp_path / "out" / "report.json").unlink()
    assert imported(tmp_path, num_workers=2) == one
    assert (tmp_path / "out" / "songs.npz").read_bytes() == whole


def test_the_files_of_the_benchmark_have_500_notes_and_differ(tmp_path):
    write_folder(tmp_path, 3)
    songs = [read_midi(file) for file in sorted(tmp_path.iterdir())]
    assert [sum(len(track.notes) for track in song.tracks) for song in songs] == [500] * 3
    assert songs[0] != songs[1] != songs[2]


@pytest.mark.slow
def test_a_thousand_files_of_500_notes_take_two_processes_less_than_a_minute(tmp_path):
    read = importing(1000)  # every one of them is used
    assert read["s_per_1000"] < 60 or read["cpu_s_per_1000"] < 2 * 60  # beside other work


def test_folders_below_and_suffixes_of_any_case_are_read(tmp_path):
    fill(tmp_path / "in", n=1)
    below = tmp_path / "in" / "a" / "b"
    below.mkdir(parents=True)
    fill(below, n=2)
    (below / "satb-1.mid").rename(below / "UPPER.MID")
    (below / "satb-0.mid").unlink()
    (below / "notes.txt").write_text("no music")
    assert [o.file for o in imported(tmp_path)] == ["a/b/UPPER.MID", "satb-0.mid"]


@pytest.mark.parametrize("preset", ["band", "melody+piano", "piano"])
def test_other_layouts_are_imported_too(tmp_path, preset):
    fill(tmp_path / "in", n=2, preset="band", time_signature="3/4")
    outcomes = imported(tmp_path, layout=preset)
    assert not reasons(outcomes)
    for part in load_folder(tmp_path / "out").values():
        for found in part.values():
            assert len(to_pianoroll(found, TRACK_LAYOUTS[preset])) == len(TRACK_LAYOUTS[preset])


@pytest.mark.parametrize(
    "wishes, said",
    [
        ({"layout": "choir"}, "layout must be one of satb, band, melody.*; got 'choir'"),
        ({"bars": 0}, "bars must be 1 or more; got 0"),
        ({"time_signature": "waltz"}, "got 'waltz'"),
        ({"time_signature": "4/0"}, "got '4/0'"),
        ({"time_signature": "4/3"}, "got '4/3'"),
        ({"grid": 5}, "grid must be one of 4, 6, 8, 12, 24 steps per quarter; got 5"),
        ({}, "no such folder"),
    ],
)
def test_wrong_wishes_are_named_before_anything_is_read(tmp_path, wishes, said):
    with pytest.raises(ValueError, match=said):
        imported(tmp_path, **wishes)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_midi_files_is_named(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match=r"must hold MIDI files or scores .*; got no file"):
        imported(tmp_path)


def assigned_tracks(song, layout):
    return assign_tracks(song, layout).assigned_tracks


def test_singers_are_found_by_name_in_any_order():
    named = choir("Bass", "Tenore", "Soprano I", "Alt")
    assert assigned_tracks(named, "satb") == {
        "soprano": ["Soprano I"], "alto": ["Alt"], "tenor": ["Tenore"], "bass": ["Bass"],
    }  # fmt: skip


def test_four_nameless_tracks_are_singers_by_their_height():
    low_first = song(*reversed(choir("a1", "b2", "c3", "d4").tracks))
    assert list(assigned_tracks(low_first, "satb").values()) == [["a1"], ["b2"], ["c3"], ["d4"]]


def test_a_band_is_cast_by_name_then_program_then_pitch():
    tracks = (
        line(60, 62, name="Melody"),
        line(50, 52, name="", program=33),
        line(64, 67, name="", program=24),
        line(64, 67, name="Strings"),
        line(36, 38, name="", is_drum=True),
    )
    found = assign_tracks(song(*tracks), "band")
    assert found.assigned_tracks == {
        "bass": [""], "lead": ["Melody"], "chords": ["", "Strings"], "drums": [""],
    }  # fmt: skip
    assert [t.name for t in found.song.tracks] == ["bass", "drums", "chords", "lead"]
    assert found.song.tracks[0].program == 33


def test_a_name_that_all_tracks_have_is_that_of_the_song():
    tracks = (
        line(60, 62, name="Piano Rag", program=65),
        line(40, 42, name="Piano Rag", program=33),
        line(64, 67, name="Piano Rag", program=0),
        line(36, 38, name="Piano Rag", is_drum=True),
    )
    found = assign_tracks(song(*tracks), "band").song
    assert [track.notes for track in found.tracks] == [
        tracks[1].notes, tracks[3].notes, tracks[2].notes, tracks[0].notes,
    ]  # fmt: skip


def test_nameless_unusual_tracks_are_cast_by_pitch_and_overlap():
    ethnic = 104  # a program that belongs to no role
    low, high = line(40, 43, program=ethnic), line(72, 74, program=ethnic)
    many = line(60, 64, 67, program=ethnic, length=2000)
    found = assign_tracks(song(low, high, many, line(36, is_drum=True)), "band").song
    assert found.track("bass").notes == low.notes and found.track("lead").notes == high.notes
    assert found.track("chords").notes == many.notes


def test_a_track_out_of_range_moves_by_octaves_as_a_whole():
    high = song(line(84, 88, 91, 83), *choir().tracks[1:])
    moved = assign_tracks(high, "satb").song
    assert [n.pitch_midi for n in moved.track("soprano").notes] == [72, 76, 79, 71]
    assert moved.tracks[1].notes == choir().tracks[1].notes


def test_single_strays_move_by_octaves_and_many_are_refused():
    melody = [60 + k % 12 for k in range(39)]
    stray = song(line(*melody, 103), *choir().tracks[1:], bars=20)
    moved = assign_tracks(stray, "satb").song.track("soprano").notes[-1].pitch_midi
    assert moved % 12 == 103 % 12 and 55 <= moved <= 85
    wide = song(line(40, 103), *choir().tracks[1:])
    with pytest.raises(UnsuitableSong, match=r"is out of range \(soprano: 1 of 2 notes\)"):
        assign_tracks(wide, "satb")


@pytest.mark.parametrize("layout", TRACK_LAYOUTS)
def test_drums_alone_are_named_so(layout):
    with pytest.raises(UnsuitableSong, match=r"has drums only \(Kit\)"):
        assign_tracks(song(line(36, 38, name="Kit", is_drum=True)), layout)


def test_a_missing_voice_is_named():
    with pytest.raises(UnsuitableSong, match=r"lacks a voice \(bass\)"):
        assign_tracks(song(line(72, 74, name="lead"), line(36, 38, is_drum=True)), "band")


def test_a_folder_of_drums_or_of_another_metre_gets_clear_lines(tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    write_midi(song(line(36, 38, is_drum=True, name="Kit")), root / "drums.mid")
    jig = Song(choir().tracks, 1920, time_signatures=(TimeSignature(0, 6, 8),))
    write_midi(jig, root / "jig.mid")
    with pytest.raises(ValueError, match=r"no file can be used as satb; see .*report\.json"):
        imported(tmp_path, bars=1, time_signature="4/4")
    printed = capsys.readouterr().out
    assert f"{root / 'drums.mid'}: has drums only (Kit)" in printed
    assert f"{root / 'jig.mid'}: is in another time signature (6/8)" in printed
