"""Estimates of cost: known cases by hand, and against the records of runs that were measured."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from evals.suites import SUITES
from experiments import CONF
from experiments.config import EvalConfig, ModelConfig, TrainConfig
from experiments.config.compose import compose
from experiments.config.headers import header
from experiments.config.pretraining import ArchitectureConfig
from experiments.costs import TRAIN, Cost, quoted
from experiments.costs.advice import advice
from experiments.costs.compute import evaluating, trained_weights, training, training_memory
from experiments.costs.devices import START, seconds
from experiments.costs.estimate import estimate
from experiments.costs.report import Totals, describe, peak_memory, totals
from experiments.costs.shapes import PUBLISHED, shape_of
from experiments.plans import plan
from experiments.store import Store
from toedit.devices import DEVICES, device
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
GPT2 = ModelConfig(
    scratch=ArchitectureConfig("gpt2", 12, 768, 12, None, 1024), parameters=124_439_808
)
LLAMA = ModelConfig("meta-llama/Meta-Llama-3-8B", parameters=8_030_261_248)
ADAPTED = replace(LLAMA, lora_rank=8)


def steps(number: int = 10, **settings) -> TrainConfig:
    given = {"block_size": 1024, "batch_tokens": 65_536, **settings}
    return TrainConfig(tokens=number * given["batch_tokens"], **given)


def test_training_costs_six_operations_a_weight_and_token_and_attention():
    cost = training(GPT2, steps())
    assert cost.tokens == 655_360
    assert cost.flops == 6 * 124_439_808 * 655_360
    # Forward, a token sees 512 others on average: 2 products of 2 operations a layer and width.
    assert cost.attention == 3 * (4 * 12 * 768 * 512) * 655_360


def test_adapters_need_no_gradient_of_what_is_frozen():
    # q, k, v, o, gate, up, down of a layer, inputs and outputs together, of 32 layers.
    sides = 32 * (8192 + 5120 + 5120 + 8192 + 3 * 18_432)
    assert trained_weights(ADAPTED) == 8 * sides == 20_971_520
    whole, cost = training(LLAMA, steps()), training(ADAPTED, steps())
    assert cost.flops == (4 * 8_030_261_248 + 6 * 20_971_520) * cost.tokens
    assert cost.scratch < 0.01 * whole.disk  # no checkpoint, and blocks alone
    again = training(ADAPTED, steps(gradient_checkpointing=True))
    assert again.flops - cost.flops == 2 * 8_030_261_248 * cost.tokens


def test_a_weight_under_adamw_takes_sixteen_bytes_shared_out_by_fsdp_alone():
    alone = training_memory(LLAMA, steps(precision="float32"))
    together = training_memory(LLAMA, steps(precision="float32"), 8)
    shared = training_memory(LLAMA, steps(precision="float32", fsdp=True), 8)
    assert alone == together
    assert alone - shared == 16 * 8_030_261_248 * 7 / 8
    frozen = training_memory(ADAPTED, steps(precision="float32"))
    assert alone - frozen == 12 * 8_030_261_248 - 16 * 20_971_520


def test_activations_and_logits_grow_with_the_batch_of_a_pass():
    shape = PUBLISHED[LLAMA.model]
    one, two = (training_memory(LLAMA, steps(micro_batch=n)) for n in (1, 2))
    # In 16 bits 8 widths and 4 of the feed-forward layer, and float32 logits thrice.
    layer = 2 * (8 * 4096 + 4 * 14_336)
    assert two - one == 1024 * (32 * layer + 12 * 128_256)
    frugal = [
        training_memory(LLAMA, steps(micro_batch=n, gradient_checkpointing=True)) for n in (1, 2)
    ]
    assert frugal[1] - frugal[0] == 1024 * (layer + 32 * 2 * 4096 + 12 * shape.vocabulary)


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("embedded", 134_515_008),
        ("allenai/OLMo-1B-hf", 1_176_764_416),
        ("meta-llama/Meta-Llama-3-8B", 8_030_261_248),
        ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768),
        ("stabilityai/stablelm-zephyr-3b", 2_795_443_200),
    ],
)
def test_shapes_hold_as_many_weights_as_are_published(model, published):
    assert PUBLISHED[model].parameters == pytest.approx(published, rel=1e-3)


def test_shapes_from_scratch_in_a_folder_and_guessed(tmp_path):
    assert shape_of("scratch", GPT2.parameters, GPT2.scratch).vocabulary == pytest.approx(
        50257, rel=5e-3
    )
    said = {"num_hidden_layers": 30, "hidden_size": 576, "vocab_size": 49152,
            "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
            "tie_word_embeddings": True}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert shape_of(str(tmp_path), 0) == PUBLISHED["embedded"]
    (tmp_path / "config.json").write_text("{}")
    guess = shape_of(str(tmp_path), 8_030_261_248)
    assert guess.parameters == pytest.approx(8_030_261_248, rel=0.25)


def test_checkpoints_and_kept_models_take_room():
    few, many = training(GPT2, steps()), training(GPT2, steps(checkpoint_steps=1))
    blocks = 4 * 655_360
    assert few.scratch == blocks
    assert many.scratch == 3 * 12 * 124_439_808 + blocks  # two are kept, and one is being written
    assert training(GPT2, steps(), mixed=True).scratch == 0
    kept = training(GPT2, steps(keep_tokens=[65_536, 131_072]))
    assert kept.disk == pytest.approx(3 * 4 * 124_439_808, rel=0.02)


def test_an_evaluation_counts_prompts_passes_answers_and_held_out_text():
    tasks = {task.label: task for task in SUITES["math_embedded"]}
    own = [tasks["ARC-c (test)"], tasks["MMLU (embedded)"], tasks["GSM8K (held back)"]]
    limits = {task.name: 10 for task in own}
    model = ModelConfig(parameters=134_515_008)
    cost = evaluating(EvalConfig("math_embedded", limits, heldout_tokens=500), own, model, 800.0)
    prompts = 10 * (155 + 130 + 1290)
    assert cost.tokens == prompts + 500
    # Four options of ARC-c, letters of MMLU in one pass, and an answer of a hundred tokens.
    assert cost.layers == 30 * 10 * (4 + 1 + 100)
    head = 49_152 * 576
    assert cost.flops == 2 * ((134_515_008 - head) * prompts + 134_515_008 * 500)
    whole = evaluating(EvalConfig(None), [], model, 800.0)
    assert whole.tokens == 800


def test_a_gpu_takes_its_peak_and_eight_take_an_eighth():
    cost = training(GPT2, steps(1000), devices=8)
    one, eight = device("h100"), device("8xh100")
    working = cost.operations / (0.4 * 989e12)
    still = START + seconds(replace(cost, work=""), one)
    assert seconds(cost, one) == pytest.approx(working + still)
    assert seconds(cost, eight) == pytest.approx(working / 8 + still)
    full = replace(cost, dtype="float32")
    assert seconds(full, one) - still == pytest.approx(cost.operations / (0.4 * 67e12))
    for wrong in ("h100x8", "0xh100", "2xcpu"):
        with pytest.raises(UserError, match="device"):
            device(wrong)


def test_a_text_is_written_as_fast_as_was_measured():
    """6.4 s a text of two idle cores (conf/exp/synthesize.yaml, `synthesis.documents=16`)."""
    written = plan(compose(["+exp=synthesize"]))[-1]
    cost = estimate([written])[written]
    assert seconds(cost, device("cpu")) / 100 == pytest.approx(6.4, rel=0.1)


def test_wide_models_come_nearer_to_the_rate_of_matrix_products():
    cores = DEVICES["cpu"]
    assert cores.rate("forward", 576, "float32") / cores.float32 == pytest.approx(0.77, abs=0.01)
    assert cores.rate(TRAIN, 192, "float32") < cores.rate(TRAIN, 576, "float32") < cores.float32


def stage_of(settings: list[str]):
    stages = plan(compose(["+exp=cpt_bio", "prior.parameters=0", *settings]))
    return next(stage for stage in stages if stage.name == "source" and stage.kind == "train")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["model=olmo_1b", "train=olmo_cpt", "train.micro_batch=32"], "train.micro_batch=8 "),
        (["model=llama3_8b_lora", "train=llama3_cpt", "train.micro_batch=16",
          "train.gradient_checkpointing=false"], "train.micro_batch=4 "),
        (["model=llama3_8b_lora", "model.lora_rank=0", "train=llama3_cpt"], "launch=fsdp"),
        (["model=llama3_8b_lora", "train=llama3_cpt", "model.lora_rank=4000"], "more memory"),
    ],
)  # fmt: skip
def test_what_is_advised_fits(settings, expected):
    stage, card = stage_of(settings), device("h100")
    config = stage.config
    room = training_memory(config.model, config.train)
    assert room > card.memory
    line = advice(stage, estimate([stage])[stage], card, room)
    assert expected in f"{line} "
    changes = [part for part in line.split() if part.startswith(("train.", "launch"))]
    if changes:
        other = stage_of([*settings, *changes])
        model, train = other.config.model, other.config.train
        devices = estimate([other])[other].devices
        assert training_memory(model, train, devices) <= card.memory


def test_the_table_says_what_does_not_fit_what_it_assumes_and_the_totals(tmp_path):
    config = compose(["+exp=paper/cpt_bio", "train.micro_batch=32"])
    lines = describe(config, plan(config), tmp_path / "none").splitlines()
    assert lines[0] == "paper/cpt_bio: 11 stages, cost on 1 H100: time of one, GPU-hours below"
    (first, _) = [line.strip() for line in lines if "does not fit" in line]
    assert first.endswith(": does not fit 80 GB: train.micro_batch=8 would")
    assert "- rate: 40% of the maker's 989 TFLOP/s in bfloat16, not measured" in lines
    assert re.search(r"^total .*GB.*, [0-9.]+ GPU-hours$", lines[-1])


def test_the_prior_stays_in_memory_while_its_process_trains():
    def needed(kind: str, *settings: str) -> tuple[float, Cost]:
        costs = estimate(plan(compose(["+exp=paper/cpt_bio", *settings])))
        stage = next(stage for stage in costs if stage.kind == kind)
        return peak_memory(costs, device("h100"))[stage], costs[stage]

    memory, cost = needed("train")
    assert memory - cost.memory == 2 * 8_030_261_248
    memory, cost = needed("train", "engine=slurm", "engine.gpus=1")
    assert memory == cost.memory
    memory, _ = needed("score", "engine.workers=8")
    assert memory > 8 * 2 * 8_030_261_248  # each worker has its own


def test_files_grow_until_a_checkpoint_goes():
    stages = [stage_of([]), stage_of(["seed=1"])]
    costs = estimate(stages)
    found = totals({stage: costs[stage] for stage in stages}, DEVICES["h100"])
    file, checkpoint = costs[stages[0]].disk, costs[stages[0]].scratch
    assert (found.disk, found.peak_disk) == (2 * file, 2 * file + checkpoint)


WITHIN = 0.25
TIMED = ("cpt_bio", "sft_generations", "sft_instruct", "theory")
"""Runs whose seconds are compared, though other work ran beside some of them. Those from scratch
are not among them: their cores were taken for much of the time. Of these tokens, files and memory
are compared.
"""


def measured(run: Path) -> list[tuple]:
    """Stages of a run as its command plans them, each with its record; none where the experiment
    is another one by now."""
    stages = plan(compose(json.loads(run.read_text())["command"][1:]))
    store = Store(ROOT / "results", create=False)
    records = [store.record(stage) for stage in stages]
    return [] if None in records else list(zip(stages, records, strict=True))


RUNS = [
    path
    for path in sorted((ROOT / "results" / "reports").glob("*/run.json"))
    if path.parent.name.rpartition("-")[0] in (*TIMED, "pretrain_ratio", "pretrain_toedit")
    and measured(path)
]
"""Statistics are not among them: of their many small stages only the scoring is estimated."""


def name_of(run: Path) -> str:
    """The experiment of a run."""
    return run.parent.name.rpartition("-")[0]


def size(record: dict) -> int:
    return sum(file["bytes"] for file in record["files"].values())


@pytest.mark.parametrize("name", TIMED)
def test_estimated_seconds_agree_with_all_runs_of_an_experiment(name):
    """The records of ``results/``: two cores of an AMD EPYC, other work beside some of them.

    The spread of equal trainings there is from 44 to 73 s, and of equal evaluations from 88 to
    199 s, so neither single stages nor single runs can be told nearer than that; sums can.
    """
    pairs = {s.label: (s, r) for run in RUNS if name_of(run) == name for s, r in measured(run)}
    costs, cores = estimate([stage for stage, _ in pairs.values()]), device("cpu")
    found = totals({stage: costs[stage] for stage, _ in pairs.values()}, cores)
    assert found.seconds == pytest.approx(sum(r["seconds"] for _, r in pairs.values()), rel=WITHIN)
    for kind in ("score", "train", "evaluate"):
        own = [(stage, record) for stage, record in pairs.values() if stage.kind == kind]
        spent = sum(record["seconds"] for _, record in own)
        total = sum(seconds(costs[stage], cores) for stage, _ in own)
        assert total == pytest.approx(spent, rel=WITHIN), kind


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.parent.name)
def test_estimated_tokens_files_and_memory_agree_with_measured_runs(run):
    if name_of(run) == "theory":
        return
    pairs, cores = measured(run), device("cpu")
    costs = estimate([stage for stage, _ in pairs])
    found: Totals = totals({stage: costs[stage] for stage, _ in pairs}, cores)
    most = max(record["peak_memory_gb"] for _, record in pairs)
    assert found.memory / 1e9 == pytest.approx(most, rel=WITHIN)
    assert found.disk == pytest.approx(sum(size(record) for _, record in pairs), rel=0.02)
    for stage, record in pairs:
        if stage.kind in ("score", "train"):
            assert costs[stage].tokens == pytest.approx(record["metrics"]["tokens"], rel=0.05)
        if stage.kind == "train":
            assert costs[stage].disk == pytest.approx(size(record), rel=0.01)


def test_there_are_the_runs_to_compare_with():
    assert {name_of(run) for run in RUNS} >= set(TIMED)


@pytest.mark.parametrize("name", quoted.paper_names())
def test_heads_of_files_say_what_is_estimated(name):
    assert re.match(r"dry_run=true estimates [0-9.]+ GPU-hours of an H100", header(name).cost)
    text = (CONF / "exp" / f"{name}.yaml").read_text()
    assert text == quoted.head(name), "write it again: python -m experiments.tables docs"


def test_the_total_of_a_head_is_that_of_the_dry_run():
    config = compose(["+exp=paper/pretrain_toedit"])
    last = describe(config, plan(config), Path("none")).splitlines()[-1]
    total, scoring = quoted.gpu_hours("paper/pretrain_toedit")
    assert last.endswith(f" {total} GPU-hours") and 0 < float(scoring) < float(total)
    said = header("paper/pretrain_toedit").cost
    assert f"estimates {total} GPU-hours" in said and f"{scoring} of them scoring" in said


def test_no_page_states_a_cost_that_is_not_of_the_dry_run():
    """A number of GPU-hours stands in generated text alone."""
    docs = Path(__file__).resolve().parents[3] / "docs"
    scaling = (docs / "scaling.md").read_text()
    assert scaling == quoted.scaling_page(scaling), "python -m experiments.tables docs"
    generated = ("experiments.md", "results.md", "fields.md")
    for path in [*docs.glob("*.md"), docs.parent / "README.md"]:
        text = quoted.BLOCK.sub("", path.read_text())
        if path.name not in generated:
            assert not re.search(r"[0-9]\s+(GPU|H100)-hours", text), path.name


def test_local_text_is_counted_by_the_size_of_its_files(tmp_path):
    path, texts = tmp_path / "in.jsonl", [f"{n}: " + "sand and sea " * 90 for n in range(30)]
    path.write_text("".join(json.dumps({"id": str(n), "text": t}) + "\n"
                            for n, t in enumerate(texts)))  # fmt: skip

    def scored(*settings: str) -> tuple[float, str]:
        config = compose(["+exp=cpt_bio", "arms=[]", "eval.suite=null", *settings])
        stages = plan(config)
        costs = estimate(stages)
        (tokens,) = {cost.tokens for stage, cost in costs.items() if stage.kind == "score"}
        return tokens, describe(config, stages, tmp_path / "none")

    local = ["corpus=local", f"corpus.paths=[{path}]", "corpus.train_characters=null"]
    tokens, said = scored(*local)
    assert tokens == pytest.approx(0.9 * sum(map(len, texts)) / 4.4, rel=0.05)
    assert "train_characters" not in said
    assert scored(*local, "corpus.read_characters=4400")[0] == pytest.approx(900)
    assert scored(*local[:2], "corpus.train_characters=2200")[0] == pytest.approx(500)
    with gzip.open(path.with_suffix(".jsonl.gz"), "wt") as file:
        file.write(path.read_text())
    packed, size = path.with_suffix(".jsonl.gz"), path.with_suffix(".jsonl.gz").stat().st_size
    assert scored(*local, f"corpus.paths=[{packed}]")[0] == pytest.approx(0.9 * 3 * size / 4.4)
    hub = ["corpus.source=hub", "corpus.hub=owner/name", "corpus.train_characters=null"]
    tokens, said = scored(*hub)
    assert tokens == 0 and "not counted, since nothing is trained" in said


def test_a_stage_without_a_model_takes_no_device():
    card = device("8xh100")
    assert seconds(Cost(seconds=80.0, workers=8), card) == 10
    assert peak_memory({}, card) == {}
