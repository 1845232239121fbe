"""What test modules import by name."""

from pathlib import Path


def save_llama(folder: Path, tokenizer, hidden_size: int = 32, seed: int = 0) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter_at_random(base, folder: Path, seed: int, **lora):
    """A LoRA adapter whose two matrices are both drawn, where training would begin with a B of zeros; returns its ModelRef."""
    import torch
    from peft import LoraConfig, get_peft_model

    from pg_envs.models.loading import load_base
    from pg_envs.models.tuning import save_adapter

    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **lora}
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **settings)
    save_adapter(get_peft_model(load_base(base, torch.float32, torch.device("cpu")), config), base, folder)
    return base.with_adapter(folder)
