"""What a slip could make endless ends in one line: plans, sweeps, and aliases of YAML."""

from itertools import pairwise

import pytest
import yaml

from experiments.config.compose import compose, require_sweep
from experiments.config.explain import explain
from experiments.config.limits import folders_of, require_files
from experiments.plans import plan
from toedit.errors import UserError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+exp=sft_generations", "generations.number=1000000000"],
         "generations.number=1000000000 is out of range; allowed: 1 to 1000"),
        (["+exp=collapse_generations", "collapse.generations=1000000000"],
         "collapse.generations=1000000000 is out of range; allowed: 1 to 1000"),
        (["+exp=theory", "theory.generations=1000000000"], "theory.generations=1000000000 is out"),
        (["+exp=sft_generations", "generations.number=400", "seeds=[1,2,3]"],
         "generations.number=400 with 3 seeds: the largest plan has 1000 in all"),
        (["+exp=cpt_bio", f"seeds={list(range(1001))}".replace(" ", "")],
         "seeds names 1001: the largest plan has 1000"),
        (["+exp=pretrain_toedit", "controls=[redrawn]", "mixture.tokens=8192",
          "train.tokens=900000000000000"],
         "with 1 seeds: the largest plan has 1000 in all"),
    ],
)  # fmt: skip
def test_a_plan_is_bounded(words, message):
    with pytest.raises(UserError) as raised:
        plan(compose(words))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "word", ["seed=range(1000000000)", "seed=range(0,1,1e-9)", "seed=range(9,-999999999,-1)",
             "edit.top_p=choice(" + ",".join(map(str, range(1, 102))) + ")"]
)  # fmt: skip
def test_a_sweep_is_bounded(word):
    with pytest.raises(UserError, match=r"the sweep would have .* jobs; at most 1000"):
        require_sweep(["-m", "+exp=cpt_bio", "edit.k=1,2,3,4,5,6,7,8,9,10", word])
    require_sweep(["-m", "+exp=cpt_bio", "seed=range(1000)", "edit.k=8"])


def bomb(levels: int) -> str:
    names = [f"n{i}" for i in range(levels)]
    rows = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
    rows += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(30), r"c/x\.yaml' holds .* values, since its aliases"),
        ("a: &a {k: [*a]}", "holds inf values"),
        ("a: " + "[" * 5000 + "]" * 5000, "is nested too deeply"),
        ("- " * 5000 + "a", "is nested too deeply"),
        ("a: caf\udce9", "is not valid UTF-8"),
    ],
)
def test_a_file_without_end_is_refused(tmp_path, text, message):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=message):
        require_files(folders_of(["+exp=x", "--config-dir", str(tmp_path / "c")]))


def test_ordinary_aliases_and_long_lists_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text(bomb(4) + f"\nlong: {list(range(5000))}\nodd: [[1]] &x *y [")
    (tmp_path / "b.yaml").write_text(bomb(4) + "\nlong: [" + "[1], " * 5000 + "]")
    require_files([tmp_path])
    assert folders_of(["-cd=a", "x", "--config-dir"])[0].name == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.getcwd []", "line 1 cannot be read: could not determine a"),
        ("seed: 1\nseed: 2", "line 2 cannot be read: found duplicate key seed"),
        ("seed: " + "9" * 200_000, "a number of thousands of digits"),
    ],
)
def test_errors_of_yaml_are_explained(tmp_path, text, message):
    from omegaconf import OmegaConf

    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises((yaml.YAMLError, ValueError)) as raised:
        OmegaConf.load(path)
    assert message in (explain(raised.value) or "")
