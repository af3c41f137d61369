from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TableFormatError
from models.features.reading import (
    RawTable,
    ReadLimits,
    ReadOptions,
    SourceFile,
    read_tables,
    sniff,
    sniff_file,
)
from models.features.reading.compression import UnpackBudget, unpacked_pieces

TEXT = b"id,city,amount\n" + b"".join(b"%d,Ulm %d,%d.5\n" % (row, row % 7, row) for row in range(500))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "zip": lambda data: zipped(("table.csv", data)),
    "zip, stored": lambda data: zipped(("table.csv", data), method=zipfile.ZIP_STORED),
}


def read(
    tmp_path: Path, *contents: bytes, limits: ReadLimits | None = None, name: str = "upload"
) -> RawTable:
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"in-{number}"
        path.write_bytes(content)
        files.append(SourceFile(path, name if len(contents) == 1 else f"{name}-{number}.csv"))
    scratch = tmp_path / "scratch"
    try:
        return read_tables(files, ReadOptions(), limits or ReadLimits(), scratch=scratch)
    finally:
        assert not scratch.exists() or not list(scratch.iterdir())


@pytest.mark.parametrize("kind", PACK)
def test__compressed__reads_as_the_plain_file(tmp_path: Path, kind: str) -> None:
    table = read(tmp_path, PACK[kind](TEXT))
    assert table.frame.equals(read(tmp_path, TEXT).frame)
    assert table.line_of_row(499) == 501
    sniffed = sniff(PACK[kind](TEXT), "x", ReadOptions(), ReadLimits(), is_whole_file=True)
    assert sniffed.columns == ("id", "city", "amount")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test__compressed__several_streams__are_one_file(tmp_path: Path, kind: str) -> None:
    content = PACK[kind](TEXT[:700]) + PACK[kind](TEXT[700:])
    assert read(tmp_path, content).frame.height == 500
    assert sniff(content, "x", ReadOptions(), ReadLimits(), is_whole_file=True).columns[0] == "id"


@pytest.mark.parametrize("kind", PACK)
def test__compressed__cut_short__is_refused_everywhere(tmp_path: Path, kind: str) -> None:
    packed = PACK[kind](TEXT)
    for cut in (len(packed) - 1, len(packed) - 9, len(packed) // 2):
        for attempt in (
            lambda cut=cut: read(tmp_path, packed[:cut]),
            lambda cut=cut: sniff(packed[:cut], "x", ReadOptions(), ReadLimits(), is_whole_file=True),
        ):
            with pytest.raises(TableFormatError) as refused:
                attempt()
            assert refused.value.code == "damaged_compression"


@pytest.mark.parametrize("kind", PACK)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test__compressed__with_a_flipped_byte__is_read_right_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    draw = random.Random(seed)
    packed = bytearray(PACK[kind](TEXT))
    packed[draw.randrange(len(packed))] ^= 1 << draw.randrange(8)
    try:
        table = read(tmp_path_factory.mktemp("flip"), bytes(packed))
    except TableFormatError:
        return
    if kind != "zstd":  # its frames carry a checksum only where the writer asked for one
        assert table.frame.height == 500


@pytest.mark.parametrize("kind", PACK)
def test__compressed__head_of_a_large_file__tells_columns_and_refuses(tmp_path: Path, kind: str) -> None:
    draw = random.Random(1)
    rows = b"".join(b"%d,%s\n" % (row, draw.randbytes(40).hex().encode()) for row in range(30_000))
    packed = PACK[kind](b"a,b\n" + rows)
    path = tmp_path / "big"
    path.write_bytes(packed)
    assert sniff_file(path, "big", ReadOptions(), ReadLimits()).columns == ("a", "b")
    path.write_bytes(PACK[kind](b"a,a\n" + rows))
    with pytest.raises(TableFormatError) as refused:
        sniff_file(path, "big", ReadOptions(), ReadLimits())
    assert refused.value.code == "duplicate_column"


@pytest.mark.parametrize("kind", PACK)
def test__compressed__beyond_the_cap__is_refused_before_it_is_written(tmp_path: Path, kind: str) -> None:
    bomb = PACK[kind](b"a\n" + b"0" * 20_000_000)
    limits = ReadLimits(max_bytes=21_000_000 if "stored" in kind else 1_000_000)
    content = bomb if "stored" not in kind else PACK["zip"](bomb + bomb)
    with pytest.raises(TableFormatError) as refused:
        read(tmp_path, content, limits=limits)
    assert refused.value.code == "decompressed_too_large"


def test__compressed__ratio_of_a_bomb__is_refused_below_the_cap() -> None:
    packed = zstandard.ZstdCompressor().compress(b"0" * 200_000_000)
    num_bytes = 0
    pieces = unpacked_pieces(io.BytesIO(packed), "zstd", UnpackBudget(1 << 40))

    def unpack() -> None:
        nonlocal num_bytes
        for piece in pieces:
            num_bytes += len(piece)

    with pytest.raises(TableFormatError) as refused:
        unpack()
    assert refused.value.code == "decompressed_too_large"
    assert num_bytes < 80_000_000


def test__zip__several_members__are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    content = zipped(
        ("b.csv", b"x,y\n3,c\n"), ("__MACOSX/._a.csv", b"junk"), ("folder/", b""), (".DS_Store", b"junk"),
        ("../../a.csv", b"y,x\nb,2\n"),
    )  # fmt: skip
    table = read(tmp_path, content)
    assert table.frame.rows() == [("b", 2), ("c", 3)]
    assert table.place_of_row(1) == "line 2 of file 2 (b.csv)"
    assert sorted(path.name for path in tmp_path.parent.iterdir() if path.name == "a.csv") == []


REFUSED = {
    "workbook": (zipped(("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>")), "not_a_table"),
    "no member": (zipped(("folder/", b"")), "empty_file"),
    "empty member": (zipped(("a.csv", b"")), "empty_file"),
    "twice": (gzip.compress(gzip.compress(TEXT)), "not_a_table"),
    "zip in gzip": (gzip.compress(zipped(("a.csv", TEXT))), "not_a_table"),
    "empty gzip": (gzip.compress(b""), "empty_file"),
    "rubbish": (b"\x1f\x8b\x08" + bytes(range(200)), "damaged_compression"),
    "rubbish after the end": (gzip.compress(TEXT) + b"rubbish", "damaged_compression"),
}


@pytest.mark.parametrize("case", REFUSED)
def test__compressed__no_table__is_refused_at_once(tmp_path: Path, case: str) -> None:
    content, code = REFUSED[case]
    for attempt in (
        lambda: read(tmp_path, content),
        lambda: sniff(content, "x.zip", ReadOptions(), ReadLimits(), is_whole_file=True),
    ):
        with pytest.raises(TableFormatError) as refused:
            attempt()
        assert refused.value.code == code


def test__tar__is_refused_by_name(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("a.csv")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    with pytest.raises(TableFormatError, match="tar archive"):
        read(tmp_path, out.getvalue())


def test__bzh__as_the_name_of_a_column__is_no_bzip2(tmp_path: Path) -> None:
    assert read(tmp_path, b"BZh91,b\n1,2\n").frame.columns == ["BZh91", "b"]


def test__compressed__error_in_one_of_several__names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(TableFormatError) as refused:
        read(tmp_path, gzip.compress(b"a,b\n1,2\n"), gzip.compress(b"a,b\n1,2\n3\n"))
    error = refused.value
    assert (error.code, error.details["file"], error.details["line"]) == ("ragged_row", 2, 3)
    assert "File 2 (upload-1.csv)" in error.message
