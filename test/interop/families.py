"""One family of test/fixtures/families.json, start to end, as transformers and PEFT compute it: part of reference.py.
Everything is fp32 on one thread; tensors go to one safetensors file, numbers and ids into the answer."""
import math
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from reference_models import EOS, VOCAB, as_stored, attention_of, family_config, family_lora, family_rows, make_family_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

LENGTHS = [1, 2, 13, 37, 50]  # of the rows whose logits and gradients are compared
NEW_TOKENS = 64
STEPS = 3
LEARNING_RATE = 1e-2
LEAD = 1e-3  # smallest lead of a first over a second choice: rounding must not decide


def load(folder):
    # Grouped products of experts want aligned sizes.
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, attn_implementation=attention_of(folder),
                                                       experts_implementation="eager")
    wrong = {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys}
    assert not wrong, f"transformers does not find its own tensors in {folder}: {wrong}"
    return model.eval()


def make_rows(generator):
    rows = []
    for i, length in enumerate(LENGTHS):
        ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist()
        labels = [-100 if i % 2 and t < length // 3 else token for t, token in enumerate(ids)]
        rows.append(dict(input_ids=ids, labels=labels))
    return rows


def total_loss(model, rows, backward=False):
    """Sum over supervised tokens / their number, each row alone; gradients are added where wanted."""
    supervised = sum(label != -100 for row in rows for label in row["labels"][1:])
    total = 0.0
    for row in rows:
        logits = model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0, :-1]
        target = torch.tensor(row["labels"][1:], dtype=torch.long)
        loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum") / supervised
        if backward and len(row["input_ids"]) > 1:
            loss.backward()
        total += loss.item()
    return total


def gradients_of(model):
    return {n.replace(".default.", "."): p.grad.contiguous().clone() for n, p in model.named_parameters() if p.grad is not None}


def stored_gradients(model):
    """By the names of files, which hold a tensor for each projection of each expert. What nothing reached is zero."""
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    return as_stored(model, gradients)


def row_logits(model, rows):
    with torch.no_grad():
        return [model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0].contiguous() for row in rows]


def padded(prompts):
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


def generate(model, prompts, use_cache=True):
    """Greedy ids of every prompt, left-padded into one batch, and the smallest lead of each over its second choice."""
    ids, mask = padded(prompts)
    out = model.generate(ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False, use_cache=use_cache, pad_token_id=0,
                         eos_token_id=-1, output_scores=True, return_dict_in_generate=True)
    leads = torch.stack([(lambda top: top[:, 0] - top[:, 1])(score.topk(2).values) for score in out.scores]).min(dim=0).values
    return out.sequences[:, ids.shape[1]:].tolist(), leads.tolist()


def generation(model, generator):
    """Three prompts of different lengths whose continuations vary and never hesitate."""
    chosen = {}
    for _ in range(40):
        prompts = [torch.randint(3, VOCAB, (length,), generator=generator).tolist() for length in (3, 5, 8, 11) * 4]
        for prompt, tokens, lead in zip(prompts, *generate(model, prompts)):
            if lead > LEAD and len(set(tokens)) >= 6 and len(chosen) < 3:
                chosen.setdefault(len(prompt), (prompt, tokens))
        if len(chosen) == 3:
            break
    assert len(chosen) == 3, "no decided prompts"
    prompts, tokens = map(list, zip(*chosen.values()))
    assert generate(model, prompts, use_cache=False)[0] == tokens, "the cache changes the text"
    assert [generate(model, [p])[0][0] for p in prompts] == tokens, "left padding changes the text"
    return dict(prompts=prompts, tokens=tokens)


def lora_steps(model, rows):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE, weight_decay=0.0)
    losses, first = [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        losses.append(total_loss(model, rows, backward=True))
        first = first or gradients_of(model)
        optimizer.step()
    return losses, first


def adapt(folder, adapter, row, seed):
    torch.manual_seed(seed)
    tuned = get_peft_model(load(folder), LoraConfig(task_type="CAUSAL_LM", **family_lora(row)))
    with torch.no_grad():
        for name, p in tuned.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.15)
    tuned.save_pretrained(adapter)


def adapted_name(name, module):
    """Of a parameter: its own, but for a router's weight, which stands for its module."""
    parameter = getattr(module, "parameter_name", "weight")
    name = name.replace(".base_layer", "")
    return name if parameter == "weight" else f"{name}.{parameter}"


def all_linear(folder):
    """Every module, and parameter of experts, that PEFT adapts for "all-linear"."""
    tuned = get_peft_model(load(folder), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    return sorted(adapted_name(name, module) for name, module in tuned.base_model.model.named_modules() if hasattr(module, "lora_A"))


def family(name, folder, seed=7):
    """Model, adapter, merged model and every number of the row `name`, in `folder`."""
    row = family_rows()[name]
    folder = Path(folder)
    base, adapter, merged = folder / "model", folder / "adapter", folder / "merged-peft"
    make_family_model(family_config(row), seed).save_pretrained(base)
    generator = torch.Generator().manual_seed(seed + 1)
    rows = make_rows(generator)
    model, tensors = load(base), {}

    for i, logits in enumerate(row_logits(model, rows)):
        tensors[f"logits.{i}"] = logits
    answer = dict(rows=rows, generation=generation(model, generator), vocab_size=VOCAB)
    answer["loss"] = total_loss(model.requires_grad_(True), rows, backward=True)
    for key, value in stored_gradients(model).items():
        tensors[f"gradient.{key}"] = value

    answer["all_linear"] = all_linear(base)
    adapt(base, adapter, row, seed + 2)
    tuned = PeftModel.from_pretrained(load(base), adapter, is_trainable=True).eval()
    for i, logits in enumerate(row_logits(tuned, rows)):
        tensors[f"adapted.{i}"] = logits
    answer["lora_losses"], gradients = lora_steps(tuned, rows)
    for key, value in gradients.items():
        tensors[f"lora.{key}"] = value
    PeftModel.from_pretrained(load(base), adapter).merge_and_unload().save_pretrained(merged)
    assert all(value.isfinite().all() for value in tensors.values()) and math.isfinite(answer["loss"]) and EOS < VOCAB
    save_file(tensors, folder / "reference.safetensors")
    return answer


def reloaded(folder, other):
    """Loads two model folders with transformers: which tensors differ by a bit. Missing or unknown names raise."""
    first, second = load(folder).state_dict(), load(other).state_dict()
    assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
    return sorted(name for name in first if not torch.equal(first[name], second[name]))


def loads_exactly(folder):
    """Tensors of a folder that transformers does not keep bit for bit."""
    model, stored = load(folder), load_file(Path(folder) / "model.safetensors")
    state = as_stored(model, model.state_dict())
    return sorted(name for name in stored if not torch.equal(state[name], stored[name]))
