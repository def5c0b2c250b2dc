"""Ollama's folder: ``manifests/HOST/NAMESPACE/MODEL/TAG`` (JSON) and ``blobs/sha256-HEX``.

Layout: Ollama's source (server/modelpath.go, server/manifest.go); ``OLLAMA_MODELS`` moves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelscan.core.json_reader import json_value
from modelscan.core.units import format_bytes
from modelscan.hub.neighbours.types import NeighbourModel, NeighbourProgram, reason_of

PREFIX = "ollama:"
_PROGRAM: NeighbourProgram = "Ollama"
_OF_SERVICES = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models"))
_HOST, _NAMESPACE = "registry.ollama.ai", "library"
_DEPTH = 4  # host, namespace, model, tag
_LAYER = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_LARGEST_MANIFEST = 1 << 20


def folders(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where its models can be: of the user's server and of the system's service."""
    own = environ.get("OLLAMA_MODELS")
    return (Path(own).expanduser(),) if own else (home / ".ollama" / "models", *_OF_SERVICES)


def models(folder: Path) -> Iterator[NeighbourModel]:
    """Every model of a folder. Raises OSError where it cannot be listed."""
    root = folder / "manifests"
    if not root.is_dir():
        return
    for host in _listed(root):
        yield from _below(folder, host, (host.name,))


def _below(folder: Path, place: Path, names: tuple[str, ...]) -> Iterator[NeighbourModel]:
    """The models of one host, namespace, model or tag; what cannot be read hides no other."""
    if len(names) == _DEPTH:
        yield _model(folder, _name(*names), place)
        return
    try:
        inner = _listed(place)
    except NotADirectoryError:  # a file that belongs to no model
        return
    except OSError as error:
        problem = f"{place} cannot be read: {reason_of(error)}"
        yield _broken(canonical("/".join(names)), problem)
        return
    for one in inner:
        yield from _below(folder, one, (*names, one.name))


def canonical(name: str) -> str:
    """A name as this module writes it: with its tag, without the default host and namespace."""
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, tag = name, "latest"
    parts = path.split("/")
    parts = parts[1:] if len(parts) == 3 and parts[0] == _HOST else parts
    parts = parts[1:] if len(parts) == 2 and parts[0] == _NAMESPACE else parts
    return f"{'/'.join(parts)}:{tag}"


def _listed(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


def _name(host: str, namespace: str, model: str, tag: str) -> str:
    return canonical(f"{host}/{namespace}/{model}:{tag}")


def _model(folder: Path, name: str, manifest: Path) -> NeighbourModel:
    """One model; whatever is wrong with it is its ``problem``."""
    try:
        layers = _layers(manifest)
        files, size = _files(folder, layers)
    except OSError as error:
        place = error.filename or manifest
        return _broken(name, f"{place} cannot be read: {reason_of(error)}")
    except ValueError as error:
        return _broken(name, str(error))
    return NeighbourModel(_PROGRAM, PREFIX + name, files, size)


def _broken(name: str, problem: str) -> NeighbourModel:
    return NeighbourModel(_PROGRAM, PREFIX + name, (), None, problem=problem)


def _layers(manifest: Path) -> Mapping[str, list[Mapping[str, Any]]]:
    """The layers of a manifest by kind. Raises ValueError for a damaged one."""
    if manifest.stat().st_size > _LARGEST_MANIFEST:
        raise ValueError(f"the manifest {manifest} is damaged: it is too long")
    try:
        value: Any = json_value(manifest.read_bytes())
        layers = value["layers"]
        kinds = [(str(one["mediaType"]).removeprefix(_LAYER), one) for one in layers]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"the manifest {manifest} is damaged: it has no layers") from None
    found: dict[str, list[Mapping[str, Any]]] = {}
    for kind, layer in kinds:
        found.setdefault(kind, []).append(layer)
    return found


def _files(
    folder: Path, layers: Mapping[str, list[Mapping[str, Any]]]
) -> tuple[tuple[str, ...], int]:
    """The model's file and its projector. Raises ValueError where it is not all of the model."""
    if "adapter" in layers:
        raise ValueError("it has an adapter, which is not applied from here")
    weights = layers.get("model", [])
    if len(weights) != 1:
        several = "its weights are in several files" if weights else "it has no GGUF weights here"
        raise ValueError(f"{several}: only Ollama itself can run it")
    blobs = [_blob(folder, layer) for layer in (*weights, *layers.get("projector", [])[:1])]
    return tuple(str(path) for path, _ in blobs), sum(size for _, size in blobs)


def _blob(folder: Path, layer: Mapping[str, Any]) -> tuple[Path, int]:
    """A layer's file and its bytes. Raises ValueError for one that is not whole."""
    digest = _DIGEST.fullmatch(str(layer.get("digest")))
    if digest is None:
        raise ValueError(f"its manifest is damaged: {layer.get('digest')!r} is no digest")
    path = folder / "blobs" / f"sha256-{digest[1]}"
    if not path.exists():
        kind = "is a link to nothing" if path.is_symlink() else "is missing"
        raise ValueError(f"the file {path} {kind}")
    size, whole = path.stat().st_size, layer.get("size")
    if isinstance(whole, int) and size != whole:
        raise ValueError(f"{path} has {format_bytes(size)} of {format_bytes(whole)}")
    with path.open("rb"):  # raises OSError where this user may not
        return path.absolute(), size
