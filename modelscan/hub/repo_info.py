"""The facts of a hub repository, common to Hugging Face and ModelScope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelscan.core.model import WeightFile
from modelscan.formats.repo_names import short, split_repo_name


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A hub repository.

    ``parameters``: dtype -> count, as published. Unknown fields are None or empty.
    """

    source: str  # huggingface | modelscope
    repo: str
    commit: str | None = None
    task: str | None = None  # the hub's own term
    library: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_url: str | None = None
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    base_relation: str | None = None  # adapter | finetune | quantized | merge
    datasets: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    gated: bool | None = None
    gated_kind: str | None = None  # auto | manual
    private: bool | None = None
    downloads: int | None = None
    likes: int | None = None
    created_at: str | None = None
    last_modified: str | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    total_parameters: int | None = None
    context_tokens: int | None = None
    architecture: str | None = None
    quantization: str | None = None  # config.json's quantization method
    files: tuple[WeightFile, ...] = ()
    files_complete: bool = True  # False if the hub left some out
    description: str | None = None
    size_bytes: int | None = None

    @property
    def weight_format(self) -> str:
        """gguf | mlx | safetensors | onnx | pickle | unknown, by name, files and tags."""
        format_in_name = split_repo_name(short(self.repo)).format
        paths = [file.path.lower() for file in self.files]
        tags = {*self.tags, self.library or ""}
        for kind, suffix in (("gguf", ".gguf"), ("mlx", ".mlx"), ("safetensors", ".safetensors"),
                             ("onnx", ".onnx"), ("pickle", ".bin")):  # fmt: skip
            if format_in_name == kind or kind in tags or any(p.endswith(suffix) for p in paths):
                return kind
        return format_in_name or ("safetensors" if self.parameters else "unknown")
