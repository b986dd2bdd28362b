"""A config of Hugging Face's in a weight file reaches no other model, no code and no network."""

import json
import os

import pytest
import torch

from multigan.core.optional_dependencies import transformers
from multigan.core.serialization import to_config
from multigan.storage.weights import save_weights
from multigan.text.models.hf_backbone import HFBackbone
from multigan.text.models.hf_config import (
    MODEL_TYPES,
    SINCE_5,
    check_hf_config,
    hf_settings,
    read_config,
)
from tests.forked import forked
from tests.run_helpers import REPOSITORY, python
from tests.text.networks import GPT2
from tests.text.tiny import tiny_generator, tiny_lines

OLDER = "OLDER_TRANSFORMERS"  # environment variable: site-packages with transformers 4.50
REPO = "evil/repo"
FOREIGN = {
    "use_pretrained_backbone": True,
    "backbone": REPO,
    "backbone_config": {"model_type": "resnet"},
    "use_timm_backbone": True,
    "vision_backbone": REPO,
    "auto_map": {"AutoModel": f"{REPO}--modeling.Evil"},
    "quantization_config": {"quant_method": "gptq", "tokenizer": REPO},
    "_attn_implementation": REPO,
    "attn_implementation": "kernels-community/flash-attn",
    "experts_implementation": REPO,
    "_name_or_path": REPO,
    "name_or_path": REPO,
    "code_revision": "main",
    "trust_remote_code": True,
    "use_kernels": True,
    "kernel_config": {"kernel_mapping": {"RMSNorm": f"{REPO}:RMSNorm"}},
    "_adapter_model_path": REPO,
    "gguf_file": REPO,
}
HOSTILE = {f"gpt2 {key}": GPT2 | {key: value} for key, value in FOREIGN.items()} | {
    kind: {"model_type": kind, "use_pretrained_backbone": True, "backbone": REPO}
    for kind in ("detr", "table-transformer", "dpt", "upernet", "maskformer", "omdet-turbo")
}
HOSTILE |= {
    "nested config": GPT2 | {"text_config": GPT2},
    "deep": GPT2 | {"task_specific_params": {"a": [{"backbone": REPO}]}},
    "encoder-decoder": {"model_type": "encoder-decoder", "encoder": GPT2, "decoder": GPT2},
    "llava": {"model_type": "llava", "text_config": GPT2},
    "no type": {"n_embd": 8},
    "type is a list": {"model_type": ["gpt2"]},
}
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 2, "intermediate_size": 16, "n_embd": 8, "n_layer": 2, "n_head": 2,
         "num_layers": 2, "num_heads": 2, "ffn_dim": 16, "word_embed_proj_dim": 8, "n_inner": 16,
         "attention_types": [[["global", "local"], 1]], "rotary_dim": 2, "bos_token_id": 0,
         "eos_token_id": 0}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_config_that_names_another_model_or_code_is_refused(name):
    with pytest.raises(ValueError, match="hf_config must") as error:
        HFBackbone(5, HOSTILE[name])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [kind for kind in MODEL_TYPES if kind not in SINCE_5])
def test_the_steps_of_every_model_type_equal_one_pass(kind):
    torch.manual_seed(0)
    body = HFBackbone(5, SIZES | {"model_type": kind}).eval()
    x = torch.randn(2, 6, 5)
    state, rows = body.initial_state(x), []
    with torch.no_grad():
        for k in range(6):
            features, state = body.step(x[:, k], state)
            rows.append(features)
        torch.testing.assert_close(
            torch.stack(rows, 1), body.forward_sequence(x), atol=1e-5, rtol=1e-4
        )


def test_published_configs_are_accepted():
    published = {
        "architectures": ["GPT2LMHeadModel"], "is_encoder_decoder": False, "torch_dtype": "float16",
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "decoder_start_token_id": None, "quantization_config": None, "n_ctx": 8,
        "pretraining_tp": 1, "pruned_heads": {}, "id2label": {"0": "LABEL_0"}, "_name_or_path": "",
        "unknown": REPO,
    }  # fmt: skip
    check_hf_config(GPT2 | published)
    settings = hf_settings(GPT2 | published)
    assert settings.n_embd == 8 and not hasattr(settings, "unknown")
    assert next(HFBackbone(5, GPT2 | published).parameters()).dtype == torch.float32


def test_a_local_folder_keeps_the_sizes_and_loses_its_name(tmp_path):
    stored = GPT2 | {"_name_or_path": "gpt2", "auto_map": {"AutoModel": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert read_config(tmp_path) == GPT2
    (tmp_path / "config.json").write_text(json.dumps(GPT2 | {"quantization_config": {"bits": 4}}))
    with pytest.raises(ValueError, match=r"no other model and no code.*quantization_config"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="must be a JSON object"):
        read_config(tmp_path)


@pytest.mark.parametrize("packages", ["", OLDER])
def test_no_weight_file_causes_a_request(packages, tmp_path):
    """One file in each kind, opened by `sample` beside a listener; the listener hears others."""
    if packages and packages not in os.environ:
        pytest.skip(f"{OLDER} must name a folder with transformers 4.50")
    domain = tiny_lines().domain
    good = GPT2 | {"n_positions": domain.length}
    network = tiny_generator(domain, backbone="hugging_face", hf_config=good)
    for name, config in {"good": good, **HOSTILE}.items():
        described = to_config(network)
        described["arguments"]["hf_config"] = config
        save_weights(
            tmp_path / f"{name}.safetensors",
            network,
            {"domain": to_config(domain), "generator": described},
        )
    path = os.pathsep.join([str(REPOSITORY), os.environ.get(packages, "")])
    if packages:
        done = python("-m", "tests.text.hub_requests", tmp_path, path=path, cwd=REPOSITORY)
    else:
        done = forked("tests.text.hub_requests", tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["version"].startswith("4.50" if packages else transformers().__version__)
    assert (answer["files"], answer["offline"]) == (0, 0) and answer["online"] > 0
    errors = answer["errors"]
    assert not errors.pop("good")
    assert (tmp_path / "good").is_dir()
    assert set(errors) == set(HOSTILE)
    assert all("hf_config must" in said and "internal" not in said for said in errors.values())
