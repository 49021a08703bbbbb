"""What scripts/make-golden.py and test/interop/reference.py share: the rows of test/fixtures/families.json as
transformers models with weights that all matter.

A row is a name and {"config": {...}}: model_type and what differs from that configuration class's defaults.
vocab_size and token ids are the same everywhere, so a row holds sizes and facts alone. Further keys of a row:
"lora" (LoraConfig arguments of its adapter; all linear layers where absent), "golden": false (live comparison only), "seed" (of the golden's weights and rows, where the name's own is
ill-conditioned).
"""
import json
import math
from pathlib import Path

import internlm2_reference  # noqa: F401  (registers a family that transformers lacks)
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion
from transformers.pytorch_utils import Conv1D

VOCAB = 131
EOS = 2
TOKENS = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=EOS, pad_token_id=None)


def family_rows():
    path = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "families.json"
    return json.loads(path.read_text())


def family_config(row):
    return AutoConfig.for_model(**{**TOKENS, **row["config"]})


def attention_of(folder):
    """attn_implementation for a model folder: transformers' default ignores a cap on scores, its plain one does not."""
    return "eager" if getattr(AutoConfig.from_pretrained(folder), "attn_logit_softcapping", None) else None


def family_lora(row):
    return {"r": 3, "lora_alpha": 6, "target_modules": "all-linear", **row.get("lora", {})}


def fan_in_of(module, parameter):
    return parameter.shape[0] if isinstance(module, Conv1D) else parameter.shape[-1]


def randomize(model, generator):
    """Every parameter away from its initial value, at a scale where all of them matter to the loss."""
    head = model.get_output_embeddings()
    tied = head is None or head.weight is model.get_input_embeddings().weight
    owner = {id(p): m for m in model.modules() for p in m.parameters(recurse=False)}
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            module = owner[id(p)]
            if p.dim() == 1:
                p.add_(0.3 * noise)
                if "embedding" in name:  # a norm behind the embedding: small, or a tied head sees nothing but the last token
                    p.mul_(0.2)
            elif p is model.get_input_embeddings().weight:
                # A model that scales its embeddings would otherwise hear little but its last token.
                p.copy_(noise * (1.3 / math.sqrt(p.shape[1]) if tied else 0.7) / getattr(model.get_input_embeddings(), "scalar_embed_scale", 1.0))
            elif isinstance(module, torch.nn.Embedding):
                p.copy_(noise * 0.3)
            elif head is not None and p is head.weight:
                p.copy_(noise * 1.6 / math.sqrt(p.shape[1]))
            else:
                p.copy_(noise * 1.1 / math.sqrt(fan_in_of(module, p)))
        saved = model.state_dict().keys()
        for name, buffer in model.named_buffers():
            if name in saved and buffer.is_floating_point():
                buffer.add_(0.3 * torch.randn(buffer.shape, generator=generator))


def make_family_model(config, seed):
    model = AutoModelForCausalLM.from_config(config).float()
    randomize(model, torch.Generator().manual_seed(seed))
    return model.eval()


def as_stored(model, tensors):
    """Parameters' tensors by the names, and in the form, in which transformers writes them to files; an adapter's as they are."""
    if hasattr(model, "peft_config"):
        return tensors
    return {name: value.contiguous().clone() for name, value in revert_weight_conversion(model, tensors).items()}
