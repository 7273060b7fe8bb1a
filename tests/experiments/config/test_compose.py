"""Every configuration composes and plans; every mistake ends in one line that helps."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from experiments import run as entry
from experiments.config import ScoreConfig
from experiments.config.compose import compose
from experiments.config.explain import explain
from experiments.config.pretraining import MODES
from experiments.costs.estimate import estimate
from experiments.costs.report import describe
from experiments.plans import plan
from experiments.stages.train import mostly_warmup
from experiments.sweeps.objective import require_objective
from experiments.training.model import parameters
from toedit.errors import UserError
from toedit.rules import PRESETS

ROOT = Path(__file__).resolve().parents[3]
EXPERIMENTS = sorted(entry.experiments())


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "experiments.run", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


PUBLISHED = ("note", "name", "tracker.project", "tracker.entity")


@pytest.mark.parametrize("field", PUBLISHED)
@pytest.mark.parametrize("value", ["${oc.env:LAB_X}", "of ${oc.decode:${oc.env:LAB_X}}",
                                   "${oc.env:NOT_SET,other}", "${corpus.subset}"])  # fmt: skip
def test_what_is_published_takes_no_value_of_the_environment(field, value, monkeypatch):
    monkeypatch.setenv("LAB_X", "magnolia")
    with pytest.raises(UserError, match=f"^{field} is published") as refused:
        compose(["+exp=cpt_bio", f"{field}='{value}'", "corpus.subset='${oc.env:LAB_X}'"])
    assert "magnolia" not in str(refused.value)


@pytest.mark.parametrize("override", ["corpus.decontaminate=[[]]", "seeds=[0,[1]]",
                                      "generations.measured.paths=[{a:b}]"])  # fmt: skip
def test_an_item_of_a_list_is_a_single_value(override):
    with pytest.raises(UserError, match=r"is no single value$"):
        compose(["+exp=sft_generations", override])


def test_other_fields_take_the_environment_unless_a_secret_would_be_recorded(monkeypatch):
    for name, value in (("LAB_DISK", "/data/lab"), ("LAB_PASSWORD", "magnolia7"),
                        ("LAB_COMMIT", "0a1b2c3d" * 5)):  # fmt: skip
        monkeypatch.setenv(name, value)
    kept = compose([
        "+exp=cpt_bio", "store='${oc.env:LAB_DISK}/store'", "note='k is ${edit.k}'",
        "prior.revision='${oc.env:LAB_COMMIT}'",
    ])  # fmt: skip
    assert (kept.store, kept.note) == ("/data/lab/store", "k is 8")
    assert kept.prior.revision == "0a1b2c3d" * 5
    with pytest.raises(UserError, match=r"^corpus.id_column would write \$LAB_PASSWORD into"):
        compose(["+exp=cpt_bio", "corpus.id_column='${oc.env:LAB_PASSWORD}'"])
    monkeypatch.setenv("LAB_TOKEN", "hf_0123456789abcdefghijABCDEFGHIJ")  # names of results hold it
    with pytest.raises(UserError, match=r"^prior.model would write \$LAB_TOKEN into"):
        compose(["+exp=cpt_bio", "prior.model='${oc.env:LAB_TOKEN}'"])
    files = "https://ada:${oc.env:LAB_PASSWORD}@data.org/a.jsonl"
    source = "[{name: web, files: ['" + files + "']}]"
    config = compose(["+exp=paper/pretrain_olmo237m", f"mixture.sources={source}"])
    assert config.mixture.sources[0].files == ["https://ada:magnolia7@data.org/a.jsonl"]
    source = "[{name: '${oc.env:LAB_PASSWORD}', files: [a.jsonl]}]"
    with pytest.raises(UserError, match=r"sources\.0\.name is published"):
        compose(["+exp=paper/pretrain_olmo237m", f"mixture.sources={source}"])


def test_a_note_loses_what_looks_like_a_key_and_a_name_is_refused():
    key = "hf_0aB1cD2eF3gH4iJ5kL6m"
    assert compose(["+exp=cpt_bio", f"note='with {key}'"]).note == "with ***"
    with pytest.raises(UserError, match=r"^tracker\.project is published but holds") as refused:
        compose(["+exp=cpt_bio", f"tracker.project={key}"])
    assert key not in str(refused.value)


def test_all_experiment_files_are_listed():
    assert EXPERIMENTS == [
        "collapse_generations", "cpt_bio", "cpt_bio_gpt2", "cpt_finance", "cpt_math",
        "paper/cpt_bio", "paper/cpt_bio_llama3", "paper/cpt_finance", "paper/cpt_finance_llama3",
        "paper/cpt_math", "paper/pretrain_gpt2", "paper/pretrain_olmo237m",
        "paper/pretrain_toedit", "paper/selection_olmo237m", "paper/sft_cot",
        "paper/sft_evol_instruct", "paper/sft_flan_v2", "paper/sft_generations",
        "paper/sft_natural_instructions", "paper/sft_oasst1", "paper/sft_oss_instruct",
        "paper/statistics", "pretrain_ratio", "pretrain_selection", "pretrain_toedit",
        "sft_code", "sft_generations", "sft_instruct", "statistics", "synthesize", "theory",
    ]  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_plans(name, tmp_path):
    (tmp_path / "own.jsonl").write_text('{"text": "a"}\n')
    own = [f"corpus.paths=[{tmp_path}/own.jsonl]"] if "finance" in name else []
    config = compose([f"+exp={name}", *own])
    assert config.name == name
    stages = plan(config)
    for number, stage in enumerate(stages):
        assert all(parent in stages[:number] for parent in stage.inputs.values()), stage.label
        assert len(stage.fingerprint) == 12
    assert len({stage.label for stage in stages}) == len(stages)
    evaluated = [stage for stage in stages if stage.kind == "evaluate"]
    arms = [stage.name for stage in evaluated if stage.config.after is None]
    if config.plan == "train_on_edits":
        assert arms == ["base", "source", "edited"]
        assert (config.model.template is not None) == ("sft_" in name)
    elif config.plan == "sft_generations":
        assert arms == ["base", "generation0", "generation1", "generation2"]
    elif config.plan == "collapse":
        expected = [f"{mode}{g}-seed0" for mode in MODES for g in (1, 2, 3)]
        assert arms == ["synthetic0-seed0", *expected]
    elif config.plan == "pretrain_toedit":
        controls = [] if name.startswith("paper/") else ["random_edit-seed0", "redrawn-seed0"]
        seeded = [f"{arm}-seed{config.seed}" for arm in ("source", "edited")]
        assert arms == [*seeded, *controls]
        (scored,) = [s for s in stages if s.kind == "score"]
        assert scored.config.prior == config.prior
    elif config.plan == "continue_scratch":
        learned = ("base", "source", "edited", *config.controls)
        assert arms == [f"{arm}-seed{config.seed}" for arm in learned]
        # The base is the model of pretrain_ratio without synthetic text, and is not trained again.
        ratios = plan(compose(["+exp=pretrain_ratio"]))
        (base,) = [s for s in stages if (s.kind, s.name) == ("train", "base-seed0")]
        assert base.fingerprint in {s.fingerprint for s in ratios if s.kind == "train"}
    elif config.plan == "synthesize":
        assert [s.kind for s in stages] == ["corpus", "synthesize"]
    elif config.plan == "theory":
        assert [s.kind for s in stages] == ["simulate"]
    elif config.plan == "statistics":
        measured = {s.name for s in stages if s.kind == "ngrams"}
        assert {"human", "reference", "synthetic", "dsir", "edited"} <= measured
        scored = [s for s in stages if s.kind == "score"]
        priors = 1 + len(config.statistics.priors) + config.statistics.train_prior
        assert len(scored) == (len(measured) - 1) * priors
        assert sum(s.kind == "map" for s in stages) == 1
    elif config.plan == "selection":
        chosen = ("synthetic0", "synthetic100", *config.selection.methods)
        assert arms == [f"{arm}-seed{config.seed}" for arm in chosen]
    else:
        assert arms == [f"synthetic{share}-seed{config.seed}" for share in (0, 25, 50, 75, 100)]


@pytest.mark.parametrize(
    "choice",
    [
        f"{path.parent.name}={path.stem}"
        for path in sorted((ROOT / "conf").glob("*/*.yaml"))
        if path.parent.name not in ("exp", "hydra", "sweep")
    ],
)
def test_every_group_choice_composes(choice):
    needs = {"corpus=local": "corpus.paths=[x.jsonl]",
             "corpus=finance_instructions": "corpus.paths=[x.jsonl]",
             "mixture=dolma_cosmopedia": "mixture.tokenizer=x"}  # fmt: skip
    extra = [needs[choice]] if choice in needs else []
    assert compose([choice, *extra]) is not None


def test_experiment_files_open_with_what_they_reproduce_their_command_and_the_papers_numbers():
    for name in EXPERIMENTS:
        text = (ROOT / "conf" / "exp" / f"{name}.yaml").read_text()
        first = text.removeprefix("# @package _global_\n# ").split()[0]
        assert first in ("Table", "Tables", "Figures", "Theorems"), name
        assert f"python -m experiments.run +exp={name}" in text
        assert "Paper:" in text


SWEEPS = sorted(path.stem for path in (ROOT / "conf" / "sweep").glob("*.yaml"))
SEARCHES = [name for name in SWEEPS if name.startswith("optuna_")]


@pytest.mark.parametrize("sweep", [name for name in SWEEPS if name not in SEARCHES])
def test_every_sweep_shares_one_scoring_pass(sweep):
    """Each choice of a sweep is another edit of the same scores."""
    text = (ROOT / "conf" / "sweep" / f"{sweep}.yaml").read_text()
    assert f"python -m experiments.run +exp=cpt_bio +sweep={sweep}" in text
    ((field, choices),) = yaml.safe_load(text)["hydra"]["sweeper"]["params"].items()
    scored, edited = set(), set()
    for choice in str(choices).split(","):
        stages = plan(compose(["+exp=cpt_bio", f"+sweep={sweep}", f"{field}={choice}"]))
        scored |= {s.label for s in stages if s.kind == "score"}
        edited |= {s.inputs["text"].fingerprint for s in stages
                   if s.kind == "train" and s.name == "edited"}  # fmt: skip
    assert len(scored) == 1
    assert len(edited) == len(str(choices).split(",")) > 1


def test_an_unknown_field_of_hydra_is_named():
    from hydra.errors import ConfigCompositionException

    text = "Could not override 'hydra.sweeper.n_trialz'."
    line = explain(ConfigCompositionException(text))
    assert line is not None and "unknown field 'hydra.sweeper.n_trialz' of Hydra" in line


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_composes_minimises_what_is_there_and_has_a_seed(search):
    text = (ROOT / "conf" / "sweep" / f"{search}.yaml").read_text()
    assert f"python -m experiments.run +exp=cpt_bio +sweep={search}" in text
    sweeper = yaml.safe_load(text)["hydra"]["sweeper"]
    assert sweeper["sampler"]["seed"] == 0
    config = compose(["+exp=cpt_bio", f"+sweep={search}"])
    require_objective(config.objective, plan(config))
    assert config.objective is not None and config.objective.endswith(".heldout.bits_per_byte")
    ends = {"train.learning_rate": "1e-3", "train.warmup_ratio": "0.3", "edit.threshold": "0.999",
            "edit.temperature": "0.5", "edit.k": "64"}  # fmt: skip
    chosen = [f"{field}={ends[field]}" for field in sweeper["params"]]
    plan(compose(["+exp=cpt_bio", f"+sweep={search}", *chosen]))


def test_the_papers_olmo_run():
    config = compose(["+exp=paper/cpt_bio"])
    train = config.train
    assert (train.batch_tokens, train.block_size) == (128 * 2048, 2048)
    assert (train.steps, train.warmup) == (3814, 1000)
    assert (train.learning_rate, train.schedule, train.precision) == (1e-5, "cosine", "bfloat16")
    assert (train.beta1, train.beta2, train.weight_decay) == (0.9, 0.95, 0.1)
    assert (train.max_grad_norm, train.min_lr_ratio) == (1.0, 0.1)
    assert config.prior.model == "meta-llama/Meta-Llama-3-8B"
    assert config.prior.max_length == 2048
    assert config.edit.threshold == 0.99
    assert (config.edit.temperature, config.edit.source_token, config.edit.strict) == (
        1.5,
        "included",
        True,
    )
    assert config.model.lora_rank == 0


def test_the_papers_gpt2_run():
    config = compose(["+exp=paper/pretrain_gpt2"])
    train, epoch = config.train, config.mixture.tokens
    assert (train.batch_tokens, train.block_size) == (256 * 1024, 1024)
    assert epoch == 32_056 * train.batch_tokens
    assert train.steps == 5 * 32_056
    assert [tokens / epoch for tokens in train.keep_tokens] == [1, 2, 3, 4]
    evaluated = [s.config.after for s in plan(config) if s.kind == "evaluate"]
    assert evaluated == [None, *train.keep_tokens] * 5
    assert (train.warmup, train.precision, train.fsdp) == (2000, "bfloat16", True)
    assert config.eval.first_tokens == 1024


def test_the_plan_of_the_papers_gpt2_tells_its_cost(tmp_path):
    config = compose(["+exp=paper/pretrain_gpt2"])
    lines = describe(config, plan(config), tmp_path / "none").splitlines()
    assert "GPU-hours" in lines[0]
    assert 5 * 6 * 124_439_808 * 42_016_440_320 < float(lines[-1].split()[1]) * 1.05 < 1.8e20


def test_the_papers_olmo_237m_run():
    config = compose(["+exp=paper/pretrain_olmo237m"])
    train = config.train
    assert (train.batch_tokens, train.block_size) == (2048 * 2048, 2048)
    assert (train.steps, train.warmup, train.learning_rate) == (2002, 2000, 4e-4)
    assert (train.beta1, train.beta2, train.weight_decay) == (0.9, 0.95, 0.1)
    assert (train.min_lr_ratio, train.max_grad_norm) == (0.1, 1.0)
    assert (config.seed, train.precision) == (6198, "bfloat16")
    selection = compose(["+exp=paper/selection_olmo237m"])
    assert selection.train == train
    shared = {stage.label for stage in plan(config)} & {stage.label for stage in plan(selection)}
    assert {label.partition("-")[0] for label in shared} >= {
        "train/synthetic0",
        "train/synthetic100",
    }


def test_the_papers_olmo_1b_from_scratch():
    config = compose(["+exp=paper/pretrain_toedit"])
    train = config.train
    assert (train.batch_tokens, train.block_size) == (128 * 2048, 2048)
    assert (train.steps, train.warmup, train.learning_rate) == (32_043, 1000, 1e-5)
    assert [tokens / train.batch_tokens for tokens in train.keep_tokens] == [10_000, 20_000]
    (flops,) = [c.flops for s, c in estimate(plan(config)).items() if s.kind == "score"]
    assert flops == 2 * 8_030_261_248 * train.steps * train.batch_tokens
    assert config.edit == PRESETS["released_code"]


@pytest.mark.parametrize("name", ["pretrain_gpt2", "pretrain_olmo237m", "pretrain_toedit"])
def test_parameters_of_the_papers_models_from_scratch(name):
    config = compose([f"+exp=paper/{name}"])
    assert config.model.scratch is not None
    vocabulary, published = {
        "pretrain_gpt2": (50257, 124_439_808),
        "pretrain_olmo237m": (50280, 237_240_320),
        "pretrain_toedit": (50280, 1_176_764_416),
    }[name]
    counted = parameters(config.model.scratch, vocabulary)
    assert counted == published
    assert counted == config.model.parameters


def test_a_run_that_is_mostly_warmup_is_recognised():
    """OLMo-237M in the paper: of 2,002 steps 2,000 are warmup."""
    assert mostly_warmup(compose(["+exp=paper/pretrain_olmo237m"]).train)
    assert not mostly_warmup(compose(["+exp=paper/cpt_bio"]).train)
    assert not mostly_warmup(compose(["+exp=cpt_bio"]).train)


def test_the_papers_llama_run():
    config = compose(["+exp=paper/cpt_bio_llama3"])
    train = config.train
    assert (train.batch_tokens, train.block_size) == (768 * 1024, 1024)
    assert (train.steps, train.warmup) == (1271, 128)
    assert (train.learning_rate, train.schedule) == (1e-4, "cosine")
    assert (config.model.lora_rank, config.model.lora_alpha) == (8, 16)


def test_parameters_of_the_papers_models_by_building_them_without_weights():
    """The parameter counts that cost estimates use, from the published architectures."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, OlmoConfig, OlmoForCausalLM

    olmo = OlmoConfig(
        vocab_size=50304,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=16,
        tie_word_embeddings=True,
    )
    llama = LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=False,
    )
    counts = {}
    with torch.device("meta"):
        for name, model in (("olmo", OlmoForCausalLM(olmo)), ("llama", LlamaForCausalLM(llama))):
            model.tie_weights()
            counts[name] = sum(p.numel() for p in model.parameters())
    assert compose(["+exp=paper/cpt_bio"]).model.parameters == counts["olmo"]
    assert compose(["+exp=paper/cpt_bio"]).prior.parameters == counts["llama"]
    assert compose(["+exp=paper/cpt_bio_llama3"]).model.parameters == counts["llama"]


def test_help_and_dry_run(tmp_path):
    done = command("--help")
    assert done.returncode == 0
    for name in EXPERIMENTS:
        assert f"  {name}" in done.stdout
    done = command("+exp=paper/cpt_bio", "dry_run=true", f"store={tmp_path}/none")
    assert done.returncode == 0, done.stderr
    assert "train/edited" in done.stdout
    assert "miss" in done.stdout
    assert not (tmp_path / "none").exists()  # a dry run writes nothing


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        ([], ScoreConfig(8, 0.9)),
        (["edit.threshold=0.5"], ScoreConfig(8, 0.5)),
        (["edit.k=64"], ScoreConfig(64, 0.9)),
        (["edit.threshold=null", "edit.ceiling=0.1"], ScoreConfig(8, 0.9, 0.1)),
        (["controls=[random_edit]"], ScoreConfig(8, 0.9, 1.0)),
        (["edit.threshold=0.5", "score.below=1.0"], ScoreConfig(8, 0.9, 1.0)),
    ],
)
def test_scores_store_the_candidates_that_rules_and_controls_need(settings, stored):
    stages = plan(compose(["+exp=cpt_bio", *settings]))
    (scores,) = [stage for stage in stages if stage.kind == "score"]
    assert scores.config.score == stored


def test_the_whole_configuration_is_printed_on_request(capsys):
    config = compose(["+exp=cpt_bio", "dry_run=true", "print_config=true", "edit.threshold=0.95"])
    entry.run(config)
    text = capsys.readouterr().out
    composed, table = text.split("\n\n", 1)
    values = yaml.safe_load(composed)
    assert values["edit"]["threshold"] == 0.95 and values["train"]["tokens"] == config.train.tokens
    assert values.keys() == {spec.name for spec in dataclasses.fields(config)}
    assert table.startswith("cpt_bio: 10 stages")
