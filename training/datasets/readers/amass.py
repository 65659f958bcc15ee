"""AMASS and files like it: ``SET/SUBJECT/*_poses.npz`` with poses, betas, trans, mocap_framerate.

The joints of a person follow from ``betas`` by SMPL's body model, which has a licence of its
own and is not part of VIPE. So either the file brings ``joints`` or ``Jtr`` (T, 22 or more, 3),
metres, SMPL's order, or the user names the body model; its joints are computed here, without
its surface. World z up. Source: https://amass.is.tue.mpg.de; SMPL (Loper et al. 2015), eq. 2-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as member
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.files import read_npz
from vipe_training.datasets import skeleton_maps as maps
from vipe_training.datasets.body_model import BodyModels
from vipe_training.datasets.readers.common import field, find, shaped
from vipe_training.datasets.recording import Kind, Recording, Sequence

WHAT, GET = "AMASS", "https://amass.is.tue.mpg.de (registration)"
_RATES = ("mocap_framerate", "mocap_frame_rate", "mocap_frame_rate_hz", "fps")
# Body shapes and frames of other stages lie beside the motion.
_OTHER = ("shape.npz", "stagei.npz")


@dataclass(frozen=True)
class Amass:
    """A folder of ``.npz`` at any depth; the two folders above a file name its subject.

    Attributes:
        folder: such as ``AMASS``.
        body_model: SMPL, SMPL-H or SMPL-X ``.npz``, or the folder with ``male/model.npz``,
            ``female/model.npz``, ``neutral/model.npz``; None for files with joints.
    """

    folder: Path
    body_model: Path | None = None
    kind: ClassVar[Kind] = "motion"
    cameras: tuple[str, ...] = member(default=(), init=False)

    def files(self) -> list[Path]:
        found = find(self.folder, "**/*.npz", WHAT, GET)
        motion = [path for path in found if not path.name.endswith(_OTHER)]
        return [*motion, *(self._models.files() if self._models else [])]

    def sequences(self) -> Iterator[Sequence]:
        models = set(self._models.files()) if self._models else set()
        for path in self.files():
            if path not in models:
                name = path.relative_to(self.folder).with_suffix("").as_posix()
                yield Sequence(name, partial(self._read, path))

    @cached_property
    def _models(self) -> BodyModels | None:
        return None if self.body_model is None else BodyModels(self.body_model)

    def _read(self, path: Path) -> Iterator[Recording]:
        data = read_npz(path, WHAT)
        rate = next((data[name] for name in _RATES if name in data), None)
        if rate is None or rate.size != 1 or not float(rate.ravel()[0]) > 0:
            raise VipeError(f"{path}: no {_RATES[0]} (frames per second)")
        subject = "/".join(path.relative_to(self.folder).parts[:-1][-2:]) or self.folder.name
        joints = maps.z_up_to_y_up(self._joints(data, path))
        yield Recording(subject, float(rate.ravel()[0]), joints)

    def _joints(self, data: dict[str, np.ndarray], path: Path) -> np.ndarray:
        """joints17 (T, 17, 3), z up."""
        for name in ("joints", "Jtr"):
            if name in data:
                joints = data[name]
                if joints.ndim != 3 or joints.shape[1] < 22 or joints.shape[2] != 3:
                    raise VipeError(
                        f"{path}: {name} has shape {joints.shape}, SMPL's joints needed"
                    )
                return maps.from_smpl(joints)
        if self._models is None:
            raise VipeError(
                f"{path}: has no joints, and computing them from betas needs SMPL's licensed "
                "body model: get it from https://mano.is.tue.mpg.de (SMPL-H) and name it with "
                "--body-model"
            )
        poses, betas = field(data, "poses", path), field(data, "betas", path)
        poses = shaped(poses, (None, poses.shape[-1]), "poses", path)
        gender = _text(data.get("gender"))
        return self._models.of(gender).joints17(poses, betas.ravel())


def _text(value: np.ndarray | None) -> str:
    """Genders are stored as text, or by Python 2 as bytes."""
    if value is None or value.size != 1 or value.dtype.kind not in "US":
        return "neutral"
    text = value.ravel()[0]
    return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
