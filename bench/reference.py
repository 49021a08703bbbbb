#!/usr/bin/env python3
"""The Python side of the benchmark: transformers + PEFT in a plain loop, the way a careful person writes it
(sdpa attention, fused AdamW, no trainer around it). Prints the JSON lines that `ft-native train --json` prints.

    reference.py train  --model F --adapter F --data rows.jsonl --steps N --batch-size B [--method full] …
    reference.py matmul --shapes 2048x576x1536,… --dtype bf16
    reference.py versions
"""
import argparse
import json
import os
import resource
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def process_start():
    """Wall time at which this process began, to count the interpreter's and the imports' own start."""
    try:
        with open("/proc/self/stat") as f:
            ticks = int(f.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/uptime") as f:
            uptime = float(f.read().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return START


START = time.time()


def emit(**event):
    print(json.dumps(event), flush=True)


def peak_rss():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def dtype_of(name):
    import torch
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[name]


def batches(rows, batch_size, steps):
    """Rows in file order, from the beginning again after the last, right-padded."""
    import torch
    for step in range(steps):
        chosen = [rows[(step * batch_size + i) % len(rows)] for i in range(batch_size)]
        width = max(len(r["input_ids"]) for r in chosen)
        fill = lambda key, value: torch.tensor([r[key] + [value] * (width - len(r[key])) for r in chosen])
        mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in chosen])
        yield chosen, dict(input_ids=fill("input_ids", 0), labels=fill("labels", -100), attention_mask=mask)


def load(args):
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype_of(args.dtype), attn_implementation="sdpa")
    model.config.use_cache = False
    if args.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if args.method == "lora":
        from peft import PeftModel
        if args.gradient_checkpointing:
            model.enable_input_require_grads()
        model = PeftModel.from_pretrained(model, args.adapter, is_trainable=True)
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    return model, trainable, torch.optim.AdamW(trainable, lr=args.learning_rate, weight_decay=0.0, fused=True)


def train(args):
    import torch
    began = process_start()
    rows = [json.loads(line) for line in open(args.data)]
    model, trainable, optimizer = load(args)
    emit(event="start", trainable_parameters=sum(p.numel() for p in trainable), seconds=time.time() - began)
    previous = time.time()
    for step, (chosen, batch) in enumerate(batches(rows, args.batch_size, args.steps), 1):
        loss = model(**batch).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable, 1.0).item()
        optimizer.step()
        optimizer.zero_grad()
        now = time.time()
        tokens = sum(len(r["input_ids"]) for r in chosen)
        emit(event="step", step=step, loss=loss.item(), grad_norm=norm, tokens=tokens, seconds=now - previous,
             tokens_per_second=tokens / (now - previous), seconds_since_start=now - began)
        previous = now
    emit(event="end", steps=args.steps, peak_rss_bytes=peak_rss())


def matmul(args):
    """TFLOP/s of x[m, k] · w[n, k]ᵀ, the best of several passes over several matrices."""
    import torch
    results = []
    for shape in args.shapes.split(","):
        m, k, n = map(int, shape.split("x"))
        x = torch.randn(m, k).to(dtype_of(args.dtype))
        weights = [torch.randn(n, k).to(dtype_of(args.dtype)) for _ in range(4)]
        best = 0.0
        with torch.no_grad():
            for _ in range(8):
                t = time.perf_counter()
                for w in weights:
                    torch.nn.functional.linear(x, w)
                best = max(best, len(weights) * 2 * m * k * n / (time.perf_counter() - t) / 1e12)
        results.append(dict(m=m, k=k, n=n, tflops=round(best, 4)))
    emit(event="matmul", dtype=args.dtype, threads=torch.get_num_threads(), shapes=results,
         tflops=round(sorted(r["tflops"] for r in results)[len(results) // 2], 4))


def versions(_):
    import peft
    import torch
    import transformers
    emit(event="versions", python=sys.version.split()[0], torch=torch.__version__, transformers=transformers.__version__,
         peft=peft.__version__, threads=torch.get_num_threads(), cpu_capability=torch.backends.cpu.get_cpu_capability())


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("train")
    p.set_defaults(run=train)
    p.add_argument("--model", required=True)
    p.add_argument("--adapter")
    p.add_argument("--data", required=True)
    p.add_argument("--method", choices=["lora", "full"], default="lora")
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--batch-size", type=int, required=True)
    p.add_argument("--learning-rate", type=float, default=2e-4)
    p.add_argument("--dtype", default="bf16")
    p.add_argument("--gradient-checkpointing", action="store_true")
    p = commands.add_parser("matmul")
    p.set_defaults(run=matmul)
    p.add_argument("--shapes", required=True)
    p.add_argument("--dtype", default="bf16")
    commands.add_parser("versions").set_defaults(run=versions)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
