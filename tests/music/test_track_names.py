import pytest

from multigan.music.datasets.track_assignment import UnsuitableSong, assign_tracks
from multigan.music.formats.song import Note, Song, Track
from multigan.music.representations.track_names import best_named, best_voice, name_match

VOICES = {
    "soprano": [
        "Soprano",
        "Sopran",
        "CANTO",
        "Cantus",
        "S.",
        "S1",
        "Sopranos 2",
        "Сопрано",
        "Sopr.",
    ],
    "alto": ["Alt", "Altus", "Contralto", "A", "alto_1", "Альт", "Haute-contre"],
    "tenor": ["Tenore", "Ténor", "Tenor II", "T", "Taille"],
    "bass": ["Basso", "Baß", "Basse", "Bassus", "B.", "Bajo", "ベース", "Basses"],
    "melody": ["MELODY", "Melodie", "Mélodie", "主旋律", "Voice", "Lead Vocal"],
    "piano": ["Klavier", "Pianoforte", "E-Piano", "Piano L.H.", "钢琴"],
}


@pytest.mark.parametrize("voice", VOICES)
def test_names_of_voices_are_known_in_common_languages(voice):
    assert [name for name in VOICES[voice] if not name_match(voice, name)] == []
    others = [other for other in VOICES if other not in (voice, "melody")]
    wrong = [(other, name) for other in others for name in VOICES[voice] if name_match(other, name)]
    assert wrong == []


def track(name, *pitches, **fields):
    notes = (Note(480 * k, 480 * (k + 1), pitch) for k, pitch in enumerate(pitches))
    return Track(name, tuple(notes), **fields)


def test_an_exact_name_wins_over_a_word_and_a_word_over_a_prefix():
    names = ["Bassoon", "Bass Clarinet", "Bass", "Bassline II"]
    tracks = [track(name, *[40] * (5 - k)) for k, name in enumerate(names)]
    assert [t.name for t in best_named("bass", tracks)] == ["Bass"]
    assert [t.name for t in best_named("bass", tracks[:2])] == ["Bass Clarinet"]
    assert best_named("bass", tracks[:1]) == []
    assert name_match("alto", "Altitude") and not name_match("alto", "Fa")


def test_a_name_of_two_roles_is_that_of_the_first():
    voices = ("bass", "lead", "chords")
    named = {"Bass Guitar": "bass", "Lead Guitar": "lead", "Guitar": "chords", "Flute": None}
    assert {name: best_voice(voices, name) for name in named} == named


def choir(*names):
    homes = (67, 60, 55, 43)
    return [track(name, *[home] * 4) for name, home in zip(names, homes, strict=False)]


def test_an_instrument_with_the_name_of_a_voice_does_not_replace_it():
    tracks = [*choir("Soprano", "Alto", "Tenor", "Bass"), track("Bassoon", *[45] * 8)]
    found = assign_tracks(Song(tuple(tracks), 3840), "satb")
    assert found.assigned_tracks["bass"] == ["Bass"]
    assert found.left_out == {"in tracks without a voice in the layout": 8}


def test_a_voice_without_a_name_is_the_track_that_is_left():
    found = assign_tracks(Song(tuple(choir("Canto", "Altus", "Nobody", "Bassus")), 1920), "satb")
    assert found.assigned_tracks["tenor"] == ["Nobody"]


def chords(name, *roots, program=0):
    notes = [
        Note(480 * k, 480 * (k + 1), root + step)
        for k, root in enumerate(roots)
        for step in (0, 4, 7)
    ]
    return Track(name, tuple(notes), program)


def whole_piano(name, chord_every=3):
    """A bass that is held below single notes, with a chord in between."""
    notes = [Note(0, 480 * 6, 50)]
    for k in range(6):
        pitches = (64, 67, 72) if k and k % chord_every == 0 else (70 + k,)
        notes += [Note(480 * k, 480 * (k + 1), pitch) for pitch in pitches]
    return Track(name, tuple(notes))


def test_melody_layouts_take_the_melody_by_name_program_or_height():
    accompaniment = chords("PIANO", 48, 53, 55)
    named = Song((accompaniment, track("BRIDGE", 60), track("Melodie", 70, 72)), 1920)
    found = assign_tracks(named, "melody+piano")
    assert found.assigned_tracks == {"melody": ["Melodie"], "piano": ["PIANO", "BRIDGE"]}
    legato = Track("", (Note(0, 500, 70), Note(480, 960, 72)))
    right_hand = Track("Piano right", legato.notes)
    for tracks in (
        (chords("", 48), track("", 70)), (chords("", 48), track("", 50, program=73)),
        (chords("", 48), legato), (chords("Piano left", 48), right_hand),
    ):  # fmt: skip
        played = assign_tracks(Song(tracks, 960), "melody+chords").song
        assert [t.notes for t in played.tracks] == [tracks[1].notes, tracks[0].notes]


@pytest.mark.parametrize(
    "tracks, layout, said",
    [
        ((chords("", 48), chords("", 60)), "melody+piano", "has no melody"),
        ((chords("x", 48), whole_piano("piano")), "melody+piano", "has no melody"),
        ((chords("x", 48), whole_piano("Klavier II")), "melody+chords", "has no melody"),
        ((chords("x", 48), whole_piano("", chord_every=2)), "melody+piano", "has no melody"),
        ((chords("x", 48), whole_piano("E-Piano", chord_every=9)), "melody+piano", "no melody"),
        ((track("Melody", 60),), "melody+piano", "has no accompaniment"),
        ((track("Melody", 60), track("x", 40)), "melody+chords", "has no chords"),
    ],
)
def test_what_a_melody_layout_lacks_is_named(tracks, layout, said):
    with pytest.raises(UnsuitableSong, match=said):
        assign_tracks(Song(tracks, 2880), layout)


def test_chord_labels_over_an_accompaniment_are_left_out_and_counted():
    labels = chords("chords", 48, 53)
    found = assign_tracks(Song((chords("piano", 50, 55), labels), 960), "piano")
    assert found.assigned_tracks == {"piano": ["piano"]} and found.left_out == {
        "of chord labels": 6
    }
    sheet = assign_tracks(Song((track("melody", 60, 62), labels), 960), "melody+chords")
    assert sheet.assigned_tracks["chords"] == ["chords"] and not sheet.left_out


def written_out(name="MIDI 01", gap=0, program=0, velocity=90):
    """Three chords, one after another."""
    notes = [
        Note(480 * k, 480 * (k + 1) - gap, pitch + k, velocity)
        for k in range(3)
        for pitch in (48, 52, 55)
    ]
    return Track(name, tuple(notes), program)


PLAYED = Track("piano", tuple(Note(240 * k, 240 * k + 480, 60 + k) for k in range(5)))


@pytest.mark.parametrize(
    ("labels", "left_out"),
    [
        (written_out(), 9),
        (written_out(""), 9),
        (written_out(gap=10), 0),  # played
        (written_out("Strings"), 0),
        (written_out(program=48), 0),
    ],
)
def test_chords_written_out_over_an_accompaniment_are_labels_without_a_name(labels, left_out):
    found = assign_tracks(Song((PLAYED, labels), 1920), "piano")
    assert found.left_out["of chord labels"] == left_out


def test_chords_written_out_under_a_melody_are_its_accompaniment():
    melody = Track("", tuple(Note(240 * k, 240 * k + 240, 70 + k) for k in range(5)))
    found = assign_tracks(Song((melody, written_out("")), 1920), "melody+chords")
    assert len(found.song.track("chords").notes) == 9 and not found.left_out


def test_tracks_can_be_left_out_by_name_and_drums_without_a_row_are_counted():
    tracks = (track("Click", 60), *choir("", "", "", ""))
    found = assign_tracks(Song(tracks, 1920), "satb", ["click"])
    assert found.left_out == {"in tracks named by --leave-out": 1}
    band = (
        track("bass", 40), track("lead", 72), chords("chords", 60),
        track("kit", 36, 20, 75, is_drum=True),
    )  # fmt: skip
    assert assign_tracks(Song(band, 1440), "band").left_out == {"of drums without a row": 1}


def test_notes_that_a_monophonic_voice_cuts_are_counted():
    legato = Track("melody", (Note(0, 500, 70), Note(480, 970, 72), Note(960, 1440, 70)))
    found = assign_tracks(Song((chords("", 48), legato), 1440), "melody+chords")
    assert found.changed == {"cut where the next note of a monophonic voice begins": 2}
