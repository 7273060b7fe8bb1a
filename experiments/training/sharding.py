"""Shard weights, gradients and optimizer over processes: FSDP 2, through the Trainer.

Each transformer block is a unit that is gathered, used and freed; parameters stay float32, are cast
to the precision of the run, and gradients are reduced in float32. Checkpoints hold the shard of
each process (``torch.distributed.checkpoint``) and can be read by any number of processes.
"""

from typing import Any

import torch
from torch.distributed.algorithms._checkpoint import checkpoint_wrapper as wrapping
from torch.distributed.fsdp import MixedPrecisionPolicy

from experiments.config import TrainConfig


def fsdp_arguments(train: TrainConfig) -> dict[str, Any]:
    """The Trainer's arguments for sharding; empty without ``train.fsdp``."""
    if not train.fsdp:
        return {}
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",  # by the model's own list of blocks
            "reshard_after_forward": True,
            "state_dict_type": "SHARDED_STATE_DICT",
        },
    }


def prepare(accelerator: Any, arguments: Any, train: TrainConfig) -> None:
    """Set what the Trainer's arguments cannot express, before anything is sharded."""
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = accelerator.state
    if getattr(state, "fsdp_plugin", None) is None:
        # On CPUs accelerate would silently keep a full copy in each process.
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
        state.distributed_type = DistributedType.FSDP
    compute = torch.bfloat16 if train.precision == "bfloat16" else None
    state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=compute, reduce_dtype=torch.float32
    )


def block_classes(model: Any) -> set[type]:
    """Classes of a model's transformer blocks, from ``_no_split_modules`` of transformers.

    Raises:
        RuntimeError: the model lists none, or others than it has.
    """
    names = set(model._no_split_modules or ())
    classes = {type(m) for m in model.modules() if type(m).__name__ in names}
    if not names or {kind.__name__ for kind in classes} != names:
        raise RuntimeError(f"{type(model).__name__} does not say which its blocks are: {names}")
    return classes


def recompute(model: Any) -> None:
    """Make every block recompute its activations in the backward pass.

    Like ``activation_checkpointing`` of accelerate, but with the same draws of dropout the second
    time; otherwise gradients would be those of another pass.
    """
    blocks = tuple(block_classes(model))
    wrapping.apply_activation_checkpointing(
        model,
        checkpoint_wrapper_fn=wrapping.checkpoint_wrapper,
        check_fn=lambda module: isinstance(module, blocks),
    )


def gathered(model: Any, first: bool) -> dict[str, torch.Tensor]:
    """All weights of a sharded model on the CPU of the first process; none in the others.

    Tensors are gathered one at a time, so that a device holds one more at most. All processes take
    part; ``first`` marks the first one.
    """
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    every, unique = (
        {name for name, _ in model.named_parameters(remove_duplicate=kind)}
        for kind in (False, True)
    )
    weights: dict[str, torch.Tensor] = {}
    shards: dict[str, Any] = get_model_state_dict(model)
    for name in every - unique:  # tied to another, and written once
        shards.pop(name, None)
    for name, shard in shards.items():
        tensor = shard.full_tensor() if hasattr(shard, "full_tensor") else shard
        if first:
            weights[name] = tensor.to("cpu", copy=True)
    return weights
