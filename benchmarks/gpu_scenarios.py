"""The machines of bench_gpu: made here, and from recorded outputs where ../shared is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu_fakes import Scenario, Truth, board, from_xml, nvidia

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT.parent / "shared" / "data" / "probe_samples"
GOLDEN = ROOT / "tests" / "gpu" / "golden_samples.json"
RTX_4090 = "NVIDIA GeForce RTX 4090|GPU-a|00000000:01:00.0|24564|400|600|8|9|10501|384|-|0"


def _rocm(total: int, used: int, **names: str) -> dict[str, str]:
    return {
        "VRAM Total Memory (B)": str(total), "VRAM Total Used Memory (B)": str(used),
        "VIS_VRAM Total Memory (B)": "268435456", **names,
    }  # fmt: skip


def _mig() -> Scenario:
    part = (
        "<mig_device><index>{i}</index><gpu_instance_id>{g}</gpu_instance_id><device_attributes>"
        "<shared><multiprocessor_count>16</multiprocessor_count></shared></device_attributes>"
        "<fb_memory_usage><total>9984 MiB</total><used>9 MiB</used><free>9975 MiB</free>"
        "</fb_memory_usage></mig_device>"
    )
    card = board("NVIDIA H100 80GB HBM3", 81559, compute_cap="9.0")
    state = nvidia([card])
    slices = "".join(part.format(i=i, g=i + 9) for i in range(3))
    state["text"]["-q -x"] = (
        state["text"]["-q -x"].replace("<current_mig>Disabled", "<current_mig>Enabled")
        .replace("<mig_devices>None", f"<mig_devices>{slices}")
    )  # fmt: skip
    state["boards"][0]["mig.mode.current"] = "Enabled"
    state["mig"] = {"0": [["1g.10gb", f"MIG-{i}"] for i in range(3)]}
    return Scenario("H100 in three MIG slices", [("H100", 9984, None)] * 3, state)


def _old_driver() -> dict[str, Any]:
    """A driver that does not know the newer fields, and whose XML is cut off."""
    new = ("memory.reserved", "compute_cap", "clocks.max.memory", "mig.mode.current")
    card = {
        key: value for key, value in board("Tesla P100-PCIE-16GB", 16280).items() if key not in new
    }
    return {"boards": [card], "text": {"-q -x": "<nvidia_smi_log><gpu id="}}


def made() -> list[Scenario]:
    """Machines written for this benchmark."""
    unified = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    lost = "Unable to determine the device handle for GPU0000:02:00.0: GPU is lost.  Reboot"
    return [
        Scenario(
            "RTX 4090",
            [("4090", 24564, 1008)],
            nvidia([board("NVIDIA GeForce RTX 4090", 24564)]),
            nvml=[RTX_4090],
        ),
        Scenario(
            "RTX 4090 refitted to 48 GB",
            [("4090", 49140, 1008)],
            nvidia([board("NVIDIA GeForce RTX 4090", 49140)]),
            nvml=["NVIDIA GeForce RTX 4090|GPU-a|00000000:01:00.0|49140|400|600|8|9|10501|384|-|0"],
        ),
        Scenario(
            "RTX 4090 laptop",
            [("4090", 16376, 576)],
            nvidia(
                [
                    board(
                        "NVIDIA GeForce RTX 4090 Laptop GPU",
                        16376,
                        **{"clocks.max.memory": "9001 MHz"},
                    )
                ]
            ),
            nvml=[
                "NVIDIA GeForce RTX 4090 Laptop GPU|GPU-a|00000000:01:00.0|16376|300|100|8|9|9001"
                "|256|-|0"
            ],
        ),
        Scenario(
            "GTX 1650 with GDDR6",
            [("1650", 4096, 192)],
            nvidia([board("NVIDIA GeForce GTX 1650", 4096, **{"clocks.max.memory": "6001 MHz"})]),
        ),
        Scenario(
            "RTX A1000 (not an A100)",
            [("A1000", 8188, 192)],
            nvidia([board("NVIDIA RTX A1000", 8188, **{"clocks.max.memory": "6001 MHz"})]),
        ),
        Scenario(
            "GB10: [N/A], memory is the host's",
            [("GB10", unified, 273)],
            nvidia([board("NVIDIA GB10", "[N/A]", addressing_mode="ATS")]),
            nvml=["NVIDIA GB10|GPU-b|0000000F:01:00.0|0|0|0|12|1|0|0|nomem|0"],
        ),
        Scenario(
            "H100 and L4 together",
            [("H100", 81559, 3350), ("L4", 23034, 300)],
            nvidia(
                [
                    board("NVIDIA H100 80GB HBM3", 81559, **{"clocks.max.memory": "2619 MHz"}),
                    board("NVIDIA L4", 23034, **{"clocks.max.memory": "6251 MHz"}),
                ]
            ),
        ),
        _mig(),
        Scenario(
            "a lost GPU beside a good one",
            [("4090", 24564, 1008)],
            nvidia([board("NVIDIA GeForce RTX 4090", 24564)], text={"-q -x": lost}),
            nvml=[RTX_4090, "NVIDIA L4|GPU-c|00000000:02:00.0|23034|0|0|8|9|6251|192|lost|0"],
        ),
        Scenario("an old driver without memory.reserved", [("P100", 16280, 732)], _old_driver()),
        Scenario(
            "driver mismatch",
            [],
            {"fail": "Failed to initialize NVML: Driver/library version mismatch", "boards": []},
        ),
        Scenario("nvidia-smi hangs", [], {"fail": "hang", "boards": []}),
        Scenario("nvidia-smi prints 100 MB", [], {"fail": "huge", "boards": []}),
        Scenario("no GPU", []),
        Scenario(
            "RX 7900 XTX, ROCm 6.2",
            [("7900 XTX", 24560, 960)],
            rocm={
                "cards": {
                    "card0": _rocm(
                        24560 << 20,
                        300 << 20,
                        **{
                            "Card Series": "AMD Radeon RX 7900 XTX",
                            "Card Model": "0x744c",
                            "GFX Version": "gfx1100",
                            "Card Vendor": "AMD",
                        },
                    )
                }
            },
        ),
        Scenario(
            "8 MI300X behind a warning",
            [("MI300X", 196592, 5300)] * 8,
            rocm={
                "before": "WARNING: AMD GPU device(s) is/are in a low-power state\n\n",
                "cards": {
                    f"card{i}": _rocm(
                        196592 << 20,
                        284 << 20,
                        **{"Card Series": "AMD Instinct MI300X", "Card Model": "0x74a1"},
                    )
                    for i in range(8)
                }
                | {"system": {"Driver version": "6.10.5"}},
            },
        ),
        Scenario(
            "MI100 under ROCm 4.3 (names are 0x1002)",
            [("MI100", 32752, 1229)],
            rocm={
                "cards": {
                    "card0": _rocm(
                        32752 << 20,
                        6 << 20,
                        **{"GPU ID": "0x738c", "Card series": "0x1002", "Card model": "0x1002"},
                    )
                }
            },
        ),
        Scenario(
            "a card and the processor's graphics",
            [("7800 XT", 16368, 624)],
            rocm={
                "cards": {
                    "card0": _rocm(
                        16368 << 20,
                        0,
                        **{"Card Series": "AMD Radeon RX 7800 XT", "GFX Version": "gfx1101"},
                    ),
                    "card1": _rocm(
                        512 << 20,
                        0,
                        **{"Card Series": "AMD Radeon Graphics", "GFX Version": "gfx1036"},
                    ),
                }
            },
        ),
        Scenario(
            "Ascend 910B3",
            [("910B3", 65536, None)],
            npu=(
                "| npu-smi 24.1.rc2    Version: 24.1.rc2 |\n"
                "| NPU   Name  | Health | Power(W) Temp(C) Hugepages-Usage(page)|\n"
                "| Chip        | Bus-Id | AICore(%) Memory-Usage(MB) HBM-Usage(MB) |\n"
                "| 0     910B3 | OK     | 93.1 47 0 / 0 |\n"
                "| 0           | 0000:C1:00.0 | 0 0 / 0 3353 / 65536 |\n"
            ),
        ),
    ]


def recorded() -> list[Scenario]:
    """Published outputs, through the same stand-ins; the truth is the reviewed golden value."""
    if not SAMPLES.is_dir():
        return []
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = []
    for name, expected in golden.items():
        text = (SAMPLES / name).read_text(encoding="utf-8", errors="replace")
        truth: list[Truth] = [(_word(r[0]), r[2], None) for r in expected.get("gpus", [])]
        if name.endswith(".xml"):
            state = {"boards": from_xml(text), "text": {"-q -x": text}}
            found.append(Scenario(name, truth, state))
        elif name.startswith("telegraf__") and name.endswith(".json"):
            found.append(Scenario(name, truth, rocm={"cards": json.loads(text)}))
        elif name.startswith("code__npu"):
            found.append(Scenario(name, truth, npu=text))
        elif name.startswith("issue__nvidia-smi"):
            found.append(Scenario(name, [], {"fail": text, "boards": []}))
    return found


def _word(name: str) -> str:
    """The part of a name every tool should say: the longest word with a digit."""
    words = [w for w in name.replace("[", " ").replace("-", " ").replace("/", " ").split()
             if any(c.isdigit() for c in w) and "." not in w]  # fmt: skip
    return max(words, key=len, default=name)
