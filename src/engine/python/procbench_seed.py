"""Where arguments and durations are drawn from: SplitMix64, the very numbers that procbench's own engine draws."""

import math

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# Keeps durations apart from arguments that are drawn from the same seed.
_DURATIONS = 0x6475726174696F6E


def mix(z):
    """SplitMix64's finaliser."""
    z = (z ^ (z >> 30)) * _FIRST & MASK
    z = (z ^ (z >> 27)) * _SECOND & MASK
    return z ^ (z >> 31)


def state_for(seed, item):
    """Where the stream of `item` below `seed` begins."""
    return mix(seed ^ mix((item + GOLDEN) & MASK))


def durations(spread, seed):
    """A function from a task to what its duration is multiplied by; None where all are alike."""
    name, _, parameter = spread.partition(":")
    if name == "constant":
        return None
    width = float(parameter or 0)
    seed ^= _DURATIONS

    def factor(task):
        state = (state_for(seed, task) + GOLDEN) & MASK
        # 1 - u is in (0, 1], so the logarithms below are finite.
        u = 1.0 - (mix(state) >> 11) * 2.0**-53
        if name == "uniform":
            return 1.0 + width * (2.0 * u - 1.0)
        if name == "exponential":
            return -math.log(u)
        angle = math.tau * ((mix((state + GOLDEN) & MASK) >> 11) * 2.0**-53)
        normal = math.sqrt(-2.0 * math.log(u)) * math.cos(angle)
        return math.exp(width * normal - width * width / 2.0)

    return factor


class Lanes:
    """Draws the first number of many items at once.

    One after the other each takes a microsecond, which is as long as it takes to send a short argument to another
    process. So a block of them lies in one large number, each in a lane of 128 bits, of which the upper half is there for
    the product of two 64-bit numbers; arithmetic on it is one call each, at the speed of C.
    """

    COUNT = 256

    def __init__(self, seed):
        ones = sum(1 << 128 * lane for lane in range(self.COUNT))
        self._mask = ones * MASK
        self._ones = ones
        self._golden = ones * GOLDEN
        self._seed = ones * seed
        self._ramp = sum(lane << 128 * lane for lane in range(self.COUNT))

    def first(self, start):
        """The first numbers of items `start`, `start + 1`, ..., as bytes: 8 of each 16 are one number."""
        items = (self._ones * start + self._ramp + self._golden) & self._mask
        state = (self._mix(self._seed ^ self._mix(items)) + self._golden) & self._mask
        return self._mix(state).to_bytes(16 * self.COUNT, "little")

    def _mix(self, z):
        mask = self._mask
        z = ((z ^ (z >> 30)) & mask) * _FIRST & mask
        z = ((z ^ (z >> 27)) & mask) * _SECOND & mask
        return (z ^ (z >> 31)) & mask
