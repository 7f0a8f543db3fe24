"""What tasks read and write besides their arguments and results: shared input, files on a disk, and how long they last.

The bytes are those of procbench's own engine (src/workload/block.rs); a task's checksum is carried on over them.
"""

import errno
import fcntl
import mmap
import os
import struct
import threading
import zlib

from procbench_seed import GOLDEN, MASK, mix, state_for

# Keeps these bytes apart from arguments that are drawn from the same seed.
_BLOCKS = 0x626C6F636B732121
_BLOCK_BYTES = 65536
_FILES_PER_FOLDER = 4096
_PAGE = 4096

# Of this process: what has been mapped or opened, by its path.
_mapped = {}


def make_ready(spec):
    """What tasks find when they begin. Returns what has to stay open for as long as the round lasts."""
    if spec["io"] == "fsync":
        for first in range(0, spec["tasks"], _FILES_PER_FOLDER):
            os.makedirs(os.path.dirname(_file_of(spec, first)), exist_ok=True)
    if spec["io"] == "read":
        # What the kernel holds of the file is to be forgotten.
        with open(_input_of(spec), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if not spec["shared"]:
        return None
    # A copy of this round's own, so that its memory is counted as the round's.
    if hasattr(os, "memfd_create"):
        copy = os.memfd_create("procbench-shared", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        path = "/proc/%d/fd/%d" % (os.getpid(), copy)
    else:
        path = os.path.abspath("shared-%d" % os.getpid())
        copy = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(spec["shared"], "rb") as source:
        left = os.fstat(source.fileno()).st_size
        while left:
            left -= os.sendfile(copy, source.fileno(), None, left)
    seal(copy, ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE"))
    spec["shared"] = path
    return copy


def seal(file, seals):
    """Forbid changes of a file in memory, as far as this Python knows how to (3.9): who maps it must not find it shorter."""
    if hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS"):
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, sum(getattr(fcntl, name) for name in seals))


def _map(path):
    if path not in _mapped:
        with open(path, "rb") as file:
            _mapped[path] = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    return _mapped[path]


def shared(spec):
    """The bytes that every task reads; None where there are none."""
    return _map(spec["shared"]) if spec["shared"] else None


def trace(path, mean):
    """A function from a task to how many times the mean it lasts."""
    seconds, durations = struct.Struct("<d"), _map(path)
    return lambda task: seconds.unpack_from(durations, 8 * task)[0] / mean


# A round trip to another process: see src/workload/io/echo.rs.

_ECHOES = 0x6563686F6563686F


def _echo(spec):
    """A function of the task, how long it waits and its checksum: whoever executes keeps one connection."""
    import socket  # Only here: it would make every fork dearer.

    answer_of, size, connections = _answer_of(spec), spec["io_size"], threading.local()

    def perform(task, wait, value):
        own = os.getpid()
        connection, of = getattr(connections, "own", (None, None))
        if of != own:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(b"\0" + spec["peer"].encode())
            connections.own = connection, own
        expected = answer_of(task)
        try:
            connection.sendall(struct.pack("<Q", wait) + expected)
            answer = b""
            while len(answer) < size:
                piece = connection.recv(size - len(answer))
                if not piece:
                    raise ConnectionResetError(errno.ECONNRESET, "the peer has gone")
                answer += piece
        except OSError:
            del connections.own  # Half an answer may still be on its way.
            raise
        if answer != expected:
            raise OSError(errno.EBADMSG, "the peer has answered something else")
        return zlib.crc32(answer, value)

    return perform


def _answer_of(spec):
    """A function from a task to the bytes that it sends and that come back."""
    size, seed = spec["io_size"], spec["seed"] ^ _ECHOES

    def answer_of(task):
        drawn = struct.pack("<Q", mix((state_for(seed, task) + GOLDEN) & MASK))
        return (drawn * (size // 8 + 1))[:size]

    return answer_of


# Files on the disk that the user has named.


def _block(seed):
    """The random block of a seed, turned so that it begins behind its number."""
    state, words = seed ^ _BLOCKS, []
    for _ in range(_BLOCK_BYTES // 8):
        state = (state + GOLDEN) & MASK
        words.append(mix(state))
    block = struct.pack("<%dQ" % len(words), *words)
    return block[8:] + block[:8]


def _bytes_of(spec):
    """A function from a task to the bytes that it writes or reads."""
    size = spec["io_size"]
    rest = _block(spec["seed"]) * (size // _BLOCK_BYTES + 1)
    return lambda task: (struct.pack("<Q", task) + rest[: max(size - 8, 0)])[:size]


def _file_of(spec, task):
    return os.path.join(spec["io_folder"], str(task // _FILES_PER_FOLDER), str(task))


def _input_of(spec):
    return os.path.join(spec["io_folder"], "input")


def method(spec):
    """The I/O of a task: a function of the task and its checksum, for `echo` also of how long it waits. None where it sleeps."""
    return {"echo": _echo, "fsync": _fsync, "read": _read}.get(spec["io"], lambda spec: None)(spec)


def _fsync(spec):
    bytes_of = _bytes_of(spec)

    def perform(task, value):
        data = bytes_of(task)
        with open(_file_of(spec, task), "wb", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        return zlib.crc32(data, value)

    return perform


def _read(spec):
    size, stride, path = spec["io_size"], -(-spec["io_size"] // _PAGE) * _PAGE, _input_of(spec)
    # Of each process: who was forked would share its parent's.
    opened = {}

    def perform(task, value):
        own = os.getpid()
        file = opened.get(own)
        if file is None:
            file = opened[own] = os.open(path, os.O_RDONLY)
            # Without this the kernel would fetch what the next tasks read along with what the first one does.
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        at, end = task * stride, task * stride + size
        while at < end:
            piece = os.pread(file, end - at, at)
            if not piece:
                raise OSError(errno.EIO, "the file that tasks read has ended")
            value = zlib.crc32(piece, value)
            at += len(piece)
        return value

    return perform


# Worked out in another way, by whoever checks results.


def expected(spec):
    """What a checksum comes to that was carried on over what a task read: a function of the task and the checksum; None where
    nothing is read."""
    if not spec["shared"] and spec["io"] == "sleep":
        return None
    bytes_of = {"echo": _answer_of, "fsync": _bytes_of, "read": _bytes_of}.get(spec["io"], lambda spec: None)(spec)
    over_shared = _carrying_on(shared(spec)) if spec["shared"] else None

    def carried_on(task, value):
        if over_shared:
            value = over_shared(value)
        return zlib.crc32(bytes_of(task), value) if bytes_of else value

    return carried_on


def require_left(spec, task, violation):
    """Whether `task` has left the file that it had to."""
    if spec["io"] != "fsync":
        return
    try:
        with open(_file_of(spec, task), "rb") as file:
            found = file.read()
    except OSError:
        return  # Its result says so.
    if found != _bytes_of_once(spec)(task):
        raise violation("the file of task %d does not hold what was written" % task)


def _bytes_of_once(spec):
    if "bytes_of" not in _mapped:
        _mapped["bytes_of"] = _bytes_of(spec)
    return _mapped["bytes_of"]


def _carrying_on(data):
    """What carrying a checksum on over `data` makes of it, without reading them for each: a CRC is linear, so what it was before
    is changed as by as many zero bytes."""
    of_zero = zlib.crc32(data)
    # What one zero bit makes of each bit; squared three times, what one zero byte does.
    power = [0xEDB88320] + [1 << bit for bit in range(31)]
    for _ in range(3):
        power = [_times(power, column) for column in power]
    matrix, length = [1 << bit for bit in range(32)], len(data)
    while length:
        if length & 1:
            matrix = [_times(power, column) for column in matrix]
        power = [_times(power, column) for column in power]
        length >>= 1
    return lambda value: _times(matrix, value) ^ of_zero


def _times(matrix, vector):
    total, place = 0, 0
    while vector:
        if vector & 1:
            total ^= matrix[place]
        vector >>= 1
        place += 1
    return total
