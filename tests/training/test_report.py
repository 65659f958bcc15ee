"""Findings to JSON and back, Markdown, pictures and the page, from hand-made findings."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.bodies import random_people
from vipe_core.errors import VipeError
from vipe_training.evaluate import protocol
from vipe_training.evaluate.report import people, plots, record
from vipe_training.evaluate.report.findings import (
    Curves,
    Drawing,
    Findings,
    Gallery,
    Heatmap,
    Table,
)
from vipe_training.evaluate.report.markdown import best_cells, document, table
from vipe_training.evaluate.report.record import Record
from vipe_training.evaluate.report.style import look
from vipe_training.evaluate.report.write import draw, write

image = pytest.importorskip("PIL.Image")

HOW = Record(
    suite="retrieval",
    command="vipe evaluate retrieval --out 'a b'",
    seed=3,
    poses=40,
    models={"vipe": "vipe 0.2.0, SHA-256 abc"},
    data={"mocap/x.npz": "def"},
    people=["cmu003"],
    versions={"numpy": "2"},
    code="123",
)
LINE = Curves("Hit@1 of $k$", "k", "Hit@1, %", {"a": [[1, 2, 3], [40.0, None, 60]]})
CURVES = [
    LINE,
    replace(LINE, series={"a": [[0, 1], [0, 1]], "b" * 60: [[0, 1], [1, 0.5]]}, ideal=[[0, 1]] * 2),
    replace(LINE, style="points", series={str(i): [[i, 1], [2, i]] for i in range(9)}),
    replace(LINE, style="bars", series={"a": [[1, 2], [3, 4]], "b": [[2, 5], [1, 2]]}),
    replace(LINE, series={}),
]
HEATMAPS = [
    Heatmap("Hit@1", "index", "query", ["a", "b"], ["a", "b"], [[None, 1.5], [2.5, None]], 1),
    Heatmap("wide", "x", "y", [f"camera {i}" for i in range(40)], ["q"], [list(range(40))]),
    Heatmap("empty", "x", "y", ["a"], ["b"], [[None]]),
]


def drawing(i: int, right: bool | None, **changes) -> Drawing:
    points = protocol.render(random_people(4), protocol.chest4()[:1])[0, i]
    shown = [j % 5 != 0 for j in range(13)]
    return Drawing(points.tolist(), shown, f"camera {i}\np = 0.9", right, **changes)


GALLERIES = [
    Gallery("Found", [[drawing(0, None), drawing(1, True), drawing(2, False)], [drawing(3, None)]]),
    Gallery("Nobody", [[Drawing([None] * 13, [False] * 13, "", None)]]),
    Gallery("None", []),
]


def findings() -> Findings:
    return Findings(
        "Retrieval <b> & more",
        [Table("Hit@1, %", ["chest4", "note"], {"a|b": [91.26, "x<y"], "c": [None, None]})],
        [*CURVES, *HEATMAPS],
        GALLERIES,
        {"vipe": {"novel8+n hit@1": 92.6}},
        ["2 clips shorter than the window"],
    )


def test_findings_come_back_from_json():
    there = findings()
    back = Findings.from_dict(json.loads(json.dumps(there.to_dict())))
    assert back == there


def test_numbers_of_numpy_and_what_is_not_finite_are_plain():
    rows = {"a": [np.float32(1.5), float("nan"), np.int64(3)]}
    plain = Findings("t", [Table("t", ["x"] * 3, rows)]).to_dict()
    assert plain["tables"][0]["rows"]["a"] == [1.5, None, 3]
    assert json.dumps(plain, allow_nan=False)


@pytest.mark.parametrize("data", [{}, {"title": 1}, {"title": "t", "tables": [3]}])
def test_other_json_is_no_findings(data):
    with pytest.raises(VipeError, match="no findings"):
        Findings.from_dict(data)


def test_markdown_table_by_hand():
    rows = {"a": [91.26, 4, None], "b": [91.31, 5.0, "x"], "c": [7.0, None, None]}
    content = Table("T", ["hit", "mm", "z|"], rows, rows_are="who", best="highest", note="N.")
    assert table(content).splitlines() == [
        *("**T**", ""),
        "| who | hit | mm | z\\| |",
        "|---|---:|---:|---:|",
        "| a | **91.3** | 4 |  |",
        "| b | **91.3** | **5.0** | x |",
        "| c | 7.0 |  |  |",
        *("", "N."),
    ]
    assert best_cells(replace(content, best="lowest")) == {("c", 0), ("a", 1)}
    assert best_cells(replace(content, best="")) == set()


def test_a_column_with_one_figure_has_no_best():
    assert best_cells(Table("T", ["x"], {"a": [1.0], "b": [None]}, best="highest")) == set()


def test_document_says_how_it_was_measured():
    said = document(findings(), HOW)
    for needed in (HOW.command, "SHA-256 abc", "SHA-256 def", "cmu003", "seed: 3", "Left out"):
        assert needed in said


def opened(png: bytes) -> np.ndarray:
    """(H, W, 3) of a PNG."""
    return np.asarray(image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("plot", [*CURVES, *HEATMAPS])
def test_plots_open_and_show_something(plot):
    pixels = opened(plots.draw(plot))
    assert pixels.shape[1] == opened(plots.draw(LINE)).shape[1]  # all are equally wide
    assert (pixels != 255).any(-1).mean() > 0.003
    assert (pixels[[0, -1]] == 255).all()  # nothing is cut off at the edge


def test_a_plot_is_the_same_every_time_and_leaves_no_figure_behind():
    assert plots.draw(LINE) == plots.draw(LINE)
    from matplotlib._pylab_helpers import Gcf

    assert not Gcf.figs


def test_series_look_different():
    assert len({tuple(look(i).values()) for i in range(21)}) == 21


@pytest.mark.parametrize("gallery", GALLERIES)
def test_galleries_open_and_show_something(gallery):
    assert (opened(people.draw(gallery)) != 255).any(-1).mean() > 0.003


def has(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels.astype(int) - wanted).max(-1) < 3).sum() > 20)


def test_frames_and_sides_have_their_colours():
    green, red = "#009E73", "#D55E00"
    only = opened(people.draw(Gallery("g", [[drawing(0, True)]])))
    assert has(only, green)
    assert not has(only, red)
    assert has(only, "#E69F00")  # left
    assert has(only, "#0072B2")  # right
    wrong = opened(people.draw(Gallery("g", [[drawing(0, False)]])))
    assert has(wrong, red)
    assert not has(wrong, green)


def test_people_stand_upright():
    from vipe_training.evaluate.report.style import figure

    axes = figure(2).add_subplot()
    people.person(axes, drawing(0, None))
    bottom, top = axes.get_ylim()
    assert bottom > top  # image y points down


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.sources, self.targets, self.ids, self.tags = [], [], set(), []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.sources += [given["src"]] if "src" in given else []
        self.targets += [given["href"]] if "href" in given else []
        self.ids |= {given["id"]} if "id" in given else set()


def test_the_page_holds_everything_and_refers_to_nothing_else(tmp_path):
    page = write(tmp_path, findings(), HOW)
    text = page.read_text()
    links = Links()
    links.feed(text)
    assert len(links.sources) == len(CURVES) + len(HEATMAPS) + len(GALLERIES)
    assert all(source.startswith("data:image/png;base64,") for source in links.sources)
    assert links.targets
    assert {target.removeprefix("#") for target in links.targets} <= links.ids
    assert "script" not in links.tags
    assert "b" not in links.tags  # the title's <b> is text
    assert "Retrieval &lt;b&gt; &amp; more" in text
    for needed in (
        "x&lt;y",
        "SHA-256 abc",
        "2 clips shorter",
        "prefers-color-scheme",
        "@media print",
    ):
        assert needed in text


def test_folder_holds_a_png_per_picture_and_drawing_again_removes_older_ones(tmp_path):
    (tmp_path / "mine.png").write_bytes(b"")
    write(tmp_path, findings(), HOW)
    pngs = {path.name for path in tmp_path.glob("*-[0-9]*.png")}
    assert len(pngs) == len(CURVES) + len(HEATMAPS) + len(GALLERIES)
    assert "plot-01-hit-1-of-k.png" in pngs
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    draw(tmp_path, *record.load(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    draw(tmp_path, Findings("less"), HOW)
    assert [path.name for path in tmp_path.glob("*.png")] == ["mine.png"]


def test_record_comes_back(tmp_path):
    record.save(tmp_path, findings(), HOW)
    assert record.load(tmp_path) == (findings(), HOW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no results in"),
        ("{", "is not JSON"),
        ("[]", "not of vipe evaluate"),
        ('{"format": 9}', "another format"),
    ],
)
def test_results_that_cannot_be_read(text, message, tmp_path):
    if text is not None:
        (tmp_path / record.RESULTS).write_text(text)
    with pytest.raises(VipeError, match=message):
        record.load(tmp_path)


def test_results_without_a_record(tmp_path):
    record.save(tmp_path, findings(), HOW)
    content = json.loads((tmp_path / record.RESULTS).read_text())
    del content["run"]["seed"]
    (tmp_path / record.RESULTS).write_text(json.dumps(content))
    with pytest.raises(VipeError, match="how it was measured"):
        record.load(tmp_path)
