"""Import a folder of MIDI files, train on it, and write four songs of 8 bars as MIDI.

python examples/scripts/songs_from_midi_files.py songs out
"""

import argparse
from pathlib import Path

from multigan import train
from multigan.music.datasets.midi_folder import import_midi_folder

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("songs", type=Path, help="a folder or a zip of MIDI or MusicXML files")
parser.add_argument("out", type=Path, help="a new folder")
parser.add_argument("--layout", default="auto", help="the voices; auto: what fits most files")
parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()

imported = options.out / "imported"
import_midi_folder(str(options.songs), out=imported, layout=options.layout)
run = train("music", data=str(imported), tiny=options.tiny, out=str(options.out / "run"))
sampler = run.sampler()
songs = sampler.sample(4, seed=0, bars=8)
files = sampler.domain.write(songs, options.out / "samples")
print(f"{len(files)} files in {options.out / 'samples'}; the report: {run.path / 'report.html'}")
