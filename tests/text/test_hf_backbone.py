"""A Hugging Face model as the backbone of the generator; nothing is fetched."""

import json

import pytest
import torch

from multigan.core import optional_dependencies
from multigan.core.rng import keyed_rng
from multigan.text.models.build import build_generator
from multigan.text.models.generator import TextGenerator
from multigan.text.models.hf_backbone import HFBackbone, load_hf_weights
from multigan.text.models.hf_config import read_config
from tests.text.networks import GPT2, LENGTH, cnn, generator, step_by_step


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of another vocabulary, as its owner would save it."""
    library = optional_dependencies.transformers()
    settings = library.GPT2Config(n_embd=8, n_layer=2, n_head=2, n_positions=8, vocab_size=30)
    path = tmp_path_factory.mktemp("model")
    library.GPT2LMHeadModel(settings).save_pretrained(path)
    return path


def test_two_passes_through_it_equal_its_loop():
    g = generator("hugging_face", inverse_temperature=3.0).double().train()
    latent = g.sample_latent(4, keyed_rng("latent"))
    d, found = cnn().double(), []
    for lines_of in (g, lambda z: step_by_step(g, z, None)):
        g.zero_grad()
        d(lines_of(latent)).square().sum().backward()
        found.append({k: p.grad.clone() for k, p in g.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() and len(found[0]) > 20
    for name, value in found[1].items():
        scale = 1e-9 * float(value.abs().max()) + 1e-12
        torch.testing.assert_close(found[0][name], value, rtol=1e-9, atol=scale, msg=name)


def test_a_backbone_takes_the_weights_of_a_local_folder(folder):
    config = read_config(folder)
    body = HFBackbone(5, config)
    load_hf_weights(body, folder)
    source = optional_dependencies.transformers().GPT2Model.from_pretrained(folder)
    x = torch.randn(2, LENGTH, 8, generator=keyed_rng("x"))
    body.input_projection = torch.nn.Identity()
    with torch.no_grad():
        expected = source.eval()(inputs_embeds=x).last_hidden_state
        torch.testing.assert_close(body.forward_sequence(x), expected)
    other = HFBackbone(5, GPT2 | {"n_embd": 4})
    with pytest.raises(ValueError, match="must have the shape"):
        load_hf_weights(other, folder)


def test_a_generator_is_described_by_the_config_and_no_path(folder):
    config = read_config(folder)
    g = TextGenerator(11, LENGTH, backbone="hugging_face", embedding=5, hf_config=config)
    text = json.dumps(g._component_arguments)
    assert str(folder) not in text and json.loads(text)["hf_config"]["model_type"] == "gpt2"
    assert all("wte" not in name or p.numel() == 8 for name, p in g.named_parameters())


def test_what_is_no_model_is_answered_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="must be a Hugging Face model folder"):
        read_config(tmp_path)
    with pytest.raises(ValueError, match="must have a model_type"):
        HFBackbone(5, {"n_embd": 8})


def test_a_generator_is_built_around_a_folder_or_a_backbone_by_name(folder):
    found = build_generator(str(folder), 11, LENGTH, 0, embedding=5, tie_embeddings=True)
    source = optional_dependencies.transformers().GPT2Model.from_pretrained(folder).state_dict()
    name = "h.1.mlp.c_fc.weight"
    assert torch.equal(found.backbone.model.state_dict()[name], source[name])
    assert found(found.sample_latent(2, keyed_rng("latent"))).shape == (2, LENGTH, 11)
    assert build_generator("lstm", 11, LENGTH, 0, width=6).backbone.output_dim == 6
    with pytest.raises(
        ValueError, match=r"backbone must be one of lstm, .*or a model folder; got .gpt."
    ):
        build_generator("gpt", 11, LENGTH, 0)
