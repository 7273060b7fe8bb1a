"""Arguments of a vLLM engine: which are free, which identify a result, and how they are typed."""

import pytest

from experiments.config import EvalConfig
from experiments.stage import identity
from toedit import PriorConfig, UserError
from toedit.__main__ import parser
from toedit.commands.settings import settings_of
from toedit.priors.vllm_settings import from_options


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trust_remote_code": True}, "run code of a checkpoint"),
        ({"max_model_len": 100}, "a field of its own, max_length"),
        ({"dtype": "half"}, "a field of its own"),
    ],
)
def test_arguments_that_are_not_free_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        PriorConfig(kind="vllm", vllm=settings)


def test_arguments_need_vllm():
    with pytest.raises(UserError, match=r"needs prior\.kind=vllm"):
        PriorConfig(vllm={"quantization": "fp8"})


def test_only_arguments_that_change_results_identify_a_prior():
    plain = identity(PriorConfig(kind="vllm"))
    faster = {"gpu_memory_utilization": 0.3, "tensor_parallel_size": 2, "enforce_eager": True}
    assert identity(PriorConfig(kind="vllm", vllm=faster)) == plain
    quantized = {"quantization": "fp8"}
    assert identity(PriorConfig(kind="vllm", vllm=faster | quantized)) == plain | {
        "vllm": quantized
    }


def test_options_of_the_command_are_json_or_text():
    words = ["gpu_memory_utilization=0.5", "quantization=fp8", "enforce_eager=true", "a=b=c"]
    read = {"gpu_memory_utilization": 0.5, "quantization": "fp8", "enforce_eager": True, "a": "b=c"}
    assert from_options(words) == read
    for word in ("quantization", "=fp8"):
        with pytest.raises(UserError, match="no NAME=VALUE"):
            from_options([word])


def test_the_backend_identifies_an_evaluation_unless_it_is_the_default():
    assert identity(EvalConfig()) == identity(EvalConfig(backend="hf"))
    with_vllm = EvalConfig(backend="vllm", vllm={"max_model_len": 512, "max_num_seqs": 8})
    assert identity(with_vllm) == {"backend": "vllm", "vllm": {"max_model_len": 512}}
    only_text = EvalConfig(suite=None, backend="vllm")
    assert identity(only_text) == identity(EvalConfig(suite=None))
    with pytest.raises(UserError, match=r"needs eval\.backend=vllm"):
        EvalConfig(vllm={"max_model_len": 512})


def test_a_command_continues_with_other_memory_and_not_with_other_weights(tiny_model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "Aspirin."}\n')

    def identified(*more: str) -> dict:
        words = [
            "score",
            tmp_path / "in.jsonl",
            "--output",
            tmp_path / "out",
            "--prior",
            tiny_model,
        ]
        arguments = parser().parse_args([*map(str, words), "--backend", "vllm", *more])
        return settings_of(arguments, {}, {})[1]

    plain = identified()
    assert identified("--vllm", "gpu_memory_utilization=0.3", "--vllm", "max_num_seqs=4") == plain
    quantized = identified("--vllm", "quantization=fp8", "--vllm", "max_num_seqs=4")
    assert quantized == plain | {"--vllm": {"quantization": "fp8"}}
