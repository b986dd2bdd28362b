import pytest
import torch

from multigan.core.protocols import Discriminator
from multigan.core.rng import keyed_rng
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.soft_embedding import SoftEmbedding, one_hot_matmul
from multigan.text.models.transformer_discriminator import TextTransformer
from multigan.text.tokenization.tokenizer import EOS, PAD
from tests.text.networks import LABELS, LENGTH, VOCABULARY, cnn, given, judge, lines, one_hot

NETWORKS = {
    "one representation": cnn,
    "many representations": lambda **more: cnn(num_representations=3, **more),
    "every position": judge,
    "the sentence": lambda **more: judge(level="sentence", **more),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def relaxed(n=4):
    """Rows between one-hot ones, and ends and padding that are hard, as a generator makes them."""
    tokens = lines(n)
    soft = (3 * torch.randn(n, LENGTH, VOCABULARY, generator=keyed_rng("soft"))).softmax(-1)
    fixed = ((tokens == PAD) | (tokens == EOS))[..., None]
    soft[..., PAD] = 0
    return torch.where(fixed, one_hot(tokens), soft / soft.sum(-1, keepdim=True)).double()


def mean_logits(output):
    logits, weights = output if isinstance(output, tuple) else (output, torch.ones_like(output))
    logits, weights = logits.reshape(len(logits), -1), weights.reshape(len(weights), -1)
    return (logits * weights).sum(1) / weights.sum(1)


def test_discriminators_have_as_many_parameters_as_the_published_one():
    published = TextCNN(5000, num_representations=64, embedding=64, filters=300)
    assert sum(p.numel() for p in published.parameters()) == 3_325_601
    small = TextCNN(2000, num_representations=8, embedding=64, filters=64)
    assert sum(p.numel() for p in small.parameters()) == 292_297


@every_network
def test_a_discriminator_keeps_the_contract(name):
    d = NETWORKS[name](num_classes=LABELS)
    assert isinstance(d, Discriminator) and not d.uses_batch_statistics
    shapes = {"many representations": (4, 3), "one representation": (4, 1), "the sentence": (4,)}
    output = d(one_hot(lines(4)), given(4))
    logits = output[0] if isinstance(output, tuple) else output
    assert logits.shape == shapes.get(name, (4, LENGTH))
    assert isinstance(output, tuple) == (name == "every position")
    other = given(4)._replace(label=1 - given(4).label)
    assert not torch.equal(mean_logits(output), mean_logits(d(one_hot(lines(4)), other)))


@every_network
@pytest.mark.parametrize("rows", ["one-hot", "relaxed", "both", "fixed"])
def test_a_slope_at_the_embedding_has_the_norm_of_the_one_at_the_input(name, rows):
    d = NETWORKS[name](num_classes=LABELS, fixed_length=rows == "fixed").double()
    x = relaxed() if rows in ("relaxed", "both", "fixed") else one_hot(lines(4)).double()
    if rows == "both":
        x = torch.cat([x, one_hot(lines(4)).double()])
    x.requires_grad_()
    dense = mean_logits(d(x, given(len(x))))
    (slope,) = torch.autograd.grad(dense.sum(), x)
    entry = d.embed(x.detach()).detach().requires_grad_()
    embedded = mean_logits(d.score(entry, given(len(x))))
    torch.testing.assert_close(embedded, dense, rtol=1e-10, atol=1e-12)
    (entry_slope,) = torch.autograd.grad(embedded.sum(), entry)
    squared = d.squared_input_norm(entry_slope)
    torch.testing.assert_close(squared, slope.flatten(1).square().sum(1), rtol=1e-9, atol=1e-12)
    assert (squared > 0).all()


@every_network
def test_a_penalty_reaches_every_weight(name):
    d = NETWORKS[name](num_classes=LABELS)
    entry = d.embed(one_hot(lines(8)))
    (slope,) = torch.autograd.grad(
        mean_logits(d.score(entry, given(8))).sum(), entry, create_graph=True
    )
    d.squared_input_norm(slope).sum().backward()
    weights = {
        k: p for k, p in d.named_parameters() if p.dim() > 1 and "position_embedding" not in k
    }
    assert [k for k, p in weights.items() if p.grad is None or not p.grad.any()] == []


def test_gathered_rows_equal_products_in_value_and_gradient():
    table = torch.randn(VOCABULARY, 3, generator=keyed_rng("table"), dtype=torch.float64)
    for x in (one_hot(lines(4)).double(), relaxed(), torch.cat([one_hot(lines(2)), relaxed(2)])):
        found = []
        for product in (one_hot_matmul, torch.matmul):
            weight = table.clone().requires_grad_()
            e = product(x.double(), weight)
            (e * torch.arange(e.numel()).reshape(e.shape)).sum().backward()
            found.append((e.detach(), weight.grad))
        torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-9)
    wide = relaxed().requires_grad_()
    one_hot_matmul(wide, table).sum().backward()
    torch.testing.assert_close(wide.grad, table.sum(1).expand_as(wide))


def test_rows_that_are_not_one_hot_are_not_gathered():
    table = torch.randn(4, 3, generator=keyed_rng("table"))
    x = torch.tensor([[0.5, 0, 0.5, 0], [0, 0, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0.5]])
    torch.testing.assert_close(one_hot_matmul(x, table), x @ table)


def test_the_entry_says_how_much_is_padding():
    entry = SoftEmbedding(VOCABULARY, 4)
    tokens = lines(5)
    assert torch.equal(entry(one_hot(tokens))[..., -1], (tokens == PAD).float())
    assert not SoftEmbedding(VOCABULARY, 4, fixed_length=True)(one_hot(tokens))[..., -1].any()


@pytest.mark.parametrize("fixed_length", [False, True])
def test_any_slope_at_the_entry_has_the_norm_of_the_one_at_the_input(fixed_length):
    entry = SoftEmbedding(VOCABULARY, 4, fixed_length).double()
    slope = torch.randn(3, LENGTH, 5, generator=keyed_rng("slope"), dtype=torch.float64)
    x = relaxed(3).requires_grad_()
    (at_input,) = torch.autograd.grad((entry(x) * slope).sum(), x)
    expected = at_input.flatten(1).square().sum(1)
    torch.testing.assert_close(entry.squared_input_norm(slope), expected)


def test_a_position_is_judged_by_what_came_before_and_padding_does_not_count():
    d = judge()
    tokens = lines(6)
    logits, weights = d(one_hot(tokens))
    assert torch.equal(weights == 0, tokens == PAD)
    changed = tokens.clone()
    changed[:, 3:] = 4
    assert torch.equal(d(one_hot(changed))[0][:, :3], logits[:, :3])


def test_a_sentence_is_judged_without_its_padding():
    d = judge(level="sentence")
    x = one_hot(lines(6))
    entry = d.embed(x)
    noise = torch.randn(entry.shape, generator=keyed_rng("noise")) * x[..., PAD, None]
    noise[..., -1] = 0
    torch.testing.assert_close(d.score(entry + noise), d.score(entry))


def test_a_line_shorter_than_the_widest_convolution_is_read():
    assert cnn()(one_hot(lines(3))[:, :2]).shape == (3, 1)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="cannot be cut into 4 representations"):
        cnn(num_representations=4)
    with pytest.raises(ValueError, match="known: position, sentence"):
        TextTransformer(VOCABULARY, LENGTH, level="word")
