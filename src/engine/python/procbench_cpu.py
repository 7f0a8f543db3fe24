"""CPU work: a number of iterations, calibrated to time in Python itself.

Nothing here may be newer than Python 2: this is part of what is asked of an interpreter whose version is not known yet.
"""

import time


def burn(units):
    """Do `units` units of work: a multiplication, an addition and a mask, each waiting for the one before."""
    state = 12345
    for _ in range(units):
        state = (state * 69069 + 1) & 0x3FFFFFFF
    return state


def calibrate(runs=15, least=4000000):
    """Units per second while nothing else slows the interpreter: the best of several runs, on the thread's own clock."""
    units = 4096
    while _nanoseconds(units) < least:
        units *= 2
    return units * 1e9 / min(_nanoseconds(units) for _ in range(runs))


def _nanoseconds(units):
    start = time.thread_time_ns()
    burn(units)
    return max(time.thread_time_ns() - start, 1)
