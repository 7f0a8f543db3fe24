# What is this interpreter? Runs after procbench_cpu.py, as one program; on Python 2 as well as on any 3.
import json
import platform
import sys


def probe():
    found = {
        "path": sys.executable or "",
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "major": sys.version_info[0],
        "minor": sys.version_info[1],
    }
    if sys.version_info >= (3, 8):
        import multiprocessing

        gil = getattr(sys, "_is_gil_enabled", None)
        found["global_lock"] = True if gil is None else gil()
        found["default_start"] = multiprocessing.get_start_method()
        found["units_per_second"] = calibrate()
        found["libraries"] = libraries("loky", "mpire", "formulas")
    return found


def libraries(*names):
    from importlib import metadata

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


sys.stdout.write("\nprocbench-probe " + json.dumps(probe()) + "\n")
