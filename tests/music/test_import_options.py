"""Layouts, grids, time signatures and versions of an imported folder, from import to training."""

import re

import pytest

from multigan.core.rng import keyed_rng
from multigan.music.datasets.midi_folder import (
    import_midi_folder,
    inspect_songs,
    load_folder,
    read_report,
)
from multigan.music.datasets.song_versions import version_groups
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Note, Song, TimeSignature, Track
from multigan.music.representations.bars import can_read_as, read_bars_as, usual_bars
from multigan.music.representations.pianoroll import grid_changes, to_pianoroll
from multigan.music.representations.voices import SATB, TRACK_LAYOUTS, Voice


def fill(root, n=6, preset="satb", **options):
    root.mkdir(exist_ok=True, parents=True)
    for k, piece in enumerate(generate_songs(preset, n, keyed_rng(3, preset), **options)):
        write_midi(piece.song, root / f"{preset}-{k}.mid")


def imported(tmp_path, **options):
    import_midi_folder(str(tmp_path / "in"), out=str(tmp_path / "out"), **options)
    return str(tmp_path / "out")


@pytest.mark.parametrize("layout", TRACK_LAYOUTS)
def test_every_layout_is_kept_by_the_import_and_found_by_the_dataset(tmp_path, layout):
    fill(tmp_path / "in", n=4, preset="satb" if layout == "satb" else "band")
    data = SongWindowDataset(imported(tmp_path, layout=layout))
    assert data.domain.voices == TRACK_LAYOUTS[layout] and len(data)
    assert data.split("test").domain == data.domain
    with pytest.raises(ValueError, match=f"layout must be auto or .*{layout[-5:]}"):
        SongWindowDataset(str(tmp_path / "out"), layout="other")


def test_the_composed_band_needs_no_option():
    assert SongWindowDataset("composed-band").domain.voices == TRACK_LAYOUTS["band"]


def test_auto_takes_the_most_particular_layout_that_uses_most_files(tmp_path, capsys):
    fill(tmp_path / "in", n=2)
    assert read_report(imported(tmp_path, layout="auto"))["layout"] == "satb"
    fill(tmp_path / "in", n=4, preset="band")
    assert read_report(imported(tmp_path, layout="auto"))["layout"] == "piano"
    assert "layout: piano, the most particular that uses most files" in capsys.readouterr().out


def test_an_import_names_the_layout_that_would_use_more_files(tmp_path, capsys):
    fill(tmp_path / "in", n=2, preset="band")
    with pytest.raises(ValueError, match="as satb; --layout band would use 2 of 2"):
        imported(tmp_path)
    fill(tmp_path / "in", n=1)
    imported(tmp_path)
    assert "--layout piano would use 3 files; satb can use 1" in capsys.readouterr().out


def line(*starts, length=120, pitch=60):
    return Track("soprano", tuple(Note(start, start + length, pitch) for start in starts))


@pytest.mark.parametrize("grid", [4, 6, 8, 12, 24])
def test_moved_and_lost_notes_of_a_grid_are_counted_as_the_roll_has_them(grid):
    voice = Voice("soprano", min_pitch=55, num_pitches=12)
    tracks = {
        "thirty-seconds": line(*range(0, 1920, 60), length=60),
        "triplets": line(*range(0, 1920, 160)),
        "swing": line(*(start for beat in range(0, 1920, 480) for start in (beat, beat + 320))),
    }
    kept = {
        name: grid_changes(Song((track,), 1920), [voice], grid) for name, track in tracks.items()
    }
    for name, track in tracks.items():
        tokens = to_pianoroll(Song((track,), 1920), [voice], grid)[0]
        assert (
            kept[name].notes - kept[name].lost - kept[name].unplaced == (tokens < voice.rest).sum()
        )
    assert (kept["thirty-seconds"].lost == 0) == (grid >= 8)
    assert (kept["triplets"].moved == 0) == (kept["swing"].moved == 0) == (grid in (6, 12, 24))


def test_a_grid_is_chosen_at_import_and_at_training_and_its_losses_are_named(tmp_path, capsys):
    root = tmp_path / "in"
    fill(root, n=3)
    for path in root.iterdir():
        triplets = [
            Track(voice.name, tuple(Note(t, t + 160, p) for t in range(0, 7680, 160)))
            for voice, p in zip(SATB, (70 + len(path.stem), 60, 55, 48), strict=True)
        ]
        triplets[0] = Track("soprano", tuple(
            note._replace(pitch_midi=60 + (k * int(path.stem[-1] or 1) + k) % 12)
            for k, note in enumerate(triplets[0].notes)
        ))  # fmt: skip
        write_midi(Song(tuple(triplets), 7680), path)
    out = imported(tmp_path, bars=2)
    assert "move 384 of 576 notes and lose 0; --grid 6 would move 0" in capsys.readouterr().out
    coarse = SongWindowDataset(out)
    assert "of 576 notes moved to the grid of 4 steps" in coarse.data_counts().summary()
    fine = SongWindowDataset(out, steps_per_quarter=12)
    assert fine.domain.steps_per_quarter == 12
    assert "moved" not in fine.data_counts().summary()
    kept = SongWindowDataset(imported(tmp_path, bars=2, grid=6))
    assert kept.domain.steps_per_quarter == 6


def signed(counts, unit, length=7680, anacrusis=0):
    tracks = tuple(
        Track(
            voice.name, tuple(Note(t, t + 480, voice.min_pitch + 12) for t in range(0, length, 480))
        )
        for voice in SATB
    )
    signature = TimeSignature(0, counts, unit)
    return Song(tracks, length, time_signatures=(signature,), anacrusis_ticks=anacrusis)


def test_short_bars_are_read_as_longer_ones_where_the_bar_lines_allow():
    four, six = TimeSignature(0, 4, 4), TimeSignature(0, 6, 8)
    readable = [TimeSignature(0, *s) for s in ((2, 2), (2, 4), (1, 4), (4, 8))]
    assert all(can_read_as(signature, four) for signature in readable)
    assert can_read_as(TimeSignature(0, 3, 8), six)
    others = [TimeSignature(0, *s) for s in ((3, 4), (6, 8), (5, 4), (6, 4), (4, 2))]
    assert not any(can_read_as(signature, four) for signature in others)
    assert not can_read_as(TimeSignature(0, 3, 4), six)
    for counts, unit in ((2, 2), (2, 4), (1, 4)):
        song = usual_bars(signed(counts, unit))
        assert song.bar_lines() == [0, 1920, 3840, 5760]
        assert song.time_signature_names == ["4/4"]
    assert usual_bars(signed(1, 4, anacrusis=240)).bar_lines()[:2] == [240, 2160]


def test_bars_are_joined_from_each_change_of_time_signature_on():
    mixed = Song(
        (), 9600, time_signatures=(
            TimeSignature(0, 2, 4), TimeSignature(1920, 4, 4), TimeSignature(3840, 3, 4),
            TimeSignature(5280, 2, 4), TimeSignature(6240, 4, 4),
        ),
    )  # fmt: skip
    read = read_bars_as(mixed, TimeSignature(0, 4, 4))
    assert [tuple(s) for s in read.time_signatures] == [
        (0, 4, 4), (3840, 3, 4), (5280, 4, 4), (6240, 4, 4),
    ]  # fmt: skip
    assert read.bar_lines() == [0, 1920, 3840, 5280, 6240, 8160]


def test_training_counts_songs_that_are_read_in_other_bars_or_left_out(tmp_path, capsys):
    root = tmp_path / "in"
    fill(root, n=3)
    fill(root, n=2, preset="band")
    for name, found in {"two": signed(2, 2), "three": signed(3, 4, 5760)}.items():
        write_midi(found, root / f"{name}.mid")
    (root / "satb-2.mid").unlink()
    fill(tmp_path / "more", n=4, time_signature="3/4")
    for k, path in enumerate(sorted((tmp_path / "more").iterdir())):
        path.rename(root / f"waltz-{k}.mid")
    out = imported(tmp_path, bars=2)
    printed = capsys.readouterr().out
    assert "time signatures: 5 in 3/4, 2 in 4/4, 1 in 2/2 (read as 4/4)" in printed
    assert "a training uses 3 of the 8 songs" in printed and "--time-signature 3/4" in printed
    summary = SongWindowDataset(out).data_counts().summary()
    assert summary.startswith("3 songs (")
    assert summary.endswith("changed: 1 signed 2/2 read as 4/4; left out: 5 in 3/4"), summary


def test_versions_of_a_song_stay_in_one_split(tmp_path):
    pieces = [piece.song for piece in generate_songs("satb", 12, keyed_rng(5, "x"), bars=8)]
    root = tmp_path / "in"
    for k, piece in enumerate(pieces):
        (root / f"{k:03}" / "versions").mkdir(parents=True)
        write_midi(piece, root / f"{k:03}" / f"{k:03}.mid")
        for version in range(3):
            moved = piece.transpose(version - 1) if version != 1 else with_other_note(piece)
            write_midi(moved, root / f"{k:03}" / "versions" / f"{version}.mid")
    out = imported(tmp_path, bars=2)
    places = {name: split for split, songs in load_folder(out).items() for name in songs}
    by_song = {}
    for name, split in places.items():
        by_song.setdefault(name[:3], set()).add(split)
    assert len(places) == 48 and all(len(splits) == 1 for splits in by_song.values())
    assert set(places.values()) == {"train", "valid", "test"}


def with_other_note(song):
    first, *rest = song.tracks
    note = first.notes[3]
    notes = (*first.notes[:3], note._replace(pitch_midi=note.pitch_midi - 1), *first.notes[4:])
    return Song((Track(first.name, notes, first.program), *rest), song.length_ticks,
                song.tempo_bpm, song.time_signatures)  # fmt: skip


def test_versions_in_one_folder_are_found_by_their_bars():
    one, two, three = (p.song for p in generate_songs("satb", 3, keyed_rng(6, "x"), bars=8))
    songs = {"a": one, "b": two, "b altered": with_other_note(two), "c": three,
             "b in another key": two.transpose(2)}  # fmt: skip
    assert version_groups(songs) == [["a"], ["b", "b altered", "b in another key"], ["c"]]


@pytest.mark.parametrize("transposed", [False, True])
def test_many_versions_of_one_song_are_one_group(transposed):
    song, other = (p.song for p in generate_songs("satb", 2, keyed_rng(6, "x"), bars=8))
    songs = {f"{k:02d}": song.transpose(k % 12 - 6 if transposed else 0) for k in range(50)}
    assert version_groups(songs | {"other": other}) == [[*sorted(songs)], ["other"]]


def test_inspect_prints_the_tables_and_writes_nothing(tmp_path, capsys):
    fill(tmp_path / "in", n=2)
    (tmp_path / "in" / "empty.mid").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    inspect_songs(str(tmp_path / "in"))
    printed = capsys.readouterr().out
    assert "used 2 of 3 files, 10 windows of 4 bars, as satb" in printed
    assert "left out  1  is empty: empty.mid" in printed
    assert "layouts: satb uses 2" in printed and "grids: 4 moves 0 and loses 0" in printed
    assert sorted(tmp_path.rglob("*")) == before


def test_scores_are_imported_where_midi_is(tmp_path):
    from tests.fuzz.targets_music import _score

    fill(tmp_path / "in", n=1)
    (tmp_path / "in" / "score.musicxml").write_bytes(_score(tmp_path)[0])
    (tmp_path / "in" / "score.mxl").write_bytes(b"PK no archive")
    imported(tmp_path, layout="piano", bars=1)
    report = read_report(tmp_path / "out")
    assert report["used"] == 2 and report["skipped"] == {"is no readable score": 1}


def test_versions_of_two_songs_are_split_by_file_with_a_line(tmp_path, capsys):
    one, two = (p.song for p in generate_songs("satb", 2, keyed_rng(6, "x"), bars=8))
    (tmp_path / "in").mkdir()
    for name, found in {"a": one, "b": two, "c": two.transpose(1), "d": two.transpose(2)}.items():
        write_midi(found, tmp_path / "in" / f"{name}.mid")
    out = imported(tmp_path)
    assert "all files are versions of 2 songs" in capsys.readouterr().out
    with pytest.warns(
        UserWarning, match="versions of 2 songs; versions of one song are in several"
    ):
        assert all(load_folder(out).values())


def test_inspect_says_which_options_an_import_has_of_its_own(tmp_path, capsys):
    fill(tmp_path / "in", n=3)
    out = imported(tmp_path, bars=2)
    inspect_songs(str(out))
    with pytest.warns(UserWarning, match=r"its own options; layout, grid are not used; .*in$"):
        inspect_songs(str(out), layout="piano", grid=12, bars=2)
    assert capsys.readouterr().out.count("used 3 of 3 files") == 3


OTHERS = {
    "gzip": (b"\x1f\x8b\x08", "is a gzip file"),
    "page": (b"<!DOCTYPE html><p>404", "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "audio": (b"ID3\3", "is audio"),
    "fork": (b"\0\5\x16\7", "is a resource fork of macOS"),
}


def test_files_that_are_no_songs_are_named_as_what_they_are_and_counted(tmp_path, capsys):
    fill(tmp_path / "in", n=1)
    for name, (content, _) in OTHERS.items():
        (tmp_path / "in" / f"{name}.mid").write_bytes(content)
    (tmp_path / "in" / "without suffix").write_bytes(
        (tmp_path / "in" / "satb-0.mid").read_bytes() + b"\0"
    )
    (tmp_path / "in" / "cover.jpg").write_bytes(b"\xff\xd8\xff")
    imported(tmp_path, layout="piano", bars=1)
    report = read_report(tmp_path / "out")
    reasons = {reason for _, reason in OTHERS.values()}
    assert set(report["skipped"]) == reasons | {"repeats another file"}
    assert re.search(r"ignored +1  no MIDI file and no score: cover\.jpg", capsys.readouterr().out)
