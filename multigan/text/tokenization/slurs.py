"""A short list of slurs, which samples of the pretrained generator never hold.

It is a filter of whole words in output, not of training data. It does not know what a line means.
"""

from __future__ import annotations

WORDS = """
bastard bastards bitch bitches chink chinks coon coons cunt cunts dago dagos darkey darkeys darkie
darkies dyke dykes fag faggot faggots fags gook gooks gypsies gypsy heathen heathens injun injuns
jap japs kike kikes negress negro negroes nigger niggers papist papists pickaninny redskin redskins
retard retarded retards savage savages slut sluts spic spics squaw squaws tranny whore whores wop
wops wetback wetbacks
"""
SLURS = frozenset(WORDS.split())
