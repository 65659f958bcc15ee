"""Model cards."""

from __future__ import annotations

import yaml

from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.runtime import Model
from vipe_training.config import to_dict
from vipe_training.datasets import load_motion
from vipe_training.evaluate.figures import Figures, markdown
from vipe_training.export.write import Trained

_TEXT = """# {name} {version}

{task}; {parameters:.1f} M parameters, {bytes:.1f} MB, fingerprint `{fingerprint}`.

* **Input**: {inputs} in raw pixels with a visibility each; missing points are
  NaN or have a visibility below 0.5. **Output**: {outputs}.
* **Training data**: {training_data}. Nothing else.
* **Licence**: {licence}. The data used in this project was obtained from mocap.cs.cmu.edu. The
  database was created with funding from NSF EIA-0196217.
* **Made by**: `{command}`, seed {seed}, best checkpoint by validation at step {step},
  commit `{commit}`.
* **Matching**: {matching}; a match is NP-MPJPE <= {kappa}.

## Measured

{tables}

Commands: `vipe evaluate SUITE --model models/{name}.onnx --poses {poses} --seed {eval_seed}`
with the suites {suites}.
Cameras: chest4 = azimuth 45, 135, -135, -45, elevation 10; novel8 = eight cameras with azimuth
+-180, elevation +-30, roll +-15 degrees, 4 m away; +n = Gaussian noise of 2 % of the longest 2D
torso distance on both views; partial = mean of ten targeted occlusions of the query on chest4.
{lifting}
## Limits

Trained on rendered motion capture of {subjects} people, most of them on one retargeted
skeleton; there are no babies, wheelchairs, or people carrying large objects among them.
Whole-body left/right swaps of a detector look like a mirrored person; the mirrored twin in the
output is there to catch them.
{extra}
## Configuration

```yaml
{config}```
"""
_LIFTING = """Lifting is measured on novel8+n: mean joint error in the body frame without and
with similarity alignment, against predicting the mean pose, and the share of coordinates inside
the predicted 50 % and 90 % intervals.
"""
_POSE_LIMITS = """Absolute size is unknown to one camera: joints are in statures: multiply by the
person's height in metres. Standard deviations are fitted to the training noise; on other
detectors they are too small.
"""


def card(trained: Trained, model: Model, figures: Figures) -> str:
    """The Markdown card of a model file."""
    meta = model.metadata
    parameters = sum(p.numel() for p in trained.system.inference_parameters())
    return _TEXT.format(
        name=meta.name,
        version=meta.version,
        task=summary(trained),
        parameters=parameters / 1e6,
        bytes=model.path.stat().st_size / 1e6,
        fingerprint=model.fingerprint,
        inputs=_inputs(meta),
        outputs=_outputs(meta),
        matching=_matching(meta),
        training_data=meta.training_data,
        licence=meta.licence,
        command=meta.command,
        seed=meta.seed,
        step=trained.step,
        commit=meta.git_commit[:12],
        kappa=meta.kappa,
        tables=markdown(figures),
        poses=figures.poses,
        eval_seed=figures.seed,
        subjects=_subjects(trained),
        suites="`retrieval`, `partial`" + (", `lifting`" if meta.has_pose else ""),
        lifting=_LIFTING if meta.has_pose else "",
        extra=_POSE_LIMITS if meta.has_pose else "",
        config=yaml.safe_dump(to_dict(trained.config), sort_keys=False),
    )


# By the name of a shipped configuration, else by its system.
_SUMMARY = {
    "vipe": "VIPE, the default: contrastive Gaussian embedding and canonical lifting in one net",
    "vipe_temporal": "VIPE on windows of frames",
    "pr_vipe": "Pr-VIPE as published (triplet ratio loss on sampled matching probabilities)",
    "pr_vipe_temporal": "Pr-VIPE on windows of 7 frames, 32 dimensions, as published",
    "pr_vipe_temporal56": "Pr-VIPE on windows of 7 frames, 56 dimensions, as published",
    "pr_vipe_occlusion_independent": "Pr-VIPE for missing points (each hidden by itself)",
    "pr_vipe_occlusion_structured": "Pr-VIPE for missing points (hidden as in real pictures)",
    "vipe_point": "the point embedding of the Pr-VIPE paper (a mean, no variance)",
    "l2_vipe": "L2-VIPE, the paper's baseline (unit vectors, triplet loss on squared distances)",
    "v_vipe": "V-VIPE, reconstructed (3D pose VAE, 2D mapping network, frozen decoder)",
    "lifting": "Martinez et al. 2017, a lifter in camera axes: a baseline without an embedding",
    "semgcn": "SemGCN (Zhao et al. 2019), a graph lifter: a baseline without an embedding",
    "epipolar": "a lifter that learnt from two uncalibrated views without 3D truth (after "
    "EpipolarPose, Kocabas et al. 2019)",
}


def summary(trained: Trained) -> str:
    """What the model is, in one line."""
    config = trained.config
    return _SUMMARY.get(config.name, _SUMMARY[config.system])


def _inputs(meta: ModelMetadata) -> str:
    points = f"13 keypoints (`{meta.skeleton_2d}`)"
    if meta.frames == 1:
        return points
    return f"windows of {meta.frames} frames {meta.frame_step:g} s apart, each with {points}"


def _outputs(meta: ModelMetadata) -> str:
    said = []
    if meta.has_embedding:
        size = meta.embedding_size
        said.append(f"Gaussian embedding of {size} dimensions, also of the mirrored twin")
    if meta.has_pose:
        said.append("17 joints in the body frame with a standard deviation each")
    middle = " of the middle frame" if meta.frames > 1 else ""
    return "; ".join(said) + middle


def _matching(meta: ModelMetadata) -> str:
    if not meta.has_embedding:
        return "poses are compared by NP-MPJPE themselves, there is no embedding"
    return f"sigmoid with a = {meta.sigmoid_a:.4f}, b = {meta.sigmoid_b:.4f}"


def _subjects(trained: Trained) -> int:
    data = trained.config.data
    return len(set(load_motion(data.train, leave_out=data.leave_out).subject))
