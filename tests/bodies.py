"""Synthetic people for tests: one known standing person, and random poses of random people."""

from __future__ import annotations

import numpy as np

from vipe_core.skeletons import JOINTS17, mirror_name

# A person of about 1.7 m who stands facing +z in a y-up world: left is +x. The left arm is
# raised and the right foot forward, so that mirrored and turned copies differ.
_STANDING = {
    "pelvis": (0.0, 0.95, 0.0),
    "left_hip": (0.1, 0.95, 0.0),
    "right_hip": (-0.1, 0.95, 0.0),
    "left_knee": (0.11, 0.5, 0.02),
    "right_knee": (-0.11, 0.52, 0.12),
    "left_ankle": (0.11, 0.07, 0.0),
    "right_ankle": (-0.12, 0.1, 0.25),
    "spine": (0.0, 1.2, 0.01),
    "neck": (0.0, 1.48, 0.0),
    "nose": (0.0, 1.58, 0.1),
    "head": (0.0, 1.72, 0.0),
    "left_shoulder": (0.18, 1.45, 0.0),
    "right_shoulder": (-0.18, 1.45, 0.0),
    "left_elbow": (0.35, 1.62, 0.05),
    "right_elbow": (-0.22, 1.17, -0.05),
    "left_wrist": (0.33, 1.88, 0.1),
    "right_wrist": (-0.2, 0.92, 0.05),
}
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 8, 11, 12, 8, 14, 15)


def standing() -> np.ndarray:
    """(17, 3) metres, y up, facing +z."""
    return np.array([_STANDING[joint] for joint in JOINTS17.joints])


def random_rotations(count: int, rng: np.random.Generator, spread: float = 10.0) -> np.ndarray:
    """(N, 3, 3) proper rotations; a small ``spread`` keeps them near the identity."""
    q = np.concatenate([np.ones((count, 1)), rng.normal(0, spread, (count, 3))], axis=1)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def random_people(count: int, seed: int = 0) -> np.ndarray:
    """(N, 17, 3) metres, pelvis at the origin, y up: bent limbs, varied bones, any heading."""
    rng = np.random.default_rng(seed)
    base = standing()
    joints = np.zeros((count, 17, 3))
    scale = {}
    for name in JOINTS17.joints:
        scale[name] = scale.get(mirror_name(name), rng.uniform(0.9, 1.1, count))
    for j, parent in enumerate(PARENTS[1:], start=1):
        name = JOINTS17.joints[j]
        bone = (base[j] - base[parent]) * scale[name][:, None]
        limb = name.endswith(("elbow", "wrist", "knee", "ankle"))
        turn = random_rotations(count, rng, 0.6 if limb else 0.05)
        if name.endswith("hip"):
            turn = np.broadcast_to(np.eye(3), turn.shape)  # the pelvis stays mid-hip
        joints[:, j] = joints[:, parent] + np.einsum("nij,nj->ni", turn, bone)
    heading = rng.uniform(-np.pi, np.pi, count)
    c, s = np.cos(heading), np.sin(heading)
    zero, one = np.zeros(count), np.ones(count)
    yaw = np.moveaxis(np.array([[c, zero, s], [zero, one, zero], [-s, zero, c]]), -1, 0)
    return joints @ np.swapaxes(yaw, -1, -2)


def write_motion_file(
    path, count: int = 300, seed: int = 0, subjects: tuple[str, ...] = ("a", "b")
):
    """A motion file in the true format, with one bad frame and a clip per subject."""
    joints = random_people(count, seed)
    ok = np.ones(count, bool)
    ok[count // 2] = False
    starts = np.linspace(0, count, len(subjects) + 1).astype(np.int64)
    np.savez(
        path,
        pose=joints.astype(np.float16),
        pelvis=np.zeros((count, 3), np.float32),
        frame_ok=ok,
        clip_start=starts,
        subject=np.array(subjects),
        fps=np.full(len(subjects), 30, np.float32),
    )
    return path
