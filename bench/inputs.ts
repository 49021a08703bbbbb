// What both programs are given: a model folder of a shape with random weights, a LoRA adapter in PEFT's
// format (so that both start from the same one) and tokenized rows. Made once, kept in a cache folder.
import fs from 'node:fs'
import path from 'node:path'
import { layerLinears, type ModelConfig, type Shape } from './shapes.js'

export interface Inputs { model: string; adapter: string; rows: string; tokensPerStep: number }

export const LORA_R = 16

export function makeInputs(cache: string, shape: Shape, dtype: 'bf16' | 'fp32'): Inputs {
  const folder = path.join(cache, `${shape.name}-${dtype}`)
  const inputs = { model: path.join(folder, 'model'), adapter: path.join(folder, 'adapter'), rows: path.join(folder, 'rows.jsonl') }
  if (!fs.existsSync(path.join(folder, 'complete'))) {
    fs.rmSync(folder, { recursive: true, force: true })
    fs.mkdirSync(inputs.model, { recursive: true })
    fs.mkdirSync(inputs.adapter)
    writeModel(inputs.model, shape.config, dtype)
    writeAdapter(inputs.adapter, shape.config)
    // Enough for two different steps.
    rowsFile(folder, 'rows', Array<number>(2 * shape.batchSize).fill(shape.sequenceLength), shape.config.vocab_size)
    fs.writeFileSync(path.join(folder, 'complete'), '')
  }
  return { ...inputs, tokensPerStep: shape.batchSize * shape.sequenceLength }
}

type Fill = 'normal' | 'one' | 'zero' | { uniform: number }
interface TensorPlan { name: string; shape: number[]; fill: Fill }

function modelTensors(config: ModelConfig): TensorPlan[] {
  const hidden = config.hidden_size
  const plans: TensorPlan[] = [{ name: 'model.embed_tokens.weight', shape: [config.vocab_size, hidden], fill: 'normal' }]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`
    plans.push({ name: `${prefix}.input_layernorm.weight`, shape: [hidden], fill: 'one' })
    plans.push({ name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden], fill: 'one' })
    for (const linear of layerLinears(config)) {
      plans.push({ name: `${prefix}.${linear.name}.weight`, shape: [linear.outFeatures, linear.inFeatures], fill: 'normal' })
      if (linear.bias) plans.push({ name: `${prefix}.${linear.name}.bias`, shape: [linear.outFeatures], fill: 'normal' })
    }
  }
  plans.push({ name: 'model.norm.weight', shape: [hidden], fill: 'one' })
  return plans
}

function writeModel(folder: string, config: ModelConfig, dtype: 'bf16' | 'fp32'): void {
  const architecture = config.model_type === 'llama' ? 'LlamaForCausalLM' : 'Qwen2ForCausalLM'
  const file = { architectures: [architecture], ...config, hidden_act: 'silu', bos_token_id: 0, eos_token_id: 1,
    torch_dtype: dtype === 'bf16' ? 'bfloat16' : 'float32' }
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(file, null, 2))
  writeSafetensors(path.join(folder, 'model.safetensors'), modelTensors(config), dtype)
  writeTokenizer(folder)
}

function writeAdapter(folder: string, config: ModelConfig): void {
  const plans: TensorPlan[] = []
  const names = layerLinears(config).map((linear) => linear.name.split('.').at(-1))
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    for (const linear of layerLinears(config)) {
      const prefix = `base_model.model.model.layers.${layer}.${linear.name}`
      plans.push({ name: `${prefix}.lora_A.weight`, shape: [LORA_R, linear.inFeatures], fill: { uniform: 1 / Math.sqrt(linear.inFeatures) } })
      plans.push({ name: `${prefix}.lora_B.weight`, shape: [linear.outFeatures, LORA_R], fill: 'zero' })
    }
  }
  writeSafetensors(path.join(folder, 'adapter_model.safetensors'), plans, 'fp32')
  fs.writeFileSync(path.join(folder, 'adapter_config.json'), JSON.stringify({
    peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: null, r: LORA_R, lora_alpha: 2 * LORA_R, lora_dropout: 0,
    bias: 'none', target_modules: names, inference_mode: true, init_lora_weights: true, use_rslora: false, use_dora: false,
    fan_in_fan_out: false, modules_to_save: null, rank_pattern: {}, alpha_pattern: {},
  }, null, 2))
}

/** Rows of these lengths, every token supervised; made once. Returns the file. */
export function rowsFile(cache: string, name: string, lengths: readonly number[], vocabSize: number): string {
  const file = path.join(cache, `${name}.jsonl`)
  if (!fs.existsSync(file)) {
    const random = generator(7)
    const lines = lengths.map((length) => {
      // Low ids are frequent, so that there is something to learn and the loss falls.
      const ids = Array.from({ length }, () => Math.floor(random() ** 3 * (vocabSize - 2)) + 2)
      return JSON.stringify({ input_ids: ids, labels: ids })
    })
    fs.writeFileSync(`${file}.part`, lines.join('\n') + '\n')
    fs.renameSync(`${file}.part`, file)
  }
  return file
}

/** The smallest byte-level tokenizer: the rows are tokenized already, but a model folder has one. */
function writeTokenizer(folder: string): void {
  const vocab: Record<string, number> = { '<|bos|>': 0, '<|eos|>': 1 }
  byteLevelAlphabet().forEach((character, i) => { vocab[character] = i + 2 })
  const special = (content: string, id: number) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })
  fs.writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify({
    version: '1.0', truncation: null, padding: null, added_tokens: [special('<|bos|>', 0), special('<|eos|>', 1)], normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }, post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false,
      byte_fallback: false, ignore_merges: false, vocab, merges: [] },
  }))
  fs.writeFileSync(path.join(folder, 'tokenizer_config.json'), JSON.stringify({
    tokenizer_class: 'PreTrainedTokenizerFast', bos_token: '<|bos|>', eos_token: '<|eos|>' }))
}

/** GPT-2's printable stand-ins for the 256 bytes. */
function byteLevelAlphabet(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++))
}

function writeSafetensors(file: string, plans: TensorPlan[], dtype: 'bf16' | 'fp32'): void {
  const width = dtype === 'bf16' ? 2 : 4
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let offset = 0
  for (const plan of plans) {
    const bytes = plan.shape.reduce((a, b) => a * b, width)
    header[plan.name] = { dtype: dtype === 'bf16' ? 'BF16' : 'F32', shape: plan.shape, data_offsets: [offset, offset += bytes] }
  }
  const json = Buffer.from(JSON.stringify(header).padEnd(8 * Math.ceil(JSON.stringify(header).length / 8)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const fd = fs.openSync(file, 'w')
  try {
    fs.writeSync(fd, length)
    fs.writeSync(fd, json)
    for (const plan of plans) writeTensor(fd, plan, dtype)
  } finally {
    fs.closeSync(fd)
  }
}

// A prime number of random values, written over and over: no two tensors start alike, and a gigabyte takes a second.
const BLOCK = 1_000_003
const blocks = new Map<string, Buffer>()
let phase = 0

function writeTensor(fd: number, plan: TensorPlan, dtype: 'bf16' | 'fp32'): void {
  const width = dtype === 'bf16' ? 2 : 4
  const key = JSON.stringify([plan.fill, dtype])
  let block = blocks.get(key)
  if (block === undefined) blocks.set(key, block = encode(Float32Array.from({ length: BLOCK }, sampler(plan.fill)), dtype))
  let left = plan.shape.reduce((a, b) => a * b, 1)
  phase = (phase * 31 + left) % BLOCK
  let start = phase
  while (left > 0) {
    const count = Math.min(left, BLOCK - start)
    fs.writeSync(fd, block, start * width, count * width)
    left -= count
    start = 0
  }
}

function sampler(fill: Fill): () => number {
  const random = generator(3)
  if (fill === 'one') return () => 1
  if (fill === 'zero') return () => 0
  if (fill === 'normal') return () => 0.02 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return () => (2 * random() - 1) * fill.uniform
}

function encode(values: Float32Array, dtype: 'bf16' | 'fp32'): Buffer {
  if (dtype === 'fp32') return Buffer.from(values.buffer)
  const bits = new Uint32Array(values.buffer)
  return Buffer.from(Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16).buffer)
}

/** mulberry32: a seeded generator of [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
