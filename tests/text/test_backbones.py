import numpy as np
import pytest
import torch

from multigan.core.rng import keyed_rng
from multigan.text.models.backbones import BACKBONES, BackboneConfig, build_backbone
from multigan.text.models.generator import TextGenerator
from multigan.text.models.relational_memory import RelationalMemory
from tests.text.networks import redrawn


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_the_relational_generator_has_as_many_parameters_as_the_published_one():
    published = TextGenerator(5000, 20, backbone="relational", embedding=32, width=512, heads=2)
    assert count(published) == 5_107_336
    small = TextGenerator(2000, 20, backbone="relational", embedding=32, width=128, heads=2)
    assert count(small) == 475_216


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def norm(a, layer):
    """Over all rows and columns of one sample."""
    gain, bias = layer
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5) * gain + bias


def softmax(a):
    e = np.exp(a - a.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def memory_by_the_book(x, w, memory_slots, heads, scale):
    """x (T, E) of one sample, weights by name -> memories (T, N, M), one operation after another.

    Source: the description in Santoro et al. 2018, section 3.3, with the published code's order.
    """
    width = w["input_projection.bias"].shape[0]
    size = width // heads
    memory, found = np.eye(memory_slots, width), []
    for x_t in x:
        u = x_t @ w["input_projection.weight"].T + w["input_projection.bias"]
        rows = np.concatenate([memory, u[None]])
        qkv = rows @ w["qkv.weight"].T
        qkv = norm(qkv, (w["qkv_norm.weight"], w["qkv_norm.bias"]))
        attended = np.zeros_like(rows)
        for head in range(heads):
            part = qkv[:, 3 * size * head : 3 * size * (head + 1)]
            q, k, v = part[:, :size], part[:, size : 2 * size], part[:, 2 * size :]
            attended[:, size * head : size * (head + 1)] = softmax(scale * q @ k.T) @ v
        one = norm(rows + attended, (w["attention_norm.weight"], w["attention_norm.bias"]))
        thought = np.maximum(one @ w["mlp.0.weight"].T + w["mlp.0.bias"], 0)
        thought = thought @ w["mlp.2.weight"].T + w["mlp.2.bias"]
        two = norm(one + thought, (w["mlp_norm.weight"], w["mlp_norm.bias"]))
        gates = u @ w["input_gates.weight"].T + np.tanh(memory) @ w["memory_gates.weight"].T
        into, keep = gates[:, :width], gates[:, width:]
        memory = sigmoid(into) * np.tanh(two[:-1]) + sigmoid(keep + 1) * memory
        found.append(memory)
    return np.stack(found)


@pytest.mark.parametrize(("memory_slots", "published"), [(1, False), (3, False), (3, True)])
def test_the_relational_memory_equals_an_independent_one_in_numpy(memory_slots, published):
    memory = RelationalMemory(4, 6, heads=2, memory_slots=memory_slots, relgan_scaling=published)
    memory = redrawn(memory).double()
    x = torch.randn(2, 5, 4, generator=keyed_rng("x"), dtype=torch.float64)
    weights = {name: p.detach().numpy() for name, p in memory.named_parameters()}
    scale = (9 if published else 3) ** -0.5
    found = memory.forward_sequence(x).detach()
    for b in range(2):
        expected = memory_by_the_book(x[b].numpy(), weights, memory_slots, 2, scale)
        np.testing.assert_allclose(found[b].numpy(), expected.reshape(5, -1), rtol=1e-10)


def test_a_transformer_sees_nothing_that_comes_later():
    backbone = build_backbone("transformer", BackboneConfig(4, 8, 2, 2, 1, 5, False, None))
    x = torch.randn(1, 5, 4, generator=keyed_rng("x"))
    changed = x.clone()
    changed[:, 3] += 1
    one, other = backbone.forward_sequence(x), backbone.forward_sequence(changed)
    assert torch.equal(one[:, :3], other[:, :3])
    assert not torch.equal(one[:, 3], other[:, 3]) and not torch.equal(one[:, 4], other[:, 4])


def test_unknown_backbones_and_unfit_heads_are_refused():
    with pytest.raises(ValueError, match=f"must be one of {', '.join(BACKBONES)}"):
        TextGenerator(10, 5, backbone="gru")
    with pytest.raises(ValueError, match="hf_config must be"):
        TextGenerator(10, 5, backbone="hugging_face")
    for backbone in ("transformer", "relational"):
        with pytest.raises(ValueError, match="width must be a multiple of heads; got 8 and 3"):
            TextGenerator(10, 5, backbone=backbone, width=8, heads=3)
