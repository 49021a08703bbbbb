// Tiny random models and small helpers for the tests of the addon and its facades.
import { expect } from 'chai'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import v8 from 'node:v8'
import vm from 'node:vm'
import { FineTuneError, type ErrorCode } from '../../lib/core/errors/index.js'
import { native, type NativeBatch, type NativeLoraOptions, type NativeModel, type NativeStepOptions } from '../../lib/native/binding.js'

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 61,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: 'float32',
}

const made: string[] = []

export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-binding-'))
  made.push(folder)
  return folder
}

process.once('exit', () => {
  for (const folder of made) fs.rmSync(folder, { recursive: true, force: true })
})

/** A folder with a config.json alone: enough for init "random". */
export function tinyFolder(changes: Record<string, unknown> = {}): string {
  const folder = temporaryFolder()
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...tinyConfig, ...changes }))
  return folder
}

/** One thread: on a busy machine two threads spend their time waiting for each other over such small products. */
export async function tinyModel(changes: Record<string, unknown> = {}): Promise<NativeModel> {
  if (native().buildInfo().threads !== 1) await native().setNumThreads(1)
  return await native().loadModel({ path: tinyFolder(changes), dtype: 'fp32', device: 'cpu', init: 'random', seed: 1 })
}

export const lora: NativeLoraOptions = {
  type: 'lora',
  targets: [{ module: 'model.layers.0.self_attn.q_proj', r: 4, scale: 2 }, { module: 'model.layers.1.mlp.down_proj', r: 2, scale: 1 }],
  dropout: 0,
  init: 'kaiming',
  seed: 3,
}

export const stepOptions: NativeStepOptions = { learningRate: 1e-2, maxGradNorm: 1, seed: 1, step: 0, gradientCheckpointing: false }
export const adamw = { type: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 } as const

export function rows(...lengths: number[]): NativeBatch {
  const cuSeqlens = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))])
  const total = lengths.reduce((a, b) => a + b, 0)
  const inputIds = Int32Array.from({ length: total }, (_, i) => (i * 7 + 3) % tinyConfig.vocab_size)
  return { inputIds, labels: inputIds.slice(), cuSeqlens }
}

/** A batch whose step takes a good fraction of a second. */
export function slowRows(): NativeBatch {
  return rows(...Array.from({ length: 128 }, () => 120))
}

/** Awaits a failure with this code, and hands the error back. Also for synchronous throws. */
export async function failsWith(code: ErrorCode, call: () => unknown): Promise<FineTuneError> {
  let result: unknown
  try {
    result = await call()
  } catch (error) {
    if (!(error instanceof FineTuneError)) throw error
    expect(error.code, error.message).to.equal(code)
    expect(error.message).to.not.equal('')
    return error
  }
  throw new Error(`expected ${code}, got ${String(result)}`)
}

v8.setFlagsFromString('--expose-gc')
export const collectGarbage = vm.runInNewContext('gc') as () => void

/** Several collections with turns of the event loop between them, so that finalisers run. */
export async function settleGarbage(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await native().idle()
}
