"""Without a terminal a run speaks in plain lines, now and then."""

from multigan.training import metric_logging
from multigan.training.metric_logging import ProgressDisplay

NUMBERS = {"loss/discriminator": 0.6931, "loss/generator": 1.5, "lr/generator": 0.1}


def watched(**settings):
    with ProgressDisplay(0, 10, batch_size=4, **settings) as watch:
        for number in range(1, 11):
            watch.step(number)
            watch.numbers(NUMBERS)


def test_a_short_run_says_one_line_at_its_end(capsys):
    watched()
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("step 10/10  ") and "D 0.693  G 1.5" in err and "\x1b" not in err
    assert "step/s" in err and "samples/s" in err and "0 s left" in err


def test_a_long_run_says_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(metric_logging, "LINE_EVERY_SECONDS", 0.0)
    watched()
    assert len(capsys.readouterr().err.splitlines()) == 10


def test_a_run_that_shall_be_silent_is(capsys):
    watched(show=False)
    assert capsys.readouterr() == ("", "")
