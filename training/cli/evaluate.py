"""``vipe evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

from vipe_core.cli.common import Parser, load_model
from vipe_core.files import write_atomically
from vipe_training.evaluate.suite import Source, evaluate_baseline, evaluate_model, markdown


def run(argv: list[str]) -> int:
    """Measure a model on motion capture rendered through random cameras.

    The suite ``retrieval`` finds each pose again from another camera: chest4 = four cameras
    at chest level; novel8 = eight from anywhere; +n = detector noise of 2 % of the torso;
    partial = ten targeted occlusions of the query on chest4. A model that lifts is also
    measured in millimetres. The data folder is $VIPE_DATA.
    """
    parser = Parser("evaluate", run.__doc__, "evaluate retrieval --out out/retrieval.json")
    parser.add_argument("suite", choices=["retrieval"])
    parser.add_model()
    parser.add_argument(
        "--data", nargs="+", metavar="FILE", help="motion files, caches; %(default)s"
    )
    parser.set_defaults(data=list(Source().files))
    parser.add_argument("--people", nargs="+", default=[], metavar="NAME", help="of them only")
    parser.add_argument("--poses", type=int, default=2000, help="poses after de-duplication")
    parser.add_argument("--seed", type=int, default=0, help="of poses, cameras and noise")
    parser.add_argument("--baseline", action="store_true", help="also aligned 2D keypoints (slow)")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    args = parser.parse_args(argv)
    model = load_model(args.model)
    source = Source(tuple(args.data), tuple(args.people))
    tables = [evaluate_model(model, source, args.poses, args.seed)]
    if args.baseline:
        tables.append(evaluate_baseline(source, args.poses, args.seed))
    print("\n\n".join(markdown(table) for table in tables))
    if args.out:
        numbers = [{"fingerprint": model.fingerprint, **tables[0].to_dict()}]
        numbers += [table.to_dict() for table in tables[1:]]
        write_atomically(args.out, (json.dumps(numbers, indent=1) + "\n").encode())
    return 0
