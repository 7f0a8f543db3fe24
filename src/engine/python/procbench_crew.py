"""The processes of a pool, counted as they are started.

A pool of `multiprocessing` puts another worker in the place of one that has died, and waits for ever for the task that it
held. So whenever one is started, those before it are looked at.
"""

import multiprocessing
import signal
import time
from multiprocessing import context as contexts


class Unsuited(Exception):
    """A library is installed, but not as procbench knows it."""


def known(library, holder, name):
    """What `holder` calls `name`, which `library` promises to nobody: another release may have another name for it."""
    try:
        return getattr(holder, name)
    except AttributeError:
        raise Unsuited(unsuited(library, "there is no %s in its %s" % (name, getattr(holder, "__name__", type(holder).__name__)))) from None


def unsuited(library, why):
    from importlib import metadata

    version, fits = metadata.version(library), {"loky": "3.7", "mpire": "2.10"}[library]
    return (
        "%s %s is not one that procbench can measure: %s, which it takes to count its processes and to leave nothing behind. "
        "Known to fit: %s" % (library, version, why, fits)
    )


class WorkerLost(Exception):
    """A worker was killed, and its task with it."""


REPLACES_NOBODY = (
    "multiprocessing.Pool has lost the thread that puts new workers in the place of those that have done their tasks: most likely, a "
    "process could not be started"
)

started = 0
peak = 0
# Workers that may be in the pool at one time; 0 where the pool itself says that one has died.
_size = 0
# Those that have not been seen to end well.
_known = []
# The processes of a library that starts them in its own way; None where it does not.
of_library = None
# The thread that puts another worker in the place of each that has ended, where a pool has one: nobody would hear of its end.
replaces = None
# What to do when one is found to have died.
on_loss = None
# The processes of workers that have handed in what they have done, as each does that ends well; None where none do.
handed_in = None
# What a process was doing, in words, where that is known.
in_hand = None
# What it means that a worker is gone.
lost = "multiprocessing.Pool has lost a worker, and waits for ever for what it held: "
# What takes too long, in words; empty if nothing does. None where nobody asks.
overdue = None
# Since when there has been nothing to do but to end, and whom to tell each second that all is done.
_closing = None
# How long that may take, in nanoseconds; None where nobody asks.
ends_within = None
# What SIGALRM led to before anybody looked each second.
before_look = signal.SIG_DFL


def watch(size):
    """From now on, look at the others whenever a worker takes the place of another."""
    global _size
    _size = size


def _before_start():
    global _known
    if _size and started >= _size:
        well = _look()
        # Who ended since is not among them: the next look is for him.
        _known = [worker for worker in _known if worker not in well]


def _look(*_):
    """Give up if one has died, or takes too long; else those that have ended well."""
    late = overdue and overdue()
    if late:
        on_loss(late)
    if _closing:
        _look_at_end()
    well, died = _ended()
    if not died and of_library:
        ended = [end for end in map(_end_of, of_library()) if end and end[1]]
        died = "".join(_how(*end) for end in ended[:1])
    if died:
        on_loss(lost + died)
    if replaces and not _closing and not replaces.is_alive():
        on_loss(REPLACES_NOBODY)
    return well


def look_every_second():
    """For what nobody is started after: a pool that is being closed replaces nobody, and one that is killed then, with the
    lock of a queue, keeps all others."""
    global before_look
    handler = signal.signal(signal.SIGALRM, _look)
    if handler is not _look:
        before_look = handler
    signal.setitimer(signal.ITIMER_REAL, 1, 1)


def look_no_more():
    global _closing
    _closing = None
    signal.setitimer(signal.ITIMER_REAL, 0)


def close(tell):
    """All tasks are done: from now on, whoever is waited for has nothing to do but to end. `tell` says how far the round is."""
    global _closing
    _closing = time.monotonic_ns(), tell


def _look_at_end():
    """Give up if it takes too long to end."""
    since, tell = _closing
    tell()
    if ends_within and time.monotonic_ns() - since > ends_within:
        on_loss(
            "all tasks are done, but what executes them does not end within %g s: the function may have left a thread running, which Python "
            "waits for unless it is a daemon" % (ends_within * 1e-9)
        )


def end_all():
    """Before this process goes: those that are left would complain that nobody listens."""
    for worker in _known + (of_library() if of_library else []):
        try:
            worker.kill()
        except Exception:
            pass  # It has ended, or was never started.


def _after_start(worker):
    global started, peak
    started += 1
    _known.append(worker)
    peak = max(peak, len(_known))


def who_died():
    """The first worker that has ended otherwise than by running out of tasks, in words; empty if there is none."""
    return _ended()[1]


def _ended():
    """The workers that have ended well, and what `who_died` says."""
    ended = [(worker, _end_of(worker)) for worker in _known]
    ended = [(worker, end) for worker, end in ended if end]
    # Looked at afterwards, since who ends hands in before.
    done = handed_in() if ended and handed_in else None
    died = [(pid, code) for _, (pid, code) in ended if code or (done is not None and pid not in done)]
    well = [worker for worker, end in ended if end not in died]
    # A pool that is broken ends the others itself.
    died.sort(key=lambda end: end[1] == -signal.SIGTERM)
    return well, "".join(_how(*end) for end in died[:1])


def _end_of(worker):
    """The process that has ended, and its exit code; None if it has not."""
    try:
        return None if worker.exitcode is None else (worker.pid, worker.exitcode)
    except ValueError:
        return getattr(worker, "ended_as", None)  # It was closed, so it has been joined.


def _how(pid, code):
    return "process %d %s%s" % (pid, manner(code), in_hand(pid) if in_hand else "")


def manner(code):
    """How a process ended."""
    if code >= 0:
        return "exited with code %d" % code
    try:
        return "was killed by %s" % signal.Signals(-code).name
    except ValueError:
        return "was killed by signal %d" % -code


class ForkProcess(contexts.ForkProcess):
    def start(self):
        _before_start()
        super().start()
        _after_start(self)


class SpawnProcess(contexts.SpawnProcess):
    def start(self):
        _before_start()
        super().start()
        _after_start(self)


class ForkServerProcess(contexts.ForkServerProcess):
    def start(self):
        _before_start()
        super().start()
        _after_start(self)


def counting(make):
    """`make`, which makes the process of a worker that is started at once, counting them. Who closes one does not hide how it ended."""

    def made(*arguments):
        worker = make(*arguments)
        _remember_ends(type(worker))
        _after_start(worker)
        return worker

    return made


def _remember_ends(kind):
    # Of the class, since a worker itself is pickled where it is not forked.
    close = kind.close
    if getattr(close, "remembers", False):
        return

    def noting(worker):
        end = _end_of(worker)
        close(worker)
        worker.ended_as = end

    noting.remembers = True
    kind.close = noting


def context(start):
    """The context of a start method, whose processes are counted."""
    process = {"fork": ForkProcess, "spawn": SpawnProcess, "forkserver": ForkServerProcess}[start]
    counted = type("Context", (type(multiprocessing.get_context(start)),), {"Process": process})
    return counted()
