"""The first four ids of every vocabulary: padding, begin and end of a line, an unknown token."""

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")  # their names, by id
