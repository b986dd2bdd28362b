"""From MIDI, MusicXML and NPZ to songs, and back."""
