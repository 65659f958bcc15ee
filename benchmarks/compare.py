"""Systems side by side at equal cost: same data, steps, batches and noise, several seeds.

    python -m benchmarks.compare --steps 4000 --seeds 3

Each system keeps its network, loss and optimiser; the batches are those of ``vipe`` for all.
Each is exported, measured as ``vipe evaluate retrieval`` does, and put into one table with
mean and standard deviation over the seeds. What is finished is not done again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import vipe_training
from vipe_core import runtime
from vipe_core.files import write_atomically
from vipe_training.config import build, load, to_dict
from vipe_training.evaluate import protocol
from vipe_training.evaluate.figures import evaluate_model
from vipe_training.evaluate.samples.source import Source
from vipe_training.export.write import export, load_trained
from vipe_training.loop.run_config import RunConfig
from vipe_training.loop.train import train

SYSTEMS = ("vipe", "pr_vipe", "v_vipe")
CONFIGS = Path(vipe_training.__file__).parent / "configs"
# People with their own bones whom training leaves out; the others wear one retargeted skeleton.
OWN_BONES = ("cmu003", "cmu016", "cmu035", "cmu039")
SOURCES = {
    "CMU test": Source(),
    "own bones": Source(("mocap/cmu_mocap_val.npz", "mocap/cmu_mocap_native.npz"), OWN_BONES),
}


def main() -> None:
    """Train and measure what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description="systems side by side at equal cost")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--poses", type=int, default=2000, help="to measure on")
    parser.add_argument("--batch", type=int, default=256, help="poses per batch")
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    parser.add_argument("--out", type=Path, default=Path("out/compare"))
    args = parser.parse_args()
    found: dict[str, list[dict]] = {name: [] for name in SYSTEMS}
    for seed in range(args.seeds):
        for name in SYSTEMS:
            config = equal(name, seed, args)
            found[name].append(measured(config, args.out / f"{name}-{seed}", args.poses))
    for source in SOURCES:
        print(f"\n{source}, {args.steps} steps of {args.batch} poses, {args.seeds} seeds\n")
        print(table({name: [run[source] for run in runs] for name, runs in found.items()}))


def equal(name: str, seed: int, args: argparse.Namespace) -> RunConfig:
    """The run of a system on the batches of ``vipe``."""
    words = [f"seed={seed}", f"steps={args.steps}", f"threads={args.threads}"]
    own = to_dict(load(RunConfig, CONFIGS / f"{name}.yaml", words))
    shared = to_dict(load(RunConfig, CONFIGS / "vipe.yaml", [f"batch.poses={args.batch}"]))
    return build(RunConfig, own | {key: shared[key] for key in ("data", "batch")})


def measured(config: RunConfig, folder: Path, poses: int) -> dict[str, dict[str, float]]:
    """Figures of a run on every source; trained, exported and measured if there are none."""
    path = folder / "results.json"
    if not path.is_file():
        last = folder / "last.safetensors"
        best = train(config, folder, resume=last.is_file(), overwrite=not last.is_file())
        model = folder / f"{config.name}.onnx"
        export(load_trained(best), model, "0", {})
        results = {
            name: evaluate_model(runtime.load(model), source, poses, seed=0).summary
            for name, source in SOURCES.items()
        }
        write_atomically(path, json.dumps(results, indent=1).encode())
    return json.loads(path.read_text())


def table(runs: dict[str, list[dict]]) -> str:
    """Markdown: one row per figure, one column per system, mean ± std over its runs."""
    figures = {name: [rows(run) for run in each] for name, each in runs.items()}
    lines = [
        "| | " + " | ".join(f"`{name}`" for name in runs) + " |",
        "|---" * (len(runs) + 1) + "|",
    ]
    for row in dict.fromkeys(row for each in figures.values() for run in each for row in run):
        cells = []
        for each in figures.values():
            values = np.array([run[row] for run in each if row in run])
            cells.append("" if not len(values) else _cell(values))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rows(figures: dict[str, float]) -> dict[str, np.ndarray]:
    """The figures of one run by the name of their row."""
    names = [key.removesuffix(" hit@1") for key in figures if key.endswith(" hit@1")]
    found = {
        f"{name}, Hit@1 / 5 / 10 / 20": np.array([figures[f"{name} hit@{k}"] for k in protocol.TOP])
        for name in names
    }
    start = "novel8+n hit@1 without "
    kept = {key.removeprefix(start): value for key, value in figures.items() if start in key}
    if kept:
        shares = " / ".join(share.removesuffix(" %") for share in kept)
        found[f"novel8+n, Hit@1 without the least sure {shares} %"] = np.array(list(kept.values()))
    if "body frame mm" in figures:
        found["body frame, mm"] = np.array([figures["body frame mm"]])
        found["aligned, mm"] = np.array([figures["aligned mm"]])
        found["NP-MPJPE x 1000"] = 1000 * np.array([figures["NP-MPJPE"]])
        covered = [figures["inside 50 %"], figures["inside 90 %"]]
        found["inside the 50 % / 90 % interval"] = np.array(covered)
    return found


def _cell(values: np.ndarray) -> str:
    """Mean ± standard deviation of runs (R, K)."""
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
    pairs = zip(values.mean(axis=0), spread, strict=True)
    return " / ".join(f"{mean:.1f} ± {std:.1f}" for mean, std in pairs)


if __name__ == "__main__":
    main()
