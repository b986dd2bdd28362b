"""A domain of its own: sine waves. This folder and one recipe are all that a new domain is."""

COMPONENTS = {
    "Waves": "waves.data:Waves",
    "WavesDomain": "waves.domain:WavesDomain",
    "WaveGenerator": "waves.networks:WaveGenerator",
    "WaveDiscriminator": "waves.networks:WaveDiscriminator",
}
COMMANDS = {"loudness": "waves.verbs:loudness"}


def load(path):
    """Load a trained generator of waves."""
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="waves")
