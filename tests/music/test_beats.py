"""Offsets from the beats, live timing, tracked beats and swing, in songs and at import."""

import numpy as np
import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.music.datasets.beat_alignment import align_beats, onset_ticks, swing_ratio
from multigan.music.datasets.beat_tracking import beat_seconds, track_beats
from multigan.music.datasets.midi_folder import import_midi_folder, load_folder, read_report
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Note, Song, TimeSignature, Track
from multigan.music.representations.swing import with_swing

BAR = 1920


def piano(starts, length=200, low=0):
    notes = tuple(Note(start, start + length, 60 + k % 7) for k, start in enumerate(starts))
    return Track("piano", notes)


def written(step=120, bars=12, offset=0, first=BAR):
    """A song on the beats, with more notes on beats than between them."""
    rng = keyed_rng("written", step)
    starts = []
    for tick in range(first, bars * BAR, step):
        likely = 0.9 if tick % 480 == 0 else 0.4
        if float(torch.rand((), generator=rng)) < likely:
            starts.append(tick + offset)
    return Song((piano(starts),), (bars + 1) * BAR)


def live(bpm=100.0, seconds=30.0, jitter=0.008, drift=0.0, swing=0.5, seed=0):
    """Performed notes in a file of 480 ticks a quarter at 120: its beats, and the song."""
    rng = np.random.default_rng(seed)
    beats, time = [], 0.7
    while time < seconds:
        beats.append(time)
        time += 60 / bpm * (1 + drift * np.sin(time / 8))
    beats = np.array(beats)
    starts = [*beats, *(beats[:-1] + swing * np.diff(beats))[rng.random(len(beats) - 1) < 0.5]]
    played = np.maximum(np.array(starts) + rng.normal(0, jitter, len(starts)), 0)
    return beats, Song(
        (piano(sorted(np.round(played * 960).astype(int).tolist())),), 100_000, tempo_bpm=120.0
    )


@pytest.mark.parametrize("step", [120, 160])
@pytest.mark.parametrize("offset", [-200, -93, -17, 25, 60, 131, 240])
def test_a_constant_offset_is_found_and_removed(step, offset):
    song, found = align_beats(written(step, offset=offset))
    if offset % 20 == 0:  # on the steps of a grid of 24 already
        assert found.offset_ticks == 0
        return
    assert song.tracks == written(step).tracks and found.offset_ticks == offset
    assert found.error_after == 0 < found.error_before and not found.is_live


def test_songs_on_the_beats_stay_as_they_are():
    for song in (written(), written(160), Song((piano(range(7, 700, 61)),), BAR)):
        assert align_beats(song)[0] is song
    thirds = [tick + 160 for tick in onset_ticks(written())]  # on the steps of a finer grid
    song = Song((piano(thirds),), 14 * BAR)
    assert align_beats(song)[0] is song
    ornaments = [*onset_ticks(written()), *range(BAR + 31, 6 * BAR, 960)]
    song = Song((piano(ornaments),), 13 * BAR)
    assert align_beats(song)[0] is song


def test_an_offset_before_the_first_bar_line_costs_a_bar_and_no_note():
    late = written(first=0, offset=-100 + 480)
    signature = (TimeSignature(0, 4, 4), TimeSignature(4 * BAR, 3, 4))
    late = Song(late.tracks, late.length_ticks, time_signatures=signature)
    early = Song((piano([0, *[t - 380 + 480 for t in onset_ticks(late)]]),), 14 * BAR)
    song, found = align_beats(early)
    assert len(song.tracks[0].notes) == len(early.tracks[0].notes)
    assert found.error_after < 0.01 and onset_ticks(song).min() >= 0


def test_live_timing_has_no_beats_whatever_the_offset():
    _, song = live()
    same, found = align_beats(song)
    assert same is song and found.is_live and found.error_before > 0.04


@pytest.mark.parametrize(
    ("bpm", "drift", "swing"), [(96, 0, 0.5), (132, 0.12, 0.5), (110, 0, 0.66)]
)
def test_beats_of_a_performance_are_tracked(bpm, drift, swing):
    beats, song = live(bpm, drift=drift, swing=swing)
    notes = song.tracks[0].notes
    seconds = np.array([note.start_tick / 960 for note in notes])
    found = beat_seconds(seconds, np.ones(len(notes)))
    nearest = np.abs(found[:, None] - beats).min(1)
    assert (nearest < 0.04).mean() > 0.95 and len(found) == pytest.approx(len(beats), abs=4)
    placed, tracking = track_beats(song)
    assert tracking.is_clear
    assert tracking.tempo_bpm == pytest.approx(60 / np.median(np.diff(beats)), rel=0.04)
    assert len(placed.tracks[0].notes) == len(notes)
    assert placed.time_signature_names == ["4/4"] and placed.length_ticks % BAR == 0
    position = onset_ticks(placed) % 480 / 480
    assert ((position < 0.08) | (position > 0.92)).mean() > 0.6


def test_random_onsets_are_no_beats():
    starts = np.random.default_rng(1).uniform(0, 40 * 960, 400).astype(int)
    _, tracking = track_beats(Song((piano(sorted(starts.tolist())),), 50_000, tempo_bpm=120.0))
    assert not tracking.is_clear


def test_intervals_of_a_performance_in_another_order_are_no_beats():
    _, song = live(drift=0.1, jitter=0.02)
    starts = onset_ticks(song)
    gaps = np.random.default_rng(5).permutation(np.diff(starts, prepend=0))
    moved = np.sort(np.cumsum(gaps)).tolist()
    assert track_beats(song)[1].is_clear
    assert not track_beats(Song((piano(moved),), 100_000, tempo_bpm=120.0))[1].is_clear


def test_tracked_beats_of_one_performance_do_not_explain_another():
    _, one = live(bpm=97, drift=0.1)
    _, other = live(bpm=121, drift=0.1, seed=4)
    seconds = [np.sort(onset_ticks(song)) / 960 for song in (one, other)]
    beats = beat_seconds(seconds[0], np.ones(len(seconds[0])))
    own, foreign = (
        np.abs(s[:, None] - beats).min(1)[np.searchsorted(beats, s) < len(beats)].mean()
        for s in seconds
    )
    assert foreign > 1.3 * own


@pytest.mark.parametrize("ratio", [0.5, 0.6, 2 / 3])
def test_the_swing_of_a_song_is_measured(ratio):
    starts = [b * 480 + (0 if k == 0 else round(ratio * 480)) for b in range(120) for k in (0, 1)]
    assert swing_ratio(Song((piano(starts),), 60_000)) == pytest.approx(ratio, abs=0.003)
    assert swing_ratio(Song((piano(range(0, 57_600, 480)),), 60_000)) is None


def test_live_songs_are_refused_by_name_unless_asked_for(tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(3):
        write_midi(live(seed=k)[1], root / f"live-{k}.mid")
    noise = np.random.default_rng(2).uniform(0, 40 * 960, 400).astype(int)
    song = Song((piano(sorted(noise.tolist())),), 50_000, tempo_bpm=120.0)
    write_midi(song, root / "noise.mid")
    for k in range(2):
        write_midi(written(offset=k * 37, bars=9 + k), root / f"written-{k}.mid")
    import_midi_folder(str(root), out=str(tmp_path / "a"), layout="piano")
    printed = capsys.readouterr().out
    assert "used 2 of 6 files" in printed and "4  has live timing without beats" in printed
    assert (
        "beats from the sixteenths, as by chance; import with --live to track its beats" in printed
    )
    assert "an offset was removed from 1 songs" in printed
    import_midi_folder(str(root), out=str(tmp_path / "b"), layout="piano", live=True)
    printed = capsys.readouterr().out
    assert "used 5 of 6 files" in printed and "those of 3 (75%) explain the onsets" in printed
    assert "tracked beats hardly better than chance" in printed
    timing = read_report(tmp_path / "b")["timing"]
    assert timing["tracked"] == 4 and timing["clear"] == 3 and timing["shifted"] == 1
    songs = {n: s for part in load_folder(tmp_path / "b").values() for n, s in part.items()}
    assert songs["live-0.mid"].tempo_bpm == pytest.approx(100, rel=0.05)


def test_swing_is_measured_from_the_beats_also_after_a_pickup_and_triplets_are_none():
    def song(starts, pickup=0):
        notes = tuple(Note(pickup + start, pickup + start + 100, 60) for start in starts)
        return Song((Track("piano", notes),), 60 * BAR, anacrusis_ticks=pickup)

    for pickup in (0, 163, 240, 320, 480):
        straight = song(range(0, 30 * BAR, 240), pickup)
        assert swing_ratio(straight) == 0.5
        assert swing_ratio(with_swing(straight, 0.66)) == pytest.approx(0.66, abs=0.002)
    assert swing_ratio(song(range(0, 30 * BAR, 160))) is None  # triplets
    shuffle = [beat + place for beat in range(0, 30 * BAR, 480) for place in (0, 320)]
    few_triplets = [beat + 160 for beat in range(0, 30 * BAR, 4 * 480)]
    assert swing_ratio(song(sorted(shuffle + few_triplets))) == 0.667


def test_swung_songs_are_read_straight_unless_the_grid_has_thirds(tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    for k in range(3):
        taken = torch.rand(240, generator=keyed_rng("swung", k)) < 0.8
        starts = [240 * eighth for eighth in torch.nonzero(taken)[:, 0].tolist()]
        pitches = torch.randint(55, 75, (len(starts),), generator=keyed_rng("pitches", k)).tolist()
        notes = tuple(Note(a, a + 200, pitch) for a, pitch in zip(starts, pitches, strict=True))
        song = Song((Track("piano", notes),), 30 * BAR)
        write_midi(with_swing(song, 0.66), root / f"{k}.mid")
    onsets = {}
    for grid in (4, 12):
        out = tmp_path / f"grid-{grid}"
        import_midi_folder(str(root), out=str(out), layout="piano", grid=grid)
        songs = [song for part in load_folder(out).values() for song in part.values()]
        onsets[grid] = {tick % 480 for song in songs for tick in onset_ticks(song).tolist()}
        printed = capsys.readouterr().out
        assert "swing: 3 songs have swung eighths, the second at 0.66 of a beat" in printed
        assert ("sample with --swing 0.66 to play them" in printed) == (grid == 4)
    assert onsets[4] == {0, 240} and onsets[12] == {0, 317}
