"""Names of voices and instruments in common languages and spellings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from multigan.music.formats.song import Track

EXACT, NUMBERED, WORD, PREFIX, LETTER = 5, 4, 3, 2, 1  # the better match wins
SHORTEST_PREFIX = 4  # letters

# Voice -> its names without accents, in lower case. English, Italian, German, French, Spanish,
# Portuguese, Latin, Dutch, Polish, Russian, Chinese, Japanese.
NAMES = {
    "soprano": """soprano soprani sopranos sopran soprane sopraan sopr sop s canto cantus superius
        discant discantus diskant descant treble dessus tiple mezzosoprano сопрано дискант ソプラノ
        女高音""",
    "alto": """alto alti altos alt alte altus contralto contralti altstimme kontraalt haute-contre
        contratenor a альт アルト 女低音""",
    "tenor": """tenor tenore tenori tenors tenorstimme ten t taille teneur тенор テノール 男高音""",
    "bass": """bass basse basses bassi basso bassus bas baß bs b bajo baixo contrabass contrabasso
        contrabajo kontrabass doublebass bassline ebass bassstimme бас ベース バス 男低音 贝斯""",
    "lead": """lead leads melody melodie melodia melo vocal vocals vocalist voice voices voix voz
        voce voci vox stimme gesang singer chant canto solo soloist refrain tune topline
        мелодия вокал 旋律 主旋律 メロディ メロディー ボーカル""",
    "chords": """chord chords akkord akkorde accord accords acorde acordes accordi akord akordy
        piano klavier pianoforte fortepiano pno keys keyboard guitar guitars gitarre guitare
        guitarra
        chitarra organ orgel orgue organo pad pads string strings streicher cordes archi rhythm
        harmony harmonie accompaniment begleitung acompanamiento comping аккорды гитара
        和弦 コード""",
    "piano": """piano pianoforte fortepiano klavier pno flugel epiano keyboard keys clavier teclado
        fortepian пианино фортепиано 钢琴 ピアノ""",
    "drums": """drums drum drumset drumkit percussion perc kit schlagzeug batterie batteria bateria
        slagwerk perkusja ударные барабаны 鼓 ドラム""",
}  # fmt: skip
NAMES["melody"] = NAMES["lead"]
# Instruments that begin like a voice and are none.
FALSE_PREFIXES = ("bassoon", "basset", "bassett", "bassanel", "tenoroon", "chordophone")


def name_match(voice: str, name: str) -> int:
    """Return how well the name of a track names a voice: EXACT to LETTER, 0 for not at all."""
    names = _NAMES.get(voice, frozenset()) | {voice.casefold()}
    plain = _plain(name)
    words = re.findall(r"[^\W\d_]+", plain)
    if plain.replace(" ", "") in names:
        return LETTER if len(plain) == 1 and plain.isascii() else EXACT
    meant = [word for word in words if not re.fullmatch(r"[ivx]{1,4}", word)]  # Soprano II
    if len(meant) == 1 and meant[0] in names:
        return LETTER if len(meant[0]) == 1 and meant[0].isascii() else NUMBERED
    if any(word in names for word in words if len(word) > 1 or not word.isascii()):
        return WORD
    starts = tuple(name for name in names if len(name) >= SHORTEST_PREFIX or not name.isascii())
    begins = (word for word in words if not word.startswith(FALSE_PREFIXES))
    return PREFIX if any(word.startswith(starts) for word in begins) else 0


def best_named(voice: str, tracks: Iterable[Track], least: int = PREFIX) -> list[Track]:
    """Return the tracks whose names name the voice best, `least` or better."""
    scored = [(name_match(voice, track.name), track) for track in tracks]
    best = max((score for score, _ in scored), default=0)
    return [track for score, track in scored if score == best >= least]


def all_named(voices: Iterable[str], tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """Return the tracks that name each voice best, without the voices that none names.

    Single letters are names only if every voice has one: S, A, T and B.
    """
    names = list(voices)
    with_letters = {voice: best_named(voice, tracks, LETTER) for voice in names}
    if all(with_letters.values()):
        return with_letters
    found = {voice: best_named(voice, tracks) for voice in names}
    return {voice: named for voice, named in found.items() if named}


def best_voice(voices: Sequence[str], name: str) -> str | None:
    """Return the voice that a name names best, the first of several; None for a name of none."""
    scores = [name_match(voice, name) for voice in voices]
    return voices[scores.index(max(scores))] if max(scores, default=0) else None


def _plain(name: str) -> str:
    """Return a name in lower case without accents, punctuation at its ends and numbers."""
    letters = unicodedata.normalize("NFKD", name.replace("ß", "ss").casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    spaced = re.sub(r"[\s._-]+", " ", unicodedata.normalize("NFKC", bare))
    return re.sub(r"[\W\d_]+$|^[\W\d_]+", "", spaced)


_NAMES = {
    voice: frozenset(_plain(name).replace(" ", "") for name in names.split())
    for voice, names in NAMES.items()
}
