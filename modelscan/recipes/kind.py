"""What a recipe is: its methods, settings, script and size. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.recipes.types import Produces, RecipeDataset, RecipeModel, RecipeNeeds

DatasetNeed = Literal["required", "optional", "none"]
GpuNeed = Literal["none", "optional", "nvidia"]
Value = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class RecipeMethod:
    """A way to do it. ``fixed``: values of the manifest's parameters that it decides."""

    name: str
    description: str
    dataset: DatasetNeed = "none"
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecipeParameter:
    """A setting of ``--set``: a number between ``least`` and ``most``, or one of ``choices``."""

    name: str
    default: Value
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def accepts(self) -> str:
        """The values that it accepts, for readers."""
        if self.choices:
            return ", ".join(self.choices)
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.least:g} to {self.most:g}"

    def read(self, text: str) -> Value:
        """The value of a text. Raises UsageError with what it accepts."""
        if self.choices:
            if text in self.choices:
                return text
            raise self._wrong(text)
        try:
            value: float = int(text) if isinstance(self.default, int) else float(text)
        except ValueError:
            raise self._wrong(text) from None
        if not (self.least or 0) <= value <= (self.most or 0):
            raise self._wrong(text)
        return value

    def _wrong(self, text: str) -> UsageError:
        return UsageError(
            f"'{text}' is no value of {self.name}, which accepts {self.accepts}",
            hint=f"--set {self.name}={self.default}",
        )


@dataclass(frozen=True, slots=True)
class RecipeCase:
    """A recipe with everything that decides its size. ``shapes``: of the base and the others, None
    where one is not known.
    """

    base: RecipeModel
    others: tuple[RecipeModel, ...]
    shapes: tuple[ModelShape | None, ...]
    method: RecipeMethod
    parameters: Mapping[str, Any]
    dataset: RecipeDataset | None

    @property
    def shape(self) -> ModelShape | None:
        """The shape of the base."""
        return self.shapes[0]

    @property
    def download_bytes(self) -> int:
        """The weights that are not on this machine."""
        models = (self.base, *self.others)
        return sum(one.weight_bytes or 0 for one in models if one.repository is not None)


def no_check(case: RecipeCase) -> tuple[str, ...]:
    """A recipe without conditions of its own."""
    return ()


def no_tools(case: RecipeCase) -> Mapping[str, Any]:
    """A recipe whose parameters are its settings and those of its method."""
    return {}


@dataclass(frozen=True, slots=True)
class RecipeKind:
    """A recipe. ``formats``: of weights that it starts from; ``script``: its file in scripts/.

    ``check`` raises NotDeployableError for models that it cannot use, and returns warnings;
    ``tools`` adds parameters that this machine decides, such as the paths of programs.
    """

    name: str
    description: str
    produces: Produces
    script: str
    methods: tuple[RecipeMethod, ...]
    parameters: tuple[RecipeParameter, ...]
    formats: tuple[str, ...]
    size: Callable[[RecipeCase], RecipeNeeds]
    gpu: GpuNeed
    least_models: int = 1
    most_models: int = 1
    quantized_base: bool = False  # whether already quantized weights are accepted
    jobs: bool = True  # whether it can run on other machines
    aliases: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[RecipeCase], tuple[str, ...]] = no_check
    tools: Callable[[RecipeCase], Mapping[str, Any]] = no_tools

    def method(self, name: str | None) -> RecipeMethod:
        """The method of that name, without regard to case and ``-``; the first one without a name.

        Raises UsageError with every name.
        """
        if name is None:
            return self.methods[0]
        wish = name.strip().lower().replace("-", "_")
        wish = self.aliases.get(wish, wish)
        for method in self.methods:
            if method.name == wish:
                return method
        names = ", ".join(method.name for method in self.methods)
        raise UsageError(
            f"the recipe {self.name} has no method '{name}' (it has {names})",
            hint="modelscan recipe list",
            code="unknown_method",
        )

    def values(self, method: RecipeMethod, settings: Mapping[str, str]) -> dict[str, Any]:
        """The parameters of the manifest. Raises UsageError for an unknown setting or a value that
        it does not accept.
        """
        known = {one.name: one for one in self.parameters}
        for name in settings:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise UsageError(
                    f"the recipe {self.name} has no setting '{name}' (it has {listed})",
                    hint="modelscan recipe list --json",
                )
        values = {name: one.default for name, one in known.items()}
        values |= {name: known[name].read(text) for name, text in settings.items()}
        return {**values, **method.fixed}
