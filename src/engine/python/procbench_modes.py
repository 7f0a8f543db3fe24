"""How tasks are executed: each mode is what a Python program would write, between two looks at the clock."""

import errno
import fcntl
import functools
import importlib
import itertools
import mmap
import multiprocessing
import os
import select
import struct
import sys
import threading
import types
from multiprocessing import process as processes
from multiprocessing import util

import procbench_call as call
import procbench_crew as crew
import procbench_io
import procbench_tasks as tasks
from procbench_tasks import Meter, now

# Between two reports of progress, in nanoseconds.
INTERVAL = 100_000_000
SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Outcome:
    """What came of a round, raw."""

    def __init__(self):
        # The four instants; `ready` where a mode knows it otherwise than from its meters.
        self.begin = self.ready = self.collected = self.end = 0
        # By task: a checksum (with result bytes where there are some), or a negated error number.
        self.results = []
        # Why tasks failed, where their result does not say.
        self.reasons = {}
        self.executed = 0
        self.meters = []
        self.started = self.peak = self.helpers = self.left_running = 0


class Progress:
    """Says how far the round is, ten times a second at most."""

    def __init__(self, controller):
        self._controller, self._next = controller, now() + INTERVAL
        # What else is to be looked at meanwhile.
        self.look = None
        # (task, result) as they came back, where that is not in the order of tasks.
        self.arrivals = None

    def tick(self, done, alive):
        time = now()
        if time >= self._next:
            if self._controller.has_room():
                self._controller.say({"type": "progress", "tasks_done": done, "alive": alive})
            self._next = time + INTERVAL

    def gather(self, results, alive):
        """All of an iterator of results, in stretches that take a few milliseconds each."""
        gathered, length, last = [], 1, now()
        while True:
            before = len(gathered)
            gathered.extend(itertools.islice(results, length))
            if len(gathered) - before < length:
                return gathered
            time = now()
            self.tick(len(gathered), alive)
            if time - last < 1_000_000:
                length *= 2
            elif time - last > 10_000_000:
                length = max(length // 2, 1)
            last = time

    def wait(self, result, tasks_of_a_chunk, alive):
        """What `Pool.map` returns, from the `result` of `Pool.map_async`, which is all that it waits for itself."""
        pool = getattr(result, "_pool", None)
        starts_workers = getattr(pool, "_worker_handler", None)
        while not result.ready():
            result.wait(INTERVAL * 1e-9)
            if self.look:
                self.look()
            if starts_workers and not starts_workers.is_alive() and not result.ready():
                raise crew.WorkerLost(crew.REPLACES_NOBODY)
            left = getattr(result, "_number_left", None)
            if left is not None:
                self.tick(max(len(result._value) - left * tasks_of_a_chunk, 0), alive)
        return result.get()


def run(spec, settings, progress):
    """Execute the round of a mode: everything but the clock is prepared."""
    tasks.prepare(spec)
    mode = _pool_of(settings["api"]) if spec["mode"] == "pool" else MODES[spec["mode"]]
    return mode(spec, settings, progress)


def _serial(spec, settings, progress):
    outcome = Outcome()
    outcome.begin = now()
    meter = tasks.begin(spec)
    outcome.results = progress.gather(map(tasks.run, tasks.items(spec)), 0)
    outcome.collected = outcome.end = now()
    outcome.executed, outcome.meters = tasks.tick(), [meter]
    return outcome


def _threads(spec, settings, progress):
    from multiprocessing.pool import ThreadPool

    outcome = Outcome()
    outcome.begin = now()
    pool = ThreadPool(settings["workers"], lambda: outcome.meters.append(tasks.begin(spec)))
    result = pool.map_async(tasks.run, tasks.items(spec), settings["chunk"])
    outcome.results = progress.wait(result, settings["chunk"], 0)
    outcome.collected = now()
    outcome.helpers = threading.active_count() - 1
    pool.close()
    pool.join()
    outcome.end = now()
    outcome.executed = tasks.tick()
    return outcome


def _pool_of(api):
    own = {"executor": _executor, "loky": _loky, "mpire": _mpire}
    if api in own:
        return own[api]
    return lambda *round: _pool(HANDING_OVER[api], *round)


def _map(pool, items, settings, progress):
    result = pool.map_async(tasks.run, items, settings["chunk"])
    return progress.wait(result, settings["chunk"], settings["workers"])


def _imap(pool, items, settings, progress):
    return progress.gather(pool.imap(tasks.run, items, settings["chunk"]), settings["workers"])


def _imap_unordered(pool, items, settings, progress):
    pairs = progress.gather(pool.imap_unordered(tasks.run, items, settings["chunk"]), settings["workers"])
    results, progress.arrivals = [None] * len(items), pairs
    for task, result in pairs:
        results[task] = result
    return results


def _apply_async(pool, items, settings, progress):
    waiting = [pool.apply_async(tasks.run, (item,)) for item in items]
    return progress.gather((result.get() for result in waiting), settings["workers"])


HANDING_OVER = {"map": _map, "imap": _imap, "imap_unordered": _imap_unordered, "apply_async": _apply_async}


def _pool(hand_over, spec, settings, progress):
    outcome, board, context = Outcome(), Board(), crew.context(settings["start"])
    spec = dict(spec, board=board.path)
    crew.watch(settings["workers"])
    crew.handed_in = board.handed_in
    # Not every call has somebody who hears of it.
    crew.look_every_second()
    outcome.begin = now()
    pool = context.Pool(settings["workers"], tasks.begin_worker, (spec,), settings["max_tasks_per_child"])
    crew.replaces = getattr(pool, "_worker_handler", None)
    outcome.results = hand_over(pool, tasks.items(spec), settings, progress)
    outcome.collected = now()
    outcome.helpers = threading.active_count() - 1
    crew.close(lambda: progress.tick(spec["tasks"], settings["workers"]))
    pool.close()
    pool.join()
    crew.look_no_more()
    outcome.end = now()
    # Its semaphores are given back with it.
    del pool
    return _of_workers(outcome, board)


def _executor(spec, settings, progress):
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    outcome, board, context = Outcome(), Board(), crew.context(settings["start"])
    spec = dict(spec, board=board.path)
    crew.handed_in = board.handed_in
    # It hears of each death, but not while it reads what one has left half said: others hold the same pipe open. And one that is killed
    # with the lock of their queue keeps all others.
    crew.lost = "concurrent.futures.ProcessPoolExecutor has lost a worker: "
    crew.look_every_second()
    outcome.begin = now()
    pool = ProcessPoolExecutor(settings["workers"], context, tasks.begin_worker, (spec,))
    try:
        results = pool.map(tasks.run, tasks.items(spec), chunksize=settings["chunk"])
        outcome.helpers = threading.active_count() - 1
        outcome.results = progress.gather(results, settings["workers"])
    except BrokenProcessPool as error:
        crew.look_no_more()
        pool.shutdown()  # Then how its workers ended is known.
        raise crew.WorkerLost("BrokenProcessPool: %s %s" % (error, crew.who_died())) from None
    outcome.collected = now()
    crew.close(lambda: progress.tick(spec["tasks"], settings["workers"]))
    pool.shutdown()
    crew.look_no_more()
    outcome.end = now()
    del pool, results
    return _of_workers(outcome, board)


def _loky(spec, settings, progress):
    import loky

    settled = _settle_loky()
    outcome, board = Outcome(), Board()
    spec = dict(spec, board=board.path)
    # As of the executor, which it is made like.
    crew.lost = "loky has lost a worker: "
    crew.look_every_second()
    outcome.begin = now()
    # In a fresh interpreter there is none yet that could be used again.
    pool = loky.get_reusable_executor(settings["workers"], initializer=tasks.begin_worker, initargs=(spec,))
    crew.known("loky", pool, "_processes")
    crew.of_library = lambda: list((pool._processes or {}).values())
    try:
        results = pool.map(tasks.run, tasks.items(spec), chunksize=settings["chunk"])
        outcome.helpers = threading.active_count() - 1
        outcome.results = progress.gather(results, settings["workers"])
    except loky.BrokenProcessPool as error:
        why = " ".join(str(error).split()).partition(" Detailed tracebacks")[0]
        in_hand = call.all_in_hand(spec["call"]["marks"]) if spec["kind"] == "call" else ""
        raise crew.WorkerLost("loky has lost a worker%s: %s" % (in_hand, why)) from None
    outcome.collected = now()
    crew.close(lambda: progress.tick(spec["tasks"], settings["workers"]))
    pool.shutdown()
    crew.look_no_more()
    crew.of_library = None
    outcome.end = now()
    del pool, results
    settled()
    outcome = _of_workers(outcome, board)
    # Its workers are known by what they have handed in. It replaces those that are idle for long, or grow.
    outcome.started = len(board.handed_in())
    outcome.peak = min(outcome.started, settings["workers"])
    return outcome


def _settle_loky():
    """See to it that what loky makes is removed with this round's folder, whatever happens, and that its workers are as
    isolated as this process is. Returns what says, after the round, whether loky was known well enough for that."""

    def module(name):
        # By their full names: `loky.backend.synchronize` is multiprocessing's until loky's own has been imported.
        try:
            return importlib.import_module(name)
        except ImportError:
            raise crew.Unsuited(crew.unsuited("loky", "there is no %s" % name)) from None

    own, starter = module("loky.backend.synchronize"), module("loky.backend.fork_exec")
    prefix, numbers = processes.current_process()._config["semprefix"], itertools.count()
    start, used = crew.known("loky", starter, "fork_exec"), set()
    crew.known("loky", crew.known("loky", own, "SemLock"), "_make_name")
    tracker = crew.known("loky", module("loky.backend.resource_tracker"), "_resource_tracker")

    def name():
        used.add("SemLock._make_name")
        return "%s-loky-%d-%d" % (prefix, os.getpid(), next(numbers))

    def isolated(command, *rest, **named):
        used.add("fork_exec")
        return start(command[:1] + ["-I"] + command[1:], *rest, **named)

    # loky has given its own way to name them to multiprocessing as well.
    for module in (own, importlib.import_module("multiprocessing.synchronize")):
        module.SemLock._make_name = staticmethod(name)
    starter.fork_exec = isolated

    def settled():
        unused = [name for name in ("SemLock._make_name", "fork_exec") if name not in used]
        unused += [name for name in ("_fd", "_pid") if not hasattr(tracker, name)]
        if unused:
            raise crew.Unsuited(crew.unsuited("loky", "it does not use %s" % unused[0]))

    return settled


def _mpire(spec, settings, progress):
    import mpire

    outcome, board = Outcome(), Board()
    spec = dict(spec, board=board.path)
    items = tasks.items(spec)
    count = len(items)
    if spec["kind"] in ("call", "expression") or spec["arg_size"]:
        # It would take a pair for two arguments.
        items = ((item,) for item in items)
    begin = functools.partial(tasks.begin_worker, spec)
    crew.lost = "mpire has lost a worker: "
    crew.handed_in = board.handed_in
    # It does not see that one has died which had not begun yet.
    crew.look_every_second()
    outcome.begin = now()
    pool = mpire.WorkerPool(settings["workers"], start_method=settings["start"], keep_alive=True)
    pool.Worker = crew.counting(crew.known("mpire", pool, "Worker"))
    try:
        outcome.results = pool.map(
            tasks.execute, items, iterable_len=count, chunk_size=settings["chunk"], worker_init=begin
        )
    except RuntimeError as error:
        if "died unexpectedly" not in str(error):
            raise
        raise crew.WorkerLost(crew.lost + str(error)) from None
    outcome.collected = now()
    outcome.helpers = threading.active_count() - 1
    # One that has not begun when all is done ends without having handed in anything.
    crew.handed_in = None
    crew.close(lambda: progress.tick(spec["tasks"], settings["workers"]))
    try:
        pool.stop_and_join()
    except Exception:
        # It looks for the map that a dead worker belonged to, which is over.
        died = crew.who_died()
        if not died:
            raise
        raise crew.WorkerLost(crew.lost + died) from None
    crew.look_no_more()
    outcome.end = now()
    if not crew.started:
        # It has the name, but starts others.
        raise crew.Unsuited(crew.unsuited("mpire", "it does not use WorkerPool.Worker"))
    del pool
    return _of_workers(outcome, board)


def _of_workers(outcome, board):
    for _, executed, meter in tasks.read_meters(board.read()):
        outcome.executed += executed
        outcome.meters.append(meter)
    outcome.started, outcome.peak = crew.started, crew.peak
    lost = crew.who_died()
    if lost:
        raise crew.WorkerLost("a worker of the pool did not end as it should: " + lost)
    return outcome


class Board:
    """A file in memory, which processes of this round that were not forked reach by its path."""

    def __init__(self):
        self._seen, self._processes = 0, set()
        if hasattr(os, "memfd_create"):
            self.file = os.memfd_create("procbench", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            self.path = "/proc/%d/fd/%d" % (os.getpid(), self.file)
        else:
            self.path = os.path.abspath("board-%d" % os.getpid())
            self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.set_inheritable(self.file, False)

    def handed_in(self):
        """The processes of the workers that have handed in: what is new is read, and no more."""
        size = os.fstat(self.file).st_size
        if size > self._seen:
            news = os.pread(self.file, size - self._seen, self._seen)
            self._processes.update(process for process, _, _ in tasks.read_meters(news))
            self._seen = size
        return self._processes

    def read(self):
        size = os.fstat(self.file).st_size
        if not size:
            return b""
        with mmap.mmap(self.file, size, prot=mmap.PROT_READ) as memory:
            return memory[:]


# What the process of one task leaves on the board: 1 + its outcome if it is not negative; then what its meter says, and
# when it was started and ended if it was stamped. Result bytes lie behind the slots of all tasks.
SLOT = struct.Struct("<q7q2q")


def _alone(spec, item):
    """What `Process` is started with: one task, whose result goes onto the board."""
    if tasks.run is None:
        try:
            tasks.prepare(spec)  # In a process that was not forked from one that has.
        except call.Refused as error:
            # The module is another one where it is imported again.
            refusal = call.Failed("in its process: %s" % error)
            tasks.run, tasks.tick = lambda _: refusal, lambda: 0
            tasks.here = types.SimpleNamespace()
    meter = tasks.begin(spec)
    outcome = tasks.run(item)
    if spec["kind"] == "call":
        call.hand_in(spec["returns"], item[0], outcome, spec["seal"])
        outcome = 0
    size, given = spec["result_size"], b""
    if size and type(outcome) is tuple:
        outcome, given = outcome
    task = item if type(item) is not tuple else item[0]
    stamps = meter.stamps[1:] or (0, 0)
    slot = SLOT.pack(outcome + (outcome >= 0), *Meter.FIELDS.unpack(meter.pack(tasks.tick())), *stamps)
    board = spec["board"]
    if type(board) is str:
        board = os.open(board, os.O_WRONLY)
    if given:
        os.pwrite(board, given, SLOT.size * spec["tasks"] + size * task)
    os.pwrite(board, slot, SLOT.size * task)


def _process(spec, settings, progress):
    from multiprocessing.connection import wait

    outcome, board = Outcome(), Board()
    os.truncate(board.file, spec["tasks"] * (SLOT.size + spec["result_size"]))
    procbench_io.seal(board.file, ("F_SEAL_SHRINK", "F_SEAL_GROW"))
    forks = settings["start"] == "fork"
    spec = dict(spec, board=board.file if forks else board.path)
    returns = Board() if spec["kind"] == "call" else None
    if returns:
        # Processes that share a place in a file in memory may write to the same, but not those that write to its end.
        fcntl.fcntl(returns.file, fcntl.F_SETFL, os.O_APPEND)
        spec["returns"], spec["seal"] = returns.file if forks else returns.path, call.seal()
    timeout = spec["call"]["timeout"] if returns else None
    # A sentinel is silent as long as a copy of the process lives on, which a function of the user's own may have made.
    own_ends = returns and settings["start"] != "forkserver" and hasattr(os, "pidfd_open")
    context = multiprocessing.get_context(settings["start"])
    alive, ends = {}, select.epoll()
    most, peak, codes = settings["in_flight"], 0, {}
    all_at_once = most >= spec["tasks"]

    def reap_some():
        # Those that were started first are due first.
        first = next(iter(alive)) if timeout else None
        left = max(alive[first][2] - now(), 0) * 1e-9 if timeout else None
        ended = [end for end, _ in ends.poll(left)]
        if not ended and first is not None:
            ended.append(first)
        for end in ended:
            ends.unregister(end)
            join(end)

    def join(end):
        task, process, due = alive.pop(end)
        if due and not wait([end], max(due - now(), 0) * 1e-9):
            process.kill()
            outcome.reasons[task] = call.too_long(spec)
        process.join()
        if process.exitcode:
            codes[task] = process.exitcode
        process.close()
        if own_ends:
            os.close(end)

    def end_overdue():
        """Those that were started first are due first, also while others are still being started."""
        while alive:
            first = next(iter(alive))
            if alive[first][2] > now():
                return
            try:
                ends.unregister(first)
            except FileNotFoundError:
                pass
            join(first)

    def start(process):
        while True:
            try:
                return process.start()
            except OSError as error:
                if error.errno not in SHORTAGES or not alive:
                    raise
                for end in alive:
                    watch(end)
                reap_some()

    def watch(end):
        try:
            ends.register(end, select.EPOLLIN)
        except FileExistsError:
            pass

    outcome.begin = outcome.ready = now()
    for task, item in enumerate(tasks.items(spec)):
        while len(alive) >= most:
            reap_some()
        process = context.Process(target=_alone, args=(spec, item))
        start(process)
        end = os.pidfd_open(process.pid) if own_ends else process.sentinel
        alive[end] = task, process, timeout and now() + timeout
        if not all_at_once:
            watch(end)
        if timeout:
            end_overdue()
        # Those that `start` has not found to have ended.
        peak = max(peak, len(processes._children))
        progress.tick(task, len(processes._children))
    for done, end in enumerate(list(alive), spec["tasks"] - len(alive)):
        join(end)
        progress.tick(done, spec["tasks"] - done)
    left = board.read()
    returned = dict(call.read_back(returns.read(), spec["seal"])) if returns else None
    outcome.collected = outcome.end = now()
    ends.close()
    outcome.started, outcome.peak = spec["tasks"], peak
    _of_slots(outcome, left, spec, codes, returned)
    return outcome


def _of_slots(outcome, left, spec, codes, returned):
    size, behind = spec["result_size"], SLOT.size * spec["tasks"]
    for task, slot in enumerate(SLOT.iter_unpack(memoryview(left)[:behind])):
        word, fields, stamps = slot[0], slot[1:8], slot[8:]
        meter = Meter()
        outcome.executed += meter.unpack(fields)
        outcome.meters.append(meter)
        if stamps[0]:
            meter.stamps.extend((task,) + stamps)
        code = codes.get(task, 0)
        if code or not word:
            reason = "its process %s before the result was complete" % crew.manner(code)
            if returned is not None and task in returned and task in outcome.reasons:
                outcome.reasons[task] = "its process did not end within %g s, though the function had come to its end: it may have left a thread running" % (
                    spec["call"]["timeout"] * 1e-9
                )
            reason = outcome.reasons.setdefault(task, reason)
            outcome.results.append(call.Failed(reason) if returned is not None else -errno.ECHILD)
        elif returned is not None:
            # One that was killed in the end may have said that it is done, and not what came of it.
            lost = outcome.reasons.get(task, "its process ended before its result was complete")
            outcome.results.append(returned[task] if task in returned else call.Failed(lost))
        elif word > 0 and size:
            outcome.results.append((word - 1, left[behind + size * task : behind + size * (task + 1)]))
        else:
            outcome.results.append(word - (word > 0))


MODES = {"serial": _serial, "threads": _threads, "process": _process}


def stop_helpers(of_user):
    """End the processes that `spawn` and `forkserver` keep for themselves, and return how many there were. Left alone they
    would end some time after this one. `of_user` says whether tasks may have started some that nobody has waited for."""
    helpers = 0
    if of_user:
        # An interpreter that ends waits for them, for ever if need be; here whatever is left running is ended and counted.
        for child in list(processes._children):
            if child.daemon:
                child.terminate()
                child.join(1)
            processes._children.discard(child)
    util._exit_function()
    forkserver = sys.modules.get("multiprocessing.forkserver")
    if forkserver:
        helpers += _stop(forkserver._forkserver, "_forkserver_alive_fd", "_forkserver_pid")
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    if tracker:
        helpers += _stop(tracker._resource_tracker, "_fd", "_pid")
    tracker = sys.modules.get("loky.backend.resource_tracker")
    if tracker:
        helpers += _stop(tracker._resource_tracker, "_fd", "_pid")
    return helpers


def _stop(helper, pipe, pid):
    if getattr(helper, pid, None) is None:
        return 0
    os.close(getattr(helper, pipe))
    os.waitpid(getattr(helper, pid), 0)
    setattr(helper, pipe, None)
    setattr(helper, pid, None)
    return 1
