// A model that trains in milliseconds, its rows, and the command line that trains it in a process of its own.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { cliMain, root, runNode, type CliOptions, type CliResult } from '../unit/support/cli.js'

export const tinySizes = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8 }

/** config.json and a tokenizer; weights come from `--init random`. */
export async function makeModelFolder(folder: string, sizes: Record<string, number> = tinySizes): Promise<void> {
  await fs.mkdir(folder, { recursive: true })
  const config = {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_act: 'silu', vocab_size: 512, max_position_embeddings: 2048, rms_norm_eps: 1e-5,
    initializer_range: 0.2, tie_word_embeddings: true, attention_bias: false, mlp_bias: false, bos_token_id: 1, eos_token_id: 2, torch_dtype: 'float32', rope_theta: 10000, ...sizes,
  }
  await fs.writeFile(path.join(folder, 'config.json'), JSON.stringify(config))
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await fs.copyFile(path.join(root, 'test/fixtures/tokenizers/llama3-style', name), path.join(folder, name))
}

/** Rows of token ids with a pattern that can be learned. */
export async function makeRows(file: string, count: number, length = 12): Promise<void> {
  const rows = Array.from({ length: count }, (_, row) => {
    const input_ids = Array.from({ length: length + (row % 5) }, (_unused, token) => 10 + ((row * 7 + token * (1 + (row % 3))) % 90))
    return JSON.stringify({ input_ids, labels: input_ids.map((id, token) => (token < 3 ? -100 : id)) })
  })
  await fs.writeFile(file, `${rows.join('\n')}\n`)
}

export class Scratch {
  readonly root: string
  readonly model: string
  readonly data: string

  private constructor(folder: string) {
    this.root = folder
    this.model = path.join(folder, 'model')
    this.data = path.join(folder, 'rows.jsonl')
  }

  static async create(): Promise<Scratch> {
    const base = existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()
    const scratch = new Scratch(await fs.mkdtemp(path.join(base, 'ft-stress-')))
    await makeModelFolder(scratch.model)
    await makeRows(scratch.data, 20)
    return scratch
  }

  path(...parts: string[]): string {
    return path.join(this.root, ...parts)
  }

  /** Eight steps, a save every second one, two evaluations, dropout: everything that has state. */
  args(output: string, ...more: string[]): string[] {
    return [
      'train', '--model', this.model, '--init', 'random', '--data', this.data, '--output', this.path(output), '--dtype', 'fp32', '--device', 'cpu', '--threads', '1',
      '--batch-size', '2', '--gradient-accumulation-steps', '2', '--epochs', '2', '--save-steps', '2', '--eval-steps', '4', '--validation-ratio', '0.2', '--learning-rate', '5e-3',
      '--lora-dropout', '0.1', '--lora-r', '4', '--save-total-limit', '2', '--json', ...more,
    ]
  }

  async remove(): Promise<void> {
    await fs.rm(this.root, { recursive: true, force: true })
  }
}

export function runTrain(args: readonly string[], options: CliOptions & { through?: readonly string[] } = {}): Promise<CliResult> {
  const env = { FT_NATIVE_ADDON: process.env.FT_NATIVE_ADDON ?? path.join(root, 'build/Release/ft_native.node'), ...options.env }
  return runNode([cliMain(), ...args], { ...options, env })
}

/** Runs to the end and returns the events. */
export async function trainedEvents(args: readonly string[], options: CliOptions = {}): Promise<Record<string, unknown>[]> {
  const result = await runTrain(args, options)
  if (result.code !== 0) throw new Error(`train ended with ${result.code ?? result.signal}: ${result.stderr}`)
  return eventsOf(result)
}

export function eventsOf(result: CliResult): Record<string, unknown>[] {
  return result.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>)
}

const stateFiles = /^(adapter_model\.safetensors|model.*\.safetensors|optimizer\.safetensors)$/

async function sha256(file: string): Promise<string> {
  return createHash('sha256').update(await fs.readFile(file)).digest('hex')
}

/** Digests of weights and optimizer of a checkpoint, with its random state, cursor and counts (without times). */
export async function checkpointState(folder: string): Promise<Record<string, unknown>> {
  const state: Record<string, unknown> = {}
  for (const name of (await fs.readdir(folder)).sort()) if (stateFiles.test(name)) state[name] = await sha256(path.join(folder, name))
  const saved = JSON.parse(await fs.readFile(path.join(folder, 'ft_state.json'), 'utf8')) as { cursor: unknown; random: unknown; progress: Record<string, unknown> }
  const { trainSeconds: _seconds, logHistory, ...progress } = saved.progress
  const history = (logHistory as Record<string, number>[]).map((entry) => Object.fromEntries(Object.entries(entry).filter(([key]) => !/runtime|per_second/.test(key))))
  return { ...state, cursor: saved.cursor, random: saved.random, progress, history }
}

/** Digests of the final weights at the top of an output folder. */
export async function finalWeights(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of (await fs.readdir(folder)).sort()) if (stateFiles.test(name)) found[name] = await sha256(path.join(folder, name))
  return found
}

export async function checkpointsIn(folder: string): Promise<string[]> {
  return (await fs.readdir(folder).catch(() => [])).filter((name) => /^checkpoint-\d+$/.test(name)).sort((a, b) => Number(a.slice(11)) - Number(b.slice(11)))
}

/** Compiles the fault shim; null where there is no compiler or no LD_PRELOAD. */
export function compileShim(folder: string): string | null {
  if (process.platform !== 'linux') return null
  const library = path.join(folder, 'fault-shim.so')
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, path.join(root, 'test/stress/fault-shim.c'), '-ldl', '-lpthread'], { stdio: 'pipe' })
    return library
  } catch {
    return null
  }
}
