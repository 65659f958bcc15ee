"""``vipe export``."""

from __future__ import annotations

from pathlib import Path

from vipe_core.cli.common import Parser
from vipe_core.errors import VipeError
from vipe_training.evaluate.samples.source import Source


def run(argv: list[str]) -> int:
    """Make the model file for the robot out of a checkpoint.

    Writes one ONNX file, measures it, puts the figures into it and writes its card beside it.
    """
    parser = Parser("export", run.__doc__, "export runs/vipe/best.safetensors models/vipe.onnx")
    parser.add_argument("checkpoint", type=Path, help="best.safetensors of a run")
    parser.add_argument("out", metavar="OUT.onnx", type=Path, help="model file to write")
    parser.add_argument("--model-version", default="0.1.0", help="default: %(default)s")
    parser.add_argument("--data", default=Source().files[0], help="motion file to measure on")
    parser.add_argument("--poses", type=int, default=2000, help="0: do not measure, no card")
    parser.add_argument("--half", action="store_true", help="store weights as float16")
    args = parser.parse_args(argv)
    # Here and not above: --help works without torch.
    from vipe_core import runtime
    from vipe_training.evaluate.figures import evaluate_model
    from vipe_training.export.card import card
    from vipe_training.export.write import export, load_trained

    if args.poses < 0 or args.poses == 1:
        raise VipeError(f"--poses must be 0 or at least 2, not {args.poses}")
    source = Source((args.data,))
    trained = load_trained(args.checkpoint)
    if args.poses:
        source.load()  # what cannot be measured on is said before anything is written
    path = export(trained, args.out, args.model_version, trained.scores, args.half)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    if args.poses:
        figures = evaluate_model(runtime.load(path), source, args.poses, seed=0)
        # The same graph once more, now with its own figures inside.
        export(trained, args.out, args.model_version, figures.summary, args.half)
        text = card(trained, runtime.load(path), figures)
        path.with_suffix(".md").write_text(text)
        print(text)
    return 0
