"""Pick an open model that fits your GPU, serve it, and know where it is.

    import modelscan

    workspace = modelscan.Workspace()
    workspace.plan("qwen3-8b", gpu="RTX 4090")

Names are imported at their first use, so that ``import modelscan`` costs next to nothing;
``__init__.pyi`` has them for type checkers.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = [
    "AuthError",
    "ModelscanError",
    "NotDeployableError",
    "OfflineError",
    "Query",
    "RegistryClient",
    "RemoteError",
    "Request",
    "Router",
    "UsageError",
    "Workload",
    "Workspace",
    "__version__",
    "to_json",
]
_ERRORS = "modelscan.core.errors"
_HOMES = {
    "AuthError": _ERRORS,
    "ModelscanError": _ERRORS,
    "NotDeployableError": _ERRORS,
    "OfflineError": _ERRORS,
    "RemoteError": _ERRORS,
    "UsageError": _ERRORS,
    "Query": "modelscan.catalog.search.types",
    "RegistryClient": "modelscan.registry.client",
    "Request": "modelscan.targets.request",
    "Router": "modelscan.gateway.router",
    "Workload": "modelscan.core.workload",
    "Workspace": "modelscan.api",
    "to_json": "modelscan.core.jsonform",
}


def __getattr__(name: str) -> object:
    """A public name from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'modelscan' has no attribute '{name}'")
    import importlib

    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
