"""Kills trainings with SIGKILL at given moments, each in a fork of one process that has imported all."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys
from pathlib import Path
from {module} import *
train_in = lambda folder: {training}
train_in(Path(sys.argv[1] + "-whole"))  # the first training imports much
for moment in sys.argv[2:]:
    owner, name, last = moment.split()
    original, calls = getattr(eval(owner), name), []
    def deadly(*arguments, **options):
        calls.append(1)
        if len(calls) == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    if not os.fork():
        setattr(eval(owner), name, deadly)
        train_in(Path(sys.argv[1]))
        os._exit(0)
    assert os.WTERMSIG(os.wait()[1]) == signal.SIGKILL, f"not killed: {{moment}}"
"""


def kill(module: str, training: str, folder: Path, *moments: str) -> None:
    """Run a training in ``folder`` once for each moment, and kill it then: ``"os fsync 2"`` is the second call of it.

    Args:
        module: the test file that defines all names.
        training: an expression that trains in ``folder``.
    """
    command = [sys.executable, "-c", SCRIPT.format(module=module, training=training), str(folder), *moments]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
