"""The header of a GGUF file of a catalog model, which states the architecture as well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.model import Variant
from modelscan.formats.files import gguf_sets, is_projector
from modelscan.hub.answers_kept import FileHeader
from modelscan.memory.shape import from_gguf
from modelscan.models.from_hub import remote_header, resized
from modelscan.net.runner import utc_now

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.reference import Reference
    from modelscan.formats.gguf import GgufHeader
    from modelscan.hub.answers_kept import FileList
    from modelscan.hub.repository import Hub

_USUAL, _MOST_PARTS = "Q4_K_M", 3


def small_file(listed: FileList) -> Variant | None:
    """The file, of at most three parts, whose header is read: the usual one, else the first."""
    sets = [one for one in gguf_sets(listed.files or ()) if len(one[1]) <= _MOST_PARTS]
    if not sets:
        return None
    label, files = next((one for one in sets if one[0] == _USUAL), sets[0])
    return Variant(listed.repo, "gguf", label, listed.source, files=tuple(files))


def file_header(hub: Hub, reference: Reference, listed: FileList, variant: Variant) -> FileHeader:
    """The header of a variant's files, by range requests; None in it if one is malformed.

    Raises RemoteError.
    """
    made = FileHeader(listed.source, listed.repo, utc_now(), listed.commit, variant.files[0].path)
    try:
        return replace(made, header=remote_header(hub, reference, variant))
    except UsageError:
        return made


def shape_of_header(header: GgufHeader, path: str, variant: Variant) -> ModelShape:
    """The shape of a variant from the header of a file of its repository: exact for that file,
    with the other file's size else.
    """
    exact = from_gguf(header, quantization=variant.quantization)
    own = any(file.path == path for file in variant.files)
    shape = exact if own else resized(exact, variant)
    sizes = [file.size_bytes or 0 for file in variant.files if is_projector(file.path)]
    return replace(shape, weights=replace(shape.weights, vision_bytes=sum(sizes)))
