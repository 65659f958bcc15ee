"""Writers of motion capture files: AMASS and a body model, ASF + AMC, BVH."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.bodies import standing
from tests.training.data_sets import FRAMES, SMPL_NAMES, TURN, motion, smpl, z_up
from vipe_core.skeletons import JOINTS17

INCH = 0.0254 / 0.45
# Seen from SMPL's joint "head".
_NOSE, _TOP = np.array([0.0, 0.02, 0.12]), np.array([0.0, 0.2, 0.02])


def joint(name: str) -> np.ndarray:
    return standing()[JOINTS17.index(name)]


# -- AMASS ------------------------------------------------------------------------------------


def amass_joints(folder: Path) -> Path:
    place = folder / "CMU" / "01"
    place.mkdir(parents=True)
    np.savez(
        place / "01_01_poses.npz",
        **{"joints": z_up(smpl(motion())), "mocap_framerate": 120.0, "gender": "male"},
    )
    np.savez(place / "shape.npz", betas=np.zeros(16))
    return folder


def body_model(path: Path, **changes: np.ndarray) -> Path:
    """SMPL-H as to its fields and shapes; joint j lies at point j of the surface.

    The first shape number makes the person larger.
    """
    points = np.zeros((6890, 3))
    points[:24] = smpl(standing()[None])[0]
    points[24:52] = points[20]
    skull = points[15]
    points[332], points[411] = skull + _NOSE, skull + _TOP
    regressor = np.zeros((52, 6890))
    regressor[np.arange(52), np.arange(52)] = 1
    shapes = np.zeros((6890, 3, 16))
    shapes[..., 0] = points
    parents = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
    parents += [20] * 30
    tree = np.stack([np.array(parents, np.uint32), np.arange(52, dtype=np.uint32)])
    tree[0, 0] = 4294967295
    fields = {
        **{"J_regressor": regressor, "v_template": points, "shapedirs": shapes},
        "kintree_table": tree,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{**fields, **changes})
    return path


def amass_poses(folder: Path, bend: float = 0.0) -> Path:
    """The root stands the body up (z up) and turns it; the left elbow bends about x."""
    from scipy.spatial.transform import Rotation

    place = folder / "CMU" / "01"
    place.mkdir(parents=True)
    poses = np.zeros((FRAMES, 156))
    up = Rotation.from_rotvec([np.pi / 2, 0, 0])
    for t in range(FRAMES):
        poses[t, :3] = (up * Rotation.from_rotvec([0, TURN * t, 0])).as_rotvec()
    elbow = SMPL_NAMES.index("left_elbow")
    poses[:, 3 * elbow] = bend
    betas = np.zeros(16)
    betas[0] = 0.1
    np.savez(
        place / "01_01_poses.npz",
        **{"poses": poses, "betas": betas, "trans": np.ones((FRAMES, 3)), "gender": "male"},
        **{"mocap_framerate": 120.0, "dmpls": np.zeros((FRAMES, 8))},
    )
    return folder


# -- ASF + AMC --------------------------------------------------------------------------------

# bone: (parent, end in joints17 or a point, dof, axis in degrees)
BONES: dict[str, tuple[str, object, str, tuple[float, float, float]]] = {
    "lhipjoint": ("root", "left_hip", "", (0, 0, 0)),
    "lfemur": ("lhipjoint", "left_knee", "rx ry rz", (0, 0, 20)),
    "ltibia": ("lfemur", "left_ankle", "rx", (0, 0, 20)),
    "rhipjoint": ("root", "right_hip", "", (0, 0, 0)),
    "rfemur": ("rhipjoint", "right_knee", "rx ry rz", (0, 0, -20)),
    "rtibia": ("rfemur", "right_ankle", "rx", (0, 0, -20)),
    "lowerback": ("root", (0.0, 1.08, 0.0), "rx ry rz", (5, 10, 15)),
    "upperback": ("lowerback", "spine", "rx ry rz", (0, 0, 0)),
    "thorax": ("upperback", (0.0, 1.38, 0.0), "rx ry rz", (0, 0, 0)),
    "lowerneck": ("thorax", "neck", "rx ry rz", (0, 0, 0)),
    "upperneck": ("lowerneck", (0.0, 1.6, 0.0), "rx ry rz", (0, 0, 0)),
    # The bone ends inside the head.
    "head": ("upperneck", (0.0, 1.6 + 0.12 / 1.81, 0.0), "rx ry rz", (0, 0, 0)),
    "lclavicle": ("thorax", "left_shoulder", "ry rz", (0, 0, 0)),
    "lhumerus": ("lclavicle", "left_elbow", "rx ry rz", (180, 30, 90)),
    "lradius": ("lhumerus", "left_wrist", "rx", (0, 30, 90)),
    "rclavicle": ("thorax", "right_shoulder", "ry rz", (0, 0, 0)),
    "rhumerus": ("rclavicle", "right_elbow", "rx ry rz", (180, -30, -90)),
    "rradius": ("rhumerus", "right_wrist", "rx", (0, -30, -90)),
}


def end(bone: str) -> np.ndarray:
    """(3,) metres where the resting bone ends."""
    if bone == "root":
        return joint("pelvis")
    place = BONES[bone][1]
    return joint(place) if isinstance(place, str) else np.array(place)


def asf_text() -> str:
    lines = [
        *("# AST/ASF file generated using VICON BodyLanguage", ":version 1.10", ":name VICON"),
        *(":units", "  mass 1.0", "  length 0.45", "  angle deg", ":documentation"),
        *("   made for a test", ":root", "   order TX TY TZ RX RY RZ", "   axis XYZ"),
        *("   position 0 0 0", "   orientation 0 0 0", ":bonedata"),
    ]
    for number, (name, (parent, _, dof, axis)) in enumerate(BONES.items(), start=1):
        vector = (end(name) - end(parent)) / INCH
        length = float(np.linalg.norm(vector))
        direction = " ".join(repr(float(v)) for v in vector / length)
        lines += ["  begin", f"     id {number}", f"     name {name}"]
        lines += [f"     direction {direction}", f"     length {length!r}"]
        lines += [f"     axis {axis[0]} {axis[1]} {axis[2]}  XYZ"]
        if dof:
            limits = ["(-160.0 20.0)"] * len(dof.split())
            lines += [f"    dof {dof}", f"    limits {limits[0]}", *limits[1:]]
        lines.append("  end")
    children: dict[str, list[str]] = {}
    for name, (parent, *_) in BONES.items():
        children.setdefault(parent, []).append(name)
    lines += [":hierarchy", "  begin"]
    lines += [f"    {parent} {' '.join(names)}" for parent, names in children.items()]
    return "\n".join([*lines, "  end", ""])


def amc_angles() -> list[dict[str, list[float]]]:
    """Per frame the numbers of root and bones: resting, turned, then everything bent."""
    rng = np.random.default_rng(0)
    frames = []
    for t in range(3):
        frame = {"root": [5.0, 16.0, 30.0, 0.0, 90.0 if t == 1 else 0.0, 0.0]}
        for name, (_, _, dof, _) in BONES.items():
            if dof:
                frame[name] = (rng.uniform(-40, 40, len(dof.split())) * (t == 2)).tolist()
        frames.append(frame)
    return frames


def cmu(folder: Path) -> Path:
    place = folder / "subjects" / "05"
    place.mkdir(parents=True)
    (place / "05.asf").write_text(asf_text())
    lines = ["#!OML:ASF F:\\VICON\\USERDATA\\05.asf", ":FULLY-SPECIFIED", ":DEGREES"]
    for number, frame in enumerate(amc_angles(), start=1):
        lines.append(str(number))
        lines += [f"{bone} {' '.join(map(repr, values))}" for bone, values in frame.items()]
    (place / "05_01.amc").write_text("\n".join([*lines, ""]))
    return folder


# -- BVH --------------------------------------------------------------------------------------

# joint: (parent, place); as in the conversions of CMU's motions.
TREE: dict[str, tuple[str, object]] = {
    "Hips": ("", "pelvis"),
    "LHipJoint": ("Hips", "pelvis"),
    "LeftUpLeg": ("LHipJoint", "left_hip"),
    "LeftLeg": ("LeftUpLeg", "left_knee"),
    "LeftFoot": ("LeftLeg", "left_ankle"),
    "RHipJoint": ("Hips", "pelvis"),
    "RightUpLeg": ("RHipJoint", "right_hip"),
    "RightLeg": ("RightUpLeg", "right_knee"),
    "RightFoot": ("RightLeg", "right_ankle"),
    "LowerBack": ("Hips", "pelvis"),
    "Spine": ("LowerBack", (0.0, 1.08, 0.0)),
    "Spine1": ("Spine", "spine"),
    # From the upper back on by a thorax that is like it: (0, 0.12, 0.01).
    "Neck": ("Spine1", (0.0, 1.32, 0.02)),
    "Neck1": ("Neck", "neck"),
    "Head": ("Neck1", (0.0, 1.6, 0.0)),
    "LeftShoulder": ("Spine1", (0.0, 1.32, 0.02)),
    "LeftArm": ("LeftShoulder", "left_shoulder"),
    "LeftForeArm": ("LeftArm", "left_elbow"),
    "LeftHand": ("LeftForeArm", "left_wrist"),
    "RightShoulder": ("Spine1", (0.0, 1.32, 0.02)),
    "RightArm": ("RightShoulder", "right_shoulder"),
    "RightForeArm": ("RightArm", "right_elbow"),
    "RightHand": ("RightForeArm", "right_wrist"),
}
_ENDS = {"LeftFoot": (0, 0, 0.1), "RightFoot": (0, 0, 0.1), "Head": (0.0, 0.12, 0.0)}


def place(name: str) -> np.ndarray:
    where = TREE[name][1]
    return joint(where) if isinstance(where, str) else np.array(where)


def bvh_angles() -> np.ndarray:
    """(3, 3 * joints) degrees in the order Z, Y, X: resting, turned, then everything bent."""
    rng = np.random.default_rng(1)
    angles = np.zeros((3, len(TREE), 3))
    angles[1, 0, 1] = 90.0
    angles[2] = rng.uniform(-40, 40, angles[2].shape)
    return angles


def bvh_text(lost: tuple[str, ...] = ()) -> str:
    """The file; joints named ``lost`` begin where their parents do."""
    lines = ["HIERARCHY"]

    def write(name: str, depth: int) -> None:
        pad, parent = "\t" * depth, TREE[name][0]
        offset = place(name) - place(parent) if parent and name not in lost else np.zeros(3)
        kind = "JOINT" if parent else "ROOT"
        position = "" if parent else "Xposition Yposition Zposition "
        lines.append(f"{pad}{kind} {name}")
        lines.append(pad + "{")
        lines.append(f"{pad}\tOFFSET {' '.join(repr(float(v / INCH)) for v in offset)}")
        count = 3 if parent else 6
        lines.append(f"{pad}\tCHANNELS {count} {position}Zrotation Yrotation Xrotation")
        children = [child for child, (of, _) in TREE.items() if of == name]
        for child in children:
            write(child, depth + 1)
        if not children:
            tip = np.array(_ENDS.get(name, (0, 0.05, 0))) / INCH
            lines.append(f"{pad}\tEnd Site")
            lines.append(pad + "\t{")
            lines.append(f"{pad}\t\tOFFSET {' '.join(repr(float(v)) for v in tip)}")
            lines.append(pad + "\t}")
        lines.append(pad + "}")

    write("Hips", 0)
    # Channels are numbered in the order of the hierarchy, depth first, which is TREE's.
    lines += ["MOTION", "Frames:\t3", "Frame Time:\t.0083333"]
    for frame in bvh_angles():
        numbers = [10.0, 20.0, 30.0, *frame.ravel()]
        lines.append(" ".join(map(repr, map(float, numbers))))
    return "\n".join([*lines, ""])


def bvh(folder: Path, lost: tuple[str, ...] = ()) -> Path:
    (folder / "05").mkdir(parents=True)
    (folder / "05" / "05_01.bvh").write_text(bvh_text(lost))
    return folder
