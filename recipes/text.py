"""Sentences of at most 27 tokens: likelihood training, then adversarial training.

    multigan train text --data my.txt
    multigan sample runs/text-0001 -n 20 --prompt "We must"

Result, the speeches, 12 minutes on two cores; seeds 0, 1, 2: unique_fraction at least .9995,
memorized_fraction at most .001, Frechet distance .035, .036, .038 (likelihood .035, .036, .039):
ties with likelihood (README, Text).
Try: `multigan train text --estimator straight_through --discriminator relgan`: RelGAN's.
"""

from typing import Literal

from multigan.core.recipe import Recipe, Schedule
from multigan.text.datasets.text_lines import TextLineDataset
from multigan.text.models.build import build_discriminator, build_generator

TINY = {"data": "phrases", "class_field": "any", "width": 16, "steps": 6, "likelihood_steps": 4}
ADVERSARIAL = {"loss": "nonsaturating", "ema_halflife_samples": 1000}
FREQUENT = 2000  # tokens with wide embeddings, in a vocabulary of more than twice as many
FIXED = {"burn_in": 0.0, "max_grad_norm": 5.0, "likelihood_patience": 3, "discriminator_steps": 5}


def recipe(
    *,
    data: str = "speeches",
    text_column: str = "",
    label_column: str = "",
    unit: str = "line",
    class_field: str = "",
    tokenizer: str = "bpe",
    vocabulary_size: int = 3000,
    length: int = 28,
    likelihood_steps: int = 4000,
    steps: int = 160,
    batch_size: int = 64,
    backbone: str = "lstm",
    width: int = 256,
    dropout: float = 0.3,
    estimator: Literal["reinforce", "straight_through", "soft"] = "reinforce",
    inverse_temperature: float = 4.0,
    discriminator: Literal["cnn", "relgan", "token", "sequence"] = "cnn",
    likelihood_weight: float = 0.02,
    likelihood_lr: float = 3e-3,
    lr: float = 2e-4,
    gamma: float = 0.0,
) -> Recipe:
    """Lines of text.

    data: speeches (to 20 words), long_speeches (to 40), phrases, a text file, a table (CSV,
        JSONL, ...), or a folder of them
    text_column: of a table; found if not given
    label_column: of a table: the classes of the texts; folder: the folder of each file
    unit: a sample of plain text: line, paragraph or file
    class_field: classes of the lines: party or era of speeches, mood of phrases, any, or none
    tokenizer: bpe, word_bpe (frequent words whole), word, whitespace, char, or a folder with a
        tokenizer of Hugging Face's
    vocabulary_size: maximum number of tokens
    length: maximum number of tokens of a line, its end included
    likelihood_steps: updates of the likelihood stage, which stops early without improvement
    steps: updates of the generator in adversarial training
    batch_size: real lines in one update
    backbone: of the generator: lstm, relational, transformer, or a Hugging Face model folder
    width: of the backbone
    dropout: in the likelihood stage
    estimator: gradient estimator of adversarial training
    inverse_temperature: of the relaxation at the end
    discriminator: the network that tells real lines from sampled ones
    likelihood_weight: of a line's negative log-likelihood, in nats, in the adversarial loss
    likelihood_lr: learning rate of the likelihood stage; it decays to a 30th
    lr: learning rate of the generator in adversarial training; the discriminator's is five times
    gamma: weight of both penalties
    """
    fields = {"text_column": text_column, "label_column": label_column, "unit": unit}
    fields |= {"class_field": class_field}
    lines = TextLineDataset(data, length, tokenizer, vocabulary_size, **fields)
    sizes = (lines.domain.vocabulary_size, length, len(lines.domain.class_names))
    options = {"estimator": estimator, "inverse_temperature": inverse_temperature}
    options |= {"embedding": 128, "tie_embeddings": True, "width": width, "dropout": dropout}
    if lines.domain.vocabulary_size > 2 * FREQUENT:
        options |= {"embedding": 160, "head_size": FREQUENT, "tail_width": 36}
    return Recipe(
        data=lines,
        generator=build_generator(backbone, *sizes, **options),
        discriminator=build_discriminator(discriminator, *sizes),
        steps=steps,
        batch_size=batch_size,
        penalties={"r1": gamma, "r2": gamma},
        generator_lr=Schedule(lr / 100, lr, 0.5),  # the discriminator has to learn first
        discriminator_lr=5 * lr,
        likelihood_steps=likelihood_steps,
        likelihood_lr=Schedule(likelihood_lr, likelihood_lr / 30),
        likelihood_weight=likelihood_weight,
        **FIXED,
        **ADVERSARIAL,
    )
