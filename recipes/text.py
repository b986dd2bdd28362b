"""Lines of at most 40 tokens: likelihood training, then adversarial training.

    multigan train text --data my.txt
    multigan sample runs/text-0001 -n 20 --prompt "We must"

Result, the speeches, seed 0: .924 nats a test character, Frechet distance .051, a tie with its own
likelihood stage (.062; a copy of training lines .049); `multigan refine` gains .54 nats a line.
Time: 552 CPU s, one thread, with one adversarial step in place of 100; those were not measured.
Try: `multigan train text --estimator reinforce`; RelGAN's network is `--discriminator relgan`.
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
    data: str = "long_speeches",
    text_column: str = "",
    label_column: str = "",
    unit: str = "line",
    class_field: str = "",
    tokenizer: str = "word_bpe",
    vocabulary_size: int = 14_000,
    length: int = 41,
    likelihood_steps: int = 6000,
    steps: int = 100,
    batch_size: int = 32,
    backbone: str = "lstm",
    width: int = 256,
    dropout: float = 0.1,
    latent_dim: int = 0,
    estimator: Literal["straight_through", "soft", "reinforce"] = "straight_through",
    inverse_temperature: float = 4.0,
    discriminator: Literal["cnn", "relgan", "token", "sequence"] = "cnn",
    likelihood_weight: float = 0.02,
    likelihood_lr: float = 3e-3,
    lr: float = 2e-4,
    gamma: float = 0.0,
) -> Recipe:
    """Lines of text.

    data: long_speeches (to 40 words), speeches (to 20), phrases, a text file, a table (CSV,
        JSONL, ...), or a folder of them
    text_column: of a table; found if not given
    label_column: of a table: the classes of the texts; folder: the folder of each file
    unit: a sample of plain text: line, paragraph or file
    class_field: classes of the lines: party or era of speeches, mood of phrases, any, or none
    tokenizer: word_bpe (frequent words whole), bpe, word, whitespace, char, or a folder with a
        tokenizer of Hugging Face's
    vocabulary_size: maximum number of tokens
    length: maximum number of tokens of a line, its end included
    likelihood_steps: updates of the likelihood stage, which stops early without improvement
    steps: updates of the generator in adversarial training
    batch_size: real lines in one update
    backbone: of the generator: lstm, relational, transformer, or a Hugging Face model folder
    width: of the backbone
    dropout: in the likelihood stage
    latent_dim: length of a latent of the whole line, for interpolation; 0: none
    estimator: gradient of adversarial training: Gumbel-softmax, straight through (D reads tokens)
        or soft (D reads the relaxation), or reinforce
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
    options |= {"latent_dim": latent_dim}
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
