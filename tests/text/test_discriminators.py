import pytest
import torch

from multigan.core.protocols import Discriminator
from multigan.core.rng import keyed_rng
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.soft_embedding import SoftEmbedding, one_hot_matmul
from multigan.text.models.transformer_discriminator import TextTransformer
from tests.text.networks import LABELS, LENGTH, VOCABULARY, cnn, given, lines, one_hot, transformer
from tests.text.special_ids import EOS, PAD

NETWORKS = {
    "one representation": cnn,
    "many representations": lambda **more: cnn(num_representations=3, **more),
    "every token": transformer,
    "the sequence": lambda **more: transformer(level="sequence", **more),
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
    shapes = {"many representations": (4, 3), "one representation": (4, 1), "the sequence": (4,)}
    output = d(one_hot(lines(4)), given(4))
    logits = output[0] if isinstance(output, tuple) else output
    assert logits.shape == shapes.get(name, (4, LENGTH))
    assert isinstance(output, tuple) == (name == "every token")
    other = given(4)._replace(label=1 - given(4).label)
    assert not torch.equal(mean_logits(output), mean_logits(d(one_hot(lines(4)), other)))


@every_network
@pytest.mark.parametrize("rows", ["one-hot", "relaxed", "both", "fixed"])
def test_a_gradient_at_the_embedding_has_the_norm_of_the_one_at_the_input(name, rows):
    d = NETWORKS[name](num_classes=LABELS, fixed_length=rows == "fixed").double()
    x = relaxed() if rows in ("relaxed", "both", "fixed") else one_hot(lines(4)).double()
    if rows == "both":
        x = torch.cat([x, one_hot(lines(4)).double()])
    x.requires_grad_()
    dense = mean_logits(d(x, given(len(x))))
    (grad,) = torch.autograd.grad(dense.sum(), x)
    embedding = d.embed(x.detach()).detach().requires_grad_()
    embedded = mean_logits(d.score(embedding, given(len(x))))
    torch.testing.assert_close(embedded, dense, rtol=1e-10, atol=1e-12)
    (grad_e,) = torch.autograd.grad(embedded.sum(), embedding)
    squared = d.squared_input_norm(grad_e)
    torch.testing.assert_close(squared, grad.flatten(1).square().sum(1), rtol=1e-9, atol=1e-12)
    assert (squared > 0).all()


@every_network
def test_a_penalty_reaches_every_weight(name):
    d = NETWORKS[name](num_classes=LABELS)
    embedding = d.embed(one_hot(lines(8)))
    (grad,) = torch.autograd.grad(
        mean_logits(d.score(embedding, given(8))).sum(), embedding, create_graph=True
    )
    d.squared_input_norm(grad).sum().backward()
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


def test_the_embedding_holds_the_probability_of_padding():
    embedding = SoftEmbedding(VOCABULARY, 4)
    tokens = lines(5)
    assert torch.equal(embedding(one_hot(tokens))[..., -1], (tokens == PAD).float())
    assert not SoftEmbedding(VOCABULARY, 4, fixed_length=True)(one_hot(tokens))[..., -1].any()


@pytest.mark.parametrize("fixed_length", [False, True])
def test_any_gradient_at_the_embedding_has_the_norm_of_the_one_at_the_input(fixed_length):
    embedding = SoftEmbedding(VOCABULARY, 4, fixed_length).double()
    grad = torch.randn(3, LENGTH, 5, generator=keyed_rng("grad"), dtype=torch.float64)
    x = relaxed(3).requires_grad_()
    (at_input,) = torch.autograd.grad((embedding(x) * grad).sum(), x)
    expected = at_input.flatten(1).square().sum(1)
    torch.testing.assert_close(embedding.squared_input_norm(grad), expected)


def test_a_token_is_scored_by_what_came_before_and_padding_does_not_count():
    d = transformer()
    tokens = lines(6)
    logits, weights = d(one_hot(tokens))
    assert torch.equal(weights == 0, tokens == PAD)
    changed = tokens.clone()
    changed[:, 3:] = 4
    assert torch.equal(d(one_hot(changed))[0][:, :3], logits[:, :3])


def test_a_sequence_is_scored_without_its_padding():
    d = transformer(level="sequence")
    x = one_hot(lines(6))
    embedding = d.embed(x)
    noise = torch.randn(embedding.shape, generator=keyed_rng("noise")) * x[..., PAD, None]
    noise[..., -1] = 0
    torch.testing.assert_close(d.score(embedding + noise), d.score(embedding))


def test_a_line_shorter_than_the_widest_convolution_is_read():
    assert cnn()(one_hot(lines(3))[:, :2]).shape == (3, 1)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiple of num_representations; got 6 and 4"):
        cnn(num_representations=4)
    with pytest.raises(ValueError, match="level must be one of token, sequence"):
        TextTransformer(VOCABULARY, LENGTH, level="word")
