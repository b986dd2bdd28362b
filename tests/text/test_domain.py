"""Lines that are sampled, written and read back; prompts, classes and scores."""

import json
import math
from pathlib import Path

import pytest
import torch

from multigan.core.modules import sample_batch
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.core.signature import options_of
from multigan.text.condition import TextCondition
from multigan.text.domain import TextDomain
from multigan.text.sampling import (
    LineFilter,
    SamplingOptions,
    ScoredText,
    parse_length,
    prompt_tokens,
)
from multigan.text.tokenization.words import split_words
from tests.forked import in_another_process
from tests.text.special_ids import EOS, PAD
from tests.text.tiny import Parrot, tiny_generator, tiny_lines, tiny_sampler

KINDS = {"word": 500, "bpe": 300, "char": 100}


def domain_of(kind, **settings):
    return tiny_lines(tokenizer=kind, vocabulary_size=KINDS[kind], length=40, **settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "prompt", ["the dog", "the dog ", "The DOG,  sees", "the dog (", "zebra", " the", "who'"]
)
def test_every_line_starts_with_the_prompt_as_it_was_typed(kind, prompt):
    sampler = tiny_sampler(domain_of(kind))
    lines = sampler.sample(6, prompt=prompt)
    assert all(line.startswith(prompt) for line in lines)
    assert len({line for line in lines}) > 1
    if prompt.endswith(" "):
        assert not any(line[len(prompt) :].startswith(" ") for line in lines)


def test_the_space_after_a_prompt_belongs_to_what_follows():
    domain = domain_of("bpe").domain
    assert prompt_tokens(domain, "the dog ") == prompt_tokens(domain, "the dog")
    assert prompt_tokens(domain, " ") == prompt_tokens(domain, None) == []


def test_what_follows_a_prompt_is_what_the_generator_adds():
    data = tiny_lines()
    sampler = Sampler(data.domain, Parrot(data.domain, ["the dog sees a boat."]))
    assert sampler.sample(1, prompt="THE dog") == ["THE dog sees a boat."]
    assert sampler.sample(1, prompt="THE dog ") == ["THE dog sees a boat."]
    assert sampler.sample(1, prompt=" ") == [" the dog sees a boat."]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature must be a finite number above 0; got -1.0"),
        ({"length": "15-8"}, "length must be words such as 12 or 8-15, 1 or more; got '15-8'"),
        ({"length": "0"}, "1 or more; got '0'"),
        ({"length": "a-b"}, "got 'a-b'"),
        ({"length": "900"}, "must allow lines of this generator; 64 of 64 were refused 10 times"),
        ({"avoid_copies": Path("absent.txt")}, "avoid_copies must be a text file; got absent.txt"),
        ({"avoid_words": "absent.txt"}, "avoid_words must be a text file; got absent.txt"),
        ({"temperature": math.inf}, "above 0; got inf"),
        ({"temperature": math.nan}, "above 0; got nan"),
        ({"top_k": -1}, "top_k must be 1 or more, or 0 for all tokens; got -1"),
        ({"top_p": 0.0}, "top_p must be above 0 .* got 0.0"),
        ({"top_p": 1.5}, "top_p must be above 0 .* got 1.5"),
        ({"prompt": "two\nlines"}, "prompt must be a single line"),
        (
            {"prompt": "a dog " * 8},
            "prompt must have at most 14 tokens, .* lines of at most 15; got 16",
        ),
        ({"label": "question"}, "without classes; got 'question'"),
    ],
)
def test_an_invalid_option_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_sampler().sample(1, **options)


def test_a_class_is_requested_by_its_name_and_sampled_evenly_otherwise():
    data = tiny_lines(class_field="mood")
    seen = []

    class Spy(Parrot):
        def generate(self, latent, condition=None, **controls):
            seen.append(condition.label)
            return super().generate(latent)

    sampler = Sampler(data.domain, Spy(data.domain, data.texts))
    sampler.sample(64, label="question")
    sampler.sample(64)
    assert (seen[0] == data.domain.class_names.index("question")).all()
    assert 16 < int(seen[1].sum()) < 48
    with pytest.raises(ValueError, match="one of statement, question; got 'order'"):
        sampler.sample(1, label="order")


def test_controls_reach_the_generator():
    sampler = tiny_sampler()
    assert len(set(sampler.sample(20, top_k=1))) == 1
    assert sampler.sample(5, temperature=1e-4) == sampler.sample(5, top_p=1e-6)
    assert sampler.sample(5, temperature=2.0) != sampler.sample(5)


def test_temperature_0_is_the_likeliest_token_at_each_position():
    sampler = tiny_sampler()
    lines = sampler.sample(3, temperature=0)
    assert lines == sampler.sample(3, top_k=1, temperature=1.0) and len(set(lines)) == 1


@pytest.mark.parametrize(
    ("length", "allowed"), [("4-9", {4, 5, 6, 7, 8, 9}), (" 2-16 ", set(range(2, 17)))]
)
def test_a_line_has_the_wanted_number_of_words_and_does_not_depend_on_the_others(length, allowed):
    sampler = tiny_sampler()
    lines = sampler.sample(70, length=length)
    assert {len(split_words(line)) for line in lines} <= allowed
    assert sampler.sample(5, length=length) == lines[:5]


def test_a_length_is_a_number_or_a_range():
    assert parse_length("12") == parse_length(" 12-12 ") == (12, 12)
    assert parse_length("8-15") == (8, 15)


def test_lines_that_are_accepted_are_those_without_the_option():
    sampler = tiny_sampler()
    free, wanted = sampler.sample(64), sampler.sample(64, length="4-9")
    kept = [k for k, line in enumerate(free) if 4 <= len(split_words(line)) <= 9]
    assert kept and all(free[k] == wanted[k] for k in kept)


def test_copies_of_the_lines_of_a_file_are_never_returned(tmp_path):
    data = tiny_lines()
    sampler = Sampler(data.domain, Parrot(data.domain, data.texts[:100]))
    file = tmp_path / "train.txt"
    file.write_text("".join(f"{line}  \n" for line in data.texts[:90]))
    lines = sampler.sample(64, avoid_copies=file)
    assert set(lines) == set(data.texts[90:100])


def test_no_line_holds_a_word_that_is_avoided(tmp_path):
    data = tiny_lines(tokenizer="bpe", vocabulary_size=300, length=40)
    lines = ["the squaws see.", "The SQUAWS see.", "the squawship sees.", "a dog sees."]
    sampler = Sampler(data.domain, Parrot(data.domain, lines * 16))
    spelled = set(sampler.sample(64))
    kept = {line for line in spelled if "squaws" not in line.lower().replace(".", " ").split()}
    assert set(sampler.sample(64, avoid_words="slurs")) == kept < spelled
    assert set(sampler.sample(64, avoid_words="none")) == spelled
    (tmp_path / "words.txt").write_text("DOG\nsquawship\n\n")
    found = set(sampler.sample(64, avoid_words=str(tmp_path / "words.txt")))
    assert found == {line for line in spelled if "squaws " in line.lower()}
    chosen = Sampler(sampler.domain, sampler.generator, {"avoid_words": "slurs"})
    assert set(chosen.sample(64)) == kept and set(chosen.sample(64, avoid_words="none")) == spelled


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("We don't know.", "don't"),
        ("A self-government of two.", "self-government"),
        ("In New York it rains.", "new york"),
        ("the Cafe\u0301 is shut.", "caf\u00e9"),
        ("Die STRASSE ist lang.", "stra\u00dfe"),
        ("a dog's life", "dog"),
        ("In New York's streets", "new york"),
        ("self-government's end", "self-government"),
        ("I don\u2019t know", "don't"),
        ("He writes C++.", "c++"),
    ],
)
def test_avoided_words_may_have_marks_and_be_several(line, entry, tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes(b"\xef\xbb\xbf" + f"{entry}\n".encode())  # with a byte order mark
    accepts = LineFilter(SamplingOptions(avoid_words=str(file))).accepts
    assert not accepts(line) and accepts("We knew nothing of a new doge in York.")


def test_a_list_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "words.txt").write_bytes("dog\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"avoid_words must be a text file in UTF-8; got .*words"):
        LineFilter(SamplingOptions(avoid_words=str(tmp_path / "words.txt")))


def test_scores_belong_to_the_lines_that_were_sampled_again():
    sampler = tiny_sampler()
    for line in sampler.sample(8, length="4-9", log_probabilities=True):
        assert "".join(line.tokens).removesuffix("<eos>").strip() == line


def test_free_samples_are_those_of_the_generator_itself():
    data = tiny_lines()
    generator = tiny_generator(data.domain)
    ours = data.domain.sample(generator, 64, keyed_rng(3))
    assert ours == data.domain.decode(sample_batch(generator, 64, keyed_rng(3)))


def test_scores_are_the_log_probabilities_of_what_was_sampled():
    sampler = tiny_sampler()
    options = {"prompt": "the dog", "temperature": 0.5}
    plain, scored = (
        sampler.sample(4, **options),
        sampler.sample(4, **options, log_probabilities=True),
    )
    assert plain == scored and all(isinstance(line, ScoredText) for line in scored)
    for line in scored:
        assert line.log_probability == pytest.approx(sum(line.log_probabilities)) and line.tokens
        tokens = sampler.domain.encode([str(line)])
        condition = tokens.clone()
        condition[:, 2:] = PAD
        given = TextCondition(condition, torch.zeros(1, dtype=torch.int64))
        wanted = sampler.generator.token_log_likelihood(tokens, given, temperature=0.5)
        assert line.log_probability == pytest.approx(wanted.sum().item(), abs=1e-4)


def test_as_many_scores_as_tokens_are_demanded():
    with pytest.raises(ValueError, match="one value a token, 1; got 2"):
        ScoredText("a", ["a"], [0.0, 0.0])


def test_lines_are_written_one_each_and_read_back(tmp_path):
    domain = tiny_lines().domain
    samples = ["a b", "", "  c \u00e9", "a b"]
    (file,) = domain.write(samples, tmp_path)
    assert file.read_bytes() == "a b\n\n  c \u00e9\na b\n".encode()
    assert domain.read_samples(tmp_path) == samples
    assert domain.write([], tmp_path) == [file] and domain.read_samples(tmp_path) == []


def test_scores_are_written_beside_the_lines(tmp_path):
    sampler = tiny_sampler()
    samples = sampler.sample(3, log_probabilities=True)
    files = sampler.domain.write(samples, tmp_path)
    assert [file.name for file in files] == ["samples.txt", "samples.jsonl"]
    stored = [json.loads(line) for line in files[1].read_text().splitlines()]
    assert [line["text"] for line in stored] == samples == sampler.domain.read_samples(tmp_path)
    assert stored[0]["log_probability"] == samples[0].log_probability
    assert len(stored[0]["tokens"]) == len(stored[0]["log_probabilities"])


def test_a_preview_is_text_with_a_blank_line_after_each_row(tmp_path):
    domain = tiny_lines().domain
    (file,) = domain.preview(["a", "b", "c"], tmp_path / "x.1")
    assert file.name == "x.1.txt" and file.read_text() == "a\nb\nc\n"
    assert (
        domain.preview(["a", "b", "c"], tmp_path / "x", columns=2)[0].read_text() == "a\nb\n\nc\n"
    )
    assert domain.preview([], tmp_path / "y")[0].read_text() == ""


def test_lines_that_do_not_fit_are_cut_without_an_end():
    domain = tiny_lines().domain
    tokens = domain.encode(["the dog", "the dog " * 9])
    assert tokens[0, 2] == EOS and (tokens[0, 3:] == PAD).all()
    assert not (tokens[1] == EOS).any() and not (tokens[1] == PAD).any()


def test_the_sampling_options_have_a_help():
    options = {option.name: option for option in options_of(TextDomain.sample)}
    names = ["prompt", "label", "temperature", "top_k", "top_p", "length", "avoid_copies"]
    names = [*names, "avoid_words", "log_probabilities"]
    assert list(options) == names and all(option.help for option in options.values())


def test_the_domain_carries_its_tokenizer_through_json():
    domain = tiny_lines(class_field="mood").domain
    again = from_config(json.loads(json.dumps(to_config(domain))))
    assert again == domain and again.tokenizer_model.encode(
        ["a dog"]
    ) == domain.tokenizer_model.encode(["a dog"])
    assert "tokenizer" not in repr(domain)
    with pytest.raises(ValueError, match=r"length must be 2 or more, .* got 1"):
        TextDomain(domain.tokenizer, 1)


def sampled():
    return list(tiny_sampler(tiny_lines(class_field="mood")).sample(70, seed=5))


def test_a_seed_gives_the_same_text_in_every_process():
    assert in_another_process(sampled) == sampled()
