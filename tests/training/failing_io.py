"""`multigan ARGUMENTS`, in one of several processes; the second one is struck by a signal.

    python -m tests.training.failing_io SIGNAL STEP train points ...

after the log line of that step.
"""

import os
import signal
import sys

from multigan.cli import app
from multigan.training.loop import Loop

log = Loop._log


def log_and_strike(self, step, watch):
    values = log(self, step, watch)
    if step.number == int(sys.argv[2]) and not self.processes.is_rank_zero:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return values


if __name__ == "__main__":
    Loop._log = log_and_strike
    sys.exit(app.main(sys.argv[3:]))
