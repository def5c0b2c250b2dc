"""Intervals and verdicts, against values of their sources."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from modelscan.bench.resampling import bootstrap
from modelscan.core.errors import RemoteError
from modelscan.evals.quantization.agreement import agreement, divergence, prefixes
from modelscan.evals.quantization.distributions import NextTokens, parse_next_tokens
from modelscan.evals.quantization.measure import TEXT
from modelscan.evals.quantization.perplexity import parse_perplexity, run_perplexity
from modelscan.evals.statistics import f1, mean, paired_difference, wilson


# Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
@pytest.mark.parametrize(
    ("right", "n", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilson(right: int, n: int, lower: float, upper: float) -> None:
    assert wilson(right / n, n) == pytest.approx((lower, upper), abs=5e-5)


def test_wilson_without_tasks() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_the_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    source = random.Random(3)
    values = [source.gauss(0.5, 0.1) for _ in range(200)]

    def statistic(chosen: object) -> float:
        return mean([values[i] for i in chosen])  # type: ignore[attr-defined]

    lower, upper = bootstrap(200, statistic)
    assert (lower, upper) == bootstrap(200, statistic)
    half = 1.96 * 0.1 / math.sqrt(200)
    assert lower == pytest.approx(mean(values) - half, abs=0.004)
    assert upper == pytest.approx(mean(values) + half, abs=0.004)


def test_paired_differences() -> None:
    a, b = [1.0] * 30 + [0.0] * 10, [1.0] * 10 + [0.0] * 30
    lower, upper = paired_difference(a, b)
    assert 0.3 < lower < 0.5 < upper < 0.7
    assert paired_difference(a, a) == (0.0, 0.0)


def test_f1() -> None:
    assert f1(3, 4, 3, 6) == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert f1(0, 4, 0, 0) == 0.0


def tokens(**probabilities: float) -> NextTokens:
    return NextTokens({name: math.log(value) for name, value in probabilities.items()})


def test_divergence_of_full_distributions() -> None:
    """All probability is listed: the divergence is the textbook's."""
    p, q = tokens(a=0.5, b=0.5), tokens(a=0.9, b=0.1)
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert divergence(p, q) == pytest.approx(expected, abs=1e-6)
    assert divergence(p, p) == pytest.approx(0.0, abs=1e-9)


def test_divergence_of_the_most_probable_tokens() -> None:
    """A token that the other format does not list is at most as probable as its last one."""
    p, q = tokens(a=0.6, b=0.3), tokens(a=0.6, c=0.3)
    assert divergence(p, q) >= 0.0
    assert divergence(p, tokens(a=0.1, b=0.05)) > divergence(p, tokens(a=0.5, b=0.3))


def test_agreement() -> None:
    same, other = tokens(a=0.6, b=0.3), tokens(b=0.6, a=0.3)
    result = agreement([same] * 4, [same, same, same, other], 2)
    assert (result.positions, result.agreement) == (4, 0.75)
    assert result.agreement_interval.lower < 0.75 < result.agreement_interval.upper
    assert result.kl == pytest.approx(divergence(same, other) / 4)
    assert result.kl_max == pytest.approx(divergence(same, other))


def test_prefixes_end_with_words_and_are_spread() -> None:
    text = TEXT.read_text()
    chosen = prefixes(text, 256)
    assert len(chosen) == 256 == len(set(chosen))
    assert all(text.startswith(one) and not one[-1].isspace() for one in chosen)
    assert len(chosen[-1]) > 0.95 * len(text)
    assert all(text[len(one)].isspace() for one in chosen)


LLAMACPP = {
    "choices": [
        {
            "logprobs": {
                "content": [
                    {
                        "token": " Paris",
                        "top_logprobs": [
                            {"id": 7, "token": " Paris", "logprob": -0.25},
                            {"id": 8, "token": " the", "logprob": -2.75},
                        ],
                    }
                ]
            }
        }
    ]
}
OLDER = {
    "choices": [
        {"logprobs": {"tokens": [" Paris"], "top_logprobs": [{" Paris": -0.25, " the": -2.75}]}}
    ]
}


def test_answers_of_servers() -> None:
    for answer, best in ((LLAMACPP, " Paris#7"), (OLDER, " Paris")):
        found = parse_next_tokens(answer)
        assert found is not None and found.best == best


@pytest.mark.parametrize(
    "answer",
    [{}, {"choices": []}, {"choices": [{"logprobs": None}]}, {"choices": [{"text": "x"}]},
     {"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "a", "logprob": None}]}]}}]}],
)  # fmt: skip
def test_answers_without_probabilities(answer: dict[str, object]) -> None:
    assert parse_next_tokens(answer) is None


def test_positions_without_probabilities_are_left_out() -> None:
    one = tokens(a=0.6, b=0.3)
    assert agreement([one, None, one], [one, one, one], 2).positions == 2
    for other in ([None, None, one], [None, None, None]):
        with pytest.raises(RemoteError) as caught:
            agreement([one, one, one], other, 2)
        assert caught.value.code == "no_logprobs"


@pytest.mark.parametrize(
    ("output", "value"),
    [("[1]4.1,[2]5.0,\nFinal estimate: PPL = 5.9062 +/- 0.03270\n", 5.9062), ("", None),
     ("Unexpected negative standard deviation of log(prob)\n", None),
     ("Final estimate: PPL = nan", None),
     ("0.43 minutes\n[1]12.5,[2]15.0,\n\n1.16.8 I perplexity: 71.84 seconds per pass - ETA 1.17.544.249 I "
      "Final estimate: PPL = 18.8802 +/- 2.65952\n", 18.8802),
     ("Final estimate: PPL = 1.5e+03 +/- 2", 1500.0)],
)  # fmt: skip
def test_perplexity_of_the_programs_output(output: str, value: float | None) -> None:
    assert parse_perplexity(output) == value


def test_perplexity_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run_perplexity((str(TEXT),), TEXT) is None


def test_perplexity_by_a_program_of_that_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in that writes what llama.cpp's own source says it writes, and notes its options."""
    program, log = tmp_path / "llama-perplexity", tmp_path / "log"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {log}\n'
        "echo '[1]4.1,[2]5.0,'\necho 'Final estimate: PPL = 5.9062 +/- 0.03270'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    model = tmp_path / "model.gguf"
    model.touch()
    assert run_perplexity((str(model),), TEXT) == 5.9062
    assert log.read_text().split()[:4] == ["-m", str(model), "-f", str(TEXT)]
    program.write_text("#!/bin/sh\necho 'error: no such model'\nexit 1\n")
    assert run_perplexity((str(model),), TEXT) is None
    assert run_perplexity((str(model), str(model)), TEXT) is None  # in several files
