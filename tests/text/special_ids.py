"""Short names of the special ids."""

from multigan.text.tokenization.tokenizer import SPECIAL_IDS

PAD, BOS, EOS, UNK = SPECIAL_IDS
