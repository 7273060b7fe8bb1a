"""What decides the result of a command: settings for its statistics, and their identity.

The identity names everything by content: files of inputs and models by hash, hub models by commit,
plugins by the file of their module. Paths, devices and workers do not count.
"""

import argparse
from pathlib import Path
from typing import Any

from toedit.commands.common import ENGINE_OPTIONS, prior_of
from toedit.corpora.prepare import is_hub_id, pinned_commit
from toedit.corpora.remote import is_remote
from toedit.corpora.units import corpus_files, file_names
from toedit.identity import Hashes, file_hash, model_hash, plugin_hash
from toedit.plugins import is_plugin
from toedit.priors.loading import EMBEDDED, embedded_revision, pinned_model
from toedit.priors.vllm_settings import deciding, from_options
from toedit.redaction import without_credentials

IGNORED = {"command", "inputs", "output", "address", "work", "force", "dry_run", "workers",
           "batch_tokens", "device", "level", "sampler_arg", "scores", "run", "engine", "sbatch",
           *(name for name, _, _ in ENGINE_OPTIONS)}  # fmt: skip
"""Options that do not decide the result."""

INPUT, OF_HUB = "input ", "of the hub"
"""How the keys of inputs in an identity begin, and the value of those that are not hashed."""


def settings_of(
    arguments: argparse.Namespace, rule: dict[str, Any], read: Hashes
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Describe the inputs and every option that decides the result.

    Args:
        arguments: the options of the command; names of hub models get their commits.
        rule: the editing rule that the options amount to, if any.
        read: hashes of files that were read before; those read now are added.

    Returns:
        The settings: inputs with size and SHA-256, options, rule. And the identity: one value per
        input, option and file of a model.

    Raises:
        UserError: an input, a model or a plugin cannot be found.
    """
    priors = _priors(arguments, read)  # first, since it may set the revision
    options = {k: v for k, v in sorted(vars(arguments).items()) if k not in IGNORED}
    inputs = [source for name in arguments.inputs for source in _sources(name, read)]
    settings = {"inputs": inputs, **options, **({"rule": rule} if rule else {})}
    names = iter(file_names([Path(i["file"]) for i in inputs if "sha256" in i]))
    identity: dict[str, Any] = {}
    for source in inputs:
        if "sha256" in source:
            value = f"{source['bytes']} bytes, sha256 {source['sha256'][:16]}"
            identity[f"{INPUT}{next(names)!r}"] = value
        else:
            identity[f"{INPUT}{without_credentials(source['file'])!r}"] = OF_HUB
    for name, value in {**options, **rule}.items():
        if value is not None and name not in ("prior", "revision", "vllm"):
            identity[f"--{name.replace('_', '-')}"] = value
    if engine := deciding(from_options(options.get("vllm") or ())):
        identity["--vllm"] = engine
    if "sampler" in rule:
        identity["--sampler"] = plugin_hash(rule["sampler"], "sampler", read)
    if options.get("count_tokens"):
        identity |= _model("--count-tokens", options["count_tokens"], None, read, weights=False)
        arguments.count_tokens = settings["count_tokens"] = pinned_model(options["count_tokens"])
    identity |= priors
    texts = {key: without_credentials(v) for key, v in identity.items() if isinstance(v, str)}
    return settings, identity | texts


def _sources(name: str, read: Hashes) -> list[dict[str, Any]]:
    """The files of an input with their sizes and hashes; an address, or the id of a data set of the
    hub, with its commit if it has one."""
    if is_hub_id(name) or is_remote(name):
        return [{"file": name, "commit": pinned_commit(name)}]
    return [
        {"file": str(path), "bytes": path.stat().st_size, "sha256": file_hash(path, read)}
        for path in corpus_files([name])
    ]


def _priors(arguments: argparse.Namespace, read: Hashes) -> dict[str, Any]:
    config = prior_of(arguments)
    if config.kind == "table":
        return {"--prior": "table"}
    if is_plugin(config.kind):
        found = {"--prior": plugin_hash(config.kind, "prior", read)}
        if config.model:  # only the plugin knows what its name stands for, if it is no folder
            found |= _files("--prior", config.model, read) or {"--prior's model": config.model}
        return found
    found = _model("--prior", config.model, arguments.revision, read)
    for number, name in enumerate(config.ensemble, 2):
        found |= _model(f"--prior {number}", name, None, read)
    if arguments.prior:
        pinned = config.pinned()
        arguments.prior, arguments.revision = [pinned.model, *pinned.ensemble], None
    return found


def _model(
    option: str, name: str, revision: str | None, read: Hashes, weights: bool = True
) -> dict[str, str]:
    """A folder by its files, any other model by its revision or commit."""
    found = _files(option, name, read, weights)
    if found:
        return found
    if name == EMBEDDED:
        return {option: f"{name}@{embedded_revision(name)}"}
    return {option: pinned_model(name, revision)}


def _files(option: str, name: str, read: Hashes, weights: bool = True) -> dict[str, str]:
    """The files of a model's folder; nothing if it is no folder."""
    hashes = model_hash(name, read, weights)
    if isinstance(hashes, str):
        return {}
    pairs = (entry.rpartition(":") for entry in hashes)
    return {option: "a folder"} | {f"{option} file {file}": value for file, _, value in pairs}
