"""The systems that can be trained, by the name that a config gives."""

from vipe_training.models.base import Heads, System
from vipe_training.models.epipolar import Epipolar, EpipolarConfig
from vipe_training.models.lifting import Lifting, LiftingConfig
from vipe_training.models.pr_vipe import PrVipe, PrVipeConfig
from vipe_training.models.semgcn import SemGcn, SemGcnConfig
from vipe_training.models.v_vipe import VVipe, VVipeConfig
from vipe_training.models.vipe import Vipe, VipeConfig

SYSTEMS = {
    "vipe": (Vipe, VipeConfig),
    "pr_vipe": (PrVipe, PrVipeConfig),
    "v_vipe": (VVipe, VVipeConfig),
    "lifting": (Lifting, LiftingConfig),
    "semgcn": (SemGcn, SemGcnConfig),
    "epipolar": (Epipolar, EpipolarConfig),
}

__all__ = [
    "SYSTEMS",
    "Epipolar",
    "EpipolarConfig",
    "Heads",
    "Lifting",
    "LiftingConfig",
    "PrVipe",
    "PrVipeConfig",
    "SemGcn",
    "SemGcnConfig",
    "System",
    "VVipe",
    "VVipeConfig",
    "Vipe",
    "VipeConfig",
]
