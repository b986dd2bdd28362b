"""Sampled lines are UTF-8 whatever the network; lines that would be anyway are not changed."""

import itertools
import json
import re

import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.text.domain import TextDomain
from multigan.text.models.generator import TextGenerator
from multigan.text.models.token_sampling import (
    UNRESTRICTED,
    filter_logits,
    sample_tokens,
)
from multigan.text.models.whole_characters import WholeCharacters
from multigan.text.sampling import sample_lines
from multigan.text.tokenization.tokenizer import TextTokenizer, train_tokenizer
from multigan.text.tokenization.utf8 import IMPOSSIBLE, MISSING_BYTES, state_after, token_bytes
from tests.text.special_ids import EOS

LINES = ["你好,世界", "今天天气很好", "नमस्ते दुनिया", "a 😍 é", "Größe"] * 3
LENGTH = 9


def domain_and_generator(scale=0.1, **settings):
    domain = TextDomain(train_tokenizer(LINES, "bpe", 290), LENGTH)
    generator = TextGenerator(domain.vocabulary_size, LENGTH, width=8, embedding=4, **settings)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            rng = keyed_rng("whole characters", name)
            parameter.copy_(scale * torch.randn(parameter.shape, generator=rng))
    return domain, generator.eval()


def test_the_states_agree_with_the_decoder_of_python():
    interesting = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                   0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]  # fmt: skip
    for size in (1, 2, 3, 4):
        for content in itertools.product(interesting, repeat=size):
            text, state = bytes(content), state_after(bytes(content))
            try:
                text.decode()
                expected = 0
            except UnicodeDecodeError as error:
                is_cut = error.reason == "unexpected end of data"
                expected = None if is_cut else IMPOSSIBLE
            assert state == expected or (expected is None and MISSING_BYTES[state] > 0), text


@pytest.mark.parametrize("controls", [{}, {"temperature": 3.0}, {"top_k": 3}, {"top_p": 0.3}])
@pytest.mark.parametrize("prompt", [None, "你"])
def test_no_sampled_line_is_broken(controls, prompt):
    domain, generator = domain_and_generator()
    lines = domain.sample(generator, 300, keyed_rng("sample"), prompt=prompt, **controls)
    assert not [line for line in lines if "\ufffd" in line]
    assert not [line for line in lines if re.search("[\0-\x08\x0a-\x1f\x7f]", line)]
    with torch.no_grad():
        tokens = generator.generate(generator.sample_latent(300, keyed_rng("sample")))
    free = [domain.tokenizer_model.decode(line) for line in tokens.tolist()]
    assert sum("\ufffd" in line for line in free) > 100  # without the transitions most are
    assert any("\0" in line for line in free)


def test_an_adaptive_embedding_samples_the_lines_that_its_logits_give():
    adaptive = {"tie_embeddings": True, "head_size": 150, "tail_width": 3}
    domain, generator = domain_and_generator(**adaptive)
    latent = generator.sample_latent(300, keyed_rng("sample"))
    transitions = domain.tokenizer_model.utf8_transitions
    found = generator.generate(latent, transitions=transitions)
    by_logits = generator.generate(
        latent, top_k=domain.vocabulary_size, transitions=transitions
    )  # all tokens are allowed, but their logits are formed
    same = (found == by_logits).all(1)
    assert same.float().mean() > 0.98  # a quantile at the edge of a token may round either way
    lines = map(domain.tokenizer_model.decode, found.tolist())
    assert not any("\ufffd" in line for line in lines)


def test_no_evaluated_line_is_broken():
    domain, generator = domain_and_generator()
    found = sample_lines(domain, generator, 300, keyed_rng("sample"))
    assert not [line for line in found.texts if "\ufffd" in line]


def test_lines_of_whole_characters_are_what_they_were():
    domain, generator = domain_and_generator(scale=0.5)
    with torch.no_grad():
        generator.to_logits.bias[EOS] += 4  # short lines, of which some are intact
    latent = generator.sample_latent(400, keyed_rng("latent"))
    transitions = domain.tokenizer_model.utf8_transitions
    free = generator.generate(latent)
    found = generator.generate(latent, transitions=transitions)
    decode = domain.tokenizer_model.decode
    other = re.compile("[\ufffd\0-\x1f\x7f ]")  # line breaks are decoded as spaces
    intact = [k for k, line in enumerate(free.tolist()) if not other.search(decode(line))]
    assert 10 < len(intact) < 400
    assert torch.equal(free[intact], found[intact])


@pytest.mark.parametrize("controls", [UNRESTRICTED, (1.0, 2, 1.0), (0.7, 0, 0.75)])
def test_the_probability_of_impossible_tokens_goes_to_the_possible_ones(controls):
    transitions = torch.tensor([[0, -1, 0, -1, 0]] + [[-1] * 5] * 7)
    is_impossible = transitions[0] == IMPOSSIBLE
    logits = torch.tensor([[1.3, 1.5, -0.4, 0.9, 0.1]])
    n = 200_000
    uniform, rows = torch.rand(n, generator=keyed_rng("u")), logits.expand(n, -1)
    filtered = filter_logits(rows, *controls)
    token = sample_tokens(filtered, uniform)
    whole = WholeCharacters(transitions, n)
    broken = whole.broken(token, torch.ones(n, dtype=torch.bool), 3)
    assert torch.equal(broken, is_impossible[token].nonzero().squeeze(1))
    whole.sample_again(token, broken, rows[broken], uniform, controls, 3)
    found = token.bincount(minlength=5) / n
    kept = filter_logits(logits, *controls).softmax(-1)[0]
    possible = logits.masked_fill(is_impossible, -torch.inf)
    others = filter_logits(possible, *controls).softmax(-1)[0]
    expected = kept.masked_fill(is_impossible, 0) + kept[is_impossible].sum() * others
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    if controls == UNRESTRICTED:
        torch.testing.assert_close(expected, possible.softmax(-1)[0])


def test_a_vocabulary_without_the_missing_byte_leaves_the_line_as_it_is():
    transitions = torch.tensor([[IMPOSSIBLE, IMPOSSIBLE]] * 8)
    whole = WholeCharacters(transitions, 2)
    assert whole.broken(torch.tensor([0, 1]), torch.tensor([True, True]), 3).tolist() == []


def test_tokens_of_words_and_characters_need_no_transitions():
    for kind in ("word", "char", "whitespace"):
        assert TextTokenizer(train_tokenizer(LINES, kind, 100)).utf8_transitions is None
    table = TextTokenizer(train_tokenizer(LINES, "bpe", 290)).utf8_transitions
    assert table[0, EOS] == 0 and (table[1:, EOS] == IMPOSSIBLE).all()


def test_byte_fallback_tokens_are_bytes():
    described = {
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "added_tokens": [{"content": "<pad>"}],
    }
    names = ["<pad>", "<0xE4>", "é", "<0xZ>"]
    assert token_bytes(json.dumps(described), names) == [b".", b"\xe4", "é".encode(), b"<0xZ>"]
    assert token_bytes(json.dumps({"decoder": None}), names) is None
