"""The synthetic oracle of SeqGAN: likelihood training, then RelGAN at CPU size.

    multigan train benchmarks/seqgan_oracle --data ../shared/data/oracle --out runs/oracle
    multigan evaluate runs/oracle; python -m tests.benchmarks.seqgan_oracle runs/oracle
    multigan train benchmarks/seqgan_oracle --length 40 --inverse-temperature 2

Result, official weights, 20 tokens, seed 0, `--likelihood-steps 3125 --steps 200`, 24 minutes of a
busy core, NLL_oracle / held-out NLL: lowest NLL_oracle of likelihood 9.04 / 8.25 (20 epochs;
published MLE: 9.04), lowest held-out NLL 9.67 / 7.60 (4 epochs), after adversarial training 9.48 /
7.61; the oracle itself 5.74 / 5.76. The full lengths, RelGAN's size, and 40 tokens: not run.
"""

from multigan.benchmarks.seqgan_oracle import VOCABULARY_SIZE, OracleDataset
from multigan.core.recipe import Recipe
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator

TINY = {"steps": 4, "likelihood_steps": 4, "batch_size": 8, "filters": 8, "lines": 100}
ROWS = {"20_tokens": {}, "40_tokens": {"length": 40, "inverse_temperature": 2.0}}  # seeded oracles


def recipe(
    *,
    data: str | None = None,
    length: int = 20,
    oracle_seed: int = 0,
    lines: int = 10_000,
    likelihood_steps: int = 12_500,
    steps: int = 500,
    batch_size: int = 64,
    backbone: str = "lstm",
    width: int = 32,
    num_representations: int = 8,
    filters: int = 64,
    inverse_temperature: float = 1.0,
    likelihood_lr: float = 1e-2,
    lr: float = 1e-4,
    loss: str = "relativistic",
    discriminator_steps: int = 5,
) -> Recipe:
    """Lines sampled from an LSTM with random weights and 5,000 tokens.

    data: the folder of the official weights; if not given, sampled from oracle_seed
    length: tokens of a line, 20 or 40 in publications
    lines: to train on, and as many to test with
    oracle_seed: of the lines, and of the oracle's weights where no folder is given
    likelihood_steps: updates of the likelihood stage, 156.25 an epoch
    steps: updates of the generator in adversarial training
    batch_size: real lines in one update
    backbone: of the generator: lstm, relational or transformer
    width: of the backbone
    num_representations: of the discriminator, 64 in RelGAN
    filters: of each width of the discriminator's convolutions, 300 in RelGAN
    inverse_temperature: at the end; in RelGAN's paper 1 for 20 tokens, 2 for 40
    likelihood_lr: learning rate of the likelihood stage
    lr: learning rate of both networks in adversarial training
    loss: adversarial loss, a name of multigan.engine.losses.LOSSES
    discriminator_steps: updates of the discriminator for one of the generator
    """
    sizes = {"embedding": 32, "width": width, "backbone": backbone}
    relaxation = {"estimator": "soft", "inverse_temperature": inverse_temperature}
    heads = {"num_representations": num_representations, "filters": filters}
    return Recipe(
        data=OracleDataset(data, length, oracle_seed, lines),
        generator=TextGenerator(VOCABULARY_SIZE, length, **sizes, **relaxation, fixed_length=True),
        discriminator=TextCNN(VOCABULARY_SIZE, **heads, fixed_length=True),
        steps=steps,
        batch_size=batch_size,
        loss=loss,
        discriminator_steps=discriminator_steps,
        generator_lr=lr,
        discriminator_lr=lr,
        beta1=0.9,
        beta2=0.999,
        burn_in=0.0,
        max_grad_norm=5.0,
        ema_halflife_samples=0,
        likelihood_steps=likelihood_steps,
        likelihood_lr=likelihood_lr,
        evaluate_during_likelihood=True,
    )
