"""Train on the comments of a CSV file, one class for each label, then print lines of each class.

python examples/scripts/comments_from_a_csv.py comments.csv out --text text --label mood
"""

import argparse
from pathlib import Path

from multigan import train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("table", type=Path, help="a CSV, TSV, JSONL or Parquet file")
parser.add_argument("out", type=Path, help="a new folder")
parser.add_argument("--text", default="text", help="the column of the comments")
parser.add_argument("--label", help="the column of the classes, if there is one")
parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()

run = train(
    "text",
    data=str(options.table),
    text_column=options.text,
    label_column=options.label,
    tiny=options.tiny,
    out=str(options.out),
)
sampler = run.sampler()
for label in sampler.domain.class_names or (None,):
    chosen = {} if label is None else {"label": label}
    print(label or "samples", *sampler.sample(5, seed=0, **chosen), sep="\n  ")
