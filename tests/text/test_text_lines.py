"""Lines as one-hot tokens."""

import json

import pytest
import torch

from multigan.core.serialization import from_config, to_config
from multigan.storage.loading import in_domain
from multigan.text.datasets.text_lines import TextLineDataset
from tests.text.special_ids import BOS, EOS, PAD


def tiny(**settings):
    return TextLineDataset(**{"source": "phrases", "length": 16, "tokenizer": "word"} | settings)


def tokens_of(data):
    return data.batch(torch.arange(len(data))).x.argmax(-1)


def test_lines_are_one_hot_end_once_and_are_padding_after_it():
    data = tiny()
    x = data.batch(torch.arange(50)).x
    assert x.shape == (50, 16, data.domain.vocabulary_size) and x.dtype == torch.float32
    assert (x.sum(-1) == 1).all() and ((x == 0) | (x == 1)).all()
    tokens = tokens_of(data)
    assert ((tokens == EOS).sum(1) == 1).all() and not (tokens == BOS).any()
    ended = (tokens == EOS).cumsum(1) - (tokens == EOS).long() > 0
    assert torch.equal(ended, tokens == PAD)


def test_decoding_gives_the_lines_back():
    data = tiny()
    assert data.domain.decode(data.batch(torch.arange(len(data))).x) == list(data.texts)


def test_lines_without_classes_have_no_condition_and_those_with_have_labels():
    assert tiny().batch(torch.arange(3)).condition is None
    data = tiny(class_field="mood")
    batch = data.batch(torch.arange(9))
    assert (batch.condition.prompt == PAD).all() and batch.condition.prompt.shape == (9, 16)
    asks = [data.domain.class_names[label] == "question" for label in batch.condition.label]
    assert asks == [line.endswith("?") for line in data.texts[:9]]


def test_no_line_of_a_split_is_in_another():
    data = tiny()
    texts = [set(data.split(name).texts) for name in ("train", "valid", "test")]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert data.split("valid").split("train").fingerprint == data.fingerprint


def test_other_lines_are_read_by_the_tokenizer_of_a_generator(tmp_path):
    (tmp_path / "my.txt").write_text("".join(f"A cat number {k} sees a dog.\n" for k in range(90)))
    own, other = tiny(), tiny(source=str(tmp_path / "my.txt"), length=40, tokenizer="char")
    read = in_domain(other.split("test"), own.domain)
    assert read.domain == own.domain and read.split_name == "test" and len(read) == len(read.texts)
    assert set(read.texts) <= set(other.split("test").texts) and len(read)
    assert read.batch(torch.arange(1)).x.shape[1:] == own.batch(torch.arange(1)).x.shape[1:]
    assert in_domain(own, own.domain) is own and other.domain.length == 40
    with pytest.raises(ValueError, match=r"my.txt must have the classes of the generator, .*none"):
        in_domain(other, tiny(class_field="mood").domain)


def test_longer_lines_are_left_out_and_counted():
    data = tiny(length=8)
    whole = tiny()
    assert data.num_truncated > 0 and len(data) + data.num_truncated == len(whole)
    assert (tokens_of(data)[:, -1].unique() <= EOS).all()  # the end fits into the last place


def test_many_left_out_lines_of_ones_own_file_are_warned_of(tmp_path):
    file = tmp_path / "my.txt"
    file.write_text("".join(f"word {k}\n" + "many " * 30 + f"{k}\n" for k in range(50)))
    with pytest.warns(UserWarning, match=r"\d+% of the lines have more than 15 tokens"):
        assert len(tiny(source=str(file), vocabulary_size=50)) > 0


def test_words_that_are_never_written_are_warned_of(tmp_path):
    file = tmp_path / "my.txt"
    file.write_text("".join(f"many words {k}\n" for k in range(50)))
    with pytest.warns(UserWarning, match=r"\d+% of the lines hold a word outside"):
        tiny(source=str(file), vocabulary_size=20)


def test_one_word_lines_and_fewer_lines_than_a_batch_are_data(tmp_path):
    file = tmp_path / "my.txt"
    file.write_text("alpha\nbeta\ngamma\n")
    data = TextLineDataset(str(file), 12, vocabulary_size=300)
    assert len(data) == len(data.split("valid")) == len(data.split("test")) == 1


def test_a_local_tokenizer_folder_is_taken_whole(tmp_path):
    from multigan.text.tokenization.tokenizer import save_folder

    data = tiny()
    save_folder(data.domain.tokenizer, tmp_path / "tokenizer", 16)
    again = tiny(tokenizer=str(tmp_path / "tokenizer"))
    assert again.domain.vocabulary_size == data.domain.vocabulary_size
    assert torch.equal(tokens_of(again), tokens_of(data))


@pytest.mark.filterwarnings("ignore:.*a word outside the vocabulary:UserWarning")
def test_the_fingerprint_knows_lines_labels_length_and_vocabulary():
    made = [tiny(), tiny(class_field="mood"), tiny(length=17), tiny(tokenizer="char", length=60)]
    made += [tiny(vocabulary_size=20), made[0].split("valid")]
    assert len({data.fingerprint for data in made}) == len(made)
    again = from_config(json.loads(json.dumps(to_config(made[1]))))
    assert again.fingerprint == made[1].fingerprint and again.domain == made[1].domain


def test_what_cannot_be_data_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="split must be one of train, valid, test; got 'dev'"):
        tiny(split="dev")
    with pytest.raises(ValueError, match=r"length must be 2 or more, .* got 1"):
        tiny(length=1)
    with pytest.raises(ValueError, match=r"length must be above .* of 400 train lines; got 3"):
        tiny(length=3)
    with pytest.raises(ValueError, match=r"tokenizer must be bpe, word_bpe, .* got 'words'"):
        tiny(tokenizer="words")
