"""Writers of tiny data sets in the formats in which their owners give them out.

Each writes the same motion: the standing person of ``tests.bodies`` (left is +x, facing +z,
y up, metres), who turns by 20 degrees a frame about the vertical, seen from 13-point pixels.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np

from tests.bodies import standing
from vipe_core import keypoint_file
from vipe_core.skeletons import BODY13, COCO17, JOINTS17, OPENPOSE18

FRAMES = 4
TURN = np.radians(20)


def yaw(angle: float) -> np.ndarray:
    """(3, 3) about y, from z towards x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def motion() -> np.ndarray:
    """(T, 17, 3) metres in the world, not about the pelvis."""
    return np.stack([standing() @ yaw(TURN * t).T for t in range(FRAMES)])


def expected() -> np.ndarray:
    """(T, 17, 3) float32 about the pelvis."""
    return (motion() - motion()[:, :1]).astype(np.float32)


def pixels(camera: int = 0) -> np.ndarray:
    """(T, 17, 2) pixels of the joints17 in some camera, distinct numbers."""
    t, j = np.meshgrid(np.arange(FRAMES), np.arange(17), indexing="ij")
    return np.stack([100.0 * camera + 10 * j + t, 500.0 + 10 * j - t], axis=-1)


def body13(points: np.ndarray) -> np.ndarray:
    return points[..., [JOINTS17.joints.index(name) for name in BODY13.joints], :]


def z_up(points: np.ndarray) -> np.ndarray:
    """Forward +z becomes -y, up becomes z; a proper rotation."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([x, -z, y], axis=-1)


# -- Human3.6M --------------------------------------------------------------------------------

H36M_OF_17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)


def h36m_32(values: np.ndarray) -> np.ndarray:
    """(T, 32, D); what no joint of the 17 uses holds nonsense."""
    out = np.full((len(values), 32, values.shape[-1]), 77.0)
    out[:, list(H36M_OF_17)] = values
    return out


def h36m_npz(folder: Path, layout: str = "h36m", gt: str = "cpn_ft_h36m_dbb") -> Path:
    world = h36m_32(z_up(motion())).astype("float32")
    positions = {"S1": {"Walking 1": world}, "S11": {"Directions 1": world[:2]}}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=positions)
    # Videos run on a little longer than the recorded motion.
    longer = [np.concatenate([pixels(c), pixels(c)[:1]]).astype("float32") for c in range(4)]
    metadata = {
        "layout_name": layout,
        "num_joints": 17,
        "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    }
    keypoints = {"S1": {"Walking 1": longer}, "S11": {"Directions 1": [p[:2] for p in longer]}}
    np.savez_compressed(
        folder / f"data_2d_h36m_{gt}.npz", positions_2d=keypoints, metadata=metadata
    )
    return folder


def cdf(path: Path, pose: np.ndarray) -> None:
    """A CDF with the one variable Pose (1, T, K), as MATLAB writes it."""
    from cdflib.cdfwrite import CDF

    path.parent.mkdir(parents=True, exist_ok=True)
    file = CDF(path, cdf_spec={"Majority": "column_major", "Encoding": 6}, delete=True)
    spec = {
        **{"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True},
        **{"Var_Type": "zVariable", "Dim_Sizes": list(pose.shape)},
    }
    # cdflib marks the majority but writes the numbers as they come.
    by_columns = pose.T.reshape(pose.shape)
    file.write_var(spec, var_data=by_columns[None].astype("float32"))
    file.close()


def h36m_cdf(folder: Path) -> Path:
    millimetres = h36m_32(z_up(motion()) * 1000).reshape(FRAMES, 96)
    features = folder / "S9" / "MyPoseFeatures"
    cdf(features / "D3_Positions" / "Walking 1.cdf", millimetres)
    for number, camera in enumerate(("54138969", "55011271", "58860488", "60457274")):
        name = f"Walking 1.{camera}.cdf"
        cdf(features / "D2_Positions" / name, h36m_32(pixels(number)).reshape(FRAMES, 64))
    # This one is known to be damaged and is left out by everybody.
    cdf(folder / "S11/MyPoseFeatures/D3_Positions/Directions.cdf", millimetres)
    return folder


def h36m_h5(folder: Path) -> Path:
    import h5py

    place = folder / "h36m" / "S9" / "MyPoses" / "3D_positions"
    place.mkdir(parents=True)
    with h5py.File(place / "Walking_1.h5", "w") as file:
        file["3D_positions"] = h36m_32(z_up(motion()) * 1000).reshape(FRAMES, 96).T
    return folder


# -- MPI-INF-3DHP -----------------------------------------------------------------------------

MPI_NAMES = (
    *("spine3", "spine4", "spine2", "spine", "pelvis", "neck", "nose", "head", "left_clavicle"),
    *("left_shoulder", "left_elbow", "left_wrist", "left_hand", "right_clavicle"),
    *("right_shoulder", "right_elbow", "right_wrist", "right_hand", "left_hip", "left_knee"),
    *("left_ankle", "left_foot", "left_toe", "right_hip", "right_knee", "right_ankle"),
    *("right_foot", "right_toe"),
)
# Cameras that look at the person from the front (the image's y is the world's -y) and elsewhere.
_MPI_CAMERA = np.diag([1.0, -1.0, -1.0])


def by_name(names: tuple[str, ...], values: np.ndarray, fill: float = 55.0) -> np.ndarray:
    """(T, len(names), D) of joints17 by name; nonsense elsewhere."""
    out = np.full((len(values), len(names), values.shape[-1]), fill)
    for j, name in enumerate(names):
        if name in JOINTS17:
            out[:, j] = values[:, JOINTS17.index(name)]
    return out


def mpi_inf_3dhp(folder: Path, subject: str = "S1", sequence: str = "Seq2") -> Path:
    from scipy.io import savemat

    place = folder / subject / sequence
    place.mkdir(parents=True)
    annot2, annot3 = np.empty((14, 1), object), np.empty((14, 1), object)
    text = "Skeletool Camera Calibration File V1.0\n"
    for camera in range(14):
        rotation = _MPI_CAMERA @ yaw(0.4 * camera + 0.3)
        shift = np.array([10.0 * camera, 1300.0, 4000.0])
        seen = by_name(MPI_NAMES, motion() * 1000) @ rotation.T + shift
        annot3[camera, 0] = seen.reshape(FRAMES, 84)
        annot2[camera, 0] = by_name(MPI_NAMES, pixels(camera)).reshape(FRAMES, 56)
        extrinsic = np.eye(4)
        extrinsic[:3, :3], extrinsic[:3, 3] = rotation, shift
        text += (
            f"name          {camera}\n  sensor      10 10\n  size        2048 2048\n"
            "  animated    0\n  intrinsic   1497.693 0 1024.704 0 0 1497.103 1051.394 0 0 0 1 0 "
            "0 0 0 1 \n"
            f"  extrinsic   {' '.join(map(repr, map(float, extrinsic.ravel())))} \n"
            "  radial      0\n"
        )
    (place / "camera.calibration").write_text(text)
    savemat(
        place / "annot.mat",
        {
            **{"annot2": annot2, "annot3": annot3, "univ_annot3": annot3},
            "cameras": np.arange(14, dtype=np.uint8)[:, None],
            "frames": np.arange(FRAMES, dtype=np.uint16)[:, None],
        },
    )
    return folder


# -- 3DPW -------------------------------------------------------------------------------------

SMPL_NAMES = (
    *("root", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine"),
    *("left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck"),
    *("left_collar", "right_collar", "skull", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand"),
)


def smpl(world: np.ndarray) -> np.ndarray:
    """(T, 24, 3): the root lies above the middle of the hips, the skull below the head top."""
    out = by_name(SMPL_NAMES, world)
    neck, pelvis = (world[:, JOINTS17.index(name)] for name in ("neck", "pelvis"))
    trunk = neck - pelvis
    out[:, 0] = pelvis + 0.15 * trunk
    out[:, 15] = neck + 0.15 * trunk
    return out


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes what Python 2 wrote: byte strings for text, numpy's module names of that time."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, file) -> None:
        super().__init__(file, protocol=2)

    def save_text(self, value) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text

    def save_global(self, obj, name=None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(b"c" + f"{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[type] = save_global
    dispatch[type(len)] = save_global


def python2_pickle(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Python2Pickler(stream).dump(content)
    path.write_bytes(stream.getvalue())


def three_dpw_content() -> dict:
    names = ["neck" if n == "neck" else n for n in OPENPOSE18.joints]
    keypoints = by_name(tuple(names), pixels()).transpose(0, 2, 1)  # (T, 2, 18)
    confidence = np.full((FRAMES, 1, 18), 0.9)
    poses2d = np.concatenate([keypoints, confidence], axis=1)
    poses2d[0, :, OPENPOSE18.index("left_wrist")] = 0  # not detected
    rotations = np.zeros((FRAMES, 72))
    rotations[:, 1] = TURN * np.arange(FRAMES)  # the root turns about y
    valid = np.ones(FRAMES, np.int64)
    valid[1] = 0
    return {
        "sequence": "outdoors_fencing_01",
        "jointPositions": [smpl(motion()).reshape(FRAMES, 72)] * 2,
        "poses": [rotations] * 2,
        "trans": [np.zeros((FRAMES, 3))] * 2,
        "poses2d": [poses2d] * 2,
        "campose_valid": [valid, np.ones(FRAMES, np.int64)],
        "cam_poses": np.tile(np.eye(4), (FRAMES, 1, 1)),
        "cam_intrinsics": np.eye(3),
        "genders": ["m", "f"],
        "betas": [np.zeros(10)] * 2,
        "texture_maps": [],
    }


def three_dpw(folder: Path) -> Path:
    file = folder / "sequenceFiles" / "test" / "outdoors_fencing_01.pkl"
    python2_pickle(file, three_dpw_content())
    return folder


# -- AIST++ -----------------------------------------------------------------------------------

AIST_NAME = "gBR_sBM_cAll_d04_mBR0_ch01"


def coco17(world: np.ndarray, yaws: np.ndarray) -> np.ndarray:
    """(T, 17, 3) with ears at the sides of the head, eyes near the nose."""
    names = tuple(COCO17.joints)
    out = by_name(names, world)
    nose = world[:, JOINTS17.index("nose")]
    for t, angle in enumerate(yaws):
        for side, x in (("left", 0.07), ("right", -0.07)):
            turned = yaw(angle)
            out[t, names.index(f"{side}_ear")] = nose[t] + turned @ [x, 0.0, -0.1]
            out[t, names.index(f"{side}_eye")] = nose[t] + turned @ [x / 2, 0.03, -0.02]
    return out


def aist(folder: Path) -> Path:
    for name in ("keypoints3d", "keypoints2d", "cameras"):
        (folder / name).mkdir(parents=True)
    points = coco17(motion(), TURN * np.arange(FRAMES)) * 100
    content = {"keypoints3d": points + 3, "keypoints3d_optim": points}
    (folder / "keypoints3d" / f"{AIST_NAME}.pkl").write_bytes(pickle.dumps(content))
    (folder / "keypoints3d" / "gBR_bad.pkl").write_bytes(b"ignored")
    (folder / "ignore_list.txt").write_text("gBR_bad\n")
    seen = np.stack([by_name(tuple(COCO17.joints), pixels(c)) for c in range(9)])
    seen = np.concatenate([seen, np.full((*seen.shape[:-1], 1), 0.8)], axis=-1)
    seen[2, 1, COCO17.index("left_knee")] = np.nan
    found = {
        "keypoints2d": seen,
        "det_scores": np.ones((9, FRAMES)),
        "timestamps": np.arange(FRAMES) * 16666,
    }
    (folder / "keypoints2d" / f"{AIST_NAME}.pkl").write_bytes(pickle.dumps(found))
    # The views of this setting lie in reverse order.
    cameras = [
        {
            **{"name": f"c{number:02d}", "size": [1920, 1080], "rotation": [0.1, 0.2, 0.3]},
            **{"translation": [0.0, 170.0, 400.0], "distortions": [0.0] * 5},
            "matrix": [[1500.0, 0.0, 960.0], [0.0, 1500.0, 540.0], [0.0, 0.0, 1.0]],
        }
        for number in range(9, 0, -1)
    ]
    (folder / "cameras" / "setting1.json").write_text(json.dumps(cameras))
    (folder / "cameras" / "mapping.txt").write_text(f"{AIST_NAME} setting1\n")
    return folder


# -- 2D sets ----------------------------------------------------------------------------------


def penn_action_content() -> dict:
    points = body13(pixels())
    visibility = np.ones((FRAMES, 13), bool)
    visibility[1, 4:6] = False
    x, y = points[..., 0].copy(), points[..., 1].copy()
    x[1, 4] = y[1, 4] = 1  # outside the picture; point 5 is hidden inside it
    return {
        **{"action": "tennis_serve", "pose": "back", "x": x, "y": y, "visibility": visibility},
        **{"train": np.int16(-1), "bbox": np.zeros((FRAMES, 4)), "nframes": FRAMES},
        "dimensions": np.array([[272.0, 481.0, FRAMES]]),
    }


def penn_action(folder: Path) -> Path:
    from scipy.io import savemat

    (folder / "labels").mkdir(parents=True)
    savemat(folder / "labels" / "0001.mat", penn_action_content())
    return folder


def coco_content() -> dict:
    keypoints = np.zeros((3, 17, 3))
    keypoints[..., :2] = np.arange(34).reshape(17, 2) + 1
    keypoints[..., 2] = 2
    keypoints[1, COCO17.index("left_wrist"), 2] = 1  # hidden
    keypoints[1, COCO17.index("nose")] = 0  # not labelled
    keypoints[2] = 0
    people = [
        {"id": i, "image_id": 7, "iscrowd": 0, "segmentation": [[1, 2]], "keypoints": k}
        for i, k in enumerate(keypoints.reshape(3, 51).astype(int).tolist())
    ]
    people.append({**people[0], "iscrowd": 1})
    return {
        "info": {"description": 'a "quoted, [tricky] }" text'},
        "images": [{"id": 7, "width": 640, "height": 480}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }


def coco(folder: Path) -> Path:
    place = folder / "annotations"
    place.mkdir(parents=True)
    (place / "person_keypoints_val2017.json").write_text(json.dumps(coco_content()))
    return folder


def keypoint_folder(folder: Path) -> Path:
    points = by_name(tuple(COCO17.joints), pixels()).astype(np.float32)
    points[1, COCO17.index("left_knee")] = np.nan
    content = keypoint_file.KeypointFile(
        points[:, None].repeat(2, 1), np.ones((FRAMES, 2, 17)), "coco17", fps=25.0, label="wave"
    )
    keypoint_file.write(folder / "kitchen" / "a.npz", content)
    return folder
