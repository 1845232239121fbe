"""Random models of several architectures laid out as published ones are, each with a tokenizer of its own kind and vocabulary."""

from pathlib import Path

from hub_support import save_llama3
from tests_support import save_llama

ARCHITECTURES = ("llama", "llama3", "gpt2", "qwen3")
END = "<|endoftext|>"
LLAMA_3_SPECIALS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_3_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_as_published(folder: Path, architecture: str) -> Path:
    """A model folder of a few thousand random weights.

    ``llama``: as Llama 3, which has a begin of text and nothing to pad with. ``llama3``: as HistLlama3, with the same tokenizer and no
    template, scaled rotary embeddings, and weights in bfloat16 and four shards. ``qwen3``: ChatML, no begin of text, an output matrix that
    is the embedding's and has rows that no token uses. ``gpt2``: no template, one special token for everything, matrices that are
    (in, out), and weights whose names leave the model's out.
    """
    return {"llama": _save_llama, "llama3": _save_llama3, "gpt2": _save_gpt2, "qwen3": _save_qwen}[architecture](folder)


def _tokenizer(specials, n_tokens, **named):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from pg_envs.values.questionnaire import load_questionnaire

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=n_tokens, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator((" ".join((item.context, *item.options)) for item in load_questionnaire().items), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **named)


def _llama_3_tokenizer():
    tokenizer = _tokenizer(LLAMA_3_SPECIALS, 1000, bos_token=LLAMA_3_SPECIALS[0], eos_token=LLAMA_3_SPECIALS[-1])
    tokenizer.chat_template = LLAMA_3_TEMPLATE
    return tokenizer


def _save_llama(folder):
    return save_llama(folder, _llama_3_tokenizer())


def _save_llama3(folder):
    return save_llama3(folder, _llama_3_tokenizer(), seed=1)


def _save_gpt2(folder):
    tokenizer = _tokenizer([END], 700, bos_token=END, eos_token=END, unk_token=END)
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
    # Without the head, whose matrix is the embedding's: as published, names then begin with "h.0", not "transformer.h.0".
    return _save("gpt2", folder, tokenizer, shape, len(tokenizer), without_head=True)


def _save_qwen(folder):
    tokenizer = _tokenizer([END, "<|im_start|>", "<|im_end|>"], 1300, eos_token="<|im_end|>", pad_token=END)
    tokenizer.chat_template = CHATML
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    shape |= {"head_dim": 16, "tie_word_embeddings": True}
    return _save("qwen3", folder, tokenizer, shape, len(tokenizer) + 28)


def _save(name, folder, tokenizer, shape, n_rows, without_head=False):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    special = {key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, vocab_size=n_rows, initializer_range=0.2, **shape, **special))
    (model.base_model if without_head else model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
