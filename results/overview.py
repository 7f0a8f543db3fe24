"""Draws FOLDER/overview.svg: the times of four modes, for tasks that compute and for tasks that wait.

    python3 results/overview.py FOLDER        which has cpu-bound.json and io-bound.json
"""

import json
import math
import os
import sys

PARTS = [
    ("cpu-bound", "20,000 tasks, each 20 µs of CPU work"),
    ("io-bound", "64 tasks, each waits 100 ms"),
]
COLOURS = {"serial": "#8c8c8c", "threads": "#4c8dae", "pool": "#2f6b4f", "process": "#c8682b"}
TICKS = [(0.1, "100 ms"), (0.3, "300 ms"), (1, "1 s"), (3, "3 s"), (10, "10 s")]
LEFT, DECADE, FROM_SECONDS = 80, 239, 0.05


def x(seconds):
    return LEFT + DECADE * math.log10(seconds / FROM_SECONDS)


def in_words(seconds):
    value, unit = (seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms")
    return "%.*f %s" % (max(0, 2 - int(math.log10(value))), value, unit)


def bars(folder, name, title, top):
    with open(os.path.join(folder, name + ".json")) as file:
        rows = {row["name"]: row for row in json.load(file)["strategies"]}
    yield '<text x="%d" y="%d" font-weight="bold">%s</text>' % (LEFT, top, title)
    for seconds, _ in TICKS:
        line = '<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#dddddd"/>'
        yield line % (x(seconds), x(seconds), top + 8, top + 112)
    for place, (mode, colour) in enumerate(COLOURS.items()):
        median = rows[mode]["summary"]["total_seconds"]["median"]
        middle = top + 25 + 26 * place
        yield '<text x="%d" y="%d" text-anchor="end">%s</text>' % (LEFT - 8, middle, mode)
        width = x(median) - LEFT
        yield '<rect x="%d" y="%d" width="%.1f" height="18" fill="%s"/>' % (LEFT, middle - 13, width, colour)
        yield '<text x="%.1f" y="%d">%s</text>' % (LEFT + width + 6, middle, in_words(median))


def main():
    folder = sys.argv[1]
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="324" viewBox="0 0 720 324" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>Time of four modes for two workloads</title>",
        '<rect width="720" height="324" fill="#ffffff"/>',
    ]
    for place, (name, title) in enumerate(PARTS):
        lines.extend(bars(folder, name, title, 28 + 134 * place))
    for seconds, label in TICKS:
        lines.append('<text x="%.1f" y="290" text-anchor="middle" fill="#555555">%s</text>' % (x(seconds), label))
    note = "Median time of a round; logarithmic axis. From cpu-bound.json and io-bound.json in this folder."
    lines.append('<text x="%d" y="312" fill="#555555">%s</text>' % (LEFT, note))
    lines.append("</svg>")
    with open(os.path.join(folder, "overview.svg"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
