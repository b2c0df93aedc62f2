"""Reading published pickles of plain NumPy arrays, and nothing else that a pickle can do.

Python's own unpickler is not used: it can be made to set the state of any object that may be
named, and to set memory aside for a memo of any size. Here a pickle's operations are listed by
`pickletools`, which runs nothing, and the few that such files need are carried out.
"""

import enum
import math
import pickletools
import warnings
from typing import Any

import numpy as np

from ..errors import InnerloopError

MOST_OPERATIONS = 1 << 20
"""In one pickle; a batch of CIFAR-10 has about 40,000."""

_KINDS = frozenset(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
_MOST_AXES = 32
_LARGEST_INTEGER = 1 << 63


def load_arrays(content: bytes, what: str) -> Any:
    """The lists, dictionaries, strings, numbers and NumPy arrays pickled in `content`.

    Byte strings of Python 2 stay `bytes`, and arrays are read-only. Only what an array is
    rebuilt from may be named in the pickle, and none of it is called: no code of a stranger's
    can run. Raises `InnerloopError`, naming `what`, for anything else, for damaged content,
    and for more than 1,048,576 operations.
    """
    try:
        # Python warns of escapes in a text that it does not know.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Reader(content).read()
    except InnerloopError as error:
        raise InnerloopError(f"{what} is refused: {error}") from None
    except Exception as error:  # Damaged pickles raise nearly anything.
        raise InnerloopError(f"{what} is damaged: it is no readable pickle.") from error


class _Name(enum.Enum):
    """What a pickle may name; a sign of it, which cannot be called."""

    REBUILD = "_reconstruct"
    ARRAY = "ndarray"
    KIND = "dtype"
    ENCODE = "encode"


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Name.REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _Name.REBUILD,
    ("numpy", "ndarray"): _Name.ARRAY,
    ("numpy", "dtype"): _Name.KIND,
    ("_codecs", "encode"): _Name.ENCODE,
}


class _Kind:
    """A dtype that is being rebuilt: its byte order comes after it."""

    def __init__(self, code: Any):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if code not in _KINDS:
            raise InnerloopError("it holds arrays of something other than numbers.")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        version, order, *rest = state
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if version != 3 or order not in ("|", "<", ">", "=") or rest[:3] != [None] * 3:
            raise InnerloopError("it holds arrays of something other than numbers.")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array that is being rebuilt: what is in it comes after it."""

    array: np.ndarray | None = None

    def build(self, state: Any) -> None:
        version, shape, kind, fortran, content = state
        if (
            version != 1
            or not isinstance(shape, tuple)
            or len(shape) > _MOST_AXES
            or not all(type(length) is int and length >= 0 for length in shape)
            or not isinstance(kind, _Kind)
            or not isinstance(fortran, (bool, int))
            or not isinstance(content, bytes)
            or math.prod(shape) * kind.dtype.itemsize != len(content)
        ):
            raise InnerloopError("it holds an array whose bytes do not fit its shape.")
        flat = np.frombuffer(content, kind.dtype)
        self.array = flat.reshape(shape, order="F" if fortran else "C")


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_INTEGERS = frozenset(["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"])
_TEXTS = frozenset(["UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"])
_BYTES = frozenset(["BINBYTES", "SHORT_BINBYTES", "BINBYTES8"])
_STRINGS = frozenset(["STRING", "BINSTRING", "SHORT_BINSTRING"])  # Of Python 2.
_FLOATS = frozenset(("FLOAT", "BINFLOAT"))
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_PLAIN = (type(None), bool, int, float, str, bytes, list, dict, np.ndarray)


class _Reader:
    """The machine that a pickle's operations are for: a stack, its marks and a memo."""

    def __init__(self, content: bytes):
        self.content = content
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def read(self) -> Any:
        for count, (operation, argument, _) in enumerate(pickletools.genops(self.content)):
            if count >= MOST_OPERATIONS:
                raise InnerloopError(f"it has more than {MOST_OPERATIONS} operations.")
            name = operation.name
            if name == "STOP":
                (result,) = self.stack
                return _plain(result)
            self.carry_out(name, argument)
        raise ValueError("no end")

    def carry_out(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _INTEGERS:
            if not -_LARGEST_INTEGER <= argument < _LARGEST_INTEGER:
                raise InnerloopError("it holds a whole number of more than 64 bits.")
            stack.append(argument)
        elif name in _TEXTS or name in _BYTES or name in _FLOATS:
            stack.append(argument)
        elif name in _STRINGS:
            stack.append(argument.encode("latin1"))
        elif name in _PUTS:
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _GETS:
            stack.append(_finished(self.memo[argument]))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            self.marked.append(stack)
            self.stack = []
        elif name == "TUPLE":
            self.push(tuple(self.since_mark()))
        elif name in _TUPLES:
            length = _TUPLES[name]
            if len(stack) < length:
                raise ValueError("nothing to make a tuple of")
            start = len(stack) - length
            stack[start:] = [tuple(stack[start:])]
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "LIST":
            self.push([_plain(item) for item in self.since_mark()])
        elif name == "APPEND":
            item = _plain(stack.pop())
            _of(list, stack[-1]).append(item)
        elif name == "APPENDS":
            items = self.since_mark()
            _of(list, self.stack[-1]).extend(map(_plain, items))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "DICT":
            self.push(_filled({}, self.since_mark()))
        elif name == "SETITEM":
            items = [stack.pop(), stack.pop()][::-1]
            _filled(_of(dict, stack[-1]), items)
        elif name == "SETITEMS":
            items = self.since_mark()
            _filled(_of(dict, self.stack[-1]), items)
        elif name == "GLOBAL":
            module, _, named = argument.partition(" ")
            stack.append(_named(module, named))
        elif name == "STACK_GLOBAL":
            named, module = stack.pop(), stack.pop()
            stack.append(_named(module, named))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self.called(function, _of(tuple, arguments)))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], (_Array, _Kind)) or not isinstance(state, tuple):
                raise InnerloopError("it sets the state of something other than an array.")
            stack[-1].build(state)
            stack[-1] = _finished(stack[-1])
        elif name not in ("PROTO", "FRAME"):
            raise InnerloopError(f"it uses {name}, which arrays do not need.")

    def push(self, item: Any) -> None:
        self.stack.append(item)

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def called(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        if function is _Name.KIND:
            return _Kind(arguments[0])
        if function is _Name.REBUILD:
            if arguments[0] is not _Name.ARRAY or arguments[1] != (0,):
                raise InnerloopError("it rebuilds something other than a NumPy array.")
            return _Array()
        if function is _Name.ENCODE:
            return self.as_bytes(*arguments)
        raise InnerloopError("it calls something, and only NumPy arrays are admitted.")

    def as_bytes(self, text: Any, encoding: Any) -> bytes:
        """How Python 3 pickles bytes for Python 2; each of them once, or they would multiply."""
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise InnerloopError("it encodes something other than bytes.")
        self.encoded += len(text)
        if self.encoded > len(self.content):
            raise InnerloopError("it encodes the same bytes again and again.")
        return text.encode("latin1")


def _named(module: Any, name: Any) -> _Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name that is no text")
    try:
        return _NAMES[module, name]
    except KeyError:
        asked = f"{module}.{name}"[:80]
        raise InnerloopError(f"it asks for {asked}, and only NumPy arrays are admitted.") from None


def _finished(item: Any) -> Any:
    return item if not isinstance(item, _Array) or item.array is None else item.array


def _of(kind: type, item: Any) -> Any:
    if type(item) is not kind:
        raise ValueError(f"no {kind.__name__}")
    return item


def _plain(item: Any) -> Any:
    """`item`, which may go into lists and dictionaries; tuples are for rebuilding arrays alone."""
    if not isinstance(item, _PLAIN):
        raise InnerloopError("it holds something other than plain values and NumPy arrays.")
    return item


def _filled(into: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, (str, bytes, int)):
            raise InnerloopError("it holds a dictionary whose keys are no names.")
        into[key] = _plain(value)
    return into
