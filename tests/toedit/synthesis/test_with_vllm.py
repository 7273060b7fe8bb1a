"""Texts written by vLLM: keyed by id, seed and generation, in any order, and again the same."""

from dataclasses import replace

import pytest
from conftest import SENTENCES, with_vllm

from toedit.document import Document
from toedit.errors import UserError
from toedit.pipeline import Generate
from toedit.priors import PriorConfig
from toedit.synthesis import Synthesis
from toedit.synthesis.with_vllm import text_seed

SETTINGS = Synthesis(
    mode="continue", extract=20, max_new_tokens=24, batch=3, temperature=2.0, top_p=0.9, top_k=20
)
ENGINE = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 28}


def test_the_seed_of_a_text_depends_on_its_name_the_seed_and_the_generation():
    seeds = {text_seed(*key) for key in [("a", 0, 0), ("b", 0, 0), ("a", 1, 0), ("a", 0, 1)]}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**53 for seed in seeds)
    assert text_seed("a", 0, 0) == text_seed("a", 0, 0)


def written(model, names: list[str], settings=SETTINGS, **options) -> dict[str, str]:
    """Texts by name, as the step of the pipeline writes them after equal prompts."""
    config = PriorConfig(kind="vllm", model=str(model), max_length=64, overlap=0, vllm=ENGINE)
    prompts = (Document(name, SENTENCES[0][:20]) for name in names)
    return {d.id: d.text for d in Generate(config, settings, **options).run(prompts)}


@with_vllm
def test_a_text_depends_on_its_name_seed_and_generation(wide_model):
    names = [f"t{n}" for n in range(7)]
    first = written(wide_model, names)
    assert first == written(wide_model, names)
    assert len({*first.values()}) == 7
    # The draws of a text are its own: other texts beside it change rounding alone.
    alone = written(wide_model, names[:1]) | written(wide_model, names[5:6])
    assert alone == {name: first[name] for name in alone}
    for changed in ({"seed": 1}, {"generation": 1}):
        assert not {*first.values()} & {*written(wide_model, names, **changed).values()}
    greedy = written(wide_model, names, replace(SETTINGS, top_k=1))
    assert len({*greedy.values()}) == 1


@with_vllm
def test_what_vllm_cannot_write_is_one_line(wide_model):
    with pytest.raises(UserError, match=r"synthesis\.temperature=5.*allowed: 0\.01 to 2"):
        written(wide_model, ["a"], replace(SETTINGS, temperature=5.0))
    with pytest.raises(UserError, match=r"exceed the 64 tokens the model takes"):
        written(wide_model, ["a"], replace(SETTINGS, max_new_tokens=100))
