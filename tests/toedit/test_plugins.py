"""Plugins are classes of their role; anything else is refused before it is called."""

import sys
from pathlib import Path

import pytest

from experiments.stage import digest, identity
from toedit.errors import UserError
from toedit.plugins import load_plugin
from toedit.priors import PriorConfig, load_prior
from toedit.rules import EditRule
from toedit.sampling import make_sampler

MODULE = """
from pathlib import Path
from toedit.priors.table import TablePrior

calls = []


def prior(model):
    calls.append(model)
    return TablePrior()


class Half:
    def __init__(self, argument):
        calls.append(argument)

    def support(self, logprobs): ...

    def draw(self, logprobs, probabilities, uniforms): ...


class Undrawn(Half):
    def distribution(self, logprobs): ...


class Whole(Undrawn):
    def __init__(self, rule, number=2):
        self.draws = number


class Failing(TablePrior):
    def __init__(self, model):
        raise ZeroDivisionError(f"no {model}")


made = TablePrior()
"""


@pytest.fixture()
def module(tmp_path, monkeypatch):
    (tmp_path / "plugins_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import importlib

    module = importlib.import_module("plugins_of_a_test")
    module.calls.clear()
    return module


@pytest.mark.parametrize("name", ["prior", "made", "calls", "Path", "Half", "Whole"])
def test_what_is_no_prior_is_refused_before_it_is_called(module, name):
    with pytest.raises(UserError, match=f"plugins_of_a_test:{name}' is (a|no) "):
        load_prior(PriorConfig(f"plugins_of_a_test:{name}", "some model"))
    assert module.calls == []


@pytest.mark.parametrize("name", ["os:abort", "shutil:rmtree", "os:path", "subprocess:Popen"])
def test_the_library_of_python_holds_no_prior_and_no_sampler(name, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UserError, match=f"'{name}' is (a|no) "):
        load_prior(PriorConfig(name, str(target)))
    with pytest.raises(UserError, match=f"'{name}' is (a|no) "):
        make_sampler(EditRule(sampler=name))
    assert target.is_dir()


def test_a_sampler_needs_its_methods_and_the_number_of_its_draws(module):
    with pytest.raises(UserError, match="no sampler: it has no distribution;"):
        make_sampler(EditRule(sampler="plugins_of_a_test:Half"))
    assert module.calls == []
    with pytest.raises(UserError, match="no sampler: it has no draws"):
        make_sampler(EditRule(sampler="plugins_of_a_test:Undrawn"))
    assert make_sampler(EditRule(sampler="plugins_of_a_test:Whole")).draws == 2


def test_a_sampler_takes_arguments_of_its_own(module):
    name = "plugins_of_a_test:Whole"
    assert make_sampler(EditRule(sampler=name, arguments={"number": 3})).draws == 3
    with pytest.raises(
        UserError, match=r"'numbre'.*Whole.*number.*plugins_of_a_test\.py"
    ) as raised:
        make_sampler(EditRule(sampler=name, arguments={"numbre": 3}))
    assert "toedit/plugins.py" not in str(raised.value)
    with pytest.raises(UserError, match="are for a sampler of your own"):
        EditRule(arguments={"number": 3})


def test_the_folder_where_one_stands_is_importable(tmp_path, monkeypatch):
    (tmp_path / "module_where_one_stands.py").write_text("class There: ...\n")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    with pytest.raises(UserError, match="start from the folder that holds it"):
        load_plugin("module_where_one_stands:There")
    monkeypatch.chdir(tmp_path)
    assert load_plugin("module_where_one_stands:There").__name__ == "There"


def test_arguments_and_source_of_a_sampler_identify_its_edits(module):
    name = "plugins_of_a_test:Whole"

    def label(**arguments) -> str:
        return digest(identity(EditRule(sampler=name, arguments=arguments)))

    first = label()
    assert label(number=3) != first
    source = Path(module.__file__)
    source.write_text(source.read_text() + "# changed\n")
    assert label() != first


def test_a_class_that_cannot_be_made_is_one_line_with_its_place(module):
    with pytest.raises(UserError, match=r"ZeroDivisionError: no tea, .*plugins_of_a_test.py:\d+"):
        load_prior(PriorConfig("plugins_of_a_test:Failing", "tea"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class X(:\n", "SyntaxError"),
        ("raise SystemExit('goodbye')\n", "SystemExit: goodbye"),
        ("import numpy as np\nnp.no_such\n", "AttributeError"),
        ("import no_such_dependency\n", "No module named 'no_such_dependency'"),
        ("class Odd(BaseException): pass\nraise Odd('x')\n", "Odd: x"),
    ],
)
def test_whatever_a_module_raises_is_one_line(tmp_path, monkeypatch, text, reason):
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=reason) as refused:
        load_plugin(f"{name}:X", "prior")
    assert name in str(refused.value) and "\n" not in str(refused.value)


def test_an_interruption_while_importing_stays_one(tmp_path, monkeypatch):
    (tmp_path / "interrupted_module.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        load_plugin("interrupted_module:X")


@pytest.mark.parametrize("name", [":X", "os:", ".relative:X", "a b:X", "json:decoder.JSONDecoder"])
def test_odd_names_are_one_line(name):
    with pytest.raises(UserError):
        load_plugin(name, "sampler")
