"""Compressed bodies: one layer of gzip, in small pieces."""

from __future__ import annotations

import gzip

import pytest

from modelscan.net.decoding import Decoder
from modelscan.net.errors import TransportFailure


def test_gzip_in_small_pieces() -> None:
    data = gzip.compress(b"0" * (8 << 20))
    decoder = Decoder("gzip")
    sizes = [len(piece) for part in (data[:100], data[100:]) for piece in decoder.pieces(part)]
    decoder.end()
    assert (sum(sizes), max(sizes)) == (8 << 20, 65536)


def test_members_and_identity() -> None:
    decoder = Decoder("x-gzip")
    members = gzip.compress(b"a") + gzip.compress(b"b")
    assert b"".join(decoder.pieces(members)) == b"ab"
    assert b"".join(Decoder(None).pieces(b"plain")) == b"plain"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate", "x" * 200])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(TransportFailure, match="not as requested"):
        Decoder(encoding)


def test_damage_and_a_cut_end() -> None:
    with pytest.raises(TransportFailure, match="damaged"):
        list(Decoder("gzip").pieces(b"no gzip"))
    decoder = Decoder("gzip")
    list(decoder.pieces(gzip.compress(b"abc")[:-4]))
    with pytest.raises(TransportFailure, match="cut off"):
        decoder.end()
