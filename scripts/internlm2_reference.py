"""InternLM2 in plain PyTorch. transformers does not have this family, so this is this repository's own reading of the
published description (https://arxiv.org/abs/2403.17297: Llama with wqkv fused by groups of query heads) under the
configuration keys and tensor names of the released checkpoints. Importing it registers model_type "internlm2"."""
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast


class InternLM2Config(PretrainedConfig):
    model_type = "internlm2"

    vocab_size: int = 103168
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    bias: bool = True
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = False
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, positions, theta):
    """x [batch, length, heads, d]: dimension i turns with dimension i + d/2."""
    half = x.shape[-1] // 2
    angles = positions[..., None].float() * theta ** (-torch.arange(half, dtype=torch.float32) / half)
    cos, sin = angles.cos()[:, :, None].to(x.dtype), angles.sin()[:, :, None].to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.layer, self.theta = layer, config.rope_theta
        self.groups = config.num_key_value_heads or config.num_attention_heads
        self.shared = config.num_attention_heads // self.groups  # query heads of one group
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.wqkv = nn.Linear(config.hidden_size, self.groups * (self.shared + 2) * self.head_dim, bias=config.bias)
        self.wo = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)

    def forward(self, x, positions, allowed, cache):
        batch, length, _ = x.shape
        heads = self.wqkv(x).view(batch, length, self.groups, self.shared + 2, self.head_dim)
        q = rotate(heads[:, :, :, : self.shared].reshape(batch, length, -1, self.head_dim), positions, self.theta).transpose(1, 2)
        k = rotate(heads[:, :, :, self.shared], positions, self.theta).transpose(1, 2)
        v = heads[:, :, :, self.shared + 1].transpose(1, 2)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        k, v = (t.repeat_interleave(self.shared, 1) for t in (k, v))
        scores = (q @ k.transpose(2, 3) * self.head_dim**-0.5).masked_fill(~allowed[:, None], torch.finfo(q.dtype).min)
        return self.wo((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w3 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x):
        return self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.attention, self.feed_forward = Attention(config, layer), FeedForward(config)
        self.attention_norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.ffn_norm = Norm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, positions, allowed, cache):
        x = x + self.attention(self.attention_norm(x), positions, allowed, cache)
        return x + self.feed_forward(self.ffn_norm(x))


class InternLM2PreTrainedModel(PreTrainedModel):
    config_class = InternLM2Config
    base_model_prefix = "model"

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Norm):
            nn.init.ones_(module.weight)


class InternLM2Model(InternLM2PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([Layer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(self, input_ids, attention_mask, position_ids, cache):
        past, length = cache.get_seq_length() if cache is not None else 0, input_ids.shape[1]
        keys = torch.arange(past + length)
        allowed = (keys[None] <= keys[past:, None])[None] & attention_mask[:, None].bool()
        x = self.tok_embeddings(input_ids)
        for layer in self.layers:
            x = layer(x, position_ids, allowed, cache)
        return self.norm(x)


class InternLM2ForCausalLM(InternLM2PreTrainedModel, GenerationMixin):
    _tied_weights_keys = {"output.weight": "model.tok_embeddings.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.model = InternLM2Model(config)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.model.tok_embeddings

    def get_output_embeddings(self):
        return self.output

    def forward(self, input_ids, attention_mask=None, position_ids=None, past_key_values=None, use_cache=False, **_):
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if attention_mask is None:
            attention_mask = torch.ones(input_ids.shape[0], past + input_ids.shape[1], dtype=torch.long)
        if position_ids is None:
            position_ids = torch.arange(past, past + input_ids.shape[1])[None].expand(input_ids.shape)
        hidden = self.model(input_ids, attention_mask, position_ids, past_key_values)
        return CausalLMOutputWithPast(logits=self.output(hidden), past_key_values=past_key_values)


AutoConfig.register("internlm2", InternLM2Config)
AutoModelForCausalLM.register(InternLM2Config, InternLM2ForCausalLM)
