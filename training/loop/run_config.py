"""The settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field

from vipe_core.errors import VipeError
from vipe_training.augment.batch import BatchConfig
from vipe_training.loop.optimizer import OptimizerConfig


@dataclass(frozen=True)
class DataConfig:
    """Which motion files, relative to the data folder, and which subjects to leave out."""

    train: tuple[str, ...] = ("mocap/cmu_mocap_train.npz",)
    validate: tuple[str, ...] = ("mocap/cmu_mocap_val.npz",)
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunConfig:
    """One training run. ``model`` holds the fields of the system's own config class.

    Attributes:
        ema: decay of the weight average that is evaluated and exported.
        minutes: wall-clock limit, 0 for none. The schedule follows the share of the time or
            of the steps, whichever is further.
        patience: stop after this many validations without a better one, 0 for never.
        validation_poses: poses that a validation measures on, at most.
        bfloat16: run the networks under bfloat16 autocast.
        compile: run them through ``torch.compile``, which pays on a GPU.
        threads: CPU threads, 0 for all.
        device: torch device, ``auto`` for a GPU where there is one.
    """

    name: str
    system: str
    model: dict = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    ema: float = 0.999
    steps: int = 10000
    minutes: float = 0.0
    patience: int = 0
    seed: int = 0
    validate_every: int = 1000
    validation_poses: int = 600
    log_every: int = 50
    bfloat16: bool = False
    compile: bool = False
    threads: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "validate_every", "validation_poses", "log_every"):
            if getattr(self, name) < 1:
                raise VipeError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("minutes", "patience"):
            if getattr(self, name) < 0:
                raise VipeError(f"{name} is {getattr(self, name)}, expected 0 or more")
