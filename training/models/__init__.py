"""The systems that can be trained, by the name that a config gives."""

from vipe_training.models.base import Heads, System
from vipe_training.models.pr_vipe import PrVipe, PrVipeConfig
from vipe_training.models.v_vipe import VVipe, VVipeConfig
from vipe_training.models.vipe import Vipe, VipeConfig

SYSTEMS = {
    "vipe": (Vipe, VipeConfig),
    "pr_vipe": (PrVipe, PrVipeConfig),
    "v_vipe": (VVipe, VVipeConfig),
}

__all__ = [
    "SYSTEMS",
    "Heads",
    "PrVipe",
    "PrVipeConfig",
    "System",
    "VVipe",
    "VVipeConfig",
    "Vipe",
    "VipeConfig",
]
