import zipfile
from collections import Counter

import pytest

from multigan.music.formats.musicxml import read_musicxml
from multigan.music.formats.song import KeySignature, TempoChange, TimeSignature

BAR = 1920


def note(step="C", octave=4, duration=4, *, alter=0, tie="", more=""):
    ties = "".join(f'<tie type="{kind}"/>' for kind in tie.split())
    return (
        f"<note>{more}<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave>"
        f"</pitch><duration>{duration}</duration>{ties}</note>"
    )


def rest(duration):
    return f"<note><rest/><duration>{duration}</duration></note>"


def attributes(divisions=4, time="", key="", more=""):
    beats, _, unit = time.partition("/")
    signature = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>" if time else ""
    return f"<attributes><divisions>{divisions}</divisions>{key}{signature}{more}</attributes>"


def score(*parts):
    names = "".join(f'<score-part id="P{i}"><part-name>V\n{i}</part-name></score-part>'
                    for i in range(len(parts)))  # fmt: skip
    bodies = ""
    for i, measures in enumerate(parts):
        inside = "".join(f"<measure>{measure}</measure>" for measure in measures)
        bodies += f'<part id="P{i}">{inside}</part>'
    return f"<score-partwise><part-list>{names}</part-list>{bodies}</score-partwise>"


def read(tmp_path, *parts):
    path = tmp_path / "score.xml"
    path.write_text(score(*parts))
    return read_musicxml(path)


def heard(song, part=0):
    return [n[:3] for n in song.tracks[part].notes]


def test_durations_count_divisions_of_a_quarter_which_may_change(tmp_path):
    song = read(
        tmp_path, [attributes(2) + note(duration=2) + attributes(3) + note("D", duration=1)]
    )
    assert heard(song) == [(0, 480, 60), (480, 640, 62)]


def test_accidentals_octaves_and_transposing_instruments_sound_right(tmp_path):
    horn = "<transpose><chromatic>-3</chromatic><octave-change>-1</octave-change></transpose>"
    song = read(
        tmp_path,
        [attributes() + note("B", 3, alter=-1) + note("C", 5, alter=1)],
        [attributes(more=horn) + note("C", 5)],
    )
    assert [n[2] for n in heard(song)] == [58, 73] and heard(song, 1)[0][2] == 72 - 15


def test_names_lose_their_line_breaks(tmp_path):
    song = read(tmp_path, [attributes() + note()], [attributes() + note()])
    assert [track.name for track in song.tracks] == ["V 0", "V 1"]


def test_a_second_voice_begins_after_a_backup_and_a_measure_ends_at_its_furthest_point(tmp_path):
    back = "<backup><duration>8</duration></backup><forward><duration>4</duration></forward>"
    song = read(
        tmp_path,
        [attributes(time="2/4") + note(duration=8) + back + note("E", duration=2), note("G")],
    )
    assert heard(song) == [(0, 960, 60), (480, 720, 64), (960, 1440, 67)]


def test_a_chord_begins_together_and_the_next_note_after_it(tmp_path):
    song = read(tmp_path, [attributes() + note() + note("E", more="<chord/>") + note("G")])
    assert heard(song) == [(0, 480, 60), (0, 480, 64), (480, 960, 67)]


def test_grace_and_cue_notes_do_not_sound(tmp_path):
    grace = note("E", more="<grace/>").replace("<duration>4</duration>", "")
    song = read(tmp_path, [attributes() + grace + note(more="<cue/>") + note("D")])
    assert heard(song) == [(480, 960, 62)]


def test_ties_make_one_note_of_many_over_bar_lines(tmp_path):
    first = attributes(time="1/4") + note(tie="start")
    song = read(tmp_path, [first, note(tie="stop start"), note(tie="stop"), note()])
    assert heard(song) == [(0, 1440, 60), (1440, 1920, 60)]


def test_a_tie_without_its_other_end_is_a_note(tmp_path):
    song = read(tmp_path, [attributes() + note(tie="stop") + rest(4) + note(tie="start")])
    assert heard(song) == [(0, 480, 60), (960, 1440, 60)]


def test_a_tie_holds_for_its_own_pitch(tmp_path):
    chord = note(tie="start") + note("E", more="<chord/>", tie="start")
    song = read(tmp_path, [attributes() + chord + note(tie="stop") + note("E", more="<chord/>")])
    assert heard(song) == [(0, 960, 60), (0, 480, 64), (480, 960, 64)]


def test_a_short_first_measure_is_a_pickup(tmp_path):
    song = read(tmp_path, [attributes(time="4/4") + note(), note(duration=16), note(duration=12)])
    assert song.anacrusis_ticks == 480 and song.bar_lines() == [480, 2400]
    assert (
        song.time_signatures == (TimeSignature(0, 4, 4),) and song.length_ticks == 480 + BAR + 1440
    )


def test_two_measures_that_complete_each_other_are_one_bar(tmp_path):
    measures = [attributes(time="4/4") + note(duration=16), note(duration=12), note(duration=4)]
    song = read(tmp_path, [*measures, note(duration=16)])
    assert song.time_signatures == (TimeSignature(0, 4, 4),) and song.bar_lines() == [
        0,
        BAR,
        2 * BAR,
    ]


def test_an_irregular_measure_gets_a_metre_of_its_own(tmp_path):
    measures = [attributes(time="4/4") + note(duration=16), note(duration=12), note(duration=16)]
    song = read(tmp_path, [*measures, note(duration=20)])
    later = 2 * BAR + 1440
    assert song.time_signatures == (
        TimeSignature(0, 4, 4), TimeSignature(BAR, 3, 4), TimeSignature(BAR + 1440, 4, 4),
        TimeSignature(later, 5, 4),
    )  # fmt: skip


def test_changes_of_metre_start_their_bars(tmp_path):
    changed = attributes(time="3/4") + note(duration=12)
    song = read(tmp_path, [attributes(time="4/4") + note(duration=16), changed, note(duration=12)])
    assert song.time_signatures == (TimeSignature(0, 4, 4), TimeSignature(BAR, 3, 4))
    assert song.bar_lines() == [0, BAR, BAR + 1440]


def test_a_part_that_counts_less_waits_for_the_others(tmp_path):
    long = [attributes(time="4/4") + note(duration=16), note("D", duration=16)]
    short = [attributes(time="4/4") + note(duration=4), note("E", duration=16)]
    assert heard(read(tmp_path, long, short), 1) == [(0, 480, 60), (BAR, 2 * BAR, 64)]


@pytest.mark.parametrize(
    "fifths, mode, key",
    [
        (0, "major", KeySignature(0)),
        (-1, "minor", KeySignature(2, True)),
        (2, "none", KeySignature(2)),
        (-7, "major", KeySignature(11)),
    ],
)
def test_the_key_is_that_of_the_signature(tmp_path, fifths, mode, key):
    said = f"<key><fifths>{fifths}</fifths><mode>{mode}</mode></key>"
    assert read(tmp_path, [attributes(key=said) + note()]).key == key
    assert read(tmp_path, [attributes() + note()]).key is None


def test_the_first_tempo_counts(tmp_path):
    assert read(tmp_path, ['<sound tempo="76"/>' + attributes() + note()]).tempo_bpm == 76


@pytest.mark.parametrize("container", [True, False])
def test_a_compressed_score_is_found_by_its_container_or_else_its_name(tmp_path, container):
    path = tmp_path / "score.mxl"
    with zipfile.ZipFile(path, "w") as archive:
        if container:
            archive.writestr("a-decoy.xml", "<nothing/>")
            root = '<rootfiles><rootfile full-path="x/score.xml"/></rootfiles>'
            archive.writestr(
                "META-INF/container.xml", f'<container xmlns="urn:x">{root}</container>'
            )
        archive.writestr("META-INF/more.xml", "<nothing/>")
        archive.writestr("x/score.xml", score([attributes() + note()]))
    assert heard(read_musicxml(path)) == [(0, 480, 60)]


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "no element found"),
        (b"<opus/>", "its root must be <score-partwise>; got <opus>"),
        (b"<score-timewise/>", "it must have measures; got none"),
        (b"<score-partwise/>", "it must have measures; got none"),
        (score([attributes()]).encode(), "a measure that is not empty"),
        (b"PK\3\4 not an archive", "zip"),
        (score([attributes() + note(duration="nan")]).encode(), "a measure that is not empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_one_line(tmp_path, content, said):
    path = tmp_path / "bad.xml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_musicxml(path)
    assert str(caught.value).startswith(f"{path}: cannot be read") and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.xml: cannot be read \(.*No such file"):
        read_musicxml(tmp_path / "none.xml")


def test_notes_without_pitch_are_left_out_and_counted(tmp_path):
    path, changes = tmp_path / "x.xml", Counter()
    drum = "<note><unpitched/><duration>4</duration></note>"
    path.write_text(score([attributes() + drum + note()]))
    assert len(read_musicxml(path, changes).tracks[0].notes) == 1
    assert changes == {"notes without pitch, left out": 1}


def read_counted(tmp_path, content, name="x.xml"):
    changes = Counter()
    (tmp_path / name).write_text(content)
    return read_musicxml(tmp_path / name, changes), changes


def test_a_percussion_part_is_a_drum_track_with_the_pitches_of_its_instruments(tmp_path):
    kit = "".join(
        f'<midi-instrument id="{name}"><midi-channel>10</midi-channel>'
        f"<midi-unpitched>{key}</midi-unpitched></midi-instrument>"
        for name, key in (("kick", 37), ("snare", 39))
    )
    hits = "".join(
        f'<note><unpitched/><duration>4</duration><instrument id="{name}"/></note>'
        for name in ("kick", "snare", "cowbell")
    )
    content = score([attributes() + hits]).replace("</part-name>", f"</part-name>{kit}")
    song, changes = read_counted(tmp_path, content)
    assert song.tracks[0].is_drum and heard(song) == [(0, 480, 36), (480, 960, 38)]
    assert changes == {"notes without pitch, left out": 1}


def test_the_program_of_a_part_is_kept(tmp_path):
    midi = '<midi-instrument id="I"><midi-program>41</midi-program></midi-instrument>'
    content = score([attributes() + note()]).replace("</part-name>", f"</part-name>{midi}")
    song, _ = read_counted(tmp_path, content)
    assert song.tracks[0].program == 40 and not song.tracks[0].is_drum


def test_tempo_changes_dynamics_and_pedal_are_kept(tmp_path):
    def direction(content):
        return f"<direction><direction-type/>{content}</direction>"

    mark = "<metronome><beat-unit>half</beat-unit><per-minute>30</per-minute></metronome>"
    pedal = '<pedal type="{}"/>'
    first = attributes() + direction('<sound tempo="120" dynamics="50"/>') + note()
    first += direction(pedal.format("start")) + note(duration=8) + direction(pedal.format("stop"))
    second = direction(mark) + note(duration=16)
    song, changes = read_counted(tmp_path, score([first, second]))
    assert song.tempo_bpm == 120 and song.tempo_changes == (TempoChange(1440, 60),)
    assert {n.velocity for n in song.tracks[0].notes} == {45}
    assert song.tracks[0].pedal == ((480, 1440),) and not changes


def test_what_is_left_out_is_counted(tmp_path):
    bars = [
        attributes(key="<key><fifths>0</fifths></key>"),
        note(more="<grace/>") + note(more="<cue/>"),
        attributes(key="<key><fifths>2</fifths></key>") + note(duration="") + note(octave=12),
        note() + '<barline><repeat direction="backward"/></barline>',
    ]
    song, changes = read_counted(tmp_path, score(bars))
    assert len(song.tracks[0].notes) == 1 and changes == {
        "grace notes, left out": 1,
        "cue notes, left out": 1,
        "changes of key signature, left out": 1,
        "durations that make no sense, read as 0": 1,
        "pitches out of range, left out": 1,
        "repeats, read once": 1,
    }


def test_the_key_sounds_as_a_transposing_part_does(tmp_path):
    clarinet = "<transpose><chromatic>-2</chromatic></transpose>"
    key = "<key><fifths>2</fifths></key>"
    assert read(tmp_path, [attributes(key=key, more=clarinet) + note()]).key == KeySignature(0)


SENSELESS = {
    "division": attributes("0"),
    "division of letters": attributes("four"),
    "key": attributes(1, key="<key><fifths>two</fifths></key>"),
    "key of 99 sharps": attributes(1, key="<key><fifths>99</fifths></key>"),
    "time of letters": attributes(1, "C/4"),
    "time of thirds": attributes(1, "4/3"),
    "transposition": attributes(1, more="<transpose><chromatic>x</chromatic></transpose>"),
    "step": note("H", duration=1),
    "octave": note(octave="high", duration=1),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_what_makes_no_sense_costs_at_most_itself(tmp_path, name):
    path, changes = tmp_path / "score.xml", Counter()
    path.write_text(score([attributes(1) + note(duration=4), SENSELESS[name] + note(duration=4)]))
    song = read_musicxml(path, changes)
    assert [pitch for *_, pitch in heard(song)] == [60, 60]
    assert song.time_signatures[0][1:] == (4, 4)
    assert changes.total() == (name != "transposition")


def test_quarter_tones_are_rounded_and_counted(tmp_path):
    path, changes = tmp_path / "score.xml", Counter()
    path.write_text(score([attributes(1) + note(duration=4, alter=1.5)]))
    assert heard(read_musicxml(path, changes))[0][2] == 62
    assert changes == Counter({"pitches between two semitones, rounded": 1})


def test_a_score_with_a_namespace_or_in_a_broken_container_is_read(tmp_path):
    text = score([attributes(1) + note(duration=4)])
    named = text.replace("<score-partwise>", '<score-partwise xmlns="http://a.b/c">')
    (tmp_path / "score.xml").write_text(named)
    with zipfile.ZipFile(tmp_path / "score.mxl", "w") as archive:
        archive.writestr("META-INF/container.xml", "<container")
        archive.writestr("SCORE.XML", text)
    for name in ("score.xml", "score.mxl"):
        assert heard(read_musicxml(tmp_path / name)) == [(0, 1920, 60)]


def test_a_timewise_score_is_read_as_a_partwise_one(tmp_path):
    bars = [[note("C", duration=16), note("D", duration=16)], [note("E", duration=16)] * 2]
    bars = [[attributes() + part[0], part[1]] for part in bars]
    names = "".join(
        f'<score-part id="P{i}"><part-name>V{i}</part-name></score-part>' for i in range(2)
    )
    inside = ""
    for k in range(2):
        parts = "".join(f'<part id="P{i}">{bars[i][k]}</part>' for i in range(2))
        inside += f"<measure>{parts}</measure>"
    content = f"<score-timewise><part-list>{names}</part-list>{inside}</score-timewise>"
    song, _ = read_counted(tmp_path, content)
    assert [track.name for track in song.tracks] == ["V0", "V1"]
    assert heard(song) == [(0, BAR, 60), (BAR, 2 * BAR, 62)]
    assert heard(song, 1) == [(0, BAR, 64), (BAR, 2 * BAR, 64)]


@pytest.mark.parametrize("root", ["./score.musicxml", "missing.xml", "page.pdf"])
def test_a_strange_rootfile_leads_to_the_score_all_the_same(tmp_path, root):
    path = tmp_path / "score.mxl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("page.pdf", "%PDF")
        archive.writestr("__MACOSX/._score.xml", b"\0\5\x16\7")
        files = f'<rootfiles><rootfile full-path="{root}"/></rootfiles>'
        archive.writestr("META-INF/container.xml", f"<container>{files}</container>")
        archive.writestr("score.musicxml", score([attributes() + note()]))
    assert heard(read_musicxml(path)) == [(0, 480, 60)]


def test_a_measure_of_rounded_tuplets_is_read(tmp_path):
    bars = [attributes(100) + note(duration=14) * 7, note(duration=100) * 4, note(duration=100) * 4]
    song = read(tmp_path, ["".join([attributes(100), note(duration=300)]), *bars])
    assert len(song.tracks[0].notes) == 1 + 7 + 8
    assert (song.time_signatures[-1].counts, song.time_signatures[-1].unit) == (4, 4)
