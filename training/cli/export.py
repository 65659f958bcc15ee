"""``vipe export``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from vipe_core import files
from vipe_core.cli.common import Parser
from vipe_core.errors import VipeError
from vipe_training.evaluate.samples.source import Source

MOST_LOST = 0.5  # points of Hit@1 that a file in int8 may lose
_HIT = " hit@1"


def run(argv: list[str]) -> int:
    """Make the model file for the robot out of a checkpoint.

    Writes one ONNX file, measures it, puts the figures into it and writes its card beside it.
    SOURCE may also be a model file in fp32, for one in fp16 or int8. A file that differs from
    torch (in less than fp32: from the file in fp32) is not written, nor is one in int8 that
    loses more than half a point of Hit@1.
    """
    parser = Parser("export", run.__doc__, "export runs/vipe/best.safetensors models/vipe.onnx")
    parser.add_argument(
        "source", metavar="SOURCE", type=Path, help="best.safetensors of a run, or a model file"
    )
    parser.add_argument("out", metavar="OUT.onnx", type=Path, help="model file to write")
    parser.add_argument("--model-version", help="default: 0.1.0, or that of the model file")
    parser.add_argument("--data", default=Source().files[0], help="motion file to measure on")
    parser.add_argument("--poses", type=int, default=2000, help="0: do not measure, no card")
    parser.add_argument("--half", action="store_true", help="store weights as float16")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="what matrix products compute with (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if args.poses < 0 or args.poses == 1:
        raise VipeError(f"--poses must be 0 or at least 2, not {args.poses}")
    if args.precision == "int8" and not args.poses:
        raise VipeError("int8 is written only where Hit@1 holds, so --poses must not be 0")
    files.check_writable(args.out, args.source)
    if args.source.suffix == ".onnx":
        _from_model(args)
    else:
        _from_checkpoint(args)
    return 0


def _from_checkpoint(args: argparse.Namespace) -> None:
    # Here and not above: --help works without torch.
    from vipe_training.export.card import card
    from vipe_training.export.write import export, load_trained

    trained = load_trained(args.source)
    _check_data(args)

    version = args.model_version or "0.1.0"
    if args.precision != "fp32":
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "fp32.onnx"
            error = export(trained, whole, version, trained.scores, args.half)
            _say_parity(error, "torch")
            _write_converted(whole, args)
        return
    error = export(trained, args.out, version, trained.scores, args.half)
    _say_parity(error, "torch")
    _say_written(args.out)
    if args.poses:
        figures = _measured(args.out, args)
        # The same graph once more, now with its own figures inside.
        export(trained, args.out, version, figures.summary, args.half)
        _write_card(args.out, card(trained, _loaded(args.out), figures))


def _from_model(args: argparse.Namespace) -> None:
    if args.precision == "fp32" or args.half or args.model_version:
        raise VipeError(
            f"{args.source} is a model file: it can be written in --precision fp16 or int8, with "
            "its own weights and version; anything else starts from the checkpoint"
        )
    _check_data(args)
    _write_converted(args.source, args)


def _check_data(args: argparse.Namespace) -> None:
    """What cannot be measured on is said before anything is written."""
    if args.poses:
        _source(args).load()


def _write_converted(whole: Path, args: argparse.Namespace) -> None:
    """The file in fp16 or int8, out of the one in fp32."""
    from vipe_core import model_file
    from vipe_core.model_file.card import card
    from vipe_training.evaluate.figures import markdown
    from vipe_training.export.write import convert

    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / args.out.name
        error = convert(whole, trial, args.precision, model_file.read_metadata(whole).metrics)
        _say_parity(error, "the file in fp32")
        if not args.poses:
            convert(whole, args.out, args.precision, {})
            _say_written(args.out)
            return
        figures = _measured(trial, args)
        if args.precision == "int8":
            _hold_hits(figures.summary, _measured(whole, args).summary, args.out)
        convert(whole, args.out, args.precision, figures.summary)
    _say_written(args.out)
    _write_card(args.out, f"{card(args.out)}\n## Measured\n\n{markdown(figures)}\n")


def _hold_hits(found: dict[str, float], whole: dict[str, float], out: Path) -> None:
    """Raises VipeError when Hit@1 falls too far behind that of fp32."""
    lost = {name: whole[name] - found[name] for name in found if name.endswith(_HIT)}
    if not lost:
        raise VipeError(f"{out.name}: int8 is written only where Hit@1 holds, and there is none")
    worst = max(lost, key=lambda name: lost[name])
    said = f"Hit@1 on {worst.removesuffix(_HIT)}: {whole[worst]:.1f} % in fp32, {found[worst]:.1f}"
    print(f"most is lost of {said} % in int8", flush=True)
    if lost[worst] > MOST_LOST:
        raise VipeError(f"{out.name}: {said} % in int8, more than {MOST_LOST} less; not written")


def _measured(path: Path, args: argparse.Namespace):
    from vipe_training.evaluate.figures import evaluate_model

    return evaluate_model(_loaded(path), _source(args), args.poses, seed=0)


def _loaded(path: Path):
    from vipe_core import runtime

    return runtime.load(path, backend="onnxruntime-cpu")


def _source(args: argparse.Namespace) -> Source:
    return Source((args.data,))


def _say_parity(error: float, other: str) -> None:
    from vipe_training.export.parity import COUNT

    print(f"largest difference from {other} on {COUNT:,} bodies: {error:.1e}", flush=True)


def _say_written(path: Path) -> None:
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB", flush=True)


def _write_card(path: Path, text: str) -> None:
    files.write_atomically(path.with_suffix(".md"), text.encode())
    print(text)
