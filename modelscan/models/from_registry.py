"""A name of the registry (``SLUG@VERSION``, ``registry:SLUG``) as the MODEL that its weights are.

Written with ``@`` or ``registry:``, a name is the registry's. Any other name is the registry's
where the catalog has no model of exactly that name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.core.reference import Kind, parse_reference
from modelscan.registry.names import PREFIX, VersionReference
from modelscan.registry.names import parse_reference as parse_version
from modelscan.registry.refused import RegistryRefused

if TYPE_CHECKING:
    from modelscan.registry.resolve import ResolvedVersion
    from modelscan.registry.types import ModelVersion
    from modelscan.state.config import Config

_HUB = ("https://huggingface.co", "https://hf.co")
_MODELSCOPE = ("https://modelscope.cn/models", "https://www.modelscope.cn/models")


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A version of the registry: ``text`` is its MODEL, ``notes`` go to the user."""

    version: ModelVersion
    text: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """``SLUG@VERSION``."""
        return self.version.name


def is_registered(text: str) -> bool:
    """Whether a MODEL is written as a name of the registry."""
    if text.startswith(PREFIX):
        return True
    return "@" in text and parse_reference(text).kind is Kind.NAME


def registered(text: str, config: Config) -> tuple[RegisteredModel | None, tuple[str, ...]]:
    """The version that a MODEL means, None where it means something else; and notes.

    Raises RegistryRefused for a name that the registry does not have, NotDeployableError for a
    version whose weights cannot be fetched from here.
    """
    if is_registered(text) and parse_reference(text).quantization is None:
        found = _look(parse_version(text), config)
        return _as_model(found, (), config), ()
    reference = _slug(text)
    if reference is None or not _has_registry(config):
        return None, ()
    try:
        found = _look(reference, config)
    except RegistryRefused:
        return None, ()
    except ModelscanError as error:
        return None, (f"the registry was not read: {error.message}",)
    if _in_catalog(text, config):
        note = f"'{text}' is the catalog's model; the registry's: {PREFIX}{text}"
        return None, (note,)
    return _as_model(found, (), config), ()


def only_registered(model: ResolvedModel, found: RegisteredModel) -> ResolvedModel:
    """The model with the weights of that version alone, under the version's name.

    Raises ModelscanError where the weights at that place are other ones by size or checksum.
    """
    version = found.version
    candidates = [one for one in model.candidates if not one.online and _is_of(one, version)]
    if not candidates:
        raise ModelscanError(
            f"{version.weights_url} has no weights in the format {version.quantization}, "
            f"which {version.name} is",
            hint=f"modelscan registry show {version.name}",
            code="other_weights",
        )
    for one in candidates:
        _check_files(one, version)
    return replace(
        model,
        id=version.name,
        registered=version.name,
        candidates=tuple(candidates),
        warnings=(*model.warnings, *found.notes),
    )


def _slug(text: str) -> VersionReference | None:
    """A plain name as a slug; None for what cannot be one."""
    if parse_reference(text).kind is not Kind.NAME:
        return None
    try:
        return parse_version(text)
    except RegistryRefused:
        return None


def _has_registry(config: Config) -> bool:
    """Without SQLAlchemy, and without a database, no name is one of the registry."""
    import importlib.util

    from modelscan.state.server.place import place_of

    if importlib.util.find_spec("sqlalchemy") is None:
        return False
    try:
        file = place_of(config).file
    except ModelscanError:
        return False
    return file is None or file.is_file()


def _in_catalog(text: str, config: Config) -> bool:
    from modelscan.catalog.search.lookup import find_known

    try:
        return find_known(text, config.paths) is not None
    except UsageError:  # several models have exactly that name
        return True


def _look(reference: VersionReference, config: Config) -> ResolvedVersion:
    from modelscan.state.server.extra import require_extra

    require_extra("a name of the registry")
    from modelscan.registry.resolve import resolve_reference
    from modelscan.state.server.database import has_records, open_server

    if not has_records(config):
        raise RegistryRefused(
            "unknown_model", f"the registry has no model '{reference.slug}': it is empty",
            hint=f"modelscan registry add {reference.slug} --from MODEL",
        )  # fmt: skip
    with open_server(config) as database, database.reading() as connection:
        return resolve_reference(connection, reference)


def _as_model(found: ResolvedVersion, notes: tuple[str, ...], config: Config) -> RegisteredModel:
    version = found.version
    _check_whole(version)
    if version.state != "published":
        what = "a draft, which may change" if version.state == "draft" else "deprecated"
        notes = (*notes, f"{version.name} is {what}")
    return RegisteredModel(version, _text(version, config), notes)


def _check_whole(version: ModelVersion) -> None:
    """Raises NotDeployableError for an adapter: it is loaded with its base, not by itself."""
    lineage = version.lineage
    if lineage is None or not lineage.adapter:
        return
    base = lineage.base or lineage.base_model or "BASE"
    place = unquote(urlsplit(version.weights_url or "PATH").path)
    raise NotDeployableError(
        f"{version.name} is an adapter of {base}, not a whole model",
        hint=f"modelscan registry promote {version.name} --route NAME   (or: modelscan deploy "
        f"{base} --adapter {place})",
        code="adapter",
    )


def _text(version: ModelVersion, config: Config) -> str:
    """The MODEL of the weights: a path, or a repository at its revision."""
    url = version.weights_url
    if url is None:
        raise NotDeployableError(
            f"{version.name} has no weights_url",
            hint=f"modelscan registry edit {version.name} weights_url=https://…",
            code="no_weights",
        )
    if url.startswith("file:"):
        return unquote(urlsplit(url).path)
    for prefix, roots in (
        ("hf:", (config.hf_endpoint, *_HUB)),
        ("ms:", (f"{config.modelscope_endpoint.rstrip('/')}/models", *_MODELSCOPE)),
    ):
        for root in roots:
            rest = url.removeprefix(f"{root.rstrip('/')}/")
            parts = rest.split("/")
            if rest != url and len(parts) >= 2:
                at = f"@{version.revision}" if version.revision else ""
                return f"{prefix}{parts[0]}/{parts[1]}{at}"
    raise NotDeployableError(
        f"the weights of {version.name} are at {url}, which is no hub: modelscan does not fetch "
        "them",
        hint=f"download them, then: modelscan registry version add {version.slug} --from PATH",
        code="not_from_a_hub",
    )


def _is_of(candidate: Candidate, version: ModelVersion) -> bool:
    from modelscan.formats.quantization import means

    variant = candidate.variant
    if version.format is not None and variant.format != version.format:
        return False
    if version.quantization is None or variant.quantization == version.quantization:
        return True
    return means(version.quantization, variant.quantization, variant.format)


def _check_files(candidate: Candidate, version: ModelVersion) -> None:
    """Names alone do not identify weights: sizes and checksums must be those of the version."""
    stored = {one.path.rsplit("/", 1)[-1]: one for one in version.files}
    for file in candidate.variant.files:
        other = stored.get(file.path.rsplit("/", 1)[-1])
        if other is None:
            continue
        sizes, hashes = {file.size_bytes, other.size_bytes}, {file.sha256, other.sha256}
        if (None not in sizes and len(sizes) > 1) or (None not in hashes and len(hashes) > 1):
            what = "size" if len(sizes) > 1 else "checksum"
            raise ModelscanError(
                f"{file.path} has another {what} than {version.name} states: these are other "
                "weights",
                hint=f"modelscan registry show {version.name}",
                code="other_weights",
            )
