"""``vipe compile``."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

from vipe_core import model_file
from vipe_core.cli.common import Parser, note
from vipe_core.errors import VipeError
from vipe_core.runtime.backend import Unavailable
from vipe_core.runtime.trt import build, host
from vipe_core.runtime.trt.cache import EngineCache
from vipe_core.runtime.trt.host import CLASSIC, RTX
from vipe_core.runtime.trt.options import Options, batch_sizes, target_list


def run(argv: list[str]) -> int:
    """Build a TensorRT engine of a model on this machine, check it, and keep it.

    What loads the model later (a node, `vipe embed`) finds it by itself. An engine fits one model,
    one TensorRT and one GPU; a new one of any of them needs another. It lies in $VIPE_ENGINES,
    or in ~/.cache/vipe/engines. tensorrt-rtx compiles for named compute capabilities on any
    machine, also without a GPU; copy the folder to the machine that has one.
    """
    parser = Parser("compile", run.__doc__, "compile models/vipe.onnx --precision fp16")
    parser.add_argument("model", metavar="MODEL.onnx", nargs="?", type=Path, help="model file")
    parser.add_argument(
        "--backend", choices=("auto", CLASSIC, RTX), default="auto", help="default: what is here"
    )
    parser.add_argument("--batch", default="1,8,32", help="sizes (default: %(default)s)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        help="of the matrix products (default: as the model file)",
    )
    parser.add_argument(
        "--compute-capability", metavar="8.6,8.9", help="tensorrt-rtx: compile for these GPUs"
    )
    parser.add_argument("--dla", type=int, metavar="CORE", help="deep learning accelerator")
    parser.add_argument(
        "--workspace",
        type=int,
        default=Options.workspace,
        metavar="MIB",
        help="GPU memory that a layer may work with (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="build even where there is one")
    parser.add_argument("--list", action="store_true", help="show the engines that there are")
    parser.add_argument(
        "--clean", action="store_true", help="remove all engines, or those of MODEL.onnx"
    )
    args = parser.parse_args(argv)
    if args.list and args.clean:
        parser.error("--list and --clean are two things")
    if args.list or args.clean:
        _refuse_others(parser, args)
    if args.list:
        return _list(EngineCache())
    if args.clean:
        return _clean(EngineCache(), args.model)
    if args.model is None:
        parser.error("which model? MODEL.onnx is missing")
    return _compile(args)


def _refuse_others(parser: Parser, args: argparse.Namespace) -> None:
    """Options of a build have no meaning here; a user who gives one expects something else."""
    given = [
        name
        for name, value in vars(args).items()
        if name not in ("list", "clean", "model") and value != parser.get_default(name)
    ]
    if args.list and args.model:
        given.append("MODEL.onnx")
    if given:
        what = "--list" if args.list else "--clean"
        parser.error(f"{what} takes no {given[0].replace('_', '-')}")


def _compile(args: argparse.Namespace) -> int:
    named = args.compute_capability
    targets = () if named is None else target_list(named)
    if targets and args.backend == CLASSIC:
        raise VipeError("classic TensorRT builds on the device only; leave --compute-capability")
    options = Options(
        batch=batch_sizes(args.batch),
        precision=args.precision or model_file.read_metadata(args.model).precision,
        dla=args.dla,
        targets=targets,
        workspace=args.workspace,
    )
    cache = EngineCache()
    backend = args.backend if args.backend != "auto" else _backend(bool(targets))
    say: Callable[[str], object] = lambda line: note("compile", line)  # noqa: E731
    entry = build.ensure(args.model, backend, options, cache, say, args.force)
    print(entry)
    print(f"in {cache.folder}")
    return 0


def _backend(ahead: bool) -> str:
    """The library that is here; raises Unavailable saying why none is."""
    if ahead:
        return RTX
    reasons = []
    for name in (CLASSIC, RTX):
        try:
            host.open_library(name)
            return name
        except Unavailable as error:
            reasons.append(f"{name}: {error}")
    raise Unavailable(f"no TensorRT can run here (models use onnxruntime): {'; '.join(reasons)}")


def _list(cache: EngineCache) -> int:
    entries = cache.entries()
    for entry in entries:
        print(entry)
    print(f"{len(entries)} in {cache.folder}")
    return 0


def _clean(cache: EngineCache, model: Path | None) -> int:
    digest = hashlib.sha256(model_file.read_bytes(model)).hexdigest() if model else None
    count, size = cache.clean(digest)
    print(f"removed {count} files, {size / 1e6:.1f} MB, from {cache.folder}")
    return 0
