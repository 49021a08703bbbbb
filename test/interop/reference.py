#!/usr/bin/env python3
"""The reference stack as a server for test/interop: one JSON request a line in ({id, method, params}),
one JSON answer a line out ({id, result} or {id, error}). Everything runs in fp32 on the CPU; tensors travel
in safetensors files. Whatever the libraries print goes to stderr."""
import json
import os
import sys
import traceback
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402
from datasets import Dataset  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import experts  # noqa: E402
import families  # noqa: E402

METHODS = dict(family=families.family, reloaded=families.reloaded, loads_exactly=families.loads_exactly, balanced=experts.balanced,
               older_adapter=experts.older_adapter, mxfp4=experts.mxfp4)


def method(function):
    METHODS[function.__name__] = function
    return function


def load(model, adapter=None, dtype=torch.float32):
    base = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="sdpa")
    base.config.use_cache = False
    base.eval()
    return PeftModel.from_pretrained(base, adapter).eval() if adapter else base


def randomize(model):
    """Every parameter away from its initial value, at a scale where all of them matter."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1 or name.endswith("norm.weight"):
                p.add_(0.2 * torch.randn_like(p))
            else:
                p.normal_(std=1.1 / p.shape[1] ** 0.5)


@method
def versions():
    return dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, trl=trl.__version__)


@method
def make_model(folder, config, texts, seed, chat_template=None):
    """A random model of `config` with a byte-level BPE tokenizer trained on `texts`; vocab_size follows the tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if config["model_type"] in ("qwen2", "qwen3"):  # AutoTokenizer gives these to every qwen2 model, whatever the file says
        from transformers import Qwen2Tokenizer
        tokenizer.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
        tokenizer.normalizer = Qwen2Tokenizer().backend_tokenizer.normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|pad|>")
    if chat_template:
        fast.chat_template = chat_template
    fast.save_pretrained(folder)
    config = dict(config, vocab_size=len(fast), eos_token_id=fast.eos_token_id)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    randomize(model)
    model.save_pretrained(folder)
    auto = AutoTokenizer.from_pretrained(folder)
    assert all(auto(t)["input_ids"] == fast(t)["input_ids"] for t in texts), "AutoTokenizer rebuilds this tokenizer as another one"
    return dict(vocab_size=len(fast), parameters=model.num_parameters())


@method
def make_bare_model(folder, config, seed):
    """A random model of `config`, without a tokenizer."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    randomize(model)
    model.save_pretrained(folder)


@method
def make_adapter(model, folder, lora, seed, embeddings=False):
    """`embeddings`: save_embedding_layers, whether the frozen weights of adapted embedding and head are saved too."""
    torch.manual_seed(seed)
    tuned = get_peft_model(load(model), LoraConfig(task_type="CAUSAL_LM", **lora))
    with torch.no_grad():
        for name, p in tuned.named_parameters():
            if "lora_B" in name or "lora_embedding_A" in name:
                p.normal_(std=0.1)
    tuned.save_pretrained(folder, save_embedding_layers=embeddings)
    return sorted(n for n, _ in tuned.named_parameters() if "lora_" in n)


@method
def lora_targets(model, lora):
    """Which modules PEFT adapts, with rank and scale of each, and the adapter_config.json it writes."""
    tuned = get_peft_model(load(model), LoraConfig(task_type="CAUSAL_LM", **lora))
    modules = {}
    for name, module in tuned.base_model.model.named_modules():
        if hasattr(module, "lora_A") and "default" in {**module.lora_A, **module.lora_embedding_A}:
            modules[name] = dict(r=module.r["default"], scale=module.scaling["default"])
    config = tuned.peft_config["default"].to_dict()
    return dict(modules=modules, config={k: sorted(v) if isinstance(v, set) else v for k, v in config.items()})


@method
def logits(model, rows, output, adapter=None):
    """fp32 logits of every row, each alone, as tensors row.0, row.1 …"""
    net = load(model, adapter)
    with torch.no_grad():
        save_file({f"row.{i}": net(input_ids=torch.tensor([ids])).logits[0].contiguous() for i, ids in enumerate(rows)}, output)


@method
def gradients(model, rows, output, adapter=None, dtype="float32"):
    """Loss over the rows ({input_ids, labels}, each alone; sum / supervised tokens of all) and every gradient, fp32."""
    net = load(model, dtype=getattr(torch, dtype))
    net = PeftModel.from_pretrained(net, adapter, is_trainable=True) if adapter else net.requires_grad_(True)
    supervised = sum(label != -100 for row in rows for label in row["labels"][1:])
    total = 0.0
    for row in rows:
        scores = net(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].float()
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(row["labels"][1:], dtype=torch.long), reduction="sum") / supervised
        loss.backward()
        total += loss.item()
    save_file({(n + ".").replace(".default.", ".")[:-1]: p.grad.float().contiguous() for n, p in net.named_parameters() if p.requires_grad}, output)
    return total


@method
def merge(model, adapter, folder):
    load(model, adapter).merge_and_unload().save_pretrained(folder)


@method
def resave(model, folder, max_shard_size="5GB"):
    load(model).save_pretrained(folder, max_shard_size=max_shard_size)


@method
def quantization_config(model):
    """What transformers reads of a quantized folder's config.json; it checks the types of the fields."""
    from transformers.quantizers.auto import AutoQuantizationConfig
    return AutoQuantizationConfig.from_dict(json.load(open(os.path.join(model, "config.json")))["quantization_config"]).to_dict()


@method
def generate(model, prompt, max_new_tokens, adapter=None, **options):
    out = load(model, adapter).generate(torch.tensor([prompt]), max_new_tokens=max_new_tokens, do_sample=False,
                                        use_cache=True, pad_token_id=0, eos_token_id=-1, **options)
    return out[0, len(prompt):].tolist()


@method
def use_chat_template(model, name):
    """Gives the tokenizer of a model folder one of TRL's chat templates, and a beginning-of-sequence token to write."""
    tokenizer = AutoTokenizer.from_pretrained(model, bos_token="<|endoftext|>")
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()
    tokenizer.save_pretrained(model)


@method
def encode(model, texts, add_special_tokens=True):
    tokenizer = AutoTokenizer.from_pretrained(model)
    return [tokenizer(t, add_special_tokens=add_special_tokens)["input_ids"] for t in texts]


def sft_trainer(model, rows, output, tokenizer_folder=None, **args):
    options = dict(output_dir=output, report_to=[], use_cpu=True, save_strategy="no", logging_steps=1, bf16=False, fp16=False,
                   gradient_checkpointing=False, disable_tqdm=True, dataset_num_proc=None, max_length=1024, loss_type="nll",
                   train_sampling_strategy="sequential")
    return SFTTrainer(model=model, args=SFTConfig(**{**options, **args}), train_dataset=Dataset.from_list(rows),
                      processing_class=AutoTokenizer.from_pretrained(tokenizer_folder))


@method
def sft_rows(model, rows, output, assistant_only_loss=False):
    """input_ids and labels of every row as TRL prepares them."""
    trainer = sft_trainer(load(model), rows, output, tokenizer_folder=model, max_steps=1, assistant_only_loss=assistant_only_loss)
    return [dict(input_ids=list(r["input_ids"]), labels=list(r["labels"])) for r in trainer.train_dataset]


@method
def sft_train(model, rows, output, adapter=None, assistant_only_loss=False, save=None, dtype="float32", **args):
    """Losses and gradient norms of SFTTrainer, one of each a step."""
    net = load(model, dtype=getattr(torch, dtype))
    if adapter:
        net = PeftModel.from_pretrained(net, adapter, is_trainable=True)
    trainer = sft_trainer(net, rows, output, tokenizer_folder=model, assistant_only_loss=assistant_only_loss, **args)
    trainer.train()
    if save:
        trainer.save_model(save)
    history = [h for h in trainer.state.log_history if "loss" in h]
    return dict(losses=[h["loss"] for h in history], grad_norms=[h["grad_norm"] for h in history])


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for line in sys.stdin:
        request = json.loads(line)
        answer = dict(id=request["id"])
        try:
            answer["result"] = METHODS[request["method"]](**request["params"])
        except Exception as error:  # the test that asked reports it
            answer["error"] = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_tb(error.__traceback__)[-2:])
        ANSWERS.write(json.dumps(answer, default=str) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
