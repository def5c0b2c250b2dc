"""The passport of a local model: a folder, a GGUF file, or a config.json alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.catalog.passport.facts import (
    Passport,
    from_info,
    parse_adapter,
    weight_files,
    with_card,
    without_packed,
)
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.foreign import mapping, text, whole
from modelscan.core.json_reader import json_value
from modelscan.core.model import WeightFile
from modelscan.formats.files import describe
from modelscan.formats.gguf import GgufHeader, parse_header
from modelscan.formats.reader import reader
from modelscan.formats.safetensors import BadHeader, parameters_by_dtype, read_header
from modelscan.hub.card import MAX_FRONT_BYTES, parse_card
from modelscan.hub.repo_info import RepoInfo
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.core.architecture import Tensor

MAX_FILES = 10_000
MAX_JSON_BYTES = 8 << 20
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_BLOCK = 1 << 20


def local_passport(path: Path, *, checksum: bool = False) -> Passport:
    """The passport of a local path.

    ``checksum`` hashes all files; otherwise only known hashes are included. Raises UsageError if
    the path does not exist or is not a model.
    """
    where = expand(path)
    if not where.exists():
        raise UsageError(f"there is no file or folder {path}", hint="modelscan catalog search")
    if where.is_file() and where.suffix == ".gguf":
        return _gguf(where, checksum=checksum)
    folder = where if where.is_dir() else where.parent
    if where.is_file() and where.name != "config.json":
        raise UsageError(f"{path} is not a model", hint="give a .gguf file or a model's folder")
    return _folder(folder, checksum=checksum)


def _gguf(file: Path, *, checksum: bool) -> Passport:
    header = _gguf_header(file)
    entry = _file(file.parent, file, checksum)
    label = describe(file.name).quantization
    return replace(
        gguf_facts(header.metadata, header.tensors, file.name),
        path=str(file),
        files=(entry,),
        size_bytes=entry.size_bytes,
        quantizations=(label,) if label else (),
    )


def gguf_facts(metadata: Mapping[str, Any], tensors: Sequence[Tensor], file_name: str) -> Passport:
    """The facts about a model's origin in a GGUF header (keys in ggml's ``docs/gguf.md``)."""

    def stated(key: str) -> str | None:
        return text(metadata.get(f"general.{key}"))

    def listed(kind: str, most: int) -> Iterator[str]:
        """``general.base_model.0.repo_url`` and the like."""
        for index in range(min(whole(metadata.get(f"general.{kind}.count")) or 0, most)):
            name = stated(f"{kind}.{index}.repo_url") or stated(f"{kind}.{index}.name")
            if name:
                yield _repo_of(name)

    bases = tuple(listed("base_model", 16))
    architecture = stated("architecture")
    return Passport(
        source="local",
        name=stated("name") or file_name,
        open_weights=True,
        license=stated("license"),
        license_name=stated("license.name"),
        license_url=stated("license.link"),
        url=stated("repo_url") or stated("url"),
        tags=_texts(metadata.get("general.tags")),
        languages=_texts(metadata.get("general.languages")),
        base_model=bases[0] if bases else None,
        base_models=bases,
        datasets=tuple(dict.fromkeys(listed("dataset", 64))),
        architecture=architecture,
        context_tokens=whole(metadata.get(f"{architecture}.context_length")) or None,
        format="gguf",
        parameters=_count(tensors) or None,
        parameters_basis="gguf" if tensors else None,
    )


def _folder(folder: Path, *, checksum: bool) -> Passport:
    paths = _walk(folder)
    files = tuple(_file(folder, path, checksum) for path in paths)
    names = [file.path for file in files]
    config = _json(folder / "config.json")
    ggufs = [path for path in paths if path.suffix == ".gguf"]
    if not config and not ggufs and not weight_files(files):
        raise UsageError(
            f"{folder} contains no model: no config.json, .safetensors or .gguf file",
            hint="give a .gguf file or a model's folder",
        )
    notes: list[str] = []
    info = RepoInfo(source="local", repo=f"local/{folder.resolve().name}", files=files)
    info = with_card(info, parse_card(_head(folder / "README.md")))
    passport = _from_info(folder, info, config, notes)
    if "adapter_config.json" in names:
        body = (folder / "adapter_config.json").read_bytes()[:MAX_JSON_BYTES]
        adapter = parse_adapter(body, info.base_models[0] if info.base_models else None)
        passport = replace(passport, adapter=adapter, base_relation="adapter",
                       base_model=passport.base_model or adapter.base_model)  # fmt: skip
    if ggufs and not weight_files(files):
        passport = _add_gguf(passport, ggufs[0], notes)
    passport = without_packed(passport, notes)
    return replace(passport, warnings=tuple(notes))


def _from_info(
    folder: Path, info: RepoInfo, config: Mapping[str, Any], notes: list[str]
) -> Passport:
    counts = _headers(folder, weight_files(info.files), notes)
    total = sum(counts.values()) if counts else None
    nested = mapping(config.get("text_config"))
    context = whole(config.get("max_position_embeddings")) or whole(
        nested.get("max_position_embeddings")
    )
    described = replace(
        info,
        parameters=counts or {},
        total_parameters=total,
        architecture=text(config.get("model_type")),
        context_tokens=context or None,
    )
    return replace(
        from_info(described),
        repo=None,
        path=str(folder),
        open_weights=True,
        parameters_basis="headers" if counts else None,
    )


def _gguf_header(file: Path) -> GgufHeader:
    with file.open("rb") as stream:
        return parse_header(reader(stream))


def _add_gguf(passport: Passport, file: Path, notes: list[str]) -> Passport:
    """Fill missing facts from the header of a folder's first GGUF file."""
    try:
        header = _gguf_header(file)
    except ModelscanError as error:
        notes.append(f"{file.name}: {error.message}")
        return passport
    gguf_passport = gguf_facts(header.metadata, header.tensors, file.name)
    return replace(
        passport,
        license=passport.license or gguf_passport.license,
        base_model=passport.base_model or gguf_passport.base_model,
        base_models=passport.base_models or gguf_passport.base_models,
        base_relation=passport.base_relation or gguf_passport.base_relation,
        architecture=passport.architecture or gguf_passport.architecture,
        context_tokens=passport.context_tokens or gguf_passport.context_tokens,
        parameters=gguf_passport.parameters,
        parameters_basis=gguf_passport.parameters_basis,
    )


def _headers(folder: Path, names: Sequence[str], notes: list[str]) -> dict[str, int] | None:
    tensors: list[Tensor] = []
    for name in names:
        try:
            with (folder / name).open("rb") as stream:
                tensors.extend(read_header(reader(stream)).tensors)
        except BadHeader as error:
            notes.append(f"{name}: {error.message}")
            return None
    return parameters_by_dtype(tensors) if tensors else None


def _walk(folder: Path) -> list[Path]:
    """All files below the folder, except hidden ones. Raises UsageError if there are too many."""
    files: list[Path] = []
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            files.append(path)
        if len(files) > MAX_FILES:
            raise UsageError(
                f"{folder} contains more than {MAX_FILES} files, so it is not a model's folder"
            )
    return sorted(files)


def _file(folder: Path, path: Path, checksum: bool) -> WeightFile:
    """A file with its SHA-256: a hub cache links files to blobs named by their SHA-256."""
    blob = path.resolve().name
    digest = blob if _SHA256.match(blob) else None
    if checksum and digest is None:
        digest = _hash(path)
    return WeightFile(path.relative_to(folder).as_posix(), path.stat().st_size, digest)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _json(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        return mapping(json_value(file.read_bytes()[:MAX_JSON_BYTES]))
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}") from error


def _head(file: Path) -> bytes:
    if not file.is_file():
        return b""
    with file.open("rb") as stream:
        return stream.read(MAX_FRONT_BYTES)


def _repo_of(text_: str) -> str:
    """``https://huggingface.co/org/repo`` -> ``org/repo``."""
    return re.sub(r"^https?://(?:huggingface\.co|hf\.co)/(?:datasets/)?", "", text_).strip("/")


def _texts(value: Any) -> tuple[str, ...]:
    return (
        tuple(item for item in value if isinstance(item, str))
        if isinstance(value, (list, tuple))
        else ()
    )


def _count(tensors: Sequence[Tensor]) -> int:
    total = 0
    for tensor in tensors:
        count = 1
        for length in tensor.shape:
            count *= length
        total += count
    return total
