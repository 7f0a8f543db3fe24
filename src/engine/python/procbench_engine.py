"""procbench's engine for CPython: executes one round as it is asked to, checks what must hold, and reports.

It speaks procbench's protocol: a request on standard input, a JSON message a line on standard output.
"""

import array
import errno
import json
import os
import resource
import select
import sys
from multiprocessing import process

import procbench_call as call
import procbench_crew as crew
import procbench_io
import procbench_modes as modes
import procbench_tasks as tasks

VERSION = 1
# Two looks at the clock and three entries in a list, in seconds; and what it takes to send the number of an empty task that is
# stamped, which is no plain number. And the part of a task's time that they may take.
STAMPING, SENDING_STAMPED, ALLOWED = 300e-9, 8e-6, 0.01
MOST_SAMPLES = 1 << 16
FAILURES_REPORTED = 1000
# Stretches of tasks that say where two rounds differ.
PARTS = 512
# Tasks, and bytes of arguments, that are made again to check results against, spread evenly. The digest covers all.
CHECKED_TASKS, CHECKED_BYTES = 100_000, 64 << 20
CHECKED_FORMULAS = 1000


class Violation(Exception):
    """Something that must hold did not."""


class WrongResult(Violation):
    """A result is missing, or not what it must be."""


class Controller:
    """Whoever asked for the round."""

    def __init__(self):
        # What tasks print must not come between the messages.
        self._lines = os.fdopen(os.dup(0), "rb")
        self._out = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def hear(self):
        return self._lines.readline()

    def hear_within(self, seconds):
        """The next line, if it comes in time: a controller that has been stopped is not waited for."""
        return self.hear() if select.select((self._lines,), (), (), seconds)[0] else b""

    def has_room(self):
        """Whether a short line can be said at once: not where the controller has been stopped for long."""
        return bool(select.select((), (self._out,), (), 0)[1])

    def say(self, message):
        # Half of a pair, as names of files may have in them, is no text to anybody else.
        line = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            while line:
                line = line[os.write(self._out, line) :]
        except BrokenPipeError:
            os._exit(1)  # The controller has been killed, so there is nobody to be told either.


def main():
    controller = Controller()
    try:
        last = execute(controller, json.loads(controller.hear()))
    except Exception as error:  # Whatever it is, the controller is to hear of it.
        last = failure(error)
    if last:
        controller.say(last)
    # At once: after an error a pool may never come to an end.
    os._exit(0)


def failure(error):
    """The message that says why there is no round."""
    if isinstance(error, (Violation, crew.WorkerLost)):
        if not isinstance(error, Violation):
            return {"type": "error", "message": str(error)}
        return {"type": "violation", "message": str(error), "of_results": isinstance(error, WrongResult)}
    if isinstance(error, crew.Unsuited):
        return {"type": "limit", "message": str(error)}
    if isinstance(error, call.Refused):
        return {"type": "refused", "message": str(error)}
    # What went wrong first: a pool may stumble over itself when it cannot start.
    while error.__context__ is not None:
        error = error.__context__
    text, place = "%s: %s" % (type(error).__name__, error), error.__traceback__
    if isinstance(error, MemoryError) or getattr(error, "errno", 0) in modes.SHORTAGES or "new thread" in text:
        return {"type": "limit", "message": "Python cannot have what the round takes: " + text}
    if "AF_UNIX path too long" in text:
        return {"type": "limit", "message": "%s: forkserver takes a shorter TMPDIR than %s" % (text, os.getcwd())}
    while place and place.tb_next:
        place = place.tb_next
    if isinstance(error, OSError) and os.path.basename(place.tb_frame.f_code.co_filename) == "synchronize.py":
        return {"type": "limit", "message": "Python's semaphores take a /dev/shm that can be written to: " + text}
    at = place and (os.path.basename(place.tb_frame.f_code.co_filename), place.tb_lineno)
    return {"type": "error", "message": text + (" (%s:%d)" % at if at else "")}


def execute(controller, request):
    # Semaphores that other processes reach by name are named after this folder, and removed with it, whatever happens.
    process.current_process()._config["semprefix"] = "/" + os.path.basename(os.getcwd())
    if request["protocol"] != VERSION:
        asked = request["protocol"]
        raise RuntimeError("the request speaks protocol %s, this engine speaks %d" % (asked, VERSION))
    raise_file_limit()
    spec, settings = resolve(request)
    make_folders(spec)
    props = procbench_io.make_ready(spec)
    if spec["kind"] == "call":
        find_function(spec)
    held = b"\1" * request["workload"]["parent_memory_bytes"]

    def give_up(message):
        controller.say({"type": "error", "message": message})
        crew.end_all()
        os._exit(0)

    crew.on_loss = give_up
    progress = modes.Progress(controller)
    if spec["kind"] == "call":
        watch_tasks(spec, progress, give_up)
    controller.say({"type": "ready"})
    if controller.hear() != b"go\n":
        return None  # The controller is gone.
    before = cpu_times()
    outcome = modes.run(spec, settings, progress)
    after = cpu_times()
    helpers = modes.stop_helpers(spec["kind"] == "call")
    # What a server forks, the server reaps: it shows when that has ended. What tasks have started and not waited for is this
    # process's to wait for.
    if helpers + reap_orphans():
        after = cpu_times()
    outcome.helpers += helpers
    user, system = (end - start for end, start in zip(after, before))
    controller.say({"type": "over"})
    controller.hear_within(1)
    del held, props
    if spec["kind"] == "call":
        outcome.left_running = call.end_strays()
    verified = verify(spec, settings, outcome)
    return report(spec, outcome, verified, user, system, progress.arrivals)


def reap_orphans():
    """Waits for processes that have ended and that nobody else waits for. Returns how many there were."""
    count = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            count += 1
    except ChildProcessError:
        pass
    return count


def raise_file_limit():
    """Two files are open for each living `Process`, so as many as may be are allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def find_function(spec):
    """The user's own function, its arguments, and what else it takes before the clock starts."""
    tell = spec["call"]
    open(tell["marks"], "wb").close()
    # What multiprocessing puts into temporary folders is removed with ours; the function has the user's own.
    folder = os.path.join(os.getcwd(), "temporary")
    os.makedirs(folder, exist_ok=True)
    process.current_process()._config["tempdir"] = folder
    # What a function prints is nobody's to read.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    call.settle(spec)
    if tell["prepare"] is not None:
        call.prepare_round(tell["prepare"])
    call.read_arguments(spec)
    call.find(spec)


def watch_tasks(spec, progress, give_up):
    """Nothing is waited for that takes too long and cannot be interrupted."""
    tell = spec["call"]
    crew.in_hand = lambda process: call.in_hand(tell["marks"], process)
    if not tell["timeout"]:
        return
    crew.ends_within = tell["timeout"] + call.GRACE
    threads = spec["threads"]
    grace, why = (0, "a thread cannot be ended") if threads else (call.GRACE, "it cannot be interrupted")

    def overdue():
        late = call.overdue(tell["marks"], tell["timeout"], grace)
        return late and "%s %s, and %s" % (late, call.too_long(spec), why)

    def look():
        late = overdue()
        if late:
            give_up(late)

    crew.overdue = overdue
    progress.look = look if threads else None
    if spec["mode"] == "serial":
        call.alarm.look = look


def resolve(request):
    """What tasks need to know of the request, and the settings."""
    workload, strategy = request["workload"], request["strategy"]
    settings = strategy["settings"]
    speed = workload["units_per_second"]
    spec = {
        "mode": strategy["mode"],
        "threads": strategy["mode"] == "threads",
        "evaluator": settings.get("evaluator"),
        "keyed": settings.get("api") == "imap_unordered",
        "kind": workload["kind"],
        "tasks": workload["tasks"],
        "seed": workload["seed"],
        "arg_size": workload["arg_size_bytes"],
        "result_size": workload["result_size_bytes"],
        "units": round(workload["cpu_seconds"] * speed),
        "init_units": round(workload["init_seconds"] * speed),
        "wait": round(workload["io_wait_seconds"] * 1e9),
        "memory": workload["memory_bytes"],
        "spread": workload["spread"],
        "durations": workload.get("ready", {}).get("durations", ""),
        "mean": (workload.get("trace") or {}).get("mean_seconds"),
        "shared": workload.get("ready", {}).get("shared", ""),
        "io": workload.get("io", "sleep"),
        "io_size": workload.get("io_size_bytes", 0),
        "io_folder": workload.get("ready", {}).get("io_folder", ""),
        "peer": workload.get("ready", {}).get("peer", ""),
        "folder": workload["folder"],
        "lines": os.path.join(workload["folder"], "formulas"),
    }
    if spec["kind"] == "call":
        program = workload["program"]
        seconds = program.get("timeout_seconds")
        spec["call"] = {
            "function": program["words"][0],
            "folder": program["file"],
            "lines": (program.get("lines") or {}).get("path"),
            "timeout": seconds and round(seconds * 1e9),
            "marks": os.path.join(os.getcwd(), "marks"),
            "prepare": program.get("prepare"),
            "ignores": program.get("ignore_answers"),
            "returns": program.get("returns"),
        }
    if settings.get("api") in ("loky", "mpire"):
        __import__(settings["api"])  # As imports are, before the clock starts.
    spec["stride"] = stride(spec, settings, workload) if request["latency"] else 0
    names = ("workers", "chunk", "in_flight", "start", "api", "max_tasks_per_child")
    return spec, {name: settings.get(name) for name in names}


def stride(spec, settings, workload):
    """Every how many-th task is stamped: an odd number, since chunks are often powers of two."""
    empty = tasks.is_empty(spec)
    stamping = SENDING_STAMPED if empty else STAMPING
    least = 100e-9 if empty else 1e-6
    if spec["mode"] == "process":
        least = 500e-6
    elif spec["mode"] == "pool" and (settings.get("chunk") or 1) == 1:
        least = 10e-6
    if spec["kind"] == "call":
        least = 100e-6  # As far as anybody knows.
    seconds = least + workload["cpu_seconds"] + workload["io_wait_seconds"]
    for_cost = int(stamping / (ALLOWED * seconds)) + 1
    for_room = -(-spec["tasks"] // MOST_SAMPLES)
    return min(max(for_cost, for_room), spec["tasks"]) | 1


def make_folders(spec):
    if spec["kind"] == "file":
        for first in range(0, spec["tasks"], tasks.FILES_PER_FOLDER):
            os.makedirs(tasks.folder_of(spec, first), exist_ok=True)


def cpu_times():
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(of.ru_utime for of in used), sum(of.ru_stime for of in used)


def verify(spec, settings, outcome):
    """Check what must hold, and fold the results in task order."""
    verified = verify_values(spec, outcome) if spec["kind"] == "call" else verify_results(spec, outcome)
    require("instants of the round in order", outcome.begin <= outcome.collected <= outcome.end, 1, 1)
    least, most = outcome.started, outcome.started
    if spec["mode"] == "pool" and settings["max_tasks_per_child"] is None:
        # An executor starts its workers as they are needed, and loky replaces some.
        least = 1 if settings["api"] in ("executor", "loky") else settings["workers"]
        most = settings["workers"] if settings["api"] != "loky" else max(outcome.started, least)
    require("processes started", outcome.started, least, most)
    require("processes left behind", has_children(), 0, 0)
    if not verified["failed"]:
        require("tasks executed", outcome.executed, spec["tasks"], spec["tasks"])
        units = units_of_all(spec, sum(meter.initialisations for meter in outcome.meters))
        require("units of CPU work", sum(meter.units for meter in outcome.meters), units, units)
    return verified


def require(what, found, least, most, violation=Violation):
    if not least <= found <= most:
        expected = str(least) if least == most else "%d to %d" % (least, most)
        raise violation("%s: counted %d, expected %s" % (what, found, expected))


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def units_of_all(spec, initialisations):
    units, factor = spec["units"], None
    if units:
        factor = tasks.factors(spec)
    if factor:
        of_tasks = sum(int(units * factor(task)) for task in range(spec["tasks"]))
    else:
        of_tasks = units * spec["tasks"]
    return of_tasks + spec["init_units"] * initialisations


def verify_results(spec, outcome):
    import zlib
    from hashlib import sha256  # Only here: it would make every fork dearer.

    count, size, empty = spec["tasks"], spec["result_size"], tasks.is_empty(spec)
    require("results", len(outcome.results), count, count, WrongResult)
    words, failures, failed = array.array("I"), [], 0
    for task, result in enumerate(outcome.results):
        value, given = result if size and type(result) is tuple else (result, b"")
        if value is None:
            raise WrongResult("task %d was never executed: its result is missing" % task)
        if value < 0:
            failed += 1
            if len(failures) < FAILURES_REPORTED:
                failures.append({"task": task, "reason": reason(outcome, task, value)})
            value = 0xFFFFFFFF
        elif size and given != tasks.result_bytes(task, value, size):
            raise WrongResult("task %d handed back wrong bytes" % task)
        elif empty:
            # An empty task hands back its number, from which the rest follows.
            if value != task:
                raise WrongResult("task %d has the result of task %d" % (task, value))
            value = tasks.checksum(task, b"")
        words.append(value)
        if size:
            words.append(zlib.crc32(given))
    step = 2 if size else 1
    for task, expected in expectations(spec):
        found = words[step * task]
        if found not in (expected, 0xFFFFFFFF):
            raise WrongResult(
                "task %d has a wrong result: checksum %08x, expected %08x" % (task, found, expected)
            )
    if sys.byteorder == "big":
        words.byteswap()
    digest = sha256(words.tobytes()).hexdigest()
    return {"digest": digest, "failures": failures, "failed": failed}


def verify_values(spec, outcome):
    """Fold what a function of the user's own has returned."""
    import zlib
    from hashlib import sha256

    count, travelled = spec["tasks"], spec["mode"] in ("pool", "process")
    require("results", len(outcome.results), count, count, WrongResult)
    escaped = call.escaped(spec["call"]["marks"])
    words, reasons = array.array("I"), {}
    for task, result in enumerate(outcome.results):
        if travelled and type(result) not in (call.Returned, call.Failed):
            raise WrongResult("task %d was never executed: its result is missing" % task)
        word = 0xFFFFFFFF
        if task in escaped:
            result = call.Failed("it forked, and its function came back in the copy as well, which was ended")
        if type(result) is not call.Failed:
            try:
                word = call.word_of(result)
            except BaseException as error:
                result = call.Failed(call.unpicklable(error))
        outcome.results[task] = result
        if type(result) is call.Failed:
            reasons[task] = result.reason
        elif spec["call"]["ignores"]:
            word = 0
        words.append(word)
    if spec["call"]["returns"]:
        call.export(outcome.results, spec["call"]["returns"])
    shown = sorted(reasons)[:FAILURES_REPORTED]
    lines = call.shown_lines(spec, shown)
    failures = [dict({"task": task, "reason": reasons[task]}, **lines.get(task, {})) for task in shown]
    if sys.byteorder == "big":
        words.byteswap()
    stretch = max(-(-count // PARTS), 1)
    parts = [zlib.crc32(words[first : first + stretch].tobytes()) for first in range(0, count, stretch)]
    digest = sha256(words.tobytes()).hexdigest()
    return {"digest": digest, "failures": failures, "failed": len(reasons), "parts": parts}


def reason(outcome, task, value):
    if task in outcome.reasons:
        return outcome.reasons[task]
    if value == tasks.NO_FORMULA:
        return "its formula could not be evaluated"
    return "%s (%s)" % (os.strerror(-value), errno.errorcode.get(-value, -value))


def expectations(spec):
    """(task, checksum) of an even sample of tasks, worked out again."""
    expected = procbench_io.expected(spec)
    if not expected:
        yield from checksums(spec, lambda task, value: value)
        return
    most = max(CHECKED_BYTES // max(spec["io_size"], 1), 1)
    every = max(spec["tasks"] // most, 1)
    for task, value in checksums(spec, expected):
        yield task, value
        if task % every == 0:
            procbench_io.require_left(spec, task, Violation)


def checksums(spec, carried_on):
    """(task, checksum), where what tasks read or write makes of a checksum what `carried_on` says."""
    count = spec["tasks"]
    most = CHECKED_FORMULAS if spec["kind"] == "expression" else CHECKED_TASKS
    every = max(-(-count // most), count * spec["arg_size"] // CHECKED_BYTES, 1)
    if spec["kind"] == "synthetic" and spec["arg_size"]:
        for task, argument in tasks.Arguments(count, spec["seed"], spec["arg_size"]):
            if task % every == 0:
                yield task, carried_on(task, tasks.checksum(task, argument))
    elif spec["kind"] == "synthetic":
        for task in range(0, count, every):
            yield task, carried_on(task, tasks.checksum(task, b""))
    elif spec["kind"] == "file":
        text = tasks.TEXT * tasks.TIMES
        for task in range(count):
            try:
                with open(os.path.join(tasks.folder_of(spec, task), str(task))) as file:
                    found = file.read()
            except OSError:
                continue  # Its result says so.
            if found != text:
                raise Violation("the file of task %d holds %r, expected %r" % (task, found[:20], text))
            if task % every == 0:
                value = carried_on(task, tasks.checksum(task, b""))
                yield task, tasks.zlib.crc32(text.encode(), value)
    else:
        from procbench_formula import evaluate

        for task, line in tasks.items(spec):
            if task % every == 0:
                formula = line[:-1]
                value = carried_on(task, tasks.checksum(task, formula))
                yield task, tasks.zlib.crc32(evaluate(formula), value)


def report(spec, outcome, verified, user, system, arrivals):
    meters = outcome.meters
    waits = sum(meter.waits for meter in meters)
    # A pool is ready as soon as its first worker is; the others start meanwhile.
    ready = outcome.ready or min((meter.ready for meter in meters if meter.ready), default=outcome.begin)
    ready = min(max(ready, outcome.begin), outcome.collected)
    late = sum(meter.late for meter in meters) * 1e-9 / waits if waits else None
    latest = max(meter.latest for meter in meters) * 1e-9 if waits else None
    return {
        "type": "report",
        "total_seconds": (outcome.end - outcome.begin) * 1e-9,
        "set_up_seconds": (ready - outcome.begin) * 1e-9,
        "execute_seconds": (outcome.collected - ready) * 1e-9,
        "tear_down_seconds": (outcome.end - outcome.collected) * 1e-9,
        "cpu_seconds": user + system,
        "cpu_user_seconds": user,
        "cpu_system_seconds": system,
        "tasks_completed": spec["tasks"] - verified["failed"],
        "tasks_failed": verified["failed"],
        "retries": 0,
        "processes_started": outcome.started,
        "helpers_started": outcome.helpers,
        "peak_alive": outcome.peak,
        "digest": verified["digest"],
        "work_units": sum(meter.units for meter in meters),
        "io_overshoot_mean_seconds": late,
        "io_overshoot_max_seconds": latest,
        "latency": latency(spec, outcome),
        "start_order": start_order(spec, outcome),
        "returned_out_of_place": out_of_place(arrivals),
        "failures": verified["failures"],
        "left_running": outcome.left_running,
        "parts": verified.get("parts", []),
    }


def latency(spec, outcome):
    wait, service = {}, {}
    longest = [0, 0]
    for meter in outcome.meters:
        stamps = meter.stamps
        for started, ended in zip(stamps[1::3], stamps[2::3]):
            values = started - outcome.begin, ended - started
            note(wait, values[0])
            note(service, values[1])
            longest = list(map(max, longest, values))
    if not wait:
        return None
    return {"one_in": spec["stride"], "wait": buckets(wait, longest[0]), "service": buckets(service, longest[1])}


def buckets(histogram, longest):
    """Pairs of a value and how many had it; the last one is exact."""
    pairs = sorted(histogram.items())
    pairs[-1] = longest, pairs[-1][1]
    return pairs


def start_order(spec, outcome):
    """How far tasks started from their turn, by the order of their numbers: see src/mode/start_order.rs."""
    by_start = sorted(
        start for meter in outcome.meters for start in zip(meter.stamps[1::3], meter.stamps[::3])
    )
    if not by_start:
        return None
    stride, overtaken, last, largest = spec["stride"], 0, -1, 0
    for place, (_, task) in enumerate(by_start):
        overtaken += task < last
        last = max(last, task)
        largest = max(largest, abs(place - task // stride))
    return {
        "one_in": stride,
        "count": len(by_start),
        "overtaken": overtaken,
        "largest_displacement": largest * stride,
    }


def out_of_place(arrivals):
    """How many results came back at another place than their task's."""
    if arrivals is None:
        return None
    return sum(place != task for place, (task, _) in enumerate(arrivals))


def note(histogram, value):
    """Counts `value` among those that have the same eight leading bits: good to half of 1 %."""
    shift = max(max(value, 0).bit_length() - 8, 0)
    middle = (value >> shift << shift) + (1 << shift >> 1)
    histogram[middle] = histogram.get(middle, 0) + 1
