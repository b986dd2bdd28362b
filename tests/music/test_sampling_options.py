import re

import pytest
import torch

from multigan.music.domain import MusicDomain
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Note, Song, TimeSignature, Track
from multigan.music.representations.conditioning import ANY_CHORD, TONIC_CHORD
from multigan.music.representations.tensors import total_channels
from multigan.music.representations.voices import BAND, SATB
from multigan.music.sampling.options import SamplingOptions, plan_sampling

DOMAIN = MusicDomain()
BAR = 1920


def quarters(name, *pitches, start=0, program=52):
    notes = (Note(start + 480 * i, start + 480 * (i + 1), p) for i, p in enumerate(pitches))
    return Track(name, tuple(notes), program)


def chorale(bars=3, names=("soprano", "alto", "tenor", "bass"), **header):
    tracks = [
        quarters(name, *[pitch] * 4 * bars)
        for name, pitch in zip(names, (72, 65, 58, 48), strict=True)
    ]
    return Song(tuple(tracks), bars * BAR, **header)


def trio():
    """Two tracks without the name of a voice, and an alto."""
    song = chorale(names=("a", "b", "alto", "none"))
    return Song(song.tracks[:3], song.length_ticks)


def saved(song, tmp_path):
    return write_midi(song, tmp_path / "song.mid")


def rows(plan):
    """Which voices are given at each step."""
    return plan.conditioning.mask[0].T


def test_nothing_wished_is_one_window_of_which_nothing_is_given():
    free = plan_sampling(DOMAIN, SamplingOptions())
    assert free.conditioning.mask.shape == (1, 32, 4) and not free.conditioning.mask.any()
    assert (free.start_tick, free.end_tick, free.source) == (0, 2 * BAR, None)


@pytest.mark.parametrize(("bars", "steps"), [(1, 32), (2, 32), (16, 256)])
def test_bars_are_the_length_and_a_window_is_the_least_that_is_drawn(bars, steps):
    free = plan_sampling(DOMAIN, SamplingOptions(bars=bars))
    assert (
        free.conditioning.values.shape == (1, steps, total_channels(SATB))
        and free.end_tick == bars * BAR
    )


def test_a_kept_voice_is_given_and_the_others_are_not(tmp_path):
    kept = plan_sampling(DOMAIN, SamplingOptions(given=saved(chorale(), tmp_path), keep="Soprano"))
    assert rows(kept)[0].all() and not rows(kept)[1:].any()
    assert kept.conditioning.values[0, 0].nonzero().tolist() == [[72 - 55]]
    assert [(s.track, s.start_tick, s.end_tick) for s in kept.given_spans] == [
        ("soprano", 0, 3 * BAR)
    ]


def test_a_song_is_extended_by_as_many_bars_as_are_wished(tmp_path):
    file = saved(chorale(), tmp_path)
    longer = plan_sampling(DOMAIN, SamplingOptions(continue_from=file, bars=5))
    assert longer.end_tick == 8 * BAR and longer.conditioning.mask.shape[1] == 128
    assert rows(longer)[:, :48].all() and not rows(longer)[:, 48:].any()
    assert plan_sampling(DOMAIN, SamplingOptions(continue_from=file)).end_tick == 5 * BAR


@pytest.mark.parametrize(
    ("wished", "hidden"), [("2", {1}), ("1-2", {0, 1}), ("1,3", {0, 2}), (" 3 ", {2})]
)
def test_bars_are_filled_in_in_all_voices(tmp_path, wished, hidden):
    filled = plan_sampling(
        DOMAIN, SamplingOptions(given=saved(chorale(), tmp_path), infill_bars=wished)
    )
    known = rows(filled).unflatten(1, (3, 16)).bool()  # (K, bars, steps)
    for bar in range(3):
        assert known[:, bar].all() if bar not in hidden else not known[:, bar].any()


def test_a_box_of_bars_and_voices_is_filled_in(tmp_path):
    wishes = SamplingOptions(
        given=saved(chorale(), tmp_path), infill_bars="2", infill_tracks="bass, alto"
    )
    mask = rows(plan_sampling(DOMAIN, wishes))
    assert not mask[[1, 3], 16:32].any() and mask.sum() == 4 * 48 - 2 * 16


def test_a_pickup_is_bar_0_and_what_fills_it_up_is_not_given(tmp_path):
    song = chorale(anacrusis_ticks=480)  # 1 + 2 full bars + 3 quarters
    kept = plan_sampling(DOMAIN, SamplingOptions(given=saved(song, tmp_path), keep="bass"))
    assert (kept.start_tick, kept.end_tick) == (1440, 1440 + 3 * BAR)
    assert kept.conditioning.mask.shape[1] == 64
    assert rows(kept)[3].nonzero().flatten().tolist() == list(range(12, 60))
    filled = plan_sampling(DOMAIN, SamplingOptions(given=saved(song, tmp_path), infill_bars="0"))
    assert rows(filled)[0].nonzero().flatten().tolist() == list(range(16, 60))


def test_a_nameless_melody_is_taken_for_the_voice_that_is_kept(tmp_path):
    melody = Song((quarters("Piano", 72, 74, 76, 77),), BAR)
    kept = plan_sampling(DOMAIN, SamplingOptions(given=saved(melody, tmp_path), keep="soprano"))
    assert rows(kept)[0, :16].all() and rows(kept).sum() == 16


def test_four_nameless_tracks_are_taken_from_the_highest_to_the_lowest(tmp_path):
    song = chorale(names=("d", "c", "b", "a"))
    shuffled = Song(song.tracks[::-1], song.length_ticks)
    longer = plan_sampling(DOMAIN, SamplingOptions(continue_from=saved(shuffled, tmp_path)))
    first = longer.conditioning.values[0, 0].nonzero().flatten().tolist()
    assert first == [72 - 55, 33 + 65 - 48, 66 + 58 - 43, 99 + 48 - 36]


def test_a_voice_that_the_file_lacks_is_written_anew_and_said_so(tmp_path):
    song = chorale()
    duet = Song(song.tracks[:2], song.length_ticks)
    with pytest.warns(UserWarning, match="no track for tenor, bass"):
        longer = plan_sampling(DOMAIN, SamplingOptions(continue_from=saved(duet, tmp_path)))
    assert rows(longer)[:2, :48].all() and not rows(longer)[2:].any()


def test_what_the_grid_or_the_voice_cannot_hold_is_said(tmp_path):
    late = Song((Track("soprano", (Note(50, 480, 72),)),), BAR)
    with pytest.warns(UserWarning, match="moved to the grid"):
        plan_sampling(DOMAIN, SamplingOptions(given=saved(late, tmp_path), keep="soprano"))
    chord = Song((Track("soprano", (Note(0, 480, 72), Note(0, 480, 76))),), BAR)
    with pytest.warns(UserWarning, match="is monophonic: 1 overlapping"):
        plan_sampling(DOMAIN, SamplingOptions(given=saved(chord, tmp_path), keep="soprano"))


def test_drums_are_given_to_drums(tmp_path):
    beat = Track("Kit", tuple(Note(480 * i, 480 * i + 120, 36) for i in range(8)), is_drum=True)
    file = saved(Song((beat,), 2 * BAR), tmp_path)
    kept = plan_sampling(MusicDomain(voices=BAND), SamplingOptions(given=file, keep="drums"))
    assert rows(kept)[1].all() and rows(kept).sum() == 32
    with pytest.raises(
        ValueError, match=r"song\.mid: must have a track for soprano.*; got drums only"
    ):
        plan_sampling(DOMAIN, SamplingOptions(given=file, keep="soprano"))


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (SamplingOptions(bars=0), "bars must be 1 or more; got 0"),
        (SamplingOptions(keep="soprano"), "need a file: --given FILE"),
        (SamplingOptions(infill_bars="1"), "need a file: --given FILE"),
        (
            SamplingOptions(retrigger=True),
            "--retrigger needs a file: --given FILE or --continue-from FILE",
        ),
        (
            SamplingOptions(given="FILE", continue_from="FILE"),
            "--given and --continue-from must not be set together",
        ),
        (
            SamplingOptions(given="FILE", bars=4, keep="alto"),
            "--bars must not be set with --given",
        ),
        (SamplingOptions(given="FILE"), "nothing is left to generate"),
        (
            SamplingOptions(given="FILE", keep="oboe"),
            "--keep must be voices of soprano, alto, tenor.*; got oboe",
        ),
        (
            SamplingOptions(given="FILE", infill_tracks="x"),
            "--infill-tracks must be voices of soprano.*; got x",
        ),
        (
            SamplingOptions(given="FILE", infill_bars="4"),
            "--infill-bars must be bars of 1 to 3.*; got 4",
        ),
        (
            SamplingOptions(given="FILE", infill_bars="0"),
            "--infill-bars must be bars of 1 to 3.*; got 0",
        ),
        (
            SamplingOptions(given="FILE", infill_bars="two"),
            "--infill-bars must be bars of 1 to 3.*; got two",
        ),
    ],
)
def test_a_wish_that_makes_no_sense_is_one_line(tmp_path, wishes, said):
    file = saved(chorale(), tmp_path)
    named = {key: file for key in ("given", "continue_from") if getattr(wishes, key) == "FILE"}
    with pytest.raises(ValueError) as caught:
        plan_sampling(DOMAIN, wishes._replace(**named))
    assert re.search(said, str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("song", "said"),
    [
        (chorale(time_signatures=(TimeSignature(0, 6, 8),)), "must be 4/4, the model's; got 6/8"),
        (
            chorale(time_signatures=(TimeSignature(0, 4, 4), TimeSignature(BAR, 3, 4))),
            "must be 4/4, the model's; got 3/4, 4/4",
        ),
        (trio(), "must have a track for soprano; got 'a', 'b', 'alto'; rename"),
        (
            Song((quarters("soprano", 30),), BAR),
            "the range of the voice; got 30; transpose",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_named_in_one_line(tmp_path, song, said):
    file = saved(song, tmp_path)
    with pytest.raises(ValueError) as caught:
        plan_sampling(DOMAIN, SamplingOptions(given=file, keep="soprano"))
    assert re.search(said, str(caught.value)) and "song.mid: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"none\.mid: cannot be read"):
        plan_sampling(DOMAIN, SamplingOptions(continue_from=tmp_path / "none.mid"))


def test_a_given_song_is_longer_than_a_window_only_if_it_is(tmp_path):
    short = plan_sampling(
        DOMAIN, SamplingOptions(given=saved(chorale(bars=1), tmp_path), keep="alto")
    )
    assert short.conditioning.mask.shape[1] == 32 and short.end_tick == BAR
    assert not torch.any(rows(short)[:, 16:])


def test_chords_key_and_ending_are_asked_for_by_step():
    asked = SamplingOptions(bars=3, key="Em", chords="G Em,Am", ending=True)
    conditioning = plan_sampling(DOMAIN, asked).conditioning
    assert asked.has_plan and not SamplingOptions(bars=3).has_plan
    assert conditioning.key.argmax(-1).tolist() == [7]
    g, em, am = 7, 12 + 4, 12 + 9
    assert conditioning.chords.tolist() == [[g] * 16 + [em] * 8 + [am] * 8 + [g] * 16]
    assert conditioning.ending.tolist() == [[1.0]]
    free = plan_sampling(DOMAIN, SamplingOptions(bars=3)).conditioning
    assert free.key is free.chords is free.ending is None


@pytest.mark.parametrize(("key", "chord"), [("Em", 12 + 4), ("G", 7), ("", TONIC_CHORD)])
@pytest.mark.parametrize(("bars", "before", "after"), [(3, 32, 0), (1, 0, 16)])
def test_an_ending_is_on_the_tonic_in_the_last_bar_of_the_song(key, chord, bars, before, after):
    asked = SamplingOptions(bars=bars, key=key, ending=True)
    chords = plan_sampling(DOMAIN, asked).conditioning.chords
    assert chords.tolist() == [[ANY_CHORD] * before + [chord] * 16 + [ANY_CHORD] * after]


def test_chords_that_are_asked_for_come_before_the_tonic_of_an_ending():
    asked = SamplingOptions(bars=3, key="G", chords="C", ending=True)
    assert plan_sampling(DOMAIN, asked).conditioning.chords.unique().tolist() == [0]
