"""Run a program that ends when its parent does: `python tether.py PARENT_PID PROGRAM ARGUMENT…`.

The kernel sends the program SIGKILL when the process that started it is gone, however that one ended (Linux, prctl(2),
PR_SET_PDEATHSIG, kept over execve). Elsewhere the program runs without that tie. Standard library only: it starts in milliseconds.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def tethered(*program: str) -> tuple[str, ...]:
    """The command that runs this program and ends it with the process that asks."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *program)


def become(parent_pid: int, program: list[str]) -> NoReturn:
    """Replace this process by `program`, or end with status 1 when the parent was gone before the tie was made."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
