"""The domain of polyphonic music: voices and tracks on a grid of sixteenths.

Importing it imports no torch.
"""

PARTS: dict[str, str] = {}
COMMANDS = {"reference": "multigan.music.reference:reference"}
