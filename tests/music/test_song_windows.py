import json
from pathlib import Path

import numpy as np
import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat, tree_leaves
from multigan.music.datasets import sources
from multigan.music.datasets.song_windows import SongWindowDataset, transpose_codes
from multigan.music.representations.conditioning import expand_mask
from multigan.music.representations.tensors import (
    active_cells,
    decode,
    encode,
    from_codes,
    slice_window,
    to_codes,
)
from multigan.music.representations.voices import BAND, SATB
from tests.music.pianoroll_factory import VOICES, random_roll
from tests.music.tiny import write_pieces, write_songs

PIECES, BARS = 3, 6


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_pieces(tmp_path_factory.mktemp("pieces") / "pieces.json", PIECES, BARS)


@pytest.fixture(scope="module")
def data(source):
    return SongWindowDataset(source)


def everything(data, rng=None):
    return data.batch(torch.arange(len(data)), rng)


def pitches(x):
    """(N, T, K): the MIDI pitch that each voice sounds."""
    heard = [
        sounds.argmax(-1) + v.min_pitch
        for v, sounds in zip(SATB, active_cells(x, SATB), strict=True)
    ]
    return torch.stack(heard, dim=-1)


def test_windows_are_the_bars_of_the_pieces_in_order(source, data):
    assert len(data) == PIECES * (BARS - 1) and data.in_memory and data.is_stochastic
    pieces = torch.tensor(json.loads(Path(source).read_text())["train"])  # (pieces, steps, 4)
    windows = pieces.unfold(1, 32, 16).flatten(0, 1).transpose(1, 2)  # (N, 32, 4)
    batch = everything(data)
    assert batch.x.shape == (len(data), 32, 132) and batch.x.dtype == torch.float32
    assert torch.equal(pitches(batch.x), windows)


def test_without_an_rng_nothing_is_known_and_nothing_moves(data):
    one, other = everything(data), everything(data)
    assert not one.condition.mask.any() and not one.condition.values.any()
    assert torch.equal(one.x, other.x)


def test_a_window_never_begins_with_a_hold(data):
    x = everything(data).x
    assert not x[:, 0, [32, 65, 98, 131]].any()
    assert torch.equal(x, torch.stack([slice_window(window, 0, 32, SATB) for window in x]))


def test_the_same_rng_gives_the_same_sample_whatever_came_before(data):
    index = torch.tensor([3])
    one = data.batch(index, keyed_rng("a"))
    data.batch(torch.tensor([1]), keyed_rng("b"))
    again = data.batch(index, keyed_rng("a"))
    assert torch.equal(one.x, again.x)
    assert torch.equal(one.condition.values, again.condition.values)
    others = [data.batch(index, keyed_rng(i)).x for i in range(10)]
    assert any(not torch.equal(one.x, other) for other in others)


def test_keys_change_and_intervals_and_ranges_do_not(data):
    plain = pitches(everything(data).x)
    ranges = [(line.min(), line.max()) for line in plain.flatten(0, 1).T]
    shifts = set()
    for seed in range(20):
        moved = pitches(everything(data, keyed_rng(seed)).x)
        shift = moved - plain
        assert (shift == shift[:, :1, :1]).all()
        shifts |= set(shift[:, 0, 0].tolist())
        for (low, high), line in zip(ranges, moved.flatten(0, 1).T, strict=True):
            assert low <= line.min() and line.max() <= high
    assert len(shifts) > 2 and 0 in shifts


def test_given_cells_of_reals_look_as_in_fakes_and_sound_as_before(source):
    plain = everything(SongWindowDataset(source, transpose=False, masks=False))
    batch = everything(SongWindowDataset(source, transpose=False), keyed_rng("masks"))
    known, mask = batch.condition[:2]
    assert mask.shape == (len(plain.x), 32, 4) and set(mask.unique().tolist()) == {0.0, 1.0}
    cells = expand_mask(mask, SATB) > 0
    assert not known[~cells].any()
    assert torch.equal(known[cells], batch.x[cells])  # else D would know reals by their strikes
    assert torch.equal(pitches(batch.x), pitches(plain.x))
    changed = (batch.x != plain.x).unflatten(-1, (4, -1)).any(-1)  # (B, T, K)
    assert changed.any()  # the pieces hold their quarters, so some given run is cut in
    before = torch.cat([torch.zeros_like(mask[:, :1]), mask[:, :-1]], 1)
    assert not changed[(mask == 0) | (before == 1)].any()  # only where a given run begins


def test_masks_and_keys_can_be_left_out(source):
    plain = SongWindowDataset(source, transpose=False, masks=False)
    assert not plain.is_stochastic
    batch = everything(plain, keyed_rng(0))
    assert torch.equal(batch.x, everything(plain).x) and not batch.condition.mask.any()
    keys = SongWindowDataset(source, masks=False)
    assert keys.is_stochastic and not everything(keys, keyed_rng(0)).condition.mask.any()


def test_splits_differ_and_lead_to_each_other(data):
    valid = data.split("valid")
    assert valid.split("train").fingerprint == data.fingerprint
    assert len({data.split(name).fingerprint for name in ("train", "valid", "test")}) == 3
    with pytest.raises(ValueError, match="split must be one of train, valid, test; got 'dev'"):
        data.split("dev")


def test_the_hop_and_the_bars_are_those_that_are_wished(source):
    assert len(SongWindowDataset(source, bars=4)) == PIECES * 3
    assert len(SongWindowDataset(source, bars=2, stride_bars=2)) == PIECES * 3


def test_a_transposition_moves_all_that_has_pitches():
    roll = random_roll(np.random.default_rng(0), 8)
    low = tuple(
        np.where(a < v.num_pitches, a % 9, a) if v.kind == "monophonic" else a
        for a, v in zip(roll[:2], VOICES[:2], strict=True)
    )
    planes = roll[2].copy()
    planes[..., -2:] = False
    before = (*low, planes, roll[3])
    codes = to_codes(encode(before, VOICES), VOICES)[None]
    (after,) = decode(from_codes(transpose_codes(codes, torch.tensor([2]), VOICES), VOICES), VOICES)
    for k in (0, 1):
        pitched = before[k] < VOICES[k].num_pitches
        assert np.array_equal(after[k], before[k] + 2 * pitched)
    assert np.array_equal(after[2], np.roll(planes, 2, axis=-1))
    assert np.array_equal(after[3], before[3])


def test_a_batch_of_many_draws_is_that_of_each(source):
    data = SongWindowDataset(source)
    rngs = [keyed_rng("draws", i) for i in range(5)]
    many = data.keyed_batch(torch.arange(5), rngs)
    each = tree_cat([data.batch(torch.tensor([i]), keyed_rng("draws", i)) for i in range(5)])
    for one, other in zip(tree_leaves(many), tree_leaves(each), strict=True):
        assert torch.equal(one, other)


def test_bars_of_silence_are_left_out(tmp_path):
    file = tmp_path / "silence.json"
    piece = [[72, 65, 58, 48]] * 32 + [[-1] * 4] * 16 + [[72, -1, -1, -1]] * 32
    file.write_text(json.dumps({split: [piece] for split in ("train", "valid", "test")}))
    assert len(SongWindowDataset(str(file))) == 2


@pytest.mark.parametrize(("voices", "name"), [(SATB, "composed"), (BAND, "composed-band")])
def test_songs_by_rule_are_a_source(monkeypatch, voices, name):
    monkeypatch.setattr(sources, "COMPOSED", {"train": 3, "valid": 2, "test": 2})
    data = SongWindowDataset(name, voices=voices)
    batch = everything(data, keyed_rng(0))
    assert len(data) == 3 * 7 and len(decode(batch.x, voices)) == 21
    waltz = SongWindowDataset(name, voices=voices, time_signature="3/4")
    assert waltz.domain.grid.steps == 24


def test_an_imported_folder_is_a_source(tmp_path, source):
    from multigan.music.datasets.midi_folder import SONGS
    from multigan.music.formats.npz import save_songs

    songs = sources.read_songs(source, "4/4")
    save_songs({name: song for split in songs.values() for name, song in split.items()},
               tmp_path / SONGS)  # fmt: skip
    data = SongWindowDataset(str(tmp_path))
    assert sum(len(data.split(name)) for name in ("train", "valid", "test")) == 9 * 5


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_few_songs_are_enough_and_two_are_not(tmp_path, count):
    data = SongWindowDataset(write_songs(tmp_path / "few", songs=count))
    assert [len(data.split(name)) for name in ("train", "valid", "test")] == [5 * count - 10, 5, 5]
    with pytest.raises(ValueError, match="must have 3 songs or more, one for each split; got 2"):
        SongWindowDataset(write_songs(tmp_path / "two", songs=2))


def test_windows_know_their_piece(tmp_path):
    data = SongWindowDataset(write_songs(tmp_path / "songs", songs=5))
    assert data.pieces.tolist() == [piece for piece in range(3) for _ in range(5)]


def test_a_source_that_does_not_fit_is_one_line(tmp_path, source):
    (tmp_path / "a.mid").write_bytes(b"")
    for name, said in (
        ("nothing", "no music called 'nothing'; known: chorales, composed, composed-band, "),
        (str(tmp_path / "no.json"), "no.json"),
        (str(tmp_path), "MIDI files; first run: multigan music import"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            SongWindowDataset(name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="a split has no 2 bars of 3/4; its songs are in 4/4"):
        SongWindowDataset(source, time_signature="3/4")
    jigs = write_songs(tmp_path / "jigs", "6/8")
    with pytest.raises(ValueError, match="a split has no 2 bars of 4/4; its songs are in 6/8"):
        SongWindowDataset(jigs)
    with pytest.raises(ValueError, match="stride_bars must be 1 or more; got 0"):
        SongWindowDataset(source, stride_bars=0)
    with pytest.raises(ValueError, match=r"the track must be one of: .*; got 'drums'"):
        SongWindowDataset(source, voices=BAND)
