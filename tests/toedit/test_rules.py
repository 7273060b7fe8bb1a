"""Rules and presets: what they refuse, and presets as choices of the configuration."""

import pytest

from experiments.config.compose import compose
from toedit.errors import UserError
from toedit.rules import PRESETS, EditRule, preset


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


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_choices_of_the_configuration(name):
    assert compose(["+exp=cpt_bio", f"edit={name}"]).edit == PRESETS[name]
    with pytest.raises(UserError, match=f"did you mean '{name}'"):
        compose(["+exp=cpt_bio", f"edit={name}x"])


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'forced'"):
        preset("force")
