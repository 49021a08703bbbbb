"""Models with experts, beyond what families.py compares: the load-balancing loss, adapters from before experts were fused, and gpt_oss in
mxfp4. Part of reference.py."""
import json
from pathlib import Path

import torch
from families import load, make_rows, row_logits, stored_gradients
from peft import LoraConfig, PeftModel
from reference_models import family_config, family_rows, make_family_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Mxfp4Config
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

COEFFICIENT = 0.5  # large enough that a wrong loss shows
RANK, ALPHA = 2, 6


def padded(rows):
    width = max(len(row["input_ids"]) for row in rows)
    fill = lambda values, by: torch.tensor([v + [by] * (width - len(v)) for v in values])  # noqa: E731
    ids, labels = [row["input_ids"] for row in rows], [row["labels"] for row in rows]
    return dict(input_ids=fill(ids, 0), labels=fill(labels, -100), attention_mask=fill([[1] * len(v) for v in ids], 0))


def balanced(name, folder, seed=5):
    """A model whose config asks for the load-balancing loss: loss and gradients of one batch, padding left out by its mask."""
    config = family_config(family_rows()[name])
    config.output_router_logits, config.router_aux_loss_coef = True, COEFFICIENT
    folder = Path(folder)
    make_family_model(config, seed).save_pretrained(folder / "model")
    rows = make_rows(torch.Generator().manual_seed(seed))
    model = load(folder / "model").requires_grad_(True)
    answer = model(**padded(rows), use_cache=False)
    answer.loss.backward()
    save_file({f"gradient.{key}": value for key, value in stored_gradients(model).items()}, folder / "reference.safetensors")
    return dict(rows=rows, loss=answer.loss.item(), balance=COEFFICIENT * answer.aux_loss.item())


def older_names(model):
    """(old name, out, in) of every projection of every expert and of every router, by the model's own file names."""
    from safetensors import safe_open
    with safe_open(Path(model) / "model.safetensors", "pt") as file:
        names = [k.removesuffix(".weight") for k in file.keys() if ".experts." in k or k.endswith(".gate.weight")]
        return [(name, *file.get_slice(name + ".weight").get_shape()) for name in names]


def older_adapter(name, folder, seed=6):
    """An adapter as PEFT wrote it before transformers fused experts, and what PEFT makes of it now: logits, its own file, merged weights."""
    folder = Path(folder)
    base, older = folder / "model", folder / "older"
    make_family_model(family_config(family_rows()[name]), seed).save_pretrained(base)
    generator = torch.Generator().manual_seed(seed)
    tensors, targets = {}, set()
    for module, out, width in older_names(base):
        targets.add(module.rsplit(".", 1)[1])
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.randn(RANK, width, generator=generator) * width ** -0.5
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.randn(out, RANK, generator=generator) * 0.15
    LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=sorted(targets), base_model_name_or_path=str(base)).save_pretrained(older)
    save_file(tensors, older / "adapter_model.safetensors", metadata={"format": "pt"})
    tuned = PeftModel.from_pretrained(load(base), older).eval()
    rows = make_rows(generator)
    save_file({f"adapted.{i}": logits for i, logits in enumerate(row_logits(tuned, rows))}, folder / "reference.safetensors")
    tuned.save_pretrained(folder / "fused")
    tuned.merge_and_unload().save_pretrained(folder / "merged-peft")
    return dict(rows=rows)


BLOCK = 32


def random_blocks(experts, rows, columns, generator):
    """Every 4-bit code, powers of two around those of weights: as the published checkpoint keeps the experts of a layer."""
    blocks = torch.randint(0, 256, (experts, rows, columns // BLOCK, BLOCK // 2), generator=generator, dtype=torch.uint8)
    scales = torch.randint(118, 124, blocks.shape[:-1], generator=generator, dtype=torch.uint8)
    return blocks, scales


def mxfp4(folder, seed=8):
    """A gpt_oss folder in mxfp4: what transformers makes of its tensors, and its logits where it loads the folder itself."""
    folder = Path(folder)
    packed, row = folder / "packed", family_rows()["gpt_oss"]
    config = family_config(dict(row, config=dict(row["config"], hidden_size=2 * BLOCK, intermediate_size=BLOCK)))
    make_family_model(config, seed).save_pretrained(packed)
    generator = torch.Generator().manual_seed(seed)
    tensors, values = load_file(packed / "model.safetensors"), {}
    for name in [name for name in tensors if name.endswith((".gate_up_proj", ".down_proj"))]:
        experts, width, out = tensors.pop(name).shape
        blocks, scales = random_blocks(experts, out, width, generator)
        tensors[name + "_blocks"], tensors[name + "_scales"] = blocks, scales
        values[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16)
    save_file(tensors, packed / "model.safetensors", metadata={"format": "pt"})
    described = json.loads((packed / "config.json").read_text())
    described["quantization_config"] = dict(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"])
    (packed / "config.json").write_text(json.dumps(described))
    model = AutoModelForCausalLM.from_pretrained(packed, quantization_config=Mxfp4Config(dequantize=True), dtype=torch.float32, experts_implementation="eager").eval()
    rows = make_rows(generator)
    reference = {f"logits.{i}": logits for i, logits in enumerate(row_logits(model.float(), rows))}
    save_file({**reference, **{name: value.contiguous() for name, value in values.items()}}, folder / "reference.safetensors")
    return dict(rows=rows)
