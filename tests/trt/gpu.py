"""A GPU made of host memory, which notices what a real one would not forgive.

Work on a stream is done when the stream is synchronised, not before: results that are read
too early are not there yet. Memory that nobody has written holds 0xFF, NaN in every float.
A wrong use is answered with CUDA's error code, and remembered in ``mistakes``.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.trt.settings import Settings

ALIGNMENT = 512
FRESH = 0xFF

Work = Callable[[], None]


class GpuError(Exception):
    """``name`` is that of a cudaError_t."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Block:
    """One allocation: on the device, or page-locked on the host."""

    kind: str
    start: int
    bytes: np.ndarray


@dataclass
class Stream:
    waiting: list[Work] = field(default_factory=list)
    captured: list[Work] | None = None  # while capturing
    broken: bool = False  # something happened that invalidates the capture


class Gpu:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.blocks: dict[int, Block] = {}
        self.freed: set[int] = set()
        self.streams: dict[int, Stream] = {0: Stream()}
        self.graphs: dict[int, list[Work]] = {}
        self.executables: dict[int, list[Work]] = {}
        self.events: dict[int, int | None] = {}  # and the stream that each was recorded on
        self.counts: Counter[str] = Counter()
        self.mistakes: list[str] = []
        self.tracked: dict[str, weakref.WeakSet] = {
            "engines": weakref.WeakSet(),
            "contexts": weakref.WeakSet(),
        }
        self._handle = 0x1000

    def mistake(self, code: str, text: str) -> GpuError:
        self.mistakes.append(text)
        return GpuError(code)

    def handle(self) -> int:
        self._handle += 16
        return self._handle

    def state(self) -> dict[str, Any]:
        """What is alive, what was done since the start, and what was done wrong."""
        kinds = Counter(block.kind for block in self.blocks.values())
        return {
            "device": kinds["device"],
            "host": kinds["host"],
            "streams": len(self.streams) - 1,
            "graphs": len(self.graphs),
            "executables": len(self.executables),
            "events": len(self.events),
            **{name: len(alive) for name, alive in self.tracked.items()},
            **{name: self.counts[name] for name in ("allocations", "copies", "launches")},
            **{name: self.counts[name] for name in ("captures", "executions")},
            "mistakes": list(self.mistakes),
        }

    # Memory

    def allocate(self, kind: str, size: int) -> int:
        with self.lock:
            self.refuse_while_capturing(f"allocation of {size} bytes")
            if kind == "device" and "no memory" in self.settings.faults:
                raise GpuError("cudaErrorMemoryAllocation")
            if not 0 < size < 1 << 40:
                raise self.mistake("cudaErrorInvalidValue", f"allocation of {size} bytes")
            if self.used() + size > self.settings.memory:
                raise GpuError("cudaErrorMemoryAllocation")
            room = np.full(size + ALIGNMENT, FRESH, np.uint8)
            offset = -room.ctypes.data % ALIGNMENT
            block = Block(kind, room.ctypes.data + offset, room[offset : offset + size])
            self.blocks[block.start] = block
            self.freed.discard(block.start)
            self.counts["allocations"] += 1
            return block.start

    def used(self) -> int:
        return sum(block.bytes.size for block in self.blocks.values())

    def free(self, kind: str, address: int) -> None:
        with self.lock:
            if address == 0:
                return
            self.refuse_while_capturing("free")
            block = self.blocks.get(address)
            if block is None or block.kind != kind:
                again = "second free" if address in self.freed else f"free of no {kind} memory"
                raise self.mistake("cudaErrorInvalidValue", f"{again}: {address:#x}")
            self.synchronize_all()
            del self.blocks[address]
            self.freed.add(address)

    def find(self, address: int) -> Block | None:
        """The allocation that ``address`` lies in."""
        with self.lock:
            return next(
                (b for b in self.blocks.values() if 0 <= address - b.start < b.bytes.size), None
            )

    def span(self, address: int, size: int, what: str) -> np.ndarray:
        """``size`` bytes of an allocation, as a view."""
        block = self.find(address)
        if block is None:
            gone = "freed memory" if address in self.freed else "memory that is not CUDA's"
            raise self.mistake("cudaErrorIllegalAddress", f"{what} in {gone}: {address:#x}")
        offset = address - block.start
        if offset + size > block.bytes.size:
            left = block.bytes.size - offset
            raise self.mistake(
                "cudaErrorInvalidValue", f"{what} of {size} bytes where {left} are left"
            )
        return block.bytes[offset : offset + size]

    # Streams

    def create_stream(self) -> int:
        with self.lock:
            self.refuse_while_capturing("creation of a stream")
            handle = self.handle()
            self.streams[handle] = Stream()
            return handle

    def stream(self, handle: int) -> Stream:
        if handle not in self.streams:
            text = f"use of a stream that is not there: {handle:#x}"
            raise self.mistake("cudaErrorInvalidResourceHandle", text)
        return self.streams[handle]

    def destroy_stream(self, handle: int) -> None:
        with self.lock:
            self.synchronize(handle)
            if handle == 0:
                raise self.mistake("cudaErrorInvalidResourceHandle", "destruction of stream 0")
            del self.streams[handle]

    def enqueue(self, handle: int, work: Work) -> None:
        with self.lock:
            stream = self.stream(handle)
            (stream.waiting if stream.captured is None else stream.captured).append(work)

    def capturing(self, handle: int) -> bool:
        return self.stream(handle).captured is not None

    def synchronize(self, handle: int) -> None:
        with self.lock:
            stream = self.stream(handle)
            if stream.captured is not None:
                self.refuse_while_capturing("synchronisation")
            waiting, stream.waiting = stream.waiting, []
            for work in waiting:
                work()

    def synchronize_all(self) -> None:
        for handle in list(self.streams):
            self.synchronize(handle)

    def refuse_while_capturing(self, what: str) -> None:
        """What CUDA does not allow in any thread during a global capture, and breaks it."""
        capturing = [s for s in self.streams.values() if s.captured is not None]
        for stream in capturing:
            stream.broken = True
        if capturing:
            raise self.mistake("cudaErrorStreamCaptureUnsupported", f"{what} during a capture")

    # Copies

    def copy(self, to: int, source: int, size: int, kind: str, handle: int) -> None:
        """``kind``: the name of a cudaMemcpyKind."""
        with self.lock:
            stream = self.stream(handle)
            self.counts["copies"] += 1
            self.check_direction(to, source, kind)
            ends = [self.find(to), self.find(source)]
            for block, address in zip(ends, (to, source), strict=True):
                if block is not None:
                    self.span(address, size, "copy")
            if None in ends and stream.captured is not None:
                stream.broken = True
                raise self.mistake(
                    "cudaErrorStreamCaptureUnsupported",
                    "copy between the device and pageable memory during a capture",
                )
            # From pageable memory CUDA copies before it returns, to pageable memory it waits.
            kept = None if ends[1] else raw(source, size).copy()

            def work() -> None:
                data = self.span(source, size, "copy from") if kept is None else kept
                target = self.span(to, size, "copy to") if ends[0] else raw(to, size)
                target[:] = data

            self.enqueue(handle, work)
            if ends[0] is None:
                self.synchronize(handle)

    def check_direction(self, to: int, source: int, kind: str) -> None:
        places = {
            "cudaMemcpyHostToHost": ("host", "host"),
            "cudaMemcpyHostToDevice": ("device", "host"),
            "cudaMemcpyDeviceToHost": ("host", "device"),
            "cudaMemcpyDeviceToDevice": ("device", "device"),
        }
        if kind not in places:  # cudaMemcpyDefault
            return
        found = tuple(block.kind if (block := self.find(a)) else "host" for a in (to, source))
        freed = {to, source} & self.freed
        if found != places[kind] or freed:
            gone = " (freed)" if freed else ""
            raise self.mistake(
                "cudaErrorInvalidValue", f"{kind} from {found[1]} to {found[0]}{gone}"
            )

    # Graphs

    def begin_capture(self, handle: int) -> None:
        with self.lock:
            stream = self.stream(handle)
            if handle == 0 or stream.captured is not None:
                raise self.mistake("cudaErrorStreamCaptureUnsupported", "capture of this stream")
            stream.captured, stream.broken = [], False

    def end_capture(self, handle: int) -> int:
        with self.lock:
            stream = self.stream(handle)
            captured, stream.captured = stream.captured, None
            if captured is None:
                raise self.mistake("cudaErrorIllegalState", "end of a capture that never began")
            if stream.broken or "capture" in self.settings.faults:
                raise GpuError("cudaErrorStreamCaptureInvalidated")
            graph = self.handle()
            self.graphs[graph] = captured
            self.counts["captures"] += 1
            return graph

    def instantiate(self, graph: int) -> int:
        with self.lock:
            self.refuse_while_capturing("instantiation of a graph")
            executable = self.handle()
            self.executables[executable] = list(self.lookup(self.graphs, graph, "graph"))
            return executable

    def launch(self, executable: int, handle: int) -> None:
        with self.lock:
            steps = self.lookup(self.executables, executable, "executable graph")
            if self.capturing(handle):
                raise self.mistake("cudaErrorStreamCaptureUnsupported", "launch during a capture")
            self.counts["launches"] += 1
            for work in steps:
                self.enqueue(handle, work)

    def destroy(self, table: dict[int, list[Work]], handle: int, what: str) -> None:
        with self.lock:
            self.lookup(table, handle, what)
            del table[handle]

    def lookup(self, table: dict[int, list[Work]], handle: int, what: str) -> list[Work]:
        if handle not in table:
            text = f"use of a {what} that is not there: {handle:#x}"
            raise self.mistake("cudaErrorInvalidValue", text)
        return table[handle]


def raw(address: int, size: int) -> np.ndarray:
    """Any bytes of this process: the caller vouches for the address."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


_current: Gpu | None = None


def start(settings: Settings) -> Gpu:
    """A new GPU, with nothing allocated, for this process."""
    global _current
    _current = Gpu(settings)
    return _current


def current() -> Gpu:
    """This process's GPU; made when it is first asked for, as its settings file says."""
    return _current or start(Settings.read())
