"""The text domain: lines of tokens, unconditional, continued from a prompt, or of a class.

Importing it imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multigan.core.metric_info import HIGHER, LOWER, MetricInfo
from multigan.core.number_limits import MAX_NUMBER, POSITIVE

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "LatentTextGenerator": "multigan.text.models.latent_generator:LatentTextGenerator",
    "OracleDataset": "multigan.benchmarks.seqgan_oracle:OracleDataset",
    "OracleDomain": "multigan.benchmarks.seqgan_oracle:OracleDomain",
    "TextCNN": "multigan.text.models.cnn_discriminator:TextCNN",
    "TextDomain": "multigan.text.domain:TextDomain",
    "TextGenerator": "multigan.text.models.generator:TextGenerator",
    "TextLineDataset": "multigan.text.datasets.text_lines:TextLineDataset",
    "TextRefiner": "multigan.text.models.refiner:TextRefiner",
    "TextTransformer": "multigan.text.models.transformer_discriminator:TextTransformer",
}

COMMANDS = {
    "baseline-metrics": "multigan.text.commands:baseline_metrics",
    "compare-likelihood": "multigan.text.analysis.likelihood_baselines:compare_likelihood",
    "export-tokenizer": "multigan.text.commands:export_tokenizer",
    "inspect": "multigan.text.commands:inspect_text",
    "temperature-sweep": "multigan.text.analysis.temperature_sweep:temperature_sweep",
}

NUMBER_LIMITS = {  # option -> the smallest and the largest value
    "filters": (1, 16_384),
    "free_bits": (0.0, 1000.0),
    "highest": (POSITIVE, 1000.0),
    "inverse_temperature": (POSITIVE, 1e6),
    "importance_samples": (2, 100_000),
    "length": (2, 100_000),
    "lines": (1, 10_000_000),
    "lowest": (POSITIVE, 1000.0),
    "num_representations": (1, 1000),
    "points": (2, 1000),
    "repeats": (1, 1000),
    "temperature": (0.0, 1e6),
    "top_k": (0, MAX_NUMBER),
    "top_p": (POSITIVE, 1.0),
    "vocabulary_size": (5, 1_000_000),
    "word_dropout": (0.0, 1.0),
}

REQUIREMENTS = {
    "speeches": "multigan.text.datasets.state_of_the_union:check_speeches",
}

HUB = {"pipeline_tag": "text-generation"}

METRICS = {
    "lm_nll": MetricInfo("nats per token under a language model of the training lines"),
    "reverse_lm_nll": MetricInfo(
        "nats per token of held-out lines under a language model of the samples", LOWER
    ),
    "frechet": MetricInfo("Fréchet distance between states of that language model", LOWER),
    "mauve": MetricInfo("area under the frontier of divergences, 0 to 1", HIGHER),
    "frontier_integral": MetricInfo("integral of the frontier of divergences", LOWER),
    "selection_score": MetricInfo("score that selects checkpoints", LOWER),
    "bleu_*": MetricInfo("n-grams of samples that occur in real lines; quality alone"),
    "self_bleu_*": MetricInfo("n-grams that samples share with each other; high is repetitive"),
    "nll_token": MetricInfo("nats per token of held-out lines under the generator", LOWER),
    "nll_word": MetricInfo("nats per word of held-out lines under the generator", LOWER),
    "nll_char": MetricInfo("nats per character of held-out lines under the generator", LOWER),
    "nll_line": MetricInfo("nats per held-out line under the generator", LOWER),
    "nll_oracle": MetricInfo("nats per token of samples under the oracle"),
    "lines": MetricInfo("number of lines that were measured", "as large as the data allows"),
    "unique_fraction": MetricInfo("distinct lines"),
    "memorized_fraction": MetricInfo("lines that stand in the training set"),
    "unfinished_fraction": MetricInfo("lines without an end"),
    "latent_kl": MetricInfo("nats of its latent that a held-out line tells; 0 is collapse"),
    "latent_active": MetricInfo("entries of the latent that differ between lines"),
    "latent_changed": MetricInfo("tokens of samples that change with the latent alone"),
    "distinct_*": MetricInfo("distinct n-grams over all n-grams"),
    "length_total_variation": MetricInfo("difference of the length distributions", LOWER),
}


def load(path: str | Path) -> Sampler:
    """Load a trained text generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no text generator.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="text")
