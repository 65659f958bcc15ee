"""Run the real ``vipe`` command as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

VIPE = Path(sys.executable).with_name("vipe")  # of the very venv that runs the tests
TIMEOUT = 120


def vipe(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished process; ``environment`` adds to the present one."""
    return subprocess.run(
        [str(VIPE), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
    )


def error_line(*args: object, **environment: str) -> str:
    """The one line on stderr of a call that must fail as bad input does: with status 2,
    nothing on stdout and no traceback."""
    done = vipe(*args, **environment)
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("vipe")
    return line
