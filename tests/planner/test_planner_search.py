"""What the planner chooses from: sets of devices, engines, and what is left out with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.planner_cases import (
    BARE,
    DENSE_8B,
    H100,
    HEADS_40,
    RTX_3060,
    RTX_3090,
    RTX_4090,
    TESLA_V100,
    gpu,
    machine,
    subject,
)

from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.machine import EngineHere, Machine, simulated_machine
from modelscan.core.model import Model, Spec
from modelscan.core.plan import Candidate, Quality, ResolvedModel
from modelscan.core.workload import Workload
from modelscan.planner.context import Option, PlanningContext, device_label, estimator
from modelscan.planner.search import (
    SupportedOptions,
    device_sets,
    launch_support,
    options,
    ruined,
)


def indices(inventory: Inventory, wanted: Workload | None = None) -> list[tuple[int, ...]]:
    sets = device_sets(inventory, wanted or Workload())
    return [tuple(device.index for device in gpus) for gpus in sets]


def free(device: Gpu, gib: float) -> Gpu:
    return replace(device, free_bytes=int(gib * 2**30))


def search_options(
    model: ResolvedModel,
    inventory: Inventory,
    wishes: Workload,
    sets: Sequence[tuple[Gpu, ...]] | None = None,
) -> SupportedOptions:
    """The options on hardware that has every engine."""
    here = simulated_machine(inventory)
    task = "embedding" if wishes.embedding else model.task
    context = PlanningContext(here, here.free_inventory(), wishes, task, estimator(model.id))
    return options(model, context, here.engines, sets)


def listed(
    model: ResolvedModel, inventory: Inventory, **wishes: object
) -> tuple[list[tuple[str, str, tuple[int, ...], int]], dict[str, str]]:
    """Options as (quantization, engine, devices, tensor parallel), and the reasons by label."""
    result = search_options(model, inventory, Workload(**wishes))  # type: ignore[arg-type]
    rows = [
        (str(option.candidate.variant.quantization), option.backend,
         tuple(device.index for device in option.gpus), option.tensor_parallel)
        for option in result.options
    ]  # fmt: skip
    return rows, {item.option: item.reason for item in result.rejected}


class TestInstalledEngines:
    def options_on(
        self, here: Machine, **wishes: object
    ) -> tuple[list[tuple[int, ...]], dict[str, str]]:
        """The devices of each option, and the reasons by label, with this machine's engines."""
        workload = Workload(**wishes)  # type: ignore[arg-type]
        model = subject(DENSE_8B, ("BF16",))
        context = PlanningContext(
            here, here.free_inventory(), workload, model.task, estimator(model.id)
        )
        result = options(model, context, here.engines)
        devices = [tuple(device.index for device in option.gpus) for option in result.options]
        return devices, {item.option: item.reason for item in result.rejected}

    def test_a_build_for_some_cards_gets_only_sets_of_these(self) -> None:
        engine = EngineHere("vllm", gpus=(0, 1))
        devices, _ = self.options_on(Machine(machine(H100, H100, H100), (engine,)))
        assert devices == [(0,), (0, 1)]

    def test_without_an_engine_the_reason_names_the_requested_one(self) -> None:
        here = Machine(machine(H100), ())
        assert self.options_on(here, backend="vllm") == ([], {"vllm": "this machine has no engine"})
        assert self.options_on(here) == ([], {"engines": "this machine has no engine"})


class TestLabels:
    @pytest.mark.parametrize(
        ("devices", "text"),
        [
            ((RTX_4090,), "RTX 4090"),
            ((RTX_4090, RTX_4090), "2 x RTX 4090"),
            ((RTX_4090, RTX_3090), "RTX 4090 + RTX 3090"),
            ((RTX_3090, RTX_4090, RTX_3090, RTX_3090), "3 x RTX 3090 + RTX 4090"),
        ],
    )
    def test_devices_are_counted_by_name(self, devices: tuple[Gpu, ...], text: str) -> None:
        assert device_label(devices) == text

    def test_an_option_names_format_engine_and_devices(self) -> None:
        result = search_options(
            subject(DENSE_8B, ("BF16", "Q4_K_M")), machine(RTX_4090), Workload()
        )
        labels = {option.label for option in result.options}
        assert labels >= {
            "BF16 on vllm, RTX 4090", "Q4_K_M on llama.cpp, RTX 4090", "Q4_K_M on llama.cpp, CPU",
        }  # fmt: skip


class TestDeviceSets:
    def test_equal_cards_are_counted_up_from_the_one_with_most_free_memory(self) -> None:
        here = machine(free(H100, 40), free(H100, 79), free(H100, 60))
        assert indices(here) == [(1,), (1, 2), (0, 1, 2)]

    def test_equally_free_cards_are_taken_in_order(self) -> None:
        assert indices(machine(H100, H100, H100)) == [(0,), (0, 1), (0, 1, 2)]

    def test_two_kinds_are_tried_alone_and_together(self) -> None:
        """The whole machine's prefixes follow free memory: the 80 GiB card, then the small ones."""
        here = machine(RTX_3060, RTX_3060, H100)
        assert indices(here) == [(0,), (2,), (0, 1), (0, 2), (0, 1, 2)]

    def test_the_same_name_with_other_memory_is_another_kind(self) -> None:
        small, large = gpu("A100", 40, "8.0"), gpu("A100", 80, "8.0")
        assert indices(machine(small, small, large)) == [(0,), (2,), (0, 1), (0, 2), (0, 1, 2)]

    def test_unknown_free_memory_counts_as_all_of_it(self) -> None:
        unknown = replace(H100, free_bytes=None)
        assert indices(machine(free(H100, 70), unknown)) == [(1,), (0, 1)]

    def test_a_device_without_memory_is_none(self) -> None:
        assert indices(machine(replace(H100, memory_bytes=None), H100)) == [(1,)]
        assert indices(machine(replace(H100, memory_bytes=0))) == []
        assert indices(BARE) == []

    def test_an_integrated_gpu_counts_only_alone(self) -> None:
        integrated = replace(gpu("Iris", 16, None, vendor="intel"), integrated=True)
        assert indices(machine(integrated, RTX_4090)) == [(1,)]
        assert indices(machine(integrated)) == [(0,)]

    def test_hidden_devices_are_left_out(self) -> None:
        shown = replace(RTX_4090, visible_index=0)
        assert indices(machine(RTX_4090, shown)) == [(1,)]

    def test_named_devices_are_all_there_is(self) -> None:
        here = machine(H100, replace(H100, visible_index=0), H100, H100)
        assert indices(here, Workload(gpus=(0, 3))) == [(0,), (0, 3)]
        assert indices(here, Workload(gpus=())) == []

    def test_a_set_stays_on_one_worker(self) -> None:
        here = machine(H100, H100, H100)
        gpus = tuple(replace(g, worker=w) for g, w in zip(here.gpus, "aab", strict=True))
        assert indices(replace(here, gpus=gpus)) == [(0,), (2,), (0, 1)]

    @pytest.mark.parametrize(
        ("tensor", "pipeline", "sets"),
        [
            (1, None, [(0,)]),
            (2, None, [(0, 1)]),
            (2, 1, [(0, 1)]),
            (2, 2, [(0, 1, 2, 3)]),
            (1, 3, [(0, 1, 2)]),
            (5, None, []),
        ],
    )
    def test_a_degree_that_was_asked_for_is_the_size(
        self, tensor: int, pipeline: int | None, sets: list[tuple[int, ...]]
    ) -> None:
        wanted = Workload(tensor_parallel=tensor, pipeline_parallel=pipeline)
        assert indices(machine(H100, H100, H100, H100), wanted) == sets


class TestEngines:
    def test_llama_cpp_and_ollama_run_on_the_host_and_on_every_set(self) -> None:
        found, _ = listed(subject(DENSE_8B, ("Q4_K_M",)), machine(RTX_4090, RTX_4090))
        sets = ((), (0,), (0, 1))
        assert found == [("Q4_K_M", engine, gpus, 1) for engine in ("llama.cpp", "ollama")
                         for gpus in sets]  # fmt: skip

    def test_vllm_and_sglang_use_a_set_as_ranks(self) -> None:
        found, _ = listed(subject(DENSE_8B, ("BF16",)), machine(RTX_4090, RTX_4090))
        assert found == [
            ("BF16", "vllm", (0,), 1), ("BF16", "vllm", (0, 1), 2),
            ("BF16", "sglang", (0,), 1), ("BF16", "sglang", (0, 1), 2),
        ]  # fmt: skip

    def test_pipeline_stages_divide_the_ranks(self) -> None:
        found, _ = listed(
            subject(DENSE_8B, ("BF16",)), machine(*(H100,) * 4), backend="vllm",
            tensor_parallel=2, pipeline_parallel=2,
        )  # fmt: skip
        assert found == [("BF16", "vllm", (0, 1, 2, 3), 2)]

    def test_ranks_need_equal_cards(self) -> None:
        """By name and by memory; llama.cpp splits over any."""
        for pair in ((RTX_4090, RTX_3090), (gpu("A100", 40, "8.0"), gpu("A100", 80, "8.0"))):
            found, rejected = listed(subject(DENSE_8B, ("BF16",)), machine(*pair), backend="vllm")
            assert [row[2] for row in found] == [(0,), (1,)]
            label = device_label(pair)
            assert rejected == {
                f"BF16 safetensors on vllm, {label}": "tensor parallelism needs identical GPUs"
            }
            llama, _ = listed(subject(DENSE_8B, ("Q4_K_M",)), machine(*pair), backend="llama.cpp")
            assert ("Q4_K_M", "llama.cpp", (0, 1), 1) in llama

    def test_without_a_gpu_vllm_says_that_it_needs_one(self) -> None:
        found, rejected = listed(subject(DENSE_8B, ("BF16", "Q4_K_M")), BARE)
        assert {row[1] for row in found} == {"llama.cpp", "ollama"}
        assert rejected["BF16 safetensors on vllm"] == "vllm needs a GPU"
        assert rejected["BF16 safetensors on sglang"] == "sglang needs a GPU"
        assert rejected["BF16 safetensors on llama.cpp"] == (
            "llama.cpp does not load safetensors files"
        )

    def test_force_with_a_named_engine_runs_vllm_on_the_host(self) -> None:
        model = subject(DENSE_8B, ("BF16",))
        found, _ = listed(model, BARE, backend="vllm", force=True)
        assert found == [("BF16", "vllm", (), 1)]
        assert listed(model, BARE, backend="vllm")[0] == []
        assert listed(model, BARE, force=True)[0] == []

    @pytest.mark.parametrize("degree", [2, 4])
    @pytest.mark.parametrize(("count", "there"), [(0, "0 are available"), (1, "1 is available")])
    def test_more_ranks_than_cards_is_a_reason(self, degree: int, count: int, there: str) -> None:
        found, rejected = listed(
            subject(DENSE_8B, ("BF16",)), machine(*(H100,) * count), backend="vllm",
            tensor_parallel=degree,
        )  # fmt: skip
        assert found == []
        assert rejected == {
            "BF16 safetensors on vllm": f"--tensor-parallel requires {degree} GPUs; {there}"
        }

    def test_the_number_of_cards_is_named(self) -> None:
        _, rejected = listed(
            subject(DENSE_8B, ("BF16",)), machine(H100, H100), backend="vllm", tensor_parallel=3
        )
        assert list(rejected.values()) == ["--tensor-parallel requires 3 GPUs; 2 are available"]

    def test_a_file_format_is_the_first_reason(self) -> None:
        """Ollama loads no safetensors, whatever the task."""
        _, rejected = listed(
            subject(DENSE_8B, ("BF16",), task="rerank"), machine(H100), backend="ollama"
        )
        assert list(rejected.values()) == ["ollama does not load safetensors files"]

    def test_one_rank_is_no_wish_for_several(self) -> None:
        found, _ = listed(subject(DENSE_8B, ("Q4_K_M",)), BARE, tensor_parallel=1)
        assert [row[2] for row in found] == [(), ()]

    def test_only_the_named_engine_is_tried(self) -> None:
        found, rejected = listed(
            subject(DENSE_8B, ("BF16", "Q4_K_M")), machine(RTX_4090), backend="sglang"
        )
        assert {row[1] for row in found} == {"sglang"}
        assert set(rejected) == {"Q4_K_M gguf on sglang"}

    def test_another_engines_option_refuses_an_engine(self) -> None:
        model, here = subject(DENSE_8B, ("Q4_K_M",)), machine(RTX_4090)
        parameters = (("num-ctx", "4096"),)
        found, rejected = listed(model, here, parameters=parameters)
        assert {row[1] for row in found} == {"ollama"}
        assert rejected["Q4_K_M gguf on llama.cpp"] == (
            "--num-ctx is an option of ollama, not of llama.cpp"
        )
        forced, _ = listed(model, here, parameters=parameters, force=True)
        assert {row[1] for row in forced} == {"llama.cpp", "ollama"}

    def test_a_task_that_an_engine_does_not_serve_refuses_it(self) -> None:
        here = machine(RTX_4090)
        ranking, rejected = listed(subject(DENSE_8B, ("Q4_K_M",), task="rerank"), here)
        assert {row[1] for row in ranking} == {"llama.cpp"}
        assert rejected["Q4_K_M gguf on ollama"] == "Ollama has no endpoint for rerankers"
        embedding, _ = listed(subject(DENSE_8B, ("Q4_K_M",), task="rerank"), here, embedding=True)
        assert {row[1] for row in embedding} == {"llama.cpp", "ollama"}

    def test_a_gpu_that_cannot_is_named_and_force_insists(self) -> None:
        model, here = subject(DENSE_8B, ("FP8",)), machine(TESLA_V100)
        found, rejected = listed(model, here, backend="vllm")
        assert found == []
        reason = rejected["FP8 safetensors on vllm, V100"]
        assert reason == ("vLLM 0.32.0 needs compute capability 7.5, this GPU has 7.0")
        for wishes in ({"backend": "vllm"}, {"quantization": "FP8"}):
            forced, _ = listed(model, here, force=True, **wishes)
            assert ("FP8", "vllm", (0,), 1) in forced
        unnamed, _ = listed(model, here, force=True)
        assert unnamed == []


class TestFormats:
    @pytest.mark.parametrize(
        ("quality", "there"),
        [
            (Quality(0.0, "original"), True),
            (Quality(0.02, "measured"), False),
            (Quality(0.02, "interpolated"), False),
            (None, True),
        ],
    )
    def test_mxfp4_made_from_other_weights_needs_fp4_arithmetic(
        self, quality: Quality | None, there: bool
    ) -> None:
        """gpt-oss is published in MXFP4 and runs on an H100; a conversion does not."""
        (candidate,) = subject(DENSE_8B, ("MXFP4",)).candidates
        changed = Candidate(candidate.variant, candidate.shape, quality)
        model = replace(subject(DENSE_8B, ("MXFP4",)), candidates=(changed,))
        found, rejected = listed(model, machine(H100), backend="vllm")
        assert bool(found) is there
        assert bool(rejected) is not there

    def test_only_what_was_asked_for(self) -> None:
        model = subject(DENSE_8B, ("BF16", "AWQ", "Q4_K_M", "Q8_0"))
        found, _ = listed(model, machine(RTX_4090), quantization="INT4")
        assert {row[0] for row in found} == {"AWQ", "Q4_K_M"}

    @pytest.mark.parametrize(
        ("loss", "is_ruined"), [(0.0, False), (0.99, False), (1.0, False), (1.01, True)]
    )
    def test_a_format_is_ruined_where_perplexity_is_more_than_e_times_the_originals(
        self, loss: float, is_ruined: bool
    ) -> None:
        model = subject(DENSE_8B, ("Q2_K",))
        (candidate,) = model.candidates
        changed = Candidate(candidate.variant, candidate.shape, Quality(loss, "measured"))
        assert ruined(changed) is is_ruined
        model = replace(model, candidates=(changed,))
        found, rejected = listed(model, BARE)
        assert bool(found) is not is_ruined
        assert ("Q2_K" in rejected) is is_ruined
        named, _ = listed(model, BARE, quantization="Q2_K")
        assert named

    def test_an_unknown_quality_is_not_ruined(self) -> None:
        (candidate,) = subject(DENSE_8B, ("Q2_K",)).candidates
        assert not ruined(Candidate(candidate.variant, candidate.shape, None))

    def test_the_reason_names_the_option_that_allows_it(self) -> None:
        (candidate,) = subject(DENSE_8B, ("Q2_K",)).candidates
        changed = Candidate(candidate.variant, candidate.shape, Quality(1.5, "unknown"))
        model = replace(subject(DENSE_8B, ("Q2_K",)), candidates=(changed,))
        _, rejected = listed(model, BARE)
        assert rejected == {"Q2_K": "quality unknown: only with --quantization Q2_K"}


class TestRecipes:
    @pytest.mark.parametrize(
        ("repo", "backend", "mode", "wish", "recommended"),
        [
            ("acme/model-BF16", "vLLM", None, "standard", True),
            ("acme/model-BF16", "vLLM", "standard", "standard", True),
            ("acme/model-BF16", "vLLM", "latency", "latency", True),
            ("acme/model-BF16", "vLLM", None, "latency", False),
            ("acme/model-BF16", "vLLM", "latency", "standard", False),
            ("acme/model-BF16", "SGLang", None, "standard", False),
            ("acme/other", "vLLM", None, "standard", False),
        ],
    )
    def test_a_recipe_of_repository_engine_and_mode(
        self, repo: str, backend: str, mode: str | None, wish: str, recommended: bool
    ) -> None:
        spec = Spec("huggingface", repo, backend, None, mode=mode)
        model = Model(id="acme/model", name="acme/model", specs=(spec,))
        case = replace(subject(DENSE_8B, ("BF16",)), model=model)
        result = search_options(case, machine(RTX_4090), Workload(backend="vllm", mode=wish))
        assert [option.recommended for option in result.options] == [recommended]

    def test_one_fitting_recipe_of_several_is_enough_and_none_is_none(self) -> None:
        fitting = Spec("huggingface", "acme/model-BF16", "vLLM", None)
        other = Spec("huggingface", "acme/other", "SGLang", None)
        model = Model(id="acme/model", name="acme/model")
        plain = subject(DENSE_8B, ("BF16",))
        for specs, recommended in (((other, fitting), True), ((fitting, other), True),
                                   ((other,), False), ((), False)):  # fmt: skip
            case = replace(plain, model=replace(model, specs=specs))
            result = search_options(case, machine(RTX_4090), Workload(backend="vllm"))
            assert [option.recommended for option in result.options] == [recommended]
        result = search_options(plain, machine(RTX_4090), Workload(backend="vllm"))
        assert [option.recommended for option in result.options] == [False]


class TestRanks:
    @staticmethod
    def option(config: dict[str, object], backend: str, degree: int) -> Option:
        (candidate,) = subject(config, ("BF16",)).candidates
        (first, *_) = search_options(
            subject(config, ("BF16",)), machine(RTX_4090), Workload()
        ).options
        return replace(first, candidate=candidate, backend=backend, tensor_parallel=degree)

    def test_every_degree_above_one_is_checked_against_the_heads(self) -> None:
        """40 heads: 2, 4 and 8 divide them, 3 does not; 9 heads allow none of 2 and 4."""
        nine = DENSE_8B | {"num_attention_heads": 9, "num_key_value_heads": 9}
        here = simulated_machine(machine(RTX_4090))
        case = PlanningContext(
            here, here.free_inventory(), Workload(), "chat", estimator("a model")
        )
        for config, degree in ((HEADS_40, 1), (HEADS_40, 2), (nine, 1)):
            assert launch_support(self.option(config, "vllm", degree), case)
        for config, degree, heads in ((HEADS_40, 3, 40), (nine, 2, 9), (nine, 4, 9)):
            launch = launch_support(self.option(config, "vllm", degree), case)
            assert launch.reason == f"{heads} attention heads do not divide by {degree}"


def test_the_first_reason_of_a_label_is_kept_and_sets_may_be_given() -> None:
    model, here = subject(DENSE_8B, ("BF16",)), machine(RTX_4090, RTX_4090)
    only = (here.gpus[1],)
    result = search_options(model, here, Workload(backend="vllm"), sets=[only])
    assert [option.gpus for option in result.options] == [only]
