"""Weights, gradients and optimizer shared out over processes: FSDP 2, through the Trainer.

Each transformer block is a unit that is gathered, used and let go; parameters stay float32, are
computed with in the precision of the run, and gradients are added up in float32. Checkpoints hold
each process's own part (``torch.distributed.checkpoint``) and can be read by any number of them.
"""

from pathlib import Path
from typing import Any

import torch
from torch.distributed.algorithms._checkpoint import checkpoint_wrapper as wrapping
from torch.distributed.fsdp import MixedPrecisionPolicy

from experiments.config import TrainConfig


def fsdp_arguments(train: TrainConfig) -> dict[str, Any]:
    """The Trainer's arguments that share weights out; none where they are not."""
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
    """Sets what the Trainer's arguments cannot say, before anything is shared out.

    Args:
        accelerator: the Trainer's.
        arguments: the Trainer's.
        train: how the model is trained.
    """
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = accelerator.state
    if getattr(state, "fsdp_plugin", None) is None:
        # On processors accelerate would quietly keep a whole copy a process.
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
        state.distributed_type = DistributedType.FSDP
    compute = torch.bfloat16 if train.precision == "bfloat16" else None
    state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=compute, reduce_dtype=torch.float32
    )


def block_classes(model: Any) -> set[type]:
    """Classes of a model's transformer blocks, by the list that transformers keeps of them.

    Raises:
        RuntimeError: the model lists none, or others than it has.
    """
    names = set(model._no_split_modules or ())
    found = {type(m) for m in model.modules() if type(m).__name__ in names}
    if not names or {kind.__name__ for kind in found} != names:
        raise RuntimeError(f"{type(model).__name__} does not say which its blocks are: {names}")
    return found


def recompute(model: Any) -> None:
    """Makes every block recompute its activations in the backward pass.

    As accelerate would with ``activation_checkpointing``, but with the same draws of dropout the
    second time, without which gradients were those of another pass.
    """
    blocks = tuple(block_classes(model))
    wrapping.apply_activation_checkpointing(
        model,
        checkpoint_wrapper_fn=wrapping.checkpoint_wrapper,
        check_fn=lambda module: isinstance(module, blocks),
    )


def gathered(model: Any, first: bool) -> dict[str, torch.Tensor]:
    """All weights of a model that is shared out, in the memory of the first process's host.

    Tensors are gathered one at a time, so that a device holds one more at most. All processes take
    part.

    Args:
        model: the model as it is trained.
        first: whether this process is the one that gets them; the others get none.
    """
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    every, once = (
        {name for name, _ in model.named_parameters(remove_duplicate=kind)}
        for kind in (False, True)
    )
    found: dict[str, torch.Tensor] = {}
    parts: dict[str, Any] = get_model_state_dict(model)
    for name in sorted(every - once):  # tied to another, and written once
        parts.pop(name, None)
    for name, part in parts.items():
        whole = part.full_tensor() if hasattr(part, "full_tensor") else part
        if first:
            found[name] = whole.to("cpu", copy=True)
    return found


def read_checkpoint(checkpoint: str | Path, model: Any) -> None:
    """Reads the weights of a checkpoint of several processes into a model of this one.

    Args:
        checkpoint: a folder ``checkpoint-STEP``.
        model: of the same shape, not shared out.
    """
    import torch.distributed.checkpoint as parts
    from accelerate.utils.constants import FSDP_MODEL_NAME

    weights = {"model": model.state_dict()}
    reader = parts.FileSystemReader(Path(checkpoint, f"{FSDP_MODEL_NAME}_0"))
    parts.load(weights, storage_reader=reader, no_dist=True)
    model.load_state_dict(weights["model"])
