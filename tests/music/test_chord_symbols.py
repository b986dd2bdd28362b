import pytest

from multigan.music.models.harmonic_plan import chord_pitch_classes
from multigan.music.representations.chord_symbols import read_chords, read_key
from multigan.music.theory import CHORD_KINDS, NO_CHORD


def test_keys_are_their_major_tonic():
    assert [read_key(key) for key in ("C", "G", "Bb", "F#", "Em", "F#m")] == [0, 7, 10, 6, 7, 9]


def test_chords_are_read_bar_by_bar():
    assert read_chords("C Em,Am7 F") == [[0], [16, 57], [5]]
    names = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    symbols = [name + kind for kind in CHORD_KINDS for name in names]
    assert read_chords(" ".join(symbols)) == [[chord] for chord in range(NO_CHORD)]


def test_a_symbol_has_the_pitch_classes_of_its_chord():
    table = chord_pitch_classes()
    ((gm7,),) = read_chords("Gm7")
    assert table[gm7].nonzero().flatten().tolist() == sorted([7, 10, 2, 5])
    assert not table[NO_CHORD].any() and len(table) == 12 * len(CHORD_KINDS) + 1


@pytest.mark.parametrize("text", ["H", "Gsus", "", "c", "G ,C"])
def test_what_is_no_chord_is_refused(text):
    with pytest.raises(ValueError, match="chords must be symbols such as"):
        read_chords(text)


@pytest.mark.parametrize("text", ["H", "G7", "", "maj"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match="key must be a major or minor key such as"):
        read_key(text)
