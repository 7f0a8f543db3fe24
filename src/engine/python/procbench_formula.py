"""Evaluates the formulas of the `expression` workload, which keep to this grammar:

    formula ::= "=" term { "+" term }
    term    ::= "SUM(" list ")" [ "*IF(" number op number "," branch "," branch ")" ]
    op      ::= "<" | ">" | "<=" | ">=" | "=" | "<>"
    branch  ::= number | ( "MAX" | "MIN" | "PRODUCT" ) "(" list ")"
    list    ::= number { "," number }
"""

import math
import operator
import re
import struct

_BRANCH = rb"(\d+|(?:MAX|MIN|PRODUCT)\([\d,]+\))"
_TERM = re.compile(
    rb"SUM\(([\d,]+)\)(?:\*IF\((\d+)(<=|>=|<>|<|>|=)(\d+)," + _BRANCH + rb"," + _BRANCH + rb"\))?(\+|\Z)"
)
_COMPARE = {
    b"<": operator.lt,
    b">": operator.gt,
    b"<=": operator.le,
    b">=": operator.ge,
    b"=": operator.eq,
    b"<>": operator.ne,
}
_FOLD = {b"MAX": max, b"MIN": min, b"PRODUCT": math.prod}


def evaluate(formula):
    """The value of `formula`, in the bytes that checksums are made of. A ValueError if it is not one."""
    total, at = 0, 1
    while True:
        match = _TERM.match(formula, at)
        if not match or formula[:1] != b"=":
            raise ValueError("not a formula that procbench writes")
        numbers, left, compare, right, then, otherwise, more = match.groups()
        term = sum(map(int, numbers.split(b",")))
        if compare:
            branch = then if _COMPARE[compare](int(left), int(right)) else otherwise
            term *= _value(branch)
        total += term
        at = match.end()
        if not more:
            return b"n" + struct.pack("<d", total)


def _value(branch):
    if branch[-1:] != b")":
        return int(branch)
    name, numbers = branch[:-1].split(b"(")
    return _FOLD[name](map(int, numbers.split(b",")))
