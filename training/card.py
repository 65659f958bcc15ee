"""Model cards."""

from __future__ import annotations

import yaml

from vipe_core.runtime import Model
from vipe_training.config import to_dict
from vipe_training.datasets import load_motion
from vipe_training.evaluate.suite import Results, markdown
from vipe_training.export import Trained

_TEXT = """# {name} {version}

{task}; {parameters:.1f} M parameters, {bytes:.1f} MB, fingerprint `{fingerprint}`.

* **Input**: 13 keypoints (`body13`) in raw pixels with a visibility each; missing points are
  NaN or have a visibility below 0.5. **Output**: {outputs}.
* **Training data**: {training_data}. Nothing else.
* **Licence**: {licence}. The data used in this project was obtained from mocap.cs.cmu.edu. The
  database was created with funding from NSF EIA-0196217.
* **Made by**: `{command}`, seed {seed}, best checkpoint by validation at step {step},
  commit `{commit}`.
* **Matching sigmoid**: a = {a:.4f}, b = {b:.4f}; a match is NP-MPJPE <= {kappa}.

## Measured

{tables}

Command: `vipe evaluate retrieval --model models/{name}.onnx --poses {poses} --seed {eval_seed}`.
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


def card(trained: Trained, model: Model, results: Results) -> str:
    """The Markdown card of a model file."""
    meta = model.metadata
    outputs = f"Gaussian embedding of {meta.embedding_size} dimensions, also of the mirrored twin"
    if meta.has_pose:
        outputs += "; 17 joints in the body frame with a standard deviation each"
    parameters = sum(p.numel() for p in trained.system.inference_parameters())
    return _TEXT.format(
        name=meta.name,
        version=meta.version,
        task=_SUMMARY[trained.config.system],
        parameters=parameters / 1e6,
        bytes=model.path.stat().st_size / 1e6,
        fingerprint=model.fingerprint,
        outputs=outputs,
        training_data=meta.training_data,
        licence=meta.licence,
        command=meta.command,
        seed=meta.seed,
        step=trained.step,
        commit=meta.git_commit[:12],
        a=meta.sigmoid_a,
        b=meta.sigmoid_b,
        kappa=meta.kappa,
        tables=markdown(results),
        poses=results.poses,
        eval_seed=results.seed,
        subjects=_subjects(trained),
        lifting=_LIFTING if meta.has_pose else "",
        extra=_POSE_LIMITS if meta.has_pose else "",
        config=yaml.safe_dump(to_dict(trained.config), sort_keys=False),
    )


_SUMMARY = {
    "vipe": "VIPE, the default: contrastive Gaussian embedding and canonical lifting in one net",
    "pr_vipe": "Pr-VIPE as published (triplet ratio loss on sampled matching probabilities)",
    "v_vipe": "V-VIPE, reconstructed (3D pose VAE, 2D mapping network, frozen decoder)",
}


def _subjects(trained: Trained) -> int:
    data = trained.config.data
    return len(set(load_motion(data.train, leave_out=data.leave_out).subject))
