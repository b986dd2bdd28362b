"""Run `multigan ARGUMENTS` in one of several processes; the second one receives a signal.

    python -m tests.training.failing_io SIGNAL STEP train points ...

after the log line of that step.
"""

import os
import signal
import sys

from multigan.cli import app
from multigan.training.loop import Loop

log = Loop._log


def log_and_kill(self, step):
    values = log(self, step)
    if step.number == int(sys.argv[2]) and not self.processes.is_rank_zero:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return values


if __name__ == "__main__":
    Loop._log = log_and_kill
    sys.exit(app.main(sys.argv[3:]))
