"""Rules and presets: what they refuse, and that the YAML presets are the library's."""

import dataclasses
from pathlib import Path

import pytest

from experiments.config.compose import compose
from toedit.errors import UserError
from toedit.rules import PRESETS, EditRule, preset

CONF = Path(__file__).resolve().parents[2] / "conf" / "edit"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"threshold": 0.0}, "edit.threshold=0.0"),
        ({"threshold": 1.5}, "edit.threshold=1.5"),
        ({"ceiling": -0.1, "threshold": None}, "edit.ceiling=-0.1"),
        ({"temperature": 0.0}, "edit.temperature=0.0"),
        ({"k": 0}, "edit.k=0"),
        ({"sampler": "topk"}, "did you mean 'top_k'"),
        ({"source_token": "include"}, "did you mean 'included'"),
        ({"threshold": None}, "every token would be redrawn"),
        ({"threshold": 0.9, "ceiling": 0.5}, "the band is empty"),
        ({"delete_below": 2.0}, "edit.delete_below=2.0"),
    ],
)
def test_a_bad_rule_names_field_and_value(fields, named):
    with pytest.raises(UserError) as error:
        EditRule(**fields)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_yaml_presets_equal_the_library_presets():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(PRESETS)
    for name, rule in PRESETS.items():
        composed = compose(["+exp=cpt_bio", f"edit={name}"]).edit
        unused = rule.inapplicable() | ({"threshold"} if name == "none" else set())
        for field in dataclasses.fields(EditRule):
            if field.name not in unused:
                assert getattr(composed, field.name) == getattr(rule, field.name), (
                    name,
                    field.name,
                )


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'forced'"):
        preset("force")
