"""`make bench`: every benchmark that needs nothing but this machine, one after the other."""

from tests.benchmarks import bleu, engine_step, image_decoding, music, text_step

if __name__ == "__main__":
    engine_step.main()
    bleu.main()
    text_step.main([])
    music.main()
    image_decoding.main()
