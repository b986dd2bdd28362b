"""Bars of one time signature read as bars of another, where the bar lines allow."""

from __future__ import annotations

from dataclasses import replace

from multigan.music.formats.song import Song, TimeSignature

USUAL = (TimeSignature(0, 4, 4), TimeSignature(0, 6, 8))  # what shorter bars are counted in


def can_read_as(signature: TimeSignature, target: TimeSignature) -> bool:
    """Return whether one bar or several of `signature` make a bar of `target`.

    2/2, 2/4 and 1/4 can be read as 4/4 and 3/8 as 6/8, but not 3/4 as 6/8.
    """
    is_whole = target.bar_ticks % signature.bar_ticks == 0
    return is_whole and _is_compound(signature) == _is_compound(target)


def read_bars_as(song: Song, target: TimeSignature) -> Song:
    """Return the song with all bars that can be read as bars of `target` so read.

    Bars are joined from the first bar line of each stretch of one time signature on.
    """
    signatures: list[TimeSignature] = []
    line = song.anacrusis_ticks  # the first bar line of the present stretch
    for signature in song.time_signatures:
        if can_read_as(signature, target):
            signature = target._replace(start_tick=signature.start_tick)
        start = signature.start_tick
        goes_on = bool(signatures) and signature[1:] == signatures[-1][1:]
        if goes_on and start >= line and (start - line) % signature.bar_ticks == 0:
            continue
        line = start if signatures else line
        signatures.append(signature)
    return replace(song, time_signatures=tuple(signatures))


def usual_bars(song: Song) -> Song:
    """Return the song with 1/4, 2/4 and 2/2 read as 4/4, and 3/8 as 6/8."""
    for target in USUAL:
        song = read_bars_as(song, target)
    return song


def _is_compound(signature: TimeSignature) -> bool:
    return signature.unit >= 8 and signature.counts % 3 == 0
