#!/usr/bin/env python3
"""Writes test/fixtures/golden: small random models and what transformers + PEFT compute with them.

    python3 scripts/make-golden.py [case ...]        (torch 2.13, transformers 5.17, peft 0.21; CPU, 1 minute)

The cases below are built, and a small one for each row of families.json beside the goldens. Every case is a folder:
model/ (config.json and weights as a Hugging Face model has them), adapter/ (a PEFT LoRA adapter, A and B both
random so that every gradient matters), golden.json (rows, losses, gradient norms, generated ids, and the names
of the tensors that belong to them) and golden.safetensors (logits, gradients).
All numbers are fp32 on one thread and deterministic; each run is repeated in fp64 and must agree within
CONDITION, so a disagreement of another implementation is its own, not the rounding of a chaotic run. It is repeated in bf16
and fp16 as well, and how far that goes from fp32 recorded: what an implementation in half precision is held against.

Conventions: a step is ACCUMULATION micro-batches of MICRO_BATCH rows taken in order (row 0 again after the
last), right-padded; loss = sum over supervised tokens of the step / their number (labels[1:] != -100);
clip to 1.0; AdamW(0.9, 0.999, 1e-8), constant learning rate, weight decay on matrices only (norms, biases exempt).
"""
import copy
import json
import math
import os
import shutil
import sys
import zlib
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from reference_models import EOS, VOCAB, as_stored, attention_of, family_config, family_lora, family_rows, randomize

ROOT = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "golden"
STEPS = 20
MICRO_BATCH = 2
ACCUMULATION = 2
CONDITION = 3e-5  # fp32 against fp64, relative: losses and gradient norms of all steps
HALF_RUNS = 3
LOSS_SCALE = 1024.0  # of runs in half precision: fp16 has no smaller gradients
LORA_LR = 6e-3
FULL_LR = 1e-3

# ---------------------------------------------------------------- the cases

LENGTHS = [11, 3, 19, 27, 2, 14, 33, 8, 23, 40, 5, 17, 30, 6]
SMALL = dict(vocab_size=VOCAB, intermediate_size=77, num_hidden_layers=2, max_position_embeddings=128,
             bos_token_id=1, eos_token_id=EOS, pad_token_id=None)


def case(config, lora, **options):
    """options: dtype of the files, shard (bytes), legacy (config.json in the style before transformers 5),
    lengths (of the training rows), long (length of the long logits row), steps, count (of generated tokens), seed, weight_decay."""
    return dict(config=config, lora=lora, **options)


CASES = {
    "llama-gqa": case(
        lambda: LlamaConfig(**SMALL, hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=10,
                            rms_norm_eps=1e-5),
        dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "llama-biases-llama3": case(
        lambda: LlamaConfig(**SMALL, hidden_size=40, num_attention_heads=5, num_key_value_heads=1,
                            attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                            rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                                                 high_freq_factor=4.0, original_max_position_embeddings=16)),
        dict(r=3, lora_alpha=6, target_modules="all-linear", use_rslora=True), weight_decay=0.01, long=90),
    "llama-linear": case(
        lambda: LlamaConfig(**SMALL, hidden_size=36, num_attention_heads=3, num_key_value_heads=3,
                            rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=4.0)),
        dict(r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"]), legacy=True, shard="60KB", long=70),
    "llama-dynamic": case(
        lambda: LlamaConfig(**{**SMALL, "max_position_embeddings": 24}, hidden_size=36, num_attention_heads=3,
                            num_key_value_heads=1, tie_word_embeddings=True,
                            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0)),
        dict(r=4, lora_alpha=8, target_modules="all-linear"),
        # transformers scales by the longest padded row it has seen; rows of one length leave nothing to that history
        lengths=[37] * len(LENGTHS), long=61),
    "llama-yarn-fp16": case(
        lambda: LlamaConfig(**SMALL, hidden_size=40, num_attention_heads=4, num_key_value_heads=2,
                            rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                                 original_max_position_embeddings=16)),
        dict(r=5, lora_alpha=10, target_modules=["down_proj", "o_proj"]), dtype=torch.float16, long=80),
    "mistral-window": case(
        lambda: MistralConfig(**SMALL, hidden_size=50, num_attention_heads=6, num_key_value_heads=3, head_dim=12,
                              sliding_window=7, rms_norm_eps=1e-5),
        dict(r=4, lora_alpha=8, target_modules="all-linear", rank_pattern={"q_proj": 2, "model.layers.1.mlp.up_proj": 6},
             alpha_pattern={"v_proj": 16, "layers.0.mlp.down_proj": 2}), shard="80KB", weight_decay=0.01),
    "mistral-bf16": case(
        lambda: MistralConfig(**SMALL, hidden_size=42, num_attention_heads=7, num_key_value_heads=1, head_dim=14,
                              sliding_window=None, tie_word_embeddings=True),
        dict(r=4, lora_alpha=8, target_modules=r".*layers\.[1-9]\d*\.(self_attn\.[qk]|mlp\.gate)_proj"),
        dtype=torch.bfloat16, legacy=True),
    "qwen2-tied": case(
        lambda: Qwen2Config(**SMALL, hidden_size=48, num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True,
                            rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
        dict(r=4, lora_alpha=8, target_modules="all-linear"), legacy=True),
    "qwen2-window": case(
        lambda: Qwen2Config(**{**SMALL, "num_hidden_layers": 3}, hidden_size=40, num_attention_heads=5, num_key_value_heads=1,
                            use_sliding_window=True, sliding_window=5, max_window_layers=1),
        dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "qwen2-yarn": case(
        lambda: Qwen2Config(**SMALL, hidden_size=48, num_attention_heads=4, num_key_value_heads=4,
                            rope_parameters=dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0,
                                                 original_max_position_embeddings=16, beta_fast=16.0, beta_slow=2.0,
                                                 truncate=False, mscale=0.707, mscale_all_dim=1.3)),
        dict(r=4, lora_alpha=8, target_modules=["gate_proj", "up_proj", "k_proj"]), long=75),
    "qwen3-tied": case(
        lambda: Qwen3Config(**SMALL, hidden_size=36, num_attention_heads=3, num_key_value_heads=1, head_dim=16,
                            tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
        dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "qwen3-biases-bf16": case(
        lambda: Qwen3Config(**{**SMALL, "num_hidden_layers": 3}, hidden_size=40, num_attention_heads=4, num_key_value_heads=2,
                            head_dim=12, attention_bias=True, use_sliding_window=True, sliding_window=6, max_window_layers=2),
        dict(r=8, lora_alpha=16, target_modules="all-linear"), dtype=torch.bfloat16, weight_decay=0.01),
}

CASES.update({name: case(lambda row=row: family_config(row), {**family_lora(row), "r": 2}, dtype=torch.bfloat16, lengths=[11, 3, 17, 8],
                         long=30, steps=6, count=24, seed=row.get("seed", zlib.crc32(name.encode())))
              for name, row in family_rows().items() if row.get("golden", True)})


# ---------------------------------------------------------------- models and rows

def legacy_config(folder):
    """config.json as transformers 4 wrote it: rope_theta beside rope_scaling, torch_dtype."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    if "head_dim" in config and config["head_dim"] == config["hidden_size"] // config["num_attention_heads"]:
        del config["head_dim"]
    config["transformers_version"] = "4.46.0"
    path.write_text(json.dumps(config, indent=2) + "\n")


def write_model(folder, spec, seed):
    generator = torch.Generator().manual_seed(seed)
    model = AutoModelForCausalLM.from_config(spec["config"]())
    randomize(model, generator)
    model.to(spec.get("dtype", torch.float32))
    model.save_pretrained(folder, max_shard_size=spec.get("shard", "5GB"))
    if spec.get("legacy"):
        legacy_config(folder)


def load(folder, dtype=torch.float32):
    # Grouped products of experts want aligned sizes.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention_of(folder), experts_implementation="eager")
    model.config.use_cache = False
    return model.to(dtype).eval()


def make_rows(generator, lengths):
    """Varied lengths; prompts masked, some rows supervised from the first token, some with a hole."""
    rows = []
    for i, n in enumerate(lengths):
        ids = torch.randint(3, VOCAB, (n,), generator=generator).tolist()
        labels = list(ids)
        if i % 3 != 2:
            prompt = 1 + (n - 1) // 3
            labels[:prompt] = [-100] * prompt
        if i % 4 == 1 and n > 8:
            labels[n - 4] = -100
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def write_adapter(folder, model_folder, spec, seed):
    torch.manual_seed(seed)
    model = get_peft_model(load(model_folder), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **spec["lora"]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape) * 0.15)
    model.peft_config["default"].base_model_name_or_path = "../model"
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"  # PEFT writes a set in hash order: sorted, the files repeat
    config = json.loads(path.read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2) + "\n")


def load_adapter(model_folder, adapter_folder, dtype=torch.float32):
    return PeftModel.from_pretrained(load(model_folder), adapter_folder, is_trainable=True).to(dtype)


def plain(name):
    """Parameter name as PEFT writes it to a file."""
    return name.replace(".default.", ".")


# ---------------------------------------------------------------- what is recorded

def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def micro_batches(rows, step):
    first = step * MICRO_BATCH * ACCUMULATION
    for m in range(ACCUMULATION):
        yield [rows[(first + m * MICRO_BATCH + i) % len(rows)] for i in range(MICRO_BATCH)]


def pad(batch):
    width = max(len(r["input_ids"]) for r in batch)
    fill = lambda key, value: torch.tensor([r[key] + [value] * (width - len(r[key])) for r in batch])
    mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in batch])
    return fill("input_ids", 0), fill("labels", -100), mask


def decay_groups(model, weight_decay):
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    exempt = lambda name: name.endswith("bias") or "norm" in name
    return [{"params": [p for n, p in trainable if not exempt(n)], "weight_decay": weight_decay},
            {"params": [p for n, p in trainable if exempt(n)], "weight_decay": 0.0}]


def run(model, rows, steps, learning_rate, weight_decay, half=None):
    """`steps` optimizer steps: losses, gradient norms, and the gradients of the first step. `half`: a dtype of forward and backward;
    weights that are trained, their gradients' sums and the optimizer stay in fp32."""
    computing = model if half is None else copy.deepcopy(model).to(half)
    trained = [(p, q) for p, q in zip(model.parameters(), computing.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(decay_groups(model, weight_decay), lr=learning_rate, betas=(0.9, 0.999), eps=1e-8)
    parameters = [p for p in model.parameters() if p.requires_grad]
    losses, norms, gradients = [], [], {}
    for step in range(steps):
        batches = list(micro_batches(rows, step))
        if trained[0][0].dtype == torch.float64:  # plain attention, fp32 inside, is NaN for a query that sees padding alone
            batches = [[row] for batch in batches for row in batch]
        supervised = sum(sum(l != -100 for l in r["labels"][1:]) for b in batches for r in b)
        total = 0.0
        for batch in batches:
            ids, labels, mask = pad(batch)
            logits = computing(input_ids=ids, attention_mask=mask).logits
            if half is not None:
                logits = logits.float()
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, VOCAB), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum") / supervised
            (loss if half is None else loss * LOSS_SCALE).backward()
            total += loss.item()
            if half is not None:
                with torch.no_grad():
                    for p, q in trained:
                        p.grad = q.grad.float() / LOSS_SCALE + (0.0 if p.grad is None else p.grad)
                        q.grad = None
        if step == 0:
            gradients = as_stored(model, {plain(n): p.grad.float().clone() for n, p in model.named_parameters() if p.requires_grad})
        losses.append(total)
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
        optimizer.step()
        optimizer.zero_grad()
        if half is not None:
            with torch.no_grad():
                for p, q in trained:
                    q.copy_(p)
    model.eval()
    return losses, norms, gradients


def distance(a, b):
    """max |a - b| / max |b|"""
    return ((a - b).abs().max() / b.abs().max()).item()


def rounding(exact, other):
    """How far one run is from another: losses and gradient norms of all steps, and the first step's gradients that matter."""
    (losses, norms, gradients), (losses_h, norms_h, gradients_h) = exact, other
    series = lambda a, b: max(abs(x - y) / abs(y) for x, y in zip(a, b))
    return dict(loss=series(losses_h, losses), grad_norm=series(norms_h, norms),
                gradient=max(distance(gradients_h[key], value) for key, value in gradients.items() if matters(value)))


def shaken(model, half, seed):
    """Every weight moved by up to half a unit of its last place in `half`, but for seed 0. What turns on a sign (an activation at its
    kink, the first step of AdamW) differs between any two runs in half precision: several together say how far it goes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters() if seed > 0 else []:
            p.mul_(1 + torch.finfo(half).eps * (torch.rand(p.shape, generator=generator) - 0.5))
    return model


def half_logits(base, tuned, logits, tensors):
    """How far logits in half precision are from those that were recorded."""
    def runs(dtype):
        for seed in range(HALF_RUNS):
            models = {True: shaken(tuned(), dtype, seed).to(dtype), False: shaken(base(), dtype, seed).to(dtype)}
            for one in logits:
                yield distance(logits_of(models[one["adapter"]], one["input_ids"])[one["positions"]].float(), tensors[one["tensor"]])
    return {kind: float(f"{max(runs(dtype)):.3g}") for kind, dtype in [("bf16", torch.bfloat16), ("fp16", torch.float16)]}


def matters(gradient):
    return gradient.norm().item() > 1e-3


def record_run(make, rows, steps, learning_rate, weight_decay):
    model = make(torch.float32)
    losses, norms, gradients = run(model, rows, steps, learning_rate, weight_decay)
    losses64, norms64, _ = run(make(torch.float64), rows, steps, learning_rate, weight_decay)
    condition = max(abs(a - b) / abs(b) for a, b in zip(losses + norms, losses64 + norms64))
    assert condition < CONDITION, f"ill-conditioned: fp32 and fp64 differ by {condition}"
    cycle = len(rows) // math.gcd(len(rows), MICRO_BATCH * ACCUMULATION)  # steps in which every row comes equally often
    assert sum(losses[-cycle:]) < 0.995 * sum(losses[:cycle]), "does not learn"
    exact = (losses, norms, gradients)
    half = {}
    for kind, dtype in [("bf16", torch.bfloat16), ("fp16", torch.float16)]:
        runs = [rounding(exact, run(shaken(make(torch.float32), dtype, seed), rows, steps, learning_rate, weight_decay, dtype)) for seed in range(HALF_RUNS)]
        half[kind] = {key: float(f"{max(one[key] for one in runs):.3g}") for key in runs[0]}
    entry = dict(learning_rate=learning_rate, weight_decay=weight_decay, max_grad_norm=1.0, betas=[0.9, 0.999], eps=1e-8,
                 losses=losses, grad_norms=norms, condition=condition, half=half)
    return model, entry, gradients


def greedy(model, prompt, count, penalty=1.0):
    """Greedy ids without a cache, and the smallest lead of a first over a second choice."""
    ids, lead = list(prompt), math.inf
    for _ in range(count):
        scores = logits_of(model, ids)[-1].clone()
        seen = torch.tensor(sorted(set(ids)))
        scores[seen] = torch.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
        top = scores.topk(2)
        lead = min(lead, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
    return ids[len(prompt):], lead


def greedy_cached(model, prompt, count, penalty):
    """The same through generate() with its key-value cache. Dynamic rope leaves cached keys at the base they were
    turned by, so past the original length this is another continuation; everywhere else it is the same one."""
    out = model.generate(torch.tensor([prompt]), max_new_tokens=count, do_sample=False, use_cache=True, repetition_penalty=penalty,
                         eos_token_id=-1, pad_token_id=0)
    return out[0, len(prompt):].tolist()


def record_generation(make, generator, penalty, count):
    """The first random prompt whose continuation varies, never hesitates and never meets the end-of-sequence id."""
    for _ in range(400):
        prompt = torch.randint(3, VOCAB, (4,), generator=generator).tolist()
        tokens, lead = greedy(make(), prompt, count, penalty)
        if lead > 2e-3 and EOS not in tokens and len(set(tokens)) >= count // 6:
            cached = greedy_cached(make(), prompt, count, penalty)
            assert cached == tokens or make().config.rope_parameters["rope_type"] == "dynamic", "the cache changes the text"
            return dict(prompt=prompt, tokens=tokens, tokens_with_cache=cached, repetition_penalty=penalty, smallest_lead=lead)
    raise AssertionError("no decided prompt found")


def build(name, spec, seed):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    model_folder, adapter_folder = folder / "model", folder / "adapter"
    write_model(model_folder, spec, seed)
    write_adapter(adapter_folder, model_folder, spec, seed + 1)
    generator = torch.Generator().manual_seed(seed + 2)
    rows = make_rows(generator, spec.get("lengths", LENGTHS))
    steps, count = spec.get("steps", STEPS), spec.get("count", 48)
    base = lambda dtype=torch.float32: load(model_folder, dtype)
    tuned = lambda dtype=torch.float32: load_adapter(model_folder, adapter_folder, dtype)
    tensors, logits = {}, []

    def record_logits(make, label, ids, positions):
        key = f"logits.{label}"
        tensors[key] = logits_of(make(), ids)[positions].contiguous()
        logits.append(dict(tensor=key, adapter=make is tuned, input_ids=ids, positions=positions))

    short = torch.randint(0, VOCAB, (13,), generator=generator).tolist()
    long = torch.randint(0, VOCAB, (spec.get("long", 50),), generator=generator).tolist()
    record_logits(base, "short", short, list(range(len(short))))
    record_logits(base, "long", long, list(range(0, len(long), 9)) + [len(long) - 1])
    record_logits(base, "one", short[:1], [0])
    record_logits(tuned, "adapter", long, list(range(5, len(long), 13)))

    decay = spec.get("weight_decay", 0.0)
    trained, lora, gradients = record_run(tuned, rows, steps, LORA_LR, decay)
    for key, value in gradients.items():
        tensors[f"lora.gradient.{key}"] = value
    record_logits(lambda: trained, "trained", short, [0, 5, 12])
    trained_logits = logits.pop()

    def full_make(dtype=torch.float32):
        return load(model_folder, dtype).requires_grad_(True)

    trained_full, full, gradients = record_run(full_make, rows, steps, FULL_LR, decay)
    full["first_gradient_norms"] = {key: value.norm().item() for key, value in gradients.items()}
    # Zero but for rounding: a bias of keys, which softmax ignores where nothing turns them.
    assert all(norm > 1e-3 or norm < 1e-5 for norm in full["first_gradient_norms"].values()), "a parameter that does not matter"
    for key, value in gradients.items():
        if value.numel() <= 512 and matters(value):
            tensors[f"full.gradient.{key}"] = value
    record_logits(lambda: trained_full, "trained_full", short, [0, 5, 12])
    trained_full_logits = logits.pop()

    rounded = half_logits(base, tuned, logits, tensors)
    golden = dict(
        case=name, versions=dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__, peft=peft.__version__),
        micro_batch=MICRO_BATCH, accumulation=ACCUMULATION, steps=steps, rows=rows, logits=logits, half_logits=rounded,
        lora={**lora, "trained_logits": trained_logits}, full={**full, "trained_logits": trained_full_logits},
        generation=[record_generation(base, generator, 1.0, count), record_generation(base, generator, 1.3, count)])
    save_file(tensors, folder / "golden.safetensors")
    (folder / "golden.json").write_text(dump(golden) + "\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name:22} {size / 1024:6.0f} KB  lora {lora['losses'][0]:.4f} -> {lora['losses'][-1]:.4f} ({lora['condition']:.1e})"
          f"  full {full['losses'][0]:.4f} -> {full['losses'][-1]:.4f} ({full['condition']:.1e})", flush=True)


def dump(golden):
    """JSON with one line for each inner list or object, so that the file can be read and compared."""
    compact = lambda value: json.dumps(value, separators=(", ", ": "))
    lines = []
    for key, value in golden.items():
        if isinstance(value, list):
            body = ",\n    ".join(compact(item) for item in value)
            lines.append(f'  "{key}": [\n    {body}\n  ]')
        elif isinstance(value, dict):
            body = ",\n    ".join(f'"{k}": {compact(v)}' for k, v in value.items())
            lines.append(f'  "{key}": {{\n    {body}\n  }}')
        else:
            lines.append(f'  "{key}": {compact(value)}')
    return "{\n" + ",\n".join(lines) + "\n}"


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    wanted = sys.argv[1:]
    unknown = [name for name in wanted if name not in CASES]
    if unknown:
        sys.exit(f"no such case: {', '.join(unknown)} (there are {', '.join(CASES)})")
    for index, (name, spec) in enumerate(CASES.items()):
        if not wanted or name in wanted:
            build(name, copy.copy(spec), spec.get("seed", 1000 * (index + 1)))
    total = sum(f.stat().st_size for f in ROOT.rglob("*") if f.is_file())
    print(f"total {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
