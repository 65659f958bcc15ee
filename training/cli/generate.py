"""``vipe generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vipe_core import files, keypoint_file, skeletons
from vipe_core.cli.common import Parser
from vipe_core.cli.lift import height
from vipe_core.errors import VipeError
from vipe_core.estimate import MIN_JOINTS, visible_joints

if TYPE_CHECKING:
    from torch import Tensor

    from vipe_training.models import VVipe


def run(argv: list[str]) -> int:
    """Make new 3D poses with a trained V-VIPE.

    Without --from, poses are drawn from the prior. With --from they lie around the first
    person of a file, with --from and --to on the way between two. Those files are keypoint
    files (points) or results of `vipe lift` (joints). OUT holds joints (N, 17, 3) in metres,
    order joints17, body frame (origin mid-hip, x forward, y left, z to the head); latent
    (N, D); skeleton and height.
    """
    example = "generate runs/v_vipe/best.safetensors poses.npz --from clip.npz --noise 0.5 -n 16"
    parser = Parser("generate", run.__doc__, example)
    parser.add_argument("checkpoint", type=Path, help="best.safetensors of a v_vipe run")
    parser.add_argument("output", metavar="OUT.npz", type=Path, help="file to write")
    parser.add_argument("--from", dest="start", metavar="A.npz", type=Path, help="a pose")
    parser.add_argument("--to", dest="end", metavar="B.npz", type=Path, help="another pose")
    parser.add_argument("--noise", type=float, default=0.5, help="spread (default: %(default)s)")
    parser.add_argument("-n", type=int, default=16, help="how many (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="to B (default: %(default)s)")
    parser.add_argument(
        "--height", type=height, default=1.7, help="of the person, metres (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    args = parser.parse_args(argv)
    if args.end and not args.start:
        parser.error("--to needs --from")
    if args.n < 1 or args.steps < 2 or args.noise < 0:
        parser.error("-n must be at least 1, --steps at least 2, --noise not negative")
    files.check_writable(args.output, *(f for f in (args.start, args.end) if f))
    # Here and not above: --help works without torch.
    import torch

    from vipe_training.export.write import load_trained
    from vipe_training.models import VVipe

    system = load_trained(args.checkpoint).system
    if not isinstance(system, VVipe):
        raise VipeError(f"{args.checkpoint} is no V-VIPE: only that can make poses")
    generator = torch.Generator().manual_seed(args.seed)
    with torch.no_grad():
        if args.end:
            latent = system.between(
                _latent(system, args.start), _latent(system, args.end), args.steps
            )
        elif args.start:
            latent = system.around(_latent(system, args.start), args.noise, args.n, generator)
        else:
            origin = torch.zeros(system.embedding_size)
            latent = system.around(origin, 1.0, args.n, generator)
        joints = system.generate(latent)
    files.write_npz(
        args.output,
        joints=joints.numpy() * np.float32(args.height),
        latent=latent.numpy(),
        skeleton="joints17",
        height=args.height,
    )
    print(f"wrote {args.output}, {len(joints)} poses")
    return 0


def _latent(system: VVipe, path: Path) -> Tensor:
    """(D,) of the first person of a keypoint file or of a result of ``vipe lift``."""
    import torch

    from vipe_core.geometry import stature, to_body_frame
    from vipe_training.loop.validation import infer

    if "joints" in (content := files.read_npz(path, "file")):
        joints = np.asarray(content["joints"], np.float32)
        if joints.shape[-2:] != (17, 3):
            raise VipeError(f"{path}: joints have shape {joints.shape}, (T, 17, 3) needed")
        joints = joints.reshape(-1, 17, 3)
        joints = joints[np.isfinite(joints).all((1, 2))]
        if not len(joints):
            raise VipeError(f"{path} shows nobody")
        body = to_body_frame(joints[:1], "joints17")
        return system.encode(torch.from_numpy(body / stature(body)[:, None, None]))[0]
    keypoints = keypoint_file.read(path)
    points = skeletons.convert(keypoints.points, keypoints.skeleton, "body13").reshape(-1, 13, 2)
    visibility = skeletons.convert_visibility(keypoints.visibility, keypoints.skeleton, "body13")
    visibility = visibility.reshape(-1, 13)
    seen = np.flatnonzero(visible_joints(points, visibility) >= MIN_JOINTS)
    if not len(seen):
        raise VipeError(f"{path} shows nobody")
    return infer(system, points[seen[:1]], visibility[seen[:1]]).embedding()[0][0]
