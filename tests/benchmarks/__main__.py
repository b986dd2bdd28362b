"""`make bench`: every benchmark that needs nothing but this machine, one after the other."""

from tests.benchmarks import bleu, engine_step, music, pictures

if __name__ == "__main__":
    engine_step.main()
    bleu.main()
    music.main()
    pictures.main()
