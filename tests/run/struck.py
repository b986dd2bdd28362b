"""`multigan ARGUMENTS`, in one of several processes; the second one is struck by a signal.

    python -m tests.run.struck SIGNAL STEP train points ...

after the log line of that step.
"""

import os
import signal
import sys

from multigan import cli
from multigan.run.loop import Loop

log = Loop._log


def log_and_strike(self, step, watch):
    values = log(self, step, watch)
    if step.number == int(sys.argv[2]) and not self.processes.is_first:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return values


if __name__ == "__main__":
    Loop._log = log_and_strike
    sys.exit(cli.main(sys.argv[3:]))
