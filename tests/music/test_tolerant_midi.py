"""Events that make no sense cost at most themselves, and are counted."""

import struct
from collections import Counter

import mido
import pytest

from multigan.music.formats.midi import read_midi, read_midi_counted, write_midi
from multigan.music.formats.midi_notes import decode_name
from multigan.music.formats.song import KeySignature, Note, Song, TempoChange, TimeSignature, Track
from tests.music.midi_corruption import GOOD, NOTES, header, midi_bytes, track

WHOLE = ((0, 480, 60, 64),)


def read(folder, content):
    path = folder / "x.mid"
    path.write_bytes(content)
    return read_midi_counted(path)


def notes(song, index=0):
    return tuple(tuple(note) for note in song.tracks[index].notes)


def on(pitch, time=0, **fields):
    return mido.Message("note_on", note=pitch, velocity=64, time=time, **fields)


def off(pitch, time=0, **fields):
    return mido.Message("note_off", note=pitch, time=time, **fields)


def body(*events, end=b"\0\xff\x2f\0"):
    return track(b"".join(events) + end)


def variable(number):
    return bytes([0x80 | number >> 7, number & 0x7F]) if number > 0x7F else bytes([number])


SOUND = b"\0\x90\x3c\x40\x83\x60\x80\x3c\x00"  # pitch 60 for 480 ticks
META = {
    "18 flats": (b"\0\xff\x59\x02\xee\x00", "key signatures"),
    "mode 255": (b"\0\xff\x59\x02\x00\xff", "key signatures"),
    "key without data": (b"\0\xff\x59\x00", "key signatures"),
    "tempo 0": (b"\0\xff\x51\x03\0\0\0", "tempos"),
    "tempo of 2 bytes": (b"\0\xff\x51\x02\x07\xa1", "tempos"),
    "0/4": (b"\0\xff\x58\x04\x00\x02\x18\x08", "time signatures"),
    "4/1024": (b"\0\xff\x58\x04\x04\x0a\x18\x08", "time signatures"),
    "signature without data": (b"\0\xff\x58\x00", "time signatures"),
}


@pytest.mark.parametrize("name", META)
def test_meta_events_that_make_no_sense_are_left_out_and_counted(tmp_path, name):
    event, kind = META[name]
    song, changes = read(tmp_path, body(event, SOUND))
    assert notes(song) == WHOLE and song.time_signature_names == ["4/4"] and song.tempo_bpm == 120
    assert changes == Counter({f"{kind} that make no sense, left out": 1})


def test_a_key_after_one_that_makes_no_sense_is_read(tmp_path):
    flats = b"\0\xff\x59\x02\xfd\x01"  # three flats, minor
    assert read(tmp_path, body(META["18 flats"][0], flats, SOUND)).song.key == KeySignature(0, True)


OUT_OF_RANGE = {
    "controller": b"\0\xb0\x07\xff",
    "program": b"\0\xc0\x80",
    "note": b"\0\x90\xbc\x40",
    "pitch bend": b"\0\xe0\x90\x40",
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_events_with_data_out_of_range_are_left_out_and_counted(tmp_path, name):
    song, changes = read(tmp_path, body(OUT_OF_RANGE[name], SOUND))
    assert notes(song) == WHOLE and changes == {"events with data out of range": 1}


def test_a_velocity_out_of_range_keeps_its_note(tmp_path):
    song, changes = read(tmp_path, body(SOUND.replace(b"\x3c\x40", b"\x3c\xf0", 1)))
    assert notes(song) == ((0, 480, 60, 127),)
    assert changes == {"velocities out of range, set to 127": 1}


def riff(content):
    data = b"data" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    info = b"LIST" + struct.pack("<I", 4) + b"INFO"
    return b"RIFF" + struct.pack("<I", 4 + len(data) + len(info)) + b"RMID" + data + info


WRAPPED = {
    "riff": riff(GOOD),
    "macbinary": b"\0\x05x.mid".ljust(128, b"\0") + GOOD + b"\0" * (-len(GOOD) % 128),
    "web header": b"HTTP/1.0 200 OK\r\n\r\n" + GOOD,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_files_are_read(tmp_path, name):
    song, changes = read(tmp_path, WRAPPED[name])
    assert notes(song) == WHOLE and list(changes) == [
        "bytes before the header, such as a RIFF or MacBinary wrapper"
    ]


ALIEN = b"XFIH" + (6).to_bytes(4, "big") + b"\1\2\3\4\5\6"
CHUNKS = {
    "before": (GOOD[:14] + ALIEN + GOOD[14:], {"chunks that are no tracks": 1}),
    "after": (GOOD + ALIEN, {"chunks that are no tracks": 1}),
    "junk between": (GOOD[:14] + b"\0\xff\1" + GOOD[14:], {"bytes between the tracks": 1}),
    "padding after": (GOOD + bytes(7), {}),
    "long header": (GOOD[:7] + b"\x08" + GOOD[8:14] + b"\0\0" + GOOD[14:], {}),
    "too few tracks": (header(GOOD, tracks=3), {"tracks missing from the file": 2}),
    "too many tracks": (header(GOOD, tracks=0), {"tracks beyond the number in the header": 1}),
    "short length": (GOOD[:21] + b"\x06" + GOOD[22:], {"track lengths that are wrong": 1}),
    "long length": (GOOD[:20] + b"\xff" + GOOD[21:], {"track lengths that are wrong": 1}),
    "unknown type": (header(GOOD, type=7), {}),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_that_are_wrong_cost_no_note(tmp_path, name):
    content, expected = CHUNKS[name]
    song, changes = read(tmp_path, content)
    assert notes(song) == WHOLE and changes == expected


def test_a_wrong_length_of_one_track_leaves_the_next_one_whole(tmp_path):
    two = midi_bytes(NOTES, NOTES)
    for length in (b"\x02", b"\x30", b"\xff"):
        song, changes = read(tmp_path, two[:21] + length + two[22:])
        assert notes(song, 0) == notes(song, 1) == WHOLE
        assert changes["track lengths that are wrong"] == 1


@pytest.mark.parametrize("ticks", [1, 24, 96, 10080, 32767])
def test_length_is_judged_in_quarters_at_any_resolution(tmp_path, ticks):
    bars = [event for _ in range(256) for event in (on(60), off(60, 4 * ticks))]
    song, changes = read(tmp_path, midi_bytes(bars, ticks_per_beat=ticks))
    assert song.length_ticks == 256 * 1920 and not changes


def test_0_ticks_per_quarter_are_read_as_480(tmp_path):
    song, changes = read(tmp_path, header(GOOD, division=0))
    assert notes(song) == WHOLE and changes == {"0 ticks per quarter, read as 480": 1}


@pytest.mark.parametrize("division, ticks", [(0xE728, 500), (0xE250, 1200), (0xE801, 12)])
def test_smpte_timing_lasts_as_long_as_it_is(tmp_path, division, ticks):
    tempo = b"\0\xff\x51\x03\x0f\x42\x40"  # of no effect where ticks are parts of a second
    half = body(tempo, b"\0\x90\x3c\x40", variable(ticks) + b"\x80\x3c\0")
    song, changes = read(tmp_path, header(half, division=division))
    assert notes(song) == WHOLE and song.tempo_bpm == 120
    assert changes == Counter({"SMPTE timing, read at 120 quarters per minute": 1})


def test_a_note_without_note_off_sounds_until_its_track_ends(tmp_path):
    last = [on(60, 480), on(64), mido.MetaMessage("end_of_track", time=960)]
    song, changes = read(tmp_path, midi_bytes([*NOTES, *last]))
    assert notes(song)[1:] == ((960, 1920, 60, 64), (960, 1920, 64, 64))
    assert changes == {"notes without a note-off, ended with their track": 2}


def test_a_note_without_note_off_ends_where_its_pitch_begins_again(tmp_path):
    song, _ = read(
        tmp_path, midi_bytes([on(60), on(60, 240), off(60, 240), on(60, 480), off(60, 9)])
    )
    assert notes(song) == ((0, 240, 60, 64), (240, 480, 60, 64), (960, 969, 60, 64))


def test_a_note_that_begins_in_another_of_its_pitch_keeps_its_own_end(tmp_path):
    song, changes = read(tmp_path, midi_bytes([on(60), on(60, 240), off(60, 240), off(60, 480)]))
    assert notes(song) == ((0, 240, 60, 64), (240, 960, 60, 64))
    assert changes == {"notes that end where their pitch begins again": 1}


def test_doubled_notes_are_one_and_notes_of_0_ticks_keep_one(tmp_path):
    doubled = [on(60), on(60), off(60, 240), off(60, 240), on(62), off(62)]
    song, changes = read(tmp_path, midi_bytes(doubled))
    assert notes(song) == ((0, 480, 60, 64), (480, 481, 62, 64))
    assert changes == {
        "notes at the tick of another of their pitch, left out": 1,
        "notes of 0 ticks, made one tick long": 1,
    }


def test_note_offs_without_a_note_are_counted(tmp_path):
    song, changes = read(tmp_path, midi_bytes([off(61), *NOTES, off(60)]))
    assert notes(song) == WHOLE and changes == {"note-offs without a note, left out": 2}


def test_a_program_change_leaves_one_track_one_voice(tmp_path):
    change = mido.Message("program_change", program=40)
    song, changes = read(tmp_path, midi_bytes([*NOTES, *NOTES, change, *NOTES]))
    assert [(t.program, len(t.notes)) for t in song.tracks] == [(0, 3)]
    assert changes == {"notes in another program than most of their track": 1}


def test_every_channel_of_a_track_is_a_voice(tmp_path):
    events = [on(60), on(48, channel=1), off(60, 480), off(48, channel=1)]
    events = [mido.Message("program_change", program=32, channel=1), *events]
    for type in (0, 1):
        song, _ = read(tmp_path, midi_bytes(events, type=type))
        assert [(t.program, notes(song, k)[0][2]) for k, t in enumerate(song.tracks)] == [
            (0, 60), (32, 48),
        ]  # fmt: skip


def test_tracks_of_type_2_follow_one_another(tmp_path):
    song, changes = read(tmp_path, midi_bytes(NOTES, NOTES, type=2))
    assert notes(song, 1) == ((480, 960, 60, 64),) and changes.total() == 2
    assert not read(tmp_path, midi_bytes(NOTES, type=2)).changes


def test_tempo_signatures_and_pedal_of_a_type_2_file_stand_in_their_sequence(tmp_path):
    end = mido.MetaMessage("end_of_track", time=1440)
    first = [mido.MetaMessage("set_tempo", tempo=500_000), *NOTES, end]
    pedal = [mido.Message("control_change", control=64, value=v, time=t) for v, t in ((127, 0),)]
    second = [
        mido.MetaMessage("set_tempo", tempo=1_000_000),
        mido.MetaMessage("time_signature", numerator=3, denominator=4),
        mido.MetaMessage("key_signature", key="D"),
        *pedal,
        *NOTES,
    ]
    song, changes = read(tmp_path, midi_bytes(first, second, type=2))
    assert song.tempo_changes == (TempoChange(1920, 60),) and song.tempo_bpm == 120
    assert [m.start_tick for m in song.time_signatures] == [0, 1920]
    assert song.tracks[1].pedal == ((1920, 2400),) and notes(song, 1) == ((1920, 2400, 60, 64),)
    assert set(changes) == {"tracks of a type 2 file, read one after another"}


def test_a_note_ends_on_another_track_of_its_channel_but_not_in_another_sequence(tmp_path):
    starts, ends = [on(60), on(60, 960)], [off(60, 480), off(60, 960)]
    song, changes = read(tmp_path, midi_bytes(starts, ends))
    assert notes(song) == ((0, 480, 60, 64), (960, 1440, 60, 64))
    assert changes == {"notes that end on another track of their channel": 2}
    long = [on(60), mido.MetaMessage("end_of_track", time=480)]
    song, changes = read(tmp_path, midi_bytes(long, [off(60, 480)], type=2))
    assert notes(song) == WHOLE and changes["note-offs without a note, left out"] == 1
    other = [off(60, 240, channel=1)]
    assert notes(read(tmp_path, midi_bytes([on(60), on(62, 480)], other)).song)[0][1] == 480


def test_pedal_on_another_track_is_kept_and_without_notes_is_counted(tmp_path):
    def pedal(channel):
        values = ((127, 0), (0, 480))
        return [
            mido.Message("control_change", channel=channel, control=64, value=value, time=time)
            for value, time in values
        ]

    song, changes = read(tmp_path, midi_bytes(NOTES, pedal(0), pedal(3)))
    assert song.tracks[0].pedal == ((0, 480),)
    assert changes == {"pedal in a channel without notes, left out": 1}


def test_changes_of_key_are_counted(tmp_path):
    keys = [mido.MetaMessage("key_signature", key=key) for key in ("D", "D", "Bm", "D")]
    song, changes = read(tmp_path, midi_bytes([*keys, *NOTES]))
    assert song.key == KeySignature(2) and changes == {"changes of key signature, left out": 2}


def test_late_tempos_and_signatures_of_fine_ticks_are_read(tmp_path):
    late = mido.MetaMessage("set_tempo", tempo=1_000_000, time=32767 * 400)
    signature = mido.MetaMessage("time_signature", numerator=3, denominator=4)
    content = midi_bytes([*NOTES, late, signature, on(62), off(62, 32767)], ticks_per_beat=32767)
    song, changes = read(tmp_path, content)
    assert len(song.tempo_changes) == 1 and len(song.time_signatures) == 2 and not changes
    beyond = mido.MetaMessage("set_tempo", tempo=1_000_000, time=20_000_000)
    changes = read(tmp_path, midi_bytes([*NOTES, beyond])).changes
    assert changes == {"tempos after the longest song, left out": 1}


def test_a_channel_prefix_names_one_channel(tmp_path):
    def named(channel, name):
        return b"\0\xff\x20\x01" + bytes([channel]) + b"\0\xff\x03" + bytes([len(name)]) + name

    other = SOUND.replace(b"\x90", b"\x91").replace(b"\x80\x3c\0", b"\x81\x3c\0")
    content = body(b"\0\xff\x03\x04Song", named(0, b"Flute"), SOUND, named(2, b"Oboe"), other)
    assert [track.name for track in read(tmp_path, content).song.tracks] == ["Flute", "Song"]


NAMES = {"cp932": "ピアノ 右手", "cp1251": "Сопрано", "gb2312": "女高音", "latin1": "Flöte à bec"}


@pytest.mark.parametrize("encoding", NAMES)
def test_names_in_other_encodings_are_known_by_their_letters(encoding):
    assert decode_name(NAMES[encoding].encode(encoding)) == NAMES[encoding]


def test_a_storm_of_note_offs_costs_no_note_and_little_time(tmp_path):
    storm = [mido.Message("note_on", note=60, velocity=0)] * 20_000
    song, changes = read(tmp_path, midi_bytes([*storm, *NOTES], [on(60)] * 2, storm))
    assert notes(song) == WHOLE and changes["note-offs without a note, left out"] == 40_000


def test_controllers_that_silence_a_channel_end_its_notes(tmp_path):
    for controller in (120, 123):
        silence = mido.Message("control_change", control=controller, value=0, time=480)
        song, changes = read(
            tmp_path, midi_bytes([on(60), on(64, channel=1), silence, off(64, 480)])
        )
        assert notes(song) == WHOLE and notes(song, 1)[0][1] == 960
        assert changes == {
            "note-offs without a note, left out": 1,
            "notes without a note-off, ended with their track": 1,
        }


def test_lyrics_and_bytes_after_the_end_of_a_track_are_counted(tmp_path):
    lyric = b"\0\xff\x05\x04\x82\xb1\x82\xf1"
    song, changes = read(tmp_path, body(lyric, SOUND, b"\0\xff\x2f\0", SOUND))
    assert notes(song) == WHOLE and changes == {
        "lyrics, left out": 1, "tracks with bytes after their end, left out": 1,
    }  # fmt: skip
    assert not read(tmp_path, body(SOUND, b"\0\xff\x2f\0", b"\0\0", end=b"")).changes


def test_running_status_empty_tracks_and_system_messages(tmp_path):
    exclusive, clock = b"\0\xf0\x03\x43\x10\xf7", b"\0\xf8"
    running = b"\0\x90\x3c\x40" + b"\0\xff\x06\0" + b"\x83\x60\x3c\x00" + b"\0\x3e\x40\x60\x3e\x00"
    song, changes = read(tmp_path, body(exclusive, clock, running))
    assert notes(song) == ((0, 480, 60, 64), (480, 576, 62, 64))
    assert changes == {"system messages that do not belong in a file": 1}
    assert notes(read(tmp_path, midi_bytes([], NOTES, [])).song) == WHOLE


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path):
    whole = midi_bytes([on(60), off(60, 480), on(62), off(62, 480), on(64), off(64, 480)])
    song, changes = read(tmp_path, whole[:-13])
    assert notes(song)[:2] == ((0, 480, 60, 64), (480, 960, 62, 64))
    assert changes["track lengths that are wrong"] == 1


def test_names_are_read_in_utf_8_and_in_one_byte_characters(tmp_path):
    for data in ("Ténor".encode(), "Ténor".encode("latin1")):
        name = b"\0\xff\x03" + bytes([len(data)]) + data
        assert read(tmp_path, body(name, SOUND)).song.tracks[0].name == "Ténor"
    instrument = b"\0\xff\x04\x05Flute"
    assert read(tmp_path, body(instrument, SOUND)).song.tracks[0].name == "Flute"


def test_tempo_changes_velocities_and_pedal_come_back(tmp_path):
    played = (Note(0, 480, 60, 30), Note(480, 960, 62, 99))
    song = Song(
        (Track("piano", played, pedal=((0, 470), (480, 950))),),
        1920,
        120.0,
        tempo_changes=(TempoChange(480, 60.0), TempoChange(960, 30.0)),
    )
    back = read_midi(write_midi(song, tmp_path / "a.mid"))
    assert back == song
    assert back.seconds_at(1920) == 0.5 + 1 + 4 and back.mean_tempo_bpm == 60 * 4 / 5.5
    assert back.window(600, 1920).tempo_bpm == 60
    assert back.window(600, 1920).seconds_at(1320) == pytest.approx(4.75)
    assert back.at_tempo(60).seconds_at(1920) == 4


def test_a_first_tempo_just_after_the_start_holds_from_the_start(tmp_path):
    def tempo(time):
        return mido.MetaMessage("set_tempo", tempo=1_000_000, time=time)

    early, late = (
        read(tmp_path, midi_bytes([tempo(time), on(60), off(60, 1920)])).song for time in (1, 960)
    )
    assert early.tempo_bpm == 60 and not early.tempo_changes
    assert late.tempo_bpm == 120 and late.tempo_changes == (TempoChange(960, 60),)


def test_a_first_time_signature_just_after_the_start_holds_from_the_start(tmp_path):
    def signatures(time):
        waltz = mido.MetaMessage("time_signature", numerator=3, denominator=4, time=time)
        return read(tmp_path, midi_bytes([waltz, on(60), off(60, 2880)])).song.time_signatures

    assert signatures(1) == signatures(0) == (TimeSignature(0, 3, 4),)
    assert signatures(1920) == (TimeSignature(0, 4, 4), TimeSignature(1920, 3, 4))


def test_one_warning_counts_what_was_changed(tmp_path):
    (tmp_path / "x.mid").write_bytes(body(META["tempo 0"][0], META["mode 255"][0], SOUND))
    with pytest.warns(UserWarning, match=r"x\.mid: 1 tempos that make .* 1 key signatures that"):
        read_midi(tmp_path / "x.mid")
