"""Hostile archives: nothing is written outside of the folder, nothing grows without a limit."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from modelscan.core.errors import ModelscanError
from modelscan.supervisor.engines.unpack import ArchiveLimits, unpack

FILE, LINK, HARD, DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
SMALL = ArchiveLimits(free_bytes=1 << 20, entries=50)
Member = tuple[str, bytes, str, bytes]


def tar(path: Path, members: list[Member]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, kind, link, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o755
            file.addfile(info, io.BytesIO(data))
    return path


def zipped(path: Path, members: list[tuple[str, int, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, mode, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    return path


def refused(archive: Path, code: str = "unsafe_archive") -> str:
    folder = archive.parent / "out"
    with pytest.raises(ModelscanError) as caught:
        unpack(archive, folder, SMALL)
    assert caught.value.code == code, caught.value.message
    outside = [p for p in archive.parent.rglob("*") if p != archive and folder not in p.parents]
    assert outside in ([], [folder])
    return caught.value.message


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([("../evil", FILE, "", b"x")], "outside"),
        ([("a/../../evil", FILE, "", b"x")], "outside"),
        ([("/tmp/evil", FILE, "", b"x")], "outside"),
        ([("..\\evil", FILE, "", b"x")], "outside"),
        ([("a/l", LINK, "/etc", b""), ("a/l/passwd", FILE, "", b"x")], "a link to '/etc'"),
        ([("a/l", LINK, "..", b"")], "a link to '..'"),
        ([("a/l", LINK, "b/c", b"")], "a link to 'b/c'"),
        ([("a/l", LINK, "m", b""), ("a/m", LINK, "l", b"")], "link to no file"),
        ([("a/l", LINK, "gone", b"")], "link to no file"),
        ([("a/l", HARD, "a/m", b"")], "hard link"),
        ([("a/null", DEVICE, "", b"")], "device"),
        ([("a", FILE, "", b"1"), ("a", FILE, "", b"2")], "twice"),
        ([("a/\x1b[2J", FILE, "", b"1")], "plain text"),
        ([("a", FILE, "", bytes(2 << 20))], "unpacks to more than 1.00 MiB"),
        ([(f"a{n}", FILE, "", b"") for n in range(60)], "more than 50 entries"),
    ],
)
def test_a_hostile_tar(tmp_path: Path, members: list[Member], why: str) -> None:
    assert why in refused(tar(tmp_path / "a.tar.gz", members))


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (("../evil", 0o100644, b"x"), "outside"),
        (("C:\\evil", 0o100644, b"x"), "outside"),
        (("l", stat.S_IFLNK | 0o777, b"../../etc"), "a link to"),
        (("p", stat.S_IFIFO | 0o644, b""), "device"),
        (("bomb", 0o100644, bytes(2 << 20)), "unpacks to more"),
    ],
)
def test_a_hostile_zip(tmp_path: Path, member: tuple[str, int, bytes], why: str) -> None:
    assert why in refused(zipped(tmp_path / "a.zip", [member]))


def test_a_size_that_its_header_denies(tmp_path: Path) -> None:
    """A zip whose directory states 1 byte for two megabytes."""
    archive = zipped(tmp_path / "a.zip", [("bomb", 0o100644, bytes(2 << 20))])
    true, false = (2 << 20).to_bytes(4, "little"), (1).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(true, false))
    refused(archive, "damaged_archive")


@pytest.mark.parametrize("data", [b"", b"nothing of the kind", b"\x1f\x8b\x08\x00garbage"])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    for name in ("a.tar.gz", "a.zip"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelscanError, match="cannot be read") as caught:
            unpack(tmp_path / name, tmp_path / "out")
        assert caught.value.code == "damaged_archive"


def test_links_of_libraries_are_kept(tmp_path: Path) -> None:
    members = [("a/liba.so", LINK, "liba.so.0", b""), ("a/liba.so.0", FILE, "", b"library")]
    assert unpack(tar(tmp_path / "a.tgz", members), tmp_path / "out") == 7
    assert (tmp_path / "out/a/liba.so").read_bytes() == b"library"
    assert (tmp_path / "out/a/liba.so.0").stat().st_mode & 0o777 == 0o700
    zipped(tmp_path / "b.zip", [("a/x", 0o100755, b"x"), ("a/l", stat.S_IFLNK | 0o777, b"x")])
    unpack(tmp_path / "b.zip", tmp_path / "zip")
    assert (tmp_path / "zip/a/l").read_bytes() == b"x"
