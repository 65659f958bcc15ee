"""The suite ``alignment``."""

from __future__ import annotations

import argparse

import numpy as np

from vipe_core.errors import VipeError
from vipe_training.evaluate.report.findings import Findings
from vipe_training.evaluate.samples import clip_sets
from vipe_training.evaluate.samples.action_sets import (
    add_set_options,
    bandai_clips,
    cmu_clips,
    set_files,
)
from vipe_training.evaluate.samples.clip_codes import OPTIONS, coder_of, truth_row
from vipe_training.evaluate.suites.following_findings import add_following
from vipe_training.evaluate.suites.order_findings import add_order, order_sets
from vipe_training.evaluate.suites.synchronisation_findings import add_synchronisation
from vipe_training.evaluate.task import Task


def add_options(parser: argparse.ArgumentParser) -> None:
    add_set_options(parser, limit=6)
    parser.add_argument(
        "--every",
        type=int,
        metavar="N",
        help="order in time: every n-th frame counts (default: about six a second; Penn Action: 5)",
    )
    parser.add_argument(
        "--cost", choices=list(OPTIONS), default="log-p", help="of pairing two frames"
    )
    parser.add_argument(
        "--shortest", type=float, default=1.0, help="seconds that a synchronised clip lasts"
    )
    parser.add_argument(
        "--live", action="store_true", help="also how well a person is followed while they perform"
    )


data = set_files  # what the record names in place of --data


def run(task: Task) -> Findings:
    """Align clips in time.

    Order: Kendall's tau of nearest frames between clips of one action, from the same camera and
    from different ones, the larger of the person as it is and mirrored, mean over the pairs of
    an action, then over actions. Synchronisation: a clip, and the same clip from another
    camera at a smoothly changing speed, are aligned by dynamic time warping, and as `vipe align`
    does; the error is how far the path is from the true time. Following (--live): the same,
    frame by frame, with waiting and absences. Sets: bandai, cmu, penn-action (order only: it has
    no truth).
    """
    options = task.options
    if options.every is not None and options.every < 1:
        raise VipeError(f"--every counts frames from 1, not {options.every}")
    rivals = [*task.contestants, *truth_row(options)]
    for contestant in rivals:
        coder_of(contestant)
    if options.set == "penn-action":
        title, motion, skipped = "Penn Action", [], []
    elif options.set == "cmu":
        title, (motion, skipped) = "CMU", cmu_clips()
    else:
        title, motion, skipped = "Bandai, unseen styles", bandai_clips()[0], []
    motion = clip_sets.limited(motion, options.limit, np.random.default_rng(task.seed))
    findings = Findings(f"Alignment in time: {title}", skipped=list(skipped))
    add_order(findings, task, rivals, order_sets(task, motion, findings.skipped))
    if motion:
        add_synchronisation(findings, task, rivals, motion)
        if options.live:
            add_following(findings, task, rivals, motion)
    else:
        findings.skipped.append("synchronisation: it needs 3D, from which the truth is made")
    return findings
