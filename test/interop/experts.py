"""Models with experts, beyond what families.py compares: the load-balancing loss, and adapters from before experts were fused. Part of
reference.py."""
from pathlib import Path

import torch
from families import load, make_rows, row_logits, stored_gradients
from peft import LoraConfig, PeftModel
from reference_models import family_config, family_rows, make_family_model
from safetensors.torch import save_file

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
