"""A GGUF file again in another weight format, from its dequantized tensors.

``python -m scripts.requantize IN.gguf OUT.gguf Q8_0|Q4_0|Q4_1|Q5_0|Q5_1|F16``. Needs the package
``gguf`` (llama.cpp's own). What the input's format lost stays lost: for measuring what a further
format costs, not for publishing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FORMATS = ("F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
_SKIPPED = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture",
            "general.file_type", "general.quantization_version")  # fmt: skip


def requantize(source: Path, target: Path, name: str) -> int:
    """Write ``target`` and return the number of tensors that were converted.

    Vectors (norms) keep their type, as do matrices whose rows no block of the format divides.
    """
    import gguf

    reader = gguf.GGUFReader(str(source))
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(str(target), architecture)
    for field in reader.fields.values():
        if field.name not in _SKIPPED:
            kind = field.types[0]
            sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=sub)
    writer.add_file_type(getattr(gguf.LlamaFileType, f"MOSTLY_{name}"))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    converted = sum(_add(gguf, writer, tensor, name) for tensor in reader.tensors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return converted


def _add(gguf: Any, writer: Any, tensor: Any, name: str) -> bool:
    kind = getattr(gguf.GGMLQuantizationType, name)
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    if len(tensor.shape) < 2 or int(tensor.shape[0]) % block:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        return False
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    return True


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 3 or arguments[2] not in FORMATS:
        print(__doc__, file=sys.stderr)
        return 2
    source, target = Path(arguments[0]), Path(arguments[1])
    print(f"{target}: {requantize(source, target, arguments[2])} tensors as {arguments[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
