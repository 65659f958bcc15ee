"""Geometry of bodies: normalisation, alignment, body frame, projection.

Every function is batched over leading axes and returns the floating type it was given
(float64 in, float64 out).
"""

from vipe_core.geometry.body_frame import body_frame, to_body_frame
from vipe_core.geometry.camera import Camera, project
from vipe_core.geometry.distance import mpjpe, np_mpjpe
from vipe_core.geometry.lens import Lens
from vipe_core.geometry.normalize import (
    mirror_points,
    normalize_2d,
    normalize_3d,
    stature,
)
from vipe_core.geometry.pairwise import pairwise_np_mpjpe, ranked_np_mpjpe
from vipe_core.geometry.procrustes import procrustes
from vipe_core.geometry.rotation import cross_matrix, rotation_matrix, rotation_vector

__all__ = [
    "Camera",
    "Lens",
    "body_frame",
    "cross_matrix",
    "mirror_points",
    "mpjpe",
    "normalize_2d",
    "normalize_3d",
    "np_mpjpe",
    "pairwise_np_mpjpe",
    "procrustes",
    "project",
    "ranked_np_mpjpe",
    "rotation_matrix",
    "rotation_vector",
    "stature",
    "to_body_frame",
]
