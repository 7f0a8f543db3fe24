"""What a task is, in whatever process or thread executes it.

`run` is what is handed to `Pool.map` and the like. It is put together once, for the workload at hand, so that it does no more
than a program written for just that workload; an empty task costs a function call and the count of it.
"""

import array
import errno
import itertools
import os
import struct
import sys
import threading
import time
import zlib

import procbench_io
from procbench_cpu import burn
from procbench_seed import Lanes, durations, mix

SPREAD = 0x9E3779B1
FILES_PER_FOLDER = 4096
TEXT, TIMES = "hi", 4
# What a task comes to whose formula could not be evaluated, among negated error numbers.
NO_FORMULA = -100000

now = time.monotonic_ns


def checksum(task, argument):
    """What proves that `argument` has reached whoever executed `task`."""
    return zlib.crc32(argument, task * SPREAD & 0xFFFFFFFF) if argument else task * SPREAD & 0xFFFFFFFF


def _checksum_of_line(task, line):
    return checksum(task, line[:-1])


def result_bytes(task, value, size):
    """What a task with the checksum `value` hands back."""
    return (struct.pack("<Q", mix(task << 32 | value)) * (size // 8 + 1))[:size]


class Meter:
    """What an executing process or thread has really done."""

    FIELDS = struct.Struct("<7q")
    __slots__ = ("ready", "units", "initialisations", "waits", "late", "latest", "stamps", "mark")

    def __init__(self):
        self.ready = self.units = self.initialisations = self.waits = self.late = self.latest = 0
        # Number, start and end of tasks that are stamped, in turn.
        self.stamps = array.array("q")

    def pack(self, executed):
        own = (self.ready, self.units, self.initialisations, self.waits, self.late, self.latest)
        return self.FIELDS.pack(executed, *own)

    def unpack(self, fields):
        executed, *own = fields
        self.ready, self.units, self.initialisations, self.waits, self.late, self.latest = own
        return executed


class Stamped(int):
    """The number of a task that is stamped though there is nothing to do in it: its plus sign looks at the clock. The others
    are plain numbers, so that looking whether to look costs nothing."""

    def __pos__(self):
        task, stamps = int(self), here.meter.stamps
        started = now()
        stamps.append(task)
        stamps.append(started)
        stamps.append(now())
        return task


def first_stamped(stride):
    """As in src/mode/stamps.rs: in the middle of the first stretch."""
    return stride // 2


class Numbers:
    """Tasks without arguments of their own, of which every `stride`-th is stamped."""

    def __init__(self, tasks, stride):
        self._tasks, self._stride = tasks, stride

    def __len__(self):
        return self._tasks

    def __iter__(self):
        def pieces():
            middle = first_stamped(self._stride)
            yield range(min(middle, self._tasks))
            for first in range(middle, self._tasks, self._stride):
                yield (Stamped(first),)
                yield range(first + 1, min(first + self._stride, self._tasks))

        return itertools.chain.from_iterable(pieces())


class Arguments:
    """Tasks with argument bytes, each made when it is asked for."""

    def __init__(self, tasks, seed, size):
        self._tasks, self._size, self._lanes = tasks, size, Lanes(seed)

    def __len__(self):
        return self._tasks

    def __iter__(self):
        size, repeats = self._size, self._size // 8 + 1
        for first in range(0, self._tasks, Lanes.COUNT):
            drawn = self._lanes.first(first)
            for lane in range(min(Lanes.COUNT, self._tasks - first)):
                pattern = drawn[16 * lane : 16 * lane + 8]
                yield first + lane, (pattern * repeats)[:size]


class Lines:
    """Tasks whose arguments are the lines of a file."""

    def __init__(self, tasks, path):
        self._tasks, self._path = tasks, path

    def __len__(self):
        return self._tasks

    def __iter__(self):
        with open(self._path, "rb") as lines:
            yield from itertools.islice(enumerate(lines), self._tasks)


# Of the process that this is: its meter, and its count of executed tasks. In a pool of threads each has a meter.
here = None
tick = None
run = None


def items(spec):
    """What the parent hands out, a task each."""
    if spec["kind"] == "call":
        return sys.modules["procbench_call"].arguments
    if spec["kind"] == "expression":
        return Lines(spec["tasks"], spec["lines"])
    if spec["arg_size"]:
        return Arguments(spec["tasks"], spec["seed"], spec["arg_size"])
    if spec["stride"] and is_empty(spec):
        return Numbers(spec["tasks"], spec["stride"])
    return range(spec["tasks"])


def is_empty(spec):
    """Whether a task only says its number."""
    work = ("units", "wait", "memory", "arg_size", "result_size", "shared")
    nothing = not any(spec[key] for key in work) and spec["io"] == "sleep"
    return spec["kind"] == "synthetic" and nothing


def folder_of(spec, task):
    """Where the file of `task` is."""
    return os.path.join(spec["folder"], str(task // FILES_PER_FOLDER))


def prepare(spec):
    """Make `run` for the workload of `spec`, and a place to note what is done."""
    global here, tick, run
    here = threading.local() if spec["threads"] else type("Here", (), {})()
    tick = itertools.count().__next__
    if spec["kind"] == "call":
        run = _call(spec)
    elif is_empty(spec):
        run = _keyed_number if spec["keyed"] else _number
    else:
        run = _general(spec)
    # Pickled by this name, which is looked up in whatever process is to execute it.
    run.__module__, run.__name__, run.__qualname__ = __name__, "run", "run"


def begin(spec):
    """What an executing process or thread does once before its first task."""
    meter = here.meter = Meter()
    if spec["kind"] == "call":
        meter.mark = sys.modules["procbench_call"].begin(spec)
    if spec["init_units"]:
        burn(spec["init_units"])
        meter.units = spec["init_units"]
    meter.initialisations = 1
    meter.ready = now()
    return meter


def execute(item):
    """`run`, for those who send what is to be called before a process that was not forked has anything to run."""
    return run(item)


def _call(spec):
    """A task that is a call of the user's own function."""
    import procbench_call as call

    if call.function is None:
        call.settle(spec)
        call.find(spec)
    return call.task_of(spec, here, tick)


def _number(task):
    tick()
    return +task


def _keyed_number(task):
    tick()
    return task, +task


def _general(spec):
    """A task that has something to do."""
    size, keyed, stride = spec["result_size"], spec["keyed"], spec["stride"]
    first = first_stamped(stride)
    make = {"file": _file, "expression": _expression}.get(spec["kind"])
    execute = make(spec) if make else None
    check = _checksum_of_line if spec["kind"] == "expression" else checksum
    has_argument = bool(spec["arg_size"]) or spec["kind"] == "expression"
    work = _work(spec)

    def run(item):
        task, argument = item if has_argument else (item, b"")
        tick()
        started = now() if stride and task % stride == first else 0
        try:
            value = check(task, argument)
            if work:
                value = work(task, value)
            outcome = execute(task, argument, value) if execute else value
            if size:
                outcome = outcome, result_bytes(task, outcome, size)
        except MemoryError:
            outcome = -errno.ENOMEM
        except OSError as error:
            outcome = -(error.errno or errno.EIO)
        except ValueError:
            outcome = NO_FORMULA
        if started:
            stamps = here.meter.stamps
            stamps.append(task)
            stamps.append(started)
            stamps.append(now())
        return (task, outcome) if keyed else outcome

    return run


def _work(spec):
    """The CPU work and the I/O of a task, which carry its checksum on over what they read; None if it has neither."""
    units, wait, memory = spec["units"], spec["wait"], spec["memory"]
    shared, perform = procbench_io.shared(spec), procbench_io.method(spec)
    if not (units or wait or memory or shared or perform):
        return None
    factor, trips = factors(spec), spec["io"] == "echo"

    def work(task, value):
        # Touched throughout, and held until the work is done.
        held = b"\1" * memory
        times = factor(task) if factor else 1
        meter = here.meter
        if shared:
            value = zlib.crc32(shared, value)
        if units:
            own = int(units * times)
            burn(own)
            meter.units += own
        if wait and not trips:
            deadline = now() + int(wait * times)
            left = deadline - now()
            while left > 0:
                time.sleep(left * 1e-9)
                left = deadline - now()
            meter.waits += 1
            meter.late -= left
            meter.latest = max(meter.latest, -left)
        if trips:
            deadline = now() + int(wait * times)
            value = perform(task, int(wait * times), value)
            late = now() - deadline
            meter.waits += 1
            meter.late += late
            meter.latest = max(meter.latest, late)
        elif perform:
            value = perform(task, value)
        del held
        return value

    return work


def factors(spec):
    """A function from a task to what its duration is multiplied by; None where all are alike."""
    if spec["mean"]:
        return procbench_io.trace(spec["durations"], spec["mean"])
    return durations(spec["spread"], spec["seed"])


def _file(spec):
    """The first article's task: create a file, write "hi" four times, close it."""
    folder = spec["folder"]

    def execute(task, _, value):
        with open("%s/%d/%d" % (folder, task // FILES_PER_FOLDER, task), "w") as file:
            for _ in range(TIMES):
                file.write(TEXT)
                value = zlib.crc32(b"hi", value)
        return value

    return execute


def _expression(spec):
    """The second article's task: evaluate an Excel expression."""
    from procbench_formula import evaluator

    evaluate = evaluator(spec["evaluator"])

    def execute(task, line, value):
        return zlib.crc32(evaluate(line[:-1]), value)

    return execute


# How what workers have done comes back: appended to a file in memory when they end. For `process`, see procbench_modes.


def begin_worker(spec):
    """The initializer of a pool's worker processes."""
    from multiprocessing import util

    if run is None:
        try:
            prepare(spec)  # In a process that was not forked from one that has.
        except Exception as error:
            if spec["kind"] == "call":
                sys.modules["procbench_call"].note_refusal(spec["call"]["marks"], error)
            raise
    meter = begin(spec)
    util.Finalize(None, _hand_in, (meter, spec["board"]), exitpriority=100)


def _hand_in(meter, board):
    stamps = meter.stamps.tobytes()
    record = meter.pack(tick()) + struct.pack("<2q", os.getpid(), len(stamps)) + stamps
    try:
        out = os.open(board, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return  # It is a file of the parent's, which has been killed.
    os.write(out, record)
    os.close(out)


def read_meters(records):
    """(process, executed, meter) of each worker that has handed in."""
    at = 0
    while at < len(records):
        meter = Meter()
        executed = meter.unpack(Meter.FIELDS.unpack_from(records, at))
        at += Meter.FIELDS.size
        process, length = struct.unpack_from("<2q", records, at)
        at += 16
        meter.stamps.frombytes(records[at : at + length])
        at += length
        yield process, executed, meter
