"""Where the engine starts. Processes that are spawned import this file again, as they import every Python program's."""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import procbench_engine

    procbench_engine.main()
