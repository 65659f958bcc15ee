"""What an engine is built with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vipe_core.errors import VipeError
from vipe_core.model_file.metadata import PRECISIONS

MAX_BATCH = 4096
MAX_PROFILES = 8
MAX_WORKSPACE = 1 << 20  # MiB


@dataclass(frozen=True)
class Options:
    """Settings of a build. Every instance has passed its checks.

    Attributes:
        batch: sizes, rising; each has an optimisation profile of exactly that size.
        precision: of the matrix products: fp32, fp16 or int8.
        dla: core of the deep learning accelerator to build for; layers that it cannot run
            fall back to the GPU. None: the GPU alone.
        targets: compute capabilities such as "8.9" to compile for ahead of time, on any
            machine (tensorrt-rtx only); empty: for the GPU that is here.
        workspace: MiB of GPU memory that a layer may use while it works. The builder tries
            out layers with it: a 4 GB board has little to spare.

    Raises:
        VipeError: a value that no engine can be built with.
    """

    batch: tuple[int, ...] = (1, 8, 32)
    precision: str = "fp32"
    dla: int | None = None
    targets: tuple[str, ...] = ()
    workspace: int = 256

    def __post_init__(self) -> None:
        # The same settings in another order are the same engine.
        object.__setattr__(self, "batch", tuple(sorted(set(self.batch))))
        object.__setattr__(self, "targets", tuple(sorted(set(self.targets), key=_version)))
        if not 1 <= len(self.batch) <= MAX_PROFILES:
            raise VipeError(f"one to {MAX_PROFILES} batch sizes, not {len(self.batch)}")
        if not 1 <= self.batch[0] <= self.batch[-1] <= MAX_BATCH:
            raise VipeError(f"batch sizes must be from 1 to {MAX_BATCH}, not {list(self.batch)}")
        if self.precision not in PRECISIONS:
            raise VipeError(f"precision must be {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.dla is not None and self.precision == "fp32":
            raise VipeError("the DLA computes in fp16 or int8, not in fp32: add --precision fp16")
        if self.dla is not None and self.targets:
            raise VipeError("an engine for the DLA is built on the device, not ahead of time")
        if not 1 <= self.workspace <= MAX_WORKSPACE:
            raise VipeError(
                f"the workspace must be from 1 to {MAX_WORKSPACE:,} MiB, not {self.workspace:,}"
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """Out of what ``json`` made of ``dataclasses.asdict``."""
        lists = {name: tuple(values[name]) for name in ("batch", "targets")}
        return cls(**{**values, **lists})


def batch_sizes(text: str) -> tuple[int, ...]:
    """``1,8,32`` as numbers; raises VipeError."""
    return tuple(_integer(word) for word in text.split(","))


def target_list(text: str) -> tuple[str, ...]:
    """``8.9,12.0`` as compute capabilities; raises VipeError."""
    words: Sequence[str] = [word.strip() for word in text.split(",")]
    for word in words:
        major, dot, minor = word.partition(".")
        if not (dot and major.isdecimal() and minor.isdecimal() and len(minor) == 1):
            raise VipeError(f"a compute capability looks like 8.9, not {word!r}")
    return tuple(words)


def _version(target: str) -> tuple[int, ...]:
    return tuple(int(part) for part in target.split(".") if part.isdecimal())


def _integer(word: str) -> int:
    if not word.strip().isdecimal():
        raise VipeError(f"batch sizes look like 1,8,32; {word!r} is no number")
    return int(word)
