"""A child that opens a stranger's file once, and answers arrays with arrays until nobody asks any more.

A message is the length of its header, the header in JSON, and the numbers of its arrays. Whoever asks believes nothing
of an answer but how many bytes come, up to a limit, and within a time.
"""

import contextlib
import json
import logging
import math
import os
import signal
import socket
import struct
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence

import numpy as np

from zoo.errors import ZooError
from zoo.processes import spawning
from zoo.processes.spawning import Limits, Spawners
from zoo.types import Json

Arrays = list[np.ndarray]
Answers = Callable[[Arrays], Arrays]  # what a child does with each question
Opens = Callable[[Json, bytes], tuple[Json, Answers]]  # a request and a file -> what it says of itself, and the answers

log = logging.getLogger(__name__)

DTYPES = ("float32", "uint8")
SIDES = 8  # of an array
LONGEST_HEADER = 2_000_000  # bytes
LONGEST = 500_000_000  # bytes of all arrays of a message


class Ended(Exception):
    """A child that did not answer: it took more than it may, or crashed. There is no other one."""


class Conversation:
    """A child and its open file; may be shared by threads, one of which is answered at a time.

    Args:
        spawners: of a program that calls `spawning.serve` with `answering` of what opens files.
        request: {"task": its name, ...}.
        data: the content of the file.
        memory: bytes that the child may take.
        seconds: in which it opens the file, and answers each question.

    Attributes:
        said: what the opened file says of itself.

    Raises:
        ZooError: it cannot be opened.
        Ended: the child did not open it.
        spawning.Stopped: no child can be started.
    """

    def __init__(self, spawners: Spawners, request: Json, data: bytes, memory: int, seconds: float):
        self._seconds, self._lock, self._owner = seconds, threading.Lock(), os.getpid()
        limits = Limits(cpu=0, wall=0, memory=memory, file=0)
        self._socket, handle = spawners.conversation(request, data, limits)
        self._end = weakref.finalize(self, _end, self._socket, handle, self._owner)
        self.said, _ = self._received(time.monotonic() + seconds)

    @property
    def over(self) -> bool:
        """Whether there will be no answer: the child ended, or belongs to the process that this one is a fork of."""
        return not self._end.alive or self._owner != os.getpid()

    def ask(self, arrays: Sequence[np.ndarray]) -> Arrays:
        """Return the answer to a question.

        Raises:
            ZooError: there is none.
            Ended: the child ended, or was ended since it took too long.
        """
        with self._lock:
            if self.over:
                raise Ended
            until = time.monotonic() + self._seconds
            try:
                self._socket.settimeout(self._seconds)
                for part in _message({}, arrays):
                    self._socket.sendall(part)
            except OSError:
                self._end()
                raise Ended from None
            return self._received(until)[1]

    def _received(self, until: float) -> tuple[Json, Arrays]:
        def receive(target: memoryview) -> int:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            return self._socket.recv_into(target)

        try:
            header, arrays = _read(receive)
        except (OSError, EOFError, ValueError, RecursionError, TypeError, AttributeError, KeyError):
            self._end()
            raise Ended from None
        if "trace" in header:
            log.error("A child failed.\n%s", str(header["trace"])[:8000])
            raise ZooError("This could not be computed. Please report it.")
        if "error" in header:
            raise ZooError(str(header["error"])[:1000])
        return header, arrays


def _end(channel: socket.socket, handle: int, owner: int) -> None:
    channel.close()
    if os.getpid() == owner:  # a fork of it has no right to
        with contextlib.suppress(OSError):  # it has ended
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)


def _message(header: Json, arrays: Sequence[np.ndarray]) -> list[bytes | memoryview]:
    arrays = [np.ascontiguousarray(one) for one in arrays]
    text = json.dumps({**header, "arrays": [[one.dtype.name, one.shape] for one in arrays]}).encode()
    return [struct.pack("<I", len(text)) + text, *(one.reshape(-1).view(np.uint8).data for one in arrays)]


def _read(receive: Callable[[memoryview], int]) -> tuple[Json, Arrays]:
    """Return the header and the arrays of a message.

    Raises:
        EOFError: the other side is gone.
        ValueError, TypeError, AttributeError, KeyError, RecursionError: it is none.
    """

    def filled(size: int) -> np.ndarray:
        found = np.empty(size, np.uint8)
        rest = found.data
        while rest:
            got = receive(rest)
            if not got:
                raise EOFError
            rest = rest[got:]
        return found

    (length,) = struct.unpack("<I", filled(4).tobytes())
    if length > LONGEST_HEADER:
        raise ValueError("a header that is too long")
    header = json.loads(filled(length).tobytes())
    arrays, left = [], LONGEST
    for dtype, shape in header.pop("arrays"):
        if (
            dtype not in DTYPES
            or len(shape) > SIDES
            or not all(type(side) is int and 0 <= side <= LONGEST for side in shape)
        ):
            raise ValueError("an array of another kind")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        left -= size
        if left < 0:
            raise ValueError("arrays that are too large")
        arrays.append(filled(size).view(dtype).reshape(shape))
    return header, arrays


# --- in the child --------------------------------------------------------------------------------


def answering(opens: Opens) -> spawning.Converses:
    """Return what a child does that opens its file and answers questions about it until there are no more."""

    def converse(request: Json, data: bytes, handle: int) -> None:
        with open(handle, "rb", buffering=0) as channel:

            def say(header: Json, arrays: Arrays) -> None:
                for part in _message(header, arrays):
                    spawning.write(handle, part)

            try:
                said, answers = opens(request, data)
            except BaseException as error:
                return say(_said_of(error), [])
            say(said, [])
            del data
            while True:
                try:
                    _, asked = _read(channel.readinto)
                except (EOFError, OSError):
                    return None
                try:
                    header, made = {}, answers(asked)
                except BaseException as error:
                    header, made = _said_of(error), []
                say(header, made)

    return converse


def _said_of(error: BaseException) -> Json:
    """Return the header of an answer that is none."""
    if isinstance(error, ZooError):
        return {"error": str(error)}
    if isinstance(error, MemoryError):
        raise error
    return {"trace": "".join(traceback.format_exception(error))[-8000:]}
