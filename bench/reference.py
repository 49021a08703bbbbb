#!/usr/bin/env python3
"""The Python side of the benchmark: transformers + PEFT in a plain loop, the way a careful person writes it
(sdpa attention, fused AdamW, no trainer around it). Prints the JSON lines that `ft-native train --json` prints.

    reference.py train  --model F --adapter F --data rows.jsonl --steps N --batch-size B [--method full] …
    reference.py train … --packing --window 1024        rows packed as TRL packs them
    reference.py matmul --shapes 2048x576x1536,… --dtype bf16
    reference.py bandwidth
    reference.py generate --model F --prompts [[5,6,7]] --new-tokens N --runs 3 --dtype bf16
    reference.py tokenize --model F --data text.jsonl
    reference.py prepare --model F --data text.jsonl --cache F --window 1024
    reference.py parquet --data text.jsonl --output text.parquet
    reference.py hub-first-row --data org/rows
    reference.py versions
"""
import array
import argparse
import json
import os
import resource
import shutil
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


def padded_batches(rows, args):
    """Rows in file order, from the beginning again after the last, right-padded to the longest. Without steps: once."""
    import torch
    for step in range(args.steps or -(-len(rows) // args.batch_size)):
        first = step * args.batch_size
        last = first + args.batch_size if args.steps else min(first + args.batch_size, len(rows))
        chosen = [rows[i % len(rows)] for i in range(first, last)]
        width = max(len(r["input_ids"]) for r in chosen)
        fill = lambda key, value: torch.tensor([r[key] + [value] * (width - len(r[key])) for r in chosen])
        mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in chosen])
        yield [len(r["input_ids"]) for r in chosen], dict(input_ids=fill("input_ids", 0), labels=fill("labels", -100), attention_mask=mask)


def packed_batches(rows, args):
    """As TRL's SFTTrainer with packing: its own best-fit-decreasing windows and its padding-free collator, which lays the
    windows of a batch end to end and says by position ids where rows begin. From these, and without flash-attn,
    transformers makes sdpa a block mask over the whole batch."""
    from datasets import Dataset, disable_progress_bars
    from trl.data_utils import pack_dataset
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
    disable_progress_bars()
    windows = list(pack_dataset(Dataset.from_list([dict(input_ids=r["input_ids"], labels=r["labels"]) for r in rows]), args.window, "bfd"))
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    for step in range(args.steps or -(-len(windows) // args.batch_size)):
        first = step * args.batch_size
        last = first + args.batch_size if args.steps else min(first + args.batch_size, len(windows))
        chosen = [windows[i % len(windows)] for i in range(first, last)]
        yield [length for w in chosen for length in w["seq_lengths"]], dict(collate(chosen))


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
    steps = 0
    for step, (lengths, batch) in enumerate((packed_batches if args.packing else padded_batches)(rows, args), 1):
        loss = model(**batch).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable, 1.0).item()
        optimizer.step()
        optimizer.zero_grad()
        now = time.time()
        tokens = sum(lengths)
        emit(event="step", step=step, loss=loss.item(), grad_norm=norm, tokens=tokens, supervised_tokens=tokens - len(lengths), seconds=now - previous,
             tokens_per_second=tokens / (now - previous), seconds_since_start=now - began)
        previous = now
        steps = step
    emit(event="end", steps=steps, peak_rss_bytes=peak_rss())


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


def bandwidth(_):
    """GB/s of reading memory: the sum over a gigabyte, best of several passes."""
    import torch
    data = torch.ones(2**28)
    best = 0.0
    for _ in range(8):
        t = time.perf_counter()
        data.sum()
        best = max(best, data.numel() * 4 / (time.perf_counter() - t) / 1e9)
    emit(event="bandwidth", gigabytes_per_second=best, threads=torch.get_num_threads())


def generate(args):
    """Greedy, with the cache, never ending early. Seconds are those of the whole call, prompt included."""
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype_of(args.dtype), attn_implementation="sdpa").eval()
    prompts = torch.tensor(json.loads(args.prompts))
    settings = dict(attention_mask=torch.ones_like(prompts), do_sample=False, pad_token_id=0, eos_token_id=None)
    with torch.no_grad():
        model.generate(prompts, max_new_tokens=4, min_new_tokens=4, **settings)
        for _ in range(args.runs):
            t = time.perf_counter()
            out = model.generate(prompts, max_new_tokens=args.new_tokens, min_new_tokens=args.new_tokens, **settings)
            emit(event="run", seconds=time.perf_counter() - t, tokens=out[:, prompts.shape[1]:].numel(), first=out[:, prompts.shape[1]].tolist())
    emit(event="end", peak_rss_bytes=peak_rss())


def tokenize(args):
    """The tokenizers package over the texts of a JSONL file, in batches, its threads on; ids are kept as 32-bit integers."""
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))
    before = peak_rss()
    t = time.perf_counter()
    kept, texts, rows = array.array("i"), [], 0

    def flush():
        for encoding in tokenizer.encode_batch_fast(texts):
            kept.extend(encoding.ids)
        texts.clear()
    with open(args.data) as f:
        for line in f:
            texts.append(json.loads(line)["text"])
            rows += 1
            if len(texts) == 1000:
                flush()
    flush()
    emit(event="end", seconds=time.perf_counter() - t, tokens=len(kept), rows=rows, peak_rss_bytes=peak_rss(), rss_before_bytes=before)


def prepare(args):
    """datasets + tokenizers + TRL's packing: a JSONL file to packed windows and the first batch of them, with two processes."""
    os.environ["HF_DATASETS_CACHE"] = args.cache
    import datasets
    from transformers import PreTrainedTokenizerFast
    from trl.data_utils import pack_dataset
    datasets.disable_progress_bars()
    # Without the imports, as on the other side.
    t = time.perf_counter()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(args.model, "tokenizer.json"))
    config = json.load(open(os.path.join(args.model, "tokenizer_config.json")))
    end = tokenizer.convert_tokens_to_ids(config["eos_token"])
    rows = datasets.load_dataset("json", data_files=args.data, split="train")

    def encode(batch):
        return {"input_ids": [ids[:args.window - 1] + [end] for ids in tokenizer(batch["text"], add_special_tokens=False)["input_ids"]]}

    encoded = rows.map(encode, batched=True, num_proc=2, remove_columns=rows.column_names)
    packed = pack_dataset(encoded, args.window, strategy="bfd")
    first = packed[:4]["input_ids"]
    seconds = time.perf_counter() - t
    tokens = sum(sum(map(len, batch["input_ids"])) for batch in packed.with_format(None).iter(1000)) if args.count else None
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    emit(event="end", seconds=seconds, tokens=tokens, rows=len(rows), windows=len(packed), first_batch_tokens=sum(map(len, first)),
         peak_rss_bytes=peak_rss() + 2 * children)


def parquet(args):
    """The same rows as one Parquet file."""
    import datasets
    datasets.disable_progress_bars()
    rows = datasets.load_dataset("json", data_files=args.data, split="train", cache_dir=args.output + ".cache")
    rows.to_parquet(args.output + ".part")
    os.replace(args.output + ".part", args.output)
    shutil.rmtree(args.output + ".cache", ignore_errors=True)
    emit(event="end", rows=len(rows))


def hub_first_row(args):
    """The first row of a data set of the hub (HF_ENDPOINT), streamed."""
    import datasets
    datasets.disable_progress_bars()
    t = time.perf_counter()
    row = next(iter(datasets.load_dataset(args.data, split="train", streaming=True)))
    emit(event="end", seconds=time.perf_counter() - t, characters=len(row["text"].encode("utf-16-le")) // 2, peak_rss_bytes=peak_rss())


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
    p.add_argument("--steps", type=int, required=True, help="0: once over the rows")
    p.add_argument("--batch-size", type=int, required=True)
    p.add_argument("--learning-rate", type=float, default=2e-4)
    p.add_argument("--dtype", default="bf16")
    p.add_argument("--gradient-checkpointing", action="store_true")
    p.add_argument("--packing", action="store_true")
    p.add_argument("--window", type=int, default=1024)
    p = commands.add_parser("matmul")
    p.set_defaults(run=matmul)
    p.add_argument("--shapes", required=True)
    p.add_argument("--dtype", default="bf16")
    commands.add_parser("bandwidth").set_defaults(run=bandwidth)
    p = commands.add_parser("generate")
    p.set_defaults(run=generate)
    p.add_argument("--model", required=True)
    p.add_argument("--prompts", required=True, help="rows of token ids, as JSON")
    p.add_argument("--new-tokens", type=int, required=True)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--dtype", default="bf16")
    p = commands.add_parser("tokenize")
    p.set_defaults(run=tokenize)
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True)
    p = commands.add_parser("prepare")
    p.set_defaults(run=prepare)
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--cache", required=True)
    p.add_argument("--window", type=int, default=1024)
    p.add_argument("--count", action="store_true")
    p = commands.add_parser("parquet")
    p.set_defaults(run=parquet)
    p.add_argument("--data", required=True)
    p.add_argument("--output", required=True)
    p = commands.add_parser("hub-first-row")
    p.set_defaults(run=hub_first_row)
    p.add_argument("--data", required=True)
    commands.add_parser("versions").set_defaults(run=versions)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
