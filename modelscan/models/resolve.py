"""What MODEL means: a file, a folder, a catalog name or a hub repository, as a ResolvedModel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.reference import Kind, parse_reference
from modelscan.core.workload import Workload
from modelscan.state.bundled import examples_dir
from modelscan.state.config import Config

if TYPE_CHECKING:
    from modelscan.core.plan import ResolvedModel

DEMO = "demo"
DEMO_FILE = "demo-model.gguf"


def load_subject(
    text: str, config: Config, workload: Workload, *, cached: bool = True
) -> ResolvedModel:
    """Everything the planner may choose from for what the user wrote.

    ``cached`` False: ask the hub also about a repository that is on this machine already.

    Raises UsageError (exit 2) for an unknown or ambiguous name or a file that is none,
    OfflineError when only the network could answer. A model of closed weights has
    ``closed`` set: the planner refuses it.
    """
    if text.strip() == DEMO:
        return _demo(workload)
    reference = parse_reference(text)
    if reference.kind is Kind.PATH:
        from modelscan.models.from_local import from_path

        return from_path(reference.value, workload)
    if reference.kind is Kind.NAME:
        from modelscan.models.from_catalog import from_name

        return from_name(reference.value, config, workload)
    from modelscan.models.from_hub import from_hub

    return from_hub(reference, config, workload, cached=cached)


def load_deployable(
    text: str, config: Config, workload: Workload, *, cached: bool = True
) -> ResolvedModel:
    """The same, of which something will be fetched and run. Raises NotDeployableError (exit 3)
    for weights that are closed or may not be loaded."""
    from modelscan.planner import refuse

    subject = load_subject(text, config, workload, cached=cached)
    refuse.closed(subject)
    refuse.pickles(subject, workload)
    return subject


def _demo(workload: Workload) -> ResolvedModel:
    from modelscan.models.from_local import from_path

    return from_path(str(examples_dir() / DEMO_FILE), workload, name=DEMO)
