"""Putting LoRA adapters on models: what an adapter's files say and lack is found here, whoever wrote them."""

from __future__ import annotations

from typing import Any

from peft import PeftModel, get_peft_model_state_dict

from pg_envs.models.checks import adapter_shapes
from pg_envs.models.loading import check_finite
from pg_envs.models.memory import is_out_of_memory
from pg_envs.models.ref import ModelRef, ModelRefError, loadable_name


def put_adapter(model: Any, ref: ModelRef, name: str, **settings: Any) -> PeftModel:
    """Put ``ref``'s adapter on a model.

    Args:
        model: A plain model, or one with adapters already, beside which it is put.
        ref: Names the adapter.
        name: What it is called on the model.
        settings: For PEFT's loading.

    Returns:
        The model with its adapters.

    Raises:
        ModelRefError: If the adapter is no plain LoRA, does not load, has weights that are no finite numbers, or too few or too many.
    """
    folder = ref.adapter or ""
    in_file = adapter_shapes(ref, folder).keys()
    try:
        if isinstance(model, PeftModel):
            model.load_adapter(loadable_name(folder), adapter_name=name, **settings)
        else:
            model = PeftModel.from_pretrained(model, loadable_name(folder), adapter_name=name, **settings)
        weights = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    except Exception as error:  # a configuration of a stranger's can have PEFT fail in any way
        if is_out_of_memory(error):
            raise
        raise ModelRefError(f"{ref}: the adapter does not load: {type(error).__name__}: {error}") from error
    if differing := sorted(weights.keys() ^ in_file):
        whose = "its weights lack" if differing[0] in weights else "its configuration has no place for"
        raise ModelRefError(f"{ref}: the adapter is damaged: {whose} {differing[0]} ({len(differing)} such)")
    check_finite(ref, "adapter", weights.items())
    return model
