"""A command line with something wrong in it: `python faults.py FAULT innerloop's arguments …`.

The faults come after the third meta-step:
none, slow-validation, long-validation, slow-step, full-disk (no file can grow past 1 KB),
gone-folder.
"""

import resource
import shutil
import sys
import time
from pathlib import Path

from innerloop.cli import entry
from innerloop.metatrain import step, training
from innerloop.runtime.metrics import Log

AFTER = 3


def after_some_steps(fault):
    advance, seen = Log.advance, []

    def counting(self):
        seen.append(None)
        if len(seen) == AFTER:
            fault()
        return advance(self)

    Log.advance = counting


def slow_validation(seconds=2):
    right = training.evaluate

    def evaluate(*arguments, **settings):
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(seconds)
        return right(*arguments, **settings)

    training.evaluate = evaluate


def long_validation():
    slow_validation(60)


def slow_step():
    right = step.Stepper.__call__

    def slow(*arguments):
        # The arrays are taken at once, and the result is long in coming.
        state = right(*arguments)
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
        return state

    step.Stepper.__call__ = slow


def full_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))


def gone_folder():
    shutil.rmtree(Path(sys.argv[sys.argv.index("--out") + 1]))


FAULTS = {
    "slow-validation": slow_validation,
    "long-validation": long_validation,
    "slow-step": slow_step,
    "full-disk": full_disk,
    "gone-folder": gone_folder,
}

if __name__ == "__main__":
    chosen = sys.argv.pop(1)
    if chosen in FAULTS:
        after_some_steps(FAULTS[chosen])
    entry()
