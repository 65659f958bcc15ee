"""What the suite ``properties`` found, as tables and plots."""

from __future__ import annotations

from vipe_training.evaluate.report.findings import Curves, Findings, Table

SHARES = list(range(0, 100, 10))  # percent of the queries that are discarded
PROBABILITY = ("top-1", "random pairs")


def show(findings: Findings, found: dict[str, dict[str, dict]]) -> None:
    """Add the tables, plots and summary figures.

    Args:
        findings: to add to.
        found: part of the suite -> name of the contestant -> what was computed.
    """
    for part in (_show_map, _show_discarding, _show_ambiguity, _show_confidence, _show_dimensions):
        part(findings, found)


def _show_map(findings: Findings, found: dict) -> None:
    if not found["map"]:
        return
    rows = {}
    for name, one in found["map"].items():
        shares = [*one["shares"], 0.0, 0.0]
        findings.plots.append(
            Curves(
                title=f"{name}: map of the embeddings of {one['poses']} poses in 8 cameras",
                x=f"first principal axis ({100 * shares[0]:.0f} % of the variance)",
                y=f"second principal axis ({100 * shares[1]:.0f} %)",
                series=one["dots"],
                style="points",
                note="Colours are clusters of the true 3D poses. An embedding that does not "
                "depend on the camera has poses of one colour together.",
            )
        )
        rows[name] = [100 * sum(shares[:2]), 100 * one["camera"]]
        findings.summary.setdefault(name, {})["variance between cameras %"] = rows[name][1]
    findings.tables.append(
        Table(
            title="Where the variance of the embeddings lies, % of all",
            columns=["first two principal axes", "between cameras, same pose"],
            rows=rows,
            note="Between cameras: 0 if an embedding depends on the pose alone.",
        )
    )


def _show_discarding(findings: Findings, found: dict) -> None:
    if not (part := found["discarding"]):
        return
    title = "Hit@1 without the most uncertain queries, novel8+n, %"
    series = {name: [SHARES, one["hit"]] for name, one in part.items()}
    findings.plots.append(
        Curves(title, "share of the queries discarded, most uncertain first, %", "Hit@1, %", series)
    )
    rows: dict = {name: list(one["hit"]) for name, one in part.items()}
    columns = [f"{share} %" for share in SHARES]
    findings.tables.append(Table(title, columns, rows, best="highest"))
    for name, one in part.items():
        figures = findings.summary.setdefault(name, {})
        figures |= {f"novel8+n hit@1 without {s} %": one["hit"][SHARES.index(s)] for s in (0, 50)}


def _show_ambiguity(findings: Findings, found: dict) -> None:
    if not (part := found["ambiguity"]):
        return
    findings.plots.append(
        Curves(
            title="Total variance against the ambiguity of the view, novel8",
            x="mean 2D NP-MPJPE to the 10 nearest views of another 3D pose (small: ambiguous)",
            y="total variance, medians of the model",
            series={name: one["dots"] for name, one in part.items()},
            style="points",
        )
    )
    findings.tables.append(
        Table(
            title="Rank correlation of total variance with the distance to look-alikes",
            columns=["Spearman's rho"],
            rows={name: [one["correlation"]] for name, one in part.items()},
            digits=2,
            note="Negative is right: who is near to look-alikes of another pose is uncertain. "
            f"{max(one['views'] for one in part.values())} views.",
            best="lowest",
        )
    )


def _show_confidence(findings: Findings, found: dict) -> None:
    if not (part := found["confidence"]):
        return
    for kind in PROBABILITY:
        series = {}
        for name, one in part.items():
            series[name] = [
                [row[1] for row in one[kind]["rows"]],
                [row[2] for row in one[kind]["rows"]],
            ]
        findings.plots.append(
            Curves(
                title=f"Match probability against the share of true matches: {kind}, novel8+n",
                x="predicted match probability",
                y="observed share of true matches",
                series=series,
                ideal=[[0, 1], [0, 1]],
                note="A model's probability lies in 0.05..0.95 by construction.",
            )
        )
    rows: dict = {}
    for name, one in part.items():
        rows[name] = [one[kind]["error"] for kind in PROBABILITY]
        findings.summary.setdefault(name, {})["top-1 ECE %"] = one["top-1"]["error"]
    title = "Expected calibration error of the match probability, novel8+n, %"
    note = "Random pairs hardly ever match; a probability fitted at even odds is too high there."
    findings.tables.append(Table(title, list(PROBABILITY), rows, note=note, best="lowest"))
    for kind in PROBABILITY:
        findings.tables.append(_bins(kind, part))


def _bins(kind: str, part: dict) -> Table:
    rows: dict = {}
    for name, one in part.items():
        for count, predicted, seen in one[kind]["rows"]:
            rows[f"{name}, {predicted:.2f}"] = [count, 100 * predicted, 100 * seen]
    return Table(
        title=f"Accuracy per confidence bin: {kind}, novel8+n",
        columns=["pairs", "predicted, %", "true matches, %"],
        rows=rows,
        rows_are="model, mean probability of the bin",
    )


def _show_dimensions(findings: Findings, found: dict) -> None:
    if not (part := found["dimensions"]):
        return
    title = "Hit@1 of the leading principal dimensions of the embedding, novel8+n, %"
    sizes = sorted({int(count) for one in part.values() for count in one["hit"]})
    series = {
        name: [[int(count) for count in one["hit"]], list(one["hit"].values())]
        for name, one in part.items()
    }
    note = "The last figure of a model is the embedding as it is. The axes are those of the "
    note += "measured embeddings themselves."
    findings.plots.append(Curves(title, "dimensions kept", "Hit@1, %", series, note=note))
    rows: dict = {name: [one["hit"].get(str(d)) for d in sizes] for name, one in part.items()}
    findings.tables.append(
        Table(title, [f"{d} dim" for d in sizes], rows, note=note, best="highest")
    )
