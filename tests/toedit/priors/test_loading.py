"""A model that is not whole, or that the library cannot read, ends in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from toedit import PriorConfig, load_prior
from toedit.errors import UserError
from toedit.priors.checkpoint import INDEX, WEIGHTS
from toedit.priors.loading import (
    load_model,
    load_model_and_tokenizer,
    load_tokenizer,
    load_weights,
    model_limits,
    require_rows,
    rows_for,
)
from toedit.stats.embeddings import SentenceEncoder


@pytest.fixture()
def folder(tmp_path, tiny_model) -> Path:
    """A model to damage, whose output layer has weights of its own."""
    path = tmp_path / "model"
    shutil.copytree(tiny_model, path)
    change(path, "config.json", tie_word_embeddings=False)
    rewrite(path, lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"].clone()}))
    load_model(str(path))
    return path


def change(folder: Path, name: str, **fields) -> None:
    values = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    (folder / name).write_text(json.dumps({**values, **fields}))


def rewrite(folder: Path, edit) -> None:
    weights = load_file(folder / WEIGHTS)
    edit(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def refusal(folder: Path, load=None) -> str:
    """The line by which a model is refused; it names the folder and is short."""
    with pytest.raises(UserError) as raised:
        (load or (lambda path: load_prior(PriorConfig(model=path))))(str(folder))
    line = str(raised.value)
    assert str(folder) in line
    assert "\n" not in line
    return line


def keep_rows(weights, rows: int) -> None:
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        weights[name] = weights[name][:rows].clone()


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda w: w.pop("lm_head.weight"), "lack lm_head.weight, which would be random"),
        (lambda w: w.pop("model.norm.weight"), "lack model.norm.weight"),
        (lambda w: w.pop("model.layers.1.mlp.up_proj.weight"), "lack model.layers.1.mlp.up_proj"),
        (lambda w: [w.pop(k) for k in list(w) if ".layers.1." in k], "(and 8 more)"),
        (lambda w: keep_rows(w, 390),
         "lm_head.weight (and 1 more) has the shape (390, 32) in its files but (400, 32)"),
        (lambda w: w.update({k: v.to(torch.int8) for k, v in w.items()}), "hold whole numbers for"),
        (lambda w: w.clear(), "0 numbers in 0 tensors, too few"),
    ],
)  # fmt: skip
def test_weights_that_are_missing_or_of_another_shape_are_named(folder, edit, line):
    rewrite(folder, edit)
    assert line in refusal(folder)


def test_tied_and_unused_weights_are_whole(folder, tiny_model):
    rewrite(folder, lambda w: w.update({"rotary_emb.inv_freq": torch.ones(4), "x": torch.ones(2)}))
    load_model(str(folder))
    assert load_model(str(tiny_model)).lm_head.weight.std() > 0.1
    # Either name of a tied weight will do, but one must be there.
    change(folder, "config.json", tie_word_embeddings=True)
    rewrite(folder, lambda w: w.pop("model.embed_tokens.weight"))
    load_model(str(folder))
    rewrite(folder, lambda w: w.pop("lm_head.weight"))
    assert "lack lm_head.weight" in refusal(folder)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "optimum"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
         "bitsandbytes"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"quant_method": "own"}}, "quantization is unknown"),
        ({"quantization_config": [4]}, ""),
        ({"vocab_size": 410}, "(400, 32) in its files but (410, 32)"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"vocab_size": 10**11}, "vocab_size=100000000000"),
        ({"hidden_size": 10**9}, "hidden_size=1000000000"),
        ({"num_hidden_layers": 10**8}, "num_hidden_layers=100000000"),
        ({"num_attention_heads": 0}, ""),
        ({"max_position_embeddings": -5}, "max_position_embeddings=-5"),
        ({"max_position_embeddings": "512"}, "max_position_embeddings"),
        ({"hidden_act": "none such"}, "none such"),
        ({"model_type": "none-such"}, "none-such"),
        ({"model_type": "vit"}, ""),
        ({"model_type": "bert"}, "lack bert."),
        ({"transformers_weights": "../other.safetensors"}, "inside the model directory"),
        ({"dtype": "complex"}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_does_not_fit_is_refused(folder, fields, line):
    change(folder, "config.json", **fields)
    assert line in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json",
                                  "tokenizer_config.json"])  # fmt: skip
@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"])
def test_files_that_are_not_what_they_should_be_are_refused(folder, name, content):
    if name == "generation_config.json" and content != b"[1]":
        pytest.skip("the library takes the values of config.json then")
    (folder / name).write_bytes(content)
    assert refusal(folder).startswith("cannot load the ")


def set_in_tokenizer(*path, value):
    def edit(folder: Path) -> None:
        state = json.loads((folder / "tokenizer.json").read_text())
        place = state
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        (folder / "tokenizer.json").write_text(json.dumps(state))

    return edit


OPEN = {"type": "Split", "pattern": {"Regex": "[a"}, "behavior": "Isolated", "invert": False}
NO_TOKEN = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "?", "type_id": 0}}],
            "pair": [], "special_tokens": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (set_in_tokenizer("pre_tokenizer", value=OPEN), "premature end of char-class"),
        (set_in_tokenizer("model", "type", value="none"), "Exception"),
        (set_in_tokenizer("model", "vocab", value=[]), "Exception"),
        (set_in_tokenizer("model", "vocab", "zz", value=2**32 - 2), "ids up to 4294967294"),
        (set_in_tokenizer("model", "merges", value=[["no", "such"]]), "out of vocabulary"),
        (set_in_tokenizer("post_processor", value=NO_TOKEN), "PanicException"),
        (lambda f: change(f, "tokenizer_config.json", model_max_length="long"), "TypeError"),
        (lambda f: change(f, "tokenizer_config.json", eos_token=[1]), "eos_token"),
        (lambda f: change(f, "tokenizer_config.json", tokenizer_class=7), "AttributeError"),
        (lambda f: (f / "tokenizer.json").unlink(), "backend tokenizer"),
    ],
)
def test_a_broken_tokenizer_is_refused_wherever_it_is_loaded(folder, edit, line):
    edit(folder)
    for load in (load_tokenizer, None):
        told = refusal(folder, load)
        assert told.startswith("cannot load the tokenizer in ")
        assert line in told


def test_ids_beyond_the_embedding_are_refused_but_not_that_of_padding(folder):
    tokenizer = load_tokenizer(str(folder))
    assert rows_for(tokenizer) == len(tokenizer) == 384
    require_rows(tokenizer, 384, "m")
    with pytest.raises(UserError, match="'m' has ids up to 383 but its model only 383 tokens"):
        require_rows(tokenizer, 383, "m")
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    require_rows(tokenizer, 384, "m")
    set_in_tokenizer("model", "vocab", "zz", value=500)(folder)
    assert rows_for(load_tokenizer(str(folder))) == 501
    assert "has ids up to 500 but its model only 400 tokens" in refusal(
        folder, lambda path: load_model_and_tokenizer(path, None, "float32", "cpu")
    )


def test_limits_need_a_vocabulary(folder):
    assert model_limits(str(folder)) == (400, 512)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "vit"}')
    assert "no vocab_size" in refusal(folder, model_limits)


@pytest.fixture()
def sharded(folder) -> Path:
    """The same weights in two files with an index."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(weights)}
    for file in set(files.values()):
        part = {name: weights[name] for name in weights if files[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))
    load_model(str(folder))
    return folder


def rename_part(folder: Path, name: str) -> None:
    """Give a file another name, in the index too."""
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.move(folder / "part-1.safetensors", folder / name)
    text = (folder / INDEX).read_text().replace("part-1.safetensors", name)
    (folder / INDEX).write_text(text)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("part-1.bin", "names 'part-1.bin', which is no safetensors file"),
        ("../part-1.safetensors", "which lies outside of its folder"),
        ("{above}/part-1.safetensors", "which lies outside of its folder"),
    ],
)
def test_an_index_names_safetensors_of_its_folder_alone(sharded, name, line):
    rename_part(sharded, name.format(above=sharded.parent))
    assert line in refusal(sharded)


@pytest.mark.parametrize(
    "index", [[], {}, {"weight_map": []}, {"weight_map": {"x": 5}}, {"weight_map": {"x": None}},
              {"weight_map": {"x": "a\0.safetensors"}}],
    ids=str,
)  # fmt: skip
def test_an_index_without_a_map_of_files_is_refused(sharded, index):
    (sharded / INDEX).write_text(json.dumps(index))
    refusal(sharded)


def test_files_of_a_folder_may_be_links_to_other_places(sharded, tmp_path):
    rename_part(sharded, "below/part.safetensors")
    load_model(str(sharded))
    for folder in (tmp_path / "links", tmp_path / "models--own--tiny" / "snapshots" / "0"):
        shutil.copytree(sharded, folder)
        part = folder / "part-0.safetensors"
        stored = folder.parent.parent / "blobs" / folder.name
        stored.parent.mkdir(exist_ok=True)
        shutil.move(part, stored)
        part.symlink_to(stored)
        load_model(str(folder))
        stored.unlink()
        assert "part-0.safetensors" in refusal(folder)


def test_encoders_lack_what_they_do_not_use_and_nothing_else(tiny_encoder, tmp_path):
    path = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, path)
    expected = SentenceEncoder(str(path)).encode(["the cat sat"])
    rewrite(path, lambda w: [w.pop(k) for k in list(w) if k.startswith("pooler.")])
    assert (SentenceEncoder(str(path)).encode(["the cat sat"]) == expected).all()
    rewrite(path, lambda w: w.pop("embeddings.word_embeddings.weight"))
    line = refusal(path, SentenceEncoder)
    assert line.startswith("cannot load the sentence encoder in ")
    assert "lack embeddings.word_embeddings.weight" in line
    assert "lack classifier.bias (and 1 more)" in refusal(
        tiny_encoder, lambda p: load_weights("AutoModelForSequenceClassification", p, unused=["x"])
    )


def test_a_model_without_an_output_layer_is_no_prior(tiny_model):
    from toedit.priors.hf import HFPrior

    body = load_model(str(tiny_model)).model
    with pytest.raises(UserError, match="LlamaModel has no output layer"):
        HFPrior(body, load_tokenizer(str(tiny_model)))


def test_interruptions_pass_through():
    from toedit.priors.loading import explain_loading

    with pytest.raises(KeyboardInterrupt), explain_loading("model", "x"):
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="as it is"), explain_loading("model", "x"):
        raise UserError("as it is")
