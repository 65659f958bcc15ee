"""The tables of the README are those that the code makes."""

from __future__ import annotations

import pytest

from tools import readme


def test_tables_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert readme.main(["--check"]) == 0, capsys.readouterr().out


def test_a_stale_table_is_named(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "README.md"
    text = readme.README.read_text(encoding="utf-8")
    copy.write_text(text.replace("| `stale_after` |", "| `stale` |"), encoding="utf-8")
    monkeypatch.setattr(readme, "README", copy)
    assert readme.main(["--check"]) == 1
    assert "the table parameters is out of date" in capsys.readouterr().out
    assert readme.main([]) == 0
    assert copy.read_text(encoding="utf-8") == text


def test_a_place_that_is_missing() -> None:
    with pytest.raises(ValueError, match="0 places for the table topics"):
        readme.filled("nothing", {"topics": "x"})
