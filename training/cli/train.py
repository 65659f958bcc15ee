"""``vipe train``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from vipe_core.cli import main
from vipe_core.cli.common import Parser
from vipe_core.errors import VipeError

_CONFIGS = Path(__file__).parent.parent / "configs"


def run(argv: list[str]) -> int:
    """Train a model from a configuration.

    The data folder is $VIPE_DATA. The output folder gets metrics.jsonl, last.safetensors to
    resume from and best.safetensors, the best model in validation; TensorBoard reads it too.
    Several processes: torchrun --nproc-per-node=2 -m vipe_training.cli.train CONFIG ...
    """
    parser = Parser("train", run.__doc__, "train vipe steps=2000 optimizer.lr=0.001 --out runs/try")
    names = ", ".join(sorted(path.stem for path in _CONFIGS.glob("*.yaml")))
    parser.add_argument("config", help=f"a YAML file, or one of: {names}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    parser.add_argument("--out", type=Path, help="output folder (default: runs/NAME)")
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--resume", action="store_true", help="continue the run that is there")
    there.add_argument("--overwrite", action="store_true", help="remove the run that is there")
    args = parser.parse_intermixed_args(argv)
    # Here and not above: --help works without torch.
    from vipe_training import distributed
    from vipe_training.config import load
    from vipe_training.loop.train import RunConfig, train

    with distributed.processes():
        config = load(RunConfig, _find(args.config), args.overrides)
        out = args.out or Path("runs") / config.name
        best = train(config, out, args.resume, args.overwrite, progress=sys.stderr.isatty())
        if distributed.rank() == 0:
            print(f"best checkpoint: {best}\nnext: vipe export {best} {out / config.name}.onnx")
    return 0


def _find(name: str) -> Path:
    """The file of that path, or the shipped configuration of that name."""
    shipped = _CONFIGS / f"{name}.yaml"
    if not Path(name).suffix and not shipped.is_file() and not Path(name).exists():
        known = ", ".join(sorted(path.stem for path in _CONFIGS.glob("*.yaml")))
        raise VipeError(f"no configuration {name!r}; known: {known}, or a YAML file")
    return shipped if shipped.is_file() and not Path(name).is_file() else Path(name)


def run_as_worker() -> NoReturn:
    """What ``torchrun`` starts; ends the process without the interpreter's shutdown.

    gloo's threads live on behind destroy_process_group. One that lets go of a tensor while
    the interpreter shuts down aborts the process, about once in fifty runs.
    """
    status = main(["train", *sys.argv[1:]])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run_as_worker()
