"""What this domain needs or can use, as `multigan doctor` asks for it."""

from __future__ import annotations


def synthesizer() -> str:
    """What plays songs here, and what would sound better."""
    from multigan.music.audio import synthesizer_state

    return synthesizer_state()


def soundfont() -> str:
    """The soundfont; ValueError with the line that gets it where there is none."""
    from multigan.music.audio import soundfont

    found = soundfont()
    if found is None:
        raise ValueError("pretty_midi carries one: pip install 'multigan[music]'")
    return str(found)


def chorales() -> str:
    """The data set of the default recipe; ValueError with the line that gets it."""
    from multigan.music.chorales import corpus_files

    files = corpus_files()
    return f"{len(files)} files in {files[0].parent}"
