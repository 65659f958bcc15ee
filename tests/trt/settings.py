"""What a test says of the machine that the stand-ins play; travels as a JSON file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "VIPE_TEST_TENSORRT"

FAULTS = frozenset(
    {"parse", "build", "deserialize", "capture", "wrong", "nan", "no memory", "crash", "runtime"}
)


@dataclass(frozen=True)
class Settings:
    version: str = "10.3.0"  # of TensorRT
    cuda: str = "12.9.4"  # of cuda-bindings
    flavour: str = "tensorrt"  # or tensorrt_rtx
    devices: int = 1  # 0: cudaErrorNoDevice, -1: cudaErrorInsufficientDriver
    gpu: str = "Orin"
    capability: tuple[int, int] = (8, 7)
    memory: int = 8 << 30
    integrated: bool = True
    dla_cores: int = 0
    faults: tuple[str, ...] = ()
    hold: str = ""  # a build waits while this file exists
    holding: str = ""  # made when a build begins to wait
    seconds: float = 0.0  # that execute_async_v3 takes, to let threads meet
    record: str = ""  # file of what was used, one JSON line each
    api: str = ""  # dump of the TensorRT bindings
    cuda_api: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.faults) - FAULTS
        if unknown:
            raise ValueError(f"unknown faults {sorted(unknown)}, known: {sorted(FAULTS)}")

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: str | Path | None = None) -> Settings:
        """From the file that the environment variable names."""
        fields = json.loads(Path(path or os.environ[VARIABLE]).read_text())
        lists = {name: tuple(v) for name, v in fields.items() if isinstance(v, list)}
        return cls(**fields | lists)
