"""Without a terminal, progress is printed in plain lines at intervals."""

from multigan.training import metric_logging
from multigan.training.metric_logging import ProgressDisplay

NUMBERS = {"loss/discriminator": 0.6931, "loss/generator": 1.5, "lr/generator": 0.1}


def displayed(**settings):
    with ProgressDisplay(0, 10, batch_size=4, **settings) as display:
        for number in range(1, 11):
            display.step(number)
            display.numbers(NUMBERS)


def test_a_short_run_prints_one_line_at_its_end(capsys):
    displayed()
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("step 10/10  ") and "D 0.693  G 1.5" in err and "\x1b" not in err
    assert "step/s" in err and "samples/s" in err and "0 s left" in err


def test_a_long_run_prints_lines_at_intervals(capsys, monkeypatch):
    monkeypatch.setattr(metric_logging, "LINE_EVERY_SECONDS", 0.0)
    displayed()
    assert len(capsys.readouterr().err.splitlines()) == 10


def test_a_quiet_run_prints_nothing(capsys):
    displayed(show=False)
    assert capsys.readouterr() == ("", "")
