"""A domain outside the package: sine waves. A new domain is such a folder and one recipe."""

COMPONENTS = {
    "Waves": "waves.dataset:Waves",
    "WavesDomain": "waves.domain:WavesDomain",
    "WaveGenerator": "waves.models:WaveGenerator",
    "WaveDiscriminator": "waves.models:WaveDiscriminator",
}
COMMANDS = {"loudness": "waves.commands:loudness"}


def load(path):
    """Load a trained generator of waves."""
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="waves")
