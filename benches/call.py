"""What procbench adds to a call of a user's own function (`--call`): the same calls by plain Python and by the engine's own `run`.

    python3 benches/call.py

Prints, for each mode, nanoseconds a call: plain, by procbench, and the difference; the least of many repetitions, since whatever
else the machine does only adds. The function returns its argument, so that nothing else takes time. The imports below are the
engine's files as they are; nothing of them is replaced.
"""

import os
import pickle
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "src", "engine", "python"))

import procbench_call as call  # noqa: E402
import procbench_tasks as tasks  # noqa: E402

CALLS, REPETITIONS = 20_000, 60
ARGUMENTS = {"a number": 7, "a list of 100 numbers": list(range(100))}


def identity(argument):
    return argument


def run_of(mode, stride, timeout, marks):
    open(marks, "wb").close()
    tell = {"marks": marks, "timeout": timeout}
    spec = {"mode": mode, "threads": False, "keyed": False, "stride": stride, "call": tell, "kind": "call", "init_units": 0}
    call.function = identity
    tasks.prepare(spec)
    tasks.begin(spec)
    return tasks.run


def least(act, *lists):
    """Nanoseconds a call."""
    best = None
    for _ in range(REPETITIONS):
        started = time.perf_counter_ns()
        act(*lists)
        took = time.perf_counter_ns() - started
        best = took if best is None else min(best, took)
    return best / CALLS


def main():
    print("Python %s, %d calls, the least of %d repetitions, in nanoseconds a call" % (sys.version.split()[0], CALLS, REPETITIONS))
    with tempfile.TemporaryDirectory() as folder:
        marks = os.path.join(folder, "marks")
        for name, argument in ARGUMENTS.items():
            # Each its own object: pickle writes one that it has written before as a reference.
            plain = [pickle.loads(pickle.dumps(argument)) for _ in range(CALLS)]
            pairs = list(enumerate(plain))
            in_line = least(lambda: list(map(identity, plain)))
            # What a worker does to a chunk: calls, and pickles what came of it.
            in_worker = least(lambda: pickle.dumps(list(map(identity, plain))))
            rows = [
                ("serial, threads, process", "serial", 0, None, in_line),
                ("the same, each stamped", "serial", 1, None, in_line),
                ("serial with --timeout", "serial", 0, 10**9, in_line),
                ("pool, with its pickling", "pool", 0, None, in_worker),
            ]
            for what, mode, stride, timeout, without in rows:
                run = run_of(mode, stride, timeout, marks)

                def calls():
                    meter = tasks.here.meter
                    del meter.stamps[:]
                    done = list(map(run, pairs))
                    return pickle.dumps(done) if mode == "pool" else done

                ours = least(calls)
                print("%-22s %-26s plain %6.0f  procbench %6.0f  added %6.0f" % (name, what, without, ours, ours - without))


if __name__ == "__main__":
    main()
