from modelscan.api import Workspace as Workspace
from modelscan.catalog.search.types import Query as Query
from modelscan.core.errors import AuthError as AuthError
from modelscan.core.errors import ModelscanError as ModelscanError
from modelscan.core.errors import NotDeployableError as NotDeployableError
from modelscan.core.errors import OfflineError as OfflineError
from modelscan.core.errors import RemoteError as RemoteError
from modelscan.core.errors import UsageError as UsageError
from modelscan.core.jsonform import to_json as to_json
from modelscan.core.workload import Workload as Workload
from modelscan.gateway.router import Router as Router
from modelscan.registry.client import RegistryClient as RegistryClient
from modelscan.targets.request import Request as Request

__version__: str
