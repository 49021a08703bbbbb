// Is the estimate of memory right? Families, methods, dtypes, sizes, optimizers, checkpointing and batch shapes: what `train` took
// at most against what config.json and sizes said before.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { estimateMemory, type EstimateOptions } from '../../lib/models/index.js'
import { rowsFile } from '../inputs.js'
import { jsonLines, nativeCli } from '../programs.js'
import type { Question } from '../question.js'
import { markdownTable } from '../table.js'

/** What a person accepts of an estimate. */
const tolerance = 0.05
const steps = 2

interface Case extends Pick<EstimateOptions, 'method' | 'dtype' | 'optimizer' | 'gradientCheckpointing' | 'attention' | 'loadIn8bit' | 'bnb4bitUseDoubleQuant'> {
  family: string
  config: Record<string, number | boolean | string>
  rows: number[]
}

interface Point { name: string; estimate: number; measured: number; error: number }

const small = { vocab_size: 32000, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 12, num_attention_heads: 9, num_key_value_heads: 3 }
const wide = { vocab_size: 16384, hidden_size: 1024, intermediate_size: 2816, num_hidden_layers: 10, num_attention_heads: 16, num_key_value_heads: 8 }
const large = { vocab_size: 49152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30, num_attention_heads: 9, num_key_value_heads: 3 }
const mixtral = { vocab_size: 16384, hidden_size: 512, intermediate_size: 1024, num_hidden_layers: 8, num_attention_heads: 8, num_key_value_heads: 4, num_local_experts: 8, num_experts_per_tok: 2 }
const qwenExperts = {
  vocab_size: 32000, hidden_size: 512, moe_intermediate_size: 384, num_hidden_layers: 8, num_attention_heads: 8, num_key_value_heads: 2, head_dim: 64, num_experts: 32, num_experts_per_tok: 4,
  norm_topk_prob: true,
}
const latent = {
  vocab_size: 16384, hidden_size: 640, intermediate_size: 1536, moe_intermediate_size: 256, num_hidden_layers: 8, num_attention_heads: 10, num_key_value_heads: 10, q_lora_rank: 256, kv_lora_rank: 128,
  qk_nope_head_dim: 64, qk_rope_head_dim: 32, v_head_dim: 64, n_routed_experts: 24, num_experts_per_tok: 4, n_shared_experts: 1, first_k_dense_replace: 1, n_group: 4, topk_group: 2,
}
const uniform = (count: number, length: number): number[] => Array<number>(count).fill(length)
const ragged = [700, 512, 333, 100, 61, 17]

const CASES: readonly Case[] = [
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(4, 256) },
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(1, 2048) },
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(4, 512), gradientCheckpointing: true },
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(4, 512), gradientCheckpointing: 6 },
  { family: 'llama', config: { ...small, tie_word_embeddings: false }, method: 'lora', dtype: 'fp32', rows: uniform(4, 256) },
  { family: 'llama', config: { ...small, tie_word_embeddings: false }, method: 'full', dtype: 'bf16', rows: uniform(2, 512) },
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'full', dtype: 'bf16', optimizer: 'adamw_8bit', rows: uniform(2, 512) },
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'full', dtype: 'fp32', rows: uniform(2, 256), gradientCheckpointing: true },
  { family: 'llama', config: { ...large, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(4, 512) },
  { family: 'llama', config: { ...large, tie_word_embeddings: true }, method: 'full', dtype: 'bf16', rows: uniform(2, 512), gradientCheckpointing: true },
  { family: 'mistral', config: { ...wide, sliding_window: 300, tie_word_embeddings: false }, method: 'lora', dtype: 'bf16', rows: uniform(2, 700) },
  { family: 'mistral', config: { ...wide, tie_word_embeddings: false }, method: 'lora', dtype: 'bf16', rows: ragged },
  { family: 'mistral', config: { ...wide, tie_word_embeddings: false }, method: 'full', dtype: 'bf16', rows: ragged, gradientCheckpointing: 5 },
  { family: 'mistral', config: { ...wide, tie_word_embeddings: true }, method: 'lora', dtype: 'fp32', rows: uniform(2, 300), gradientCheckpointing: true },
  { family: 'qwen2', config: { ...wide, tie_word_embeddings: true, num_key_value_heads: 2 }, method: 'lora', dtype: 'bf16', rows: uniform(3, 511) },
  { family: 'qwen2', config: { ...wide, vocab_size: 151936, num_hidden_layers: 6, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(2, 512) },
  { family: 'qwen2', config: { ...wide, tie_word_embeddings: true }, method: 'full', dtype: 'bf16', optimizer: 'adamw_8bit', rows: uniform(1, 1024) },
  { family: 'qwen2', config: { ...small, tie_word_embeddings: true }, method: 'full', dtype: 'fp32', rows: uniform(2, 400) },
  { family: 'cohere', config: { ...wide, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(2, 600) },
  { family: 'olmo2', config: { ...wide, tie_word_embeddings: false }, method: 'lora', dtype: 'bf16', rows: uniform(2, 512) },
  { family: 'starcoder2', config: { ...wide, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(4, 333) },
  { family: 'qwen3', config: { ...wide, head_dim: 128, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(2, 512) },
  { family: 'qwen3', config: { ...wide, head_dim: 64, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', rows: uniform(1, 1500), gradientCheckpointing: true },
  { family: 'qwen3', config: { ...small, head_dim: 64, tie_word_embeddings: true }, method: 'full', dtype: 'bf16', rows: uniform(4, 300) },
  { family: 'qwen3', config: { ...small, head_dim: 64, tie_word_embeddings: false }, method: 'lora', dtype: 'fp32', rows: ragged },
  { family: 'llama', config: { ...small, tie_word_embeddings: true }, method: 'qlora', dtype: 'bf16', rows: uniform(4, 512) },
  { family: 'llama', config: { ...large, tie_word_embeddings: true }, method: 'qlora', dtype: 'bf16', rows: uniform(2, 512), gradientCheckpointing: true },
  { family: 'mistral', config: { ...wide, tie_word_embeddings: false }, method: 'qlora', dtype: 'bf16', bnb4bitUseDoubleQuant: true, rows: ragged },
  { family: 'qwen2', config: { ...wide, vocab_size: 151936, num_hidden_layers: 6, tie_word_embeddings: true }, method: 'qlora', dtype: 'bf16', rows: uniform(1, 700) },
  { family: 'qwen3', config: { ...wide, head_dim: 64, tie_word_embeddings: true }, method: 'qlora', dtype: 'fp32', rows: uniform(2, 300) },
  { family: 'llama', config: { ...wide, tie_word_embeddings: false }, method: 'lora', dtype: 'bf16', loadIn8bit: true, rows: uniform(2, 512) },
  { family: 'qwen2', config: { ...wide, tie_word_embeddings: true }, method: 'lora', dtype: 'bf16', loadIn8bit: true, rows: uniform(1, 1024), gradientCheckpointing: true },
  { family: 'mixtral', config: mixtral, method: 'lora', dtype: 'bf16', rows: uniform(4, 256) },
  { family: 'mixtral', config: mixtral, method: 'qlora', dtype: 'bf16', rows: uniform(2, 512) },
  { family: 'qwen3_moe', config: qwenExperts, method: 'lora', dtype: 'bf16', rows: uniform(2, 700), gradientCheckpointing: true },
  { family: 'deepseek_v3', config: latent, method: 'lora', dtype: 'bf16', rows: uniform(3, 512) },
  { family: 'deepseek_v3', config: latent, method: 'lora', dtype: 'fp32', rows: ragged },
]

export const memory: Question = {
  name: 'memory',
  slow: true,
  asks: 'the estimate of memory against what training takes, on combinations of family, method, dtype, size and batch',
  async ask(settings, say) {
    const cases = settings.depth === 'full' ? CASES : CASES.filter((_case, index) => index % (settings.depth === 'quick' ? 11 : 8) === 0)
    const points: Point[] = []
    for (const given of cases) {
      const point = await measure(given, settings.cache)
      say(`  ${point.name}: ${gib(point.measured)} measured, ${percent(point.error)}`)
      points.push(point)
    }
    const worst = Math.max(...points.map(({ error }) => Math.abs(error)))
    const table = markdownTable(['what', 'estimate', 'measured peak', 'error'], points.map(({ name, estimate, measured, error }) => [name, gib(estimate), gib(measured), percent(error)]))
    return {
      result: { points, worst }, table: [table, '', `The largest error of ${points.length} is ${percent(worst)}.`].join('\n'),
      ...(worst > tolerance ? { objection: `an estimate is off by more than ${percent(tolerance)}` } : {}),
    }
  },
}

async function measure(given: Case, cache: string): Promise<Point> {
  const { family, config, rows, method, dtype, optimizer = 'adamw', gradientCheckpointing = false, loadIn8bit = false, bnb4bitUseDoubleQuant = false } = given
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-memory-'))
  try {
    const model = path.join(folder, 'model')
    fs.mkdirSync(model)
    fs.writeFileSync(path.join(model, 'config.json'), JSON.stringify({ model_type: family, max_position_embeddings: 8192, ...config }))
    // Two steps of the same rows.
    const data = rowsFile(cache, `memory-${String(config.vocab_size)}-${rows.join('-')}`, [...rows, ...rows], Number(config.vocab_size))
    const checkpointing = typeof gradientCheckpointing === 'number' ? ['--gradient-checkpointing', String(gradientCheckpointing)] : [gradientCheckpointing ? '--gradient-checkpointing' : '--no-gradient-checkpointing']
    const events = await jsonLines(nativeCli(['train', '--json', '--model', model, '--init', 'random', '--data', data, '--output', path.join(folder, 'output'), '--no-shuffle', '--validation-ratio', '0',
      '--method', method ?? 'lora', '--dtype', dtype ?? 'bf16', '--device', 'cpu', '--optimizer', optimizer, '--batch-size', String(rows.length), '--max-seq-length', String(Math.max(...rows)),
      '--max-steps', String(steps), ...checkpointing, ...(loadIn8bit ? ['--load-in-8bit'] : []), ...(bnb4bitUseDoubleQuant ? ['--double-quant'] : [])]))
    const measured = Number(events.find(({ event }) => event === 'end')?.peak_rss_bytes)
    const { totalBytes } = await estimateMemory({ name: model, init: 'random', method, dtype, device: 'cpu', optimizer, rows, gradientCheckpointing, loadIn8bit, bnb4bitUseDoubleQuant })
    const layers = gradientCheckpointing === true ? ', checkpointing' : gradientCheckpointing === false ? '' : `, ${gradientCheckpointing} layers checkpointed`
    const batch = new Set(rows).size === 1 ? `${rows.length} × ${rows[0] ?? 0}` : `rows of ${rows.join(', ')}`
    const parameters = Number(events.find(({ event }) => event === 'start')?.parameters)
    return {
      name: `${family} ${(parameters / 1e6).toFixed(0)}M, ${method ?? ''}${loadIn8bit ? ' on 8 bits' : bnb4bitUseDoubleQuant ? ' (double)' : ''} ${dtype ?? ''}, ${optimizer === 'adamw' ? '' : `${optimizer}, `}${batch}${layers}`,
      estimate: totalBytes, measured, error: totalBytes / measured - 1,
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
