// What the interop suites share: one Python process, a scratch folder, a small random model of every family
// with a byte-level tokenizer and a chat template, and the command line as a child process.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSafetensors, type Tensor } from '../parity/safetensors.js'
import { Reference } from './python.js'

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

let python: Reference | undefined
let scratch: string | undefined

/** Started by the first suite that asks. */
export function reference(): Reference {
  python ??= new Reference()
  return python
}

export function scratchFolder(name: string): string {
  scratch ??= fs.mkdtempSync(path.join(os.tmpdir(), 'ft-interop-'))
  return path.join(scratch, name)
}

after(() => {
  python?.close()
  if (scratch !== undefined) fs.rmSync(scratch, { recursive: true, force: true })
})

const small = { intermediate_size: 77, num_hidden_layers: 3, max_position_embeddings: 256 }

export const families = {
  llama: { model_type: 'llama', ...small, hidden_size: 48, num_attention_heads: 6, num_key_value_heads: 2, head_dim: 10, tie_word_embeddings: true },
  mistral: { model_type: 'mistral', ...small, hidden_size: 50, num_attention_heads: 5, num_key_value_heads: 1, head_dim: 12, sliding_window: 9 },
  qwen2: { model_type: 'qwen2', ...small, hidden_size: 48, num_attention_heads: 6, num_key_value_heads: 3 },
  qwen3: { model_type: 'qwen3', ...small, hidden_size: 36, num_attention_heads: 3, num_key_value_heads: 1, head_dim: 16, tie_word_embeddings: true },
} as const

export type Family = keyof typeof families
export const familyNames = Object.keys(families) as Family[]

/** ChatML with the markers that tell TRL, and ft-native, which tokens the assistant wrote. */
export const chatTemplate = [
  '{% for message in messages %}{{ \'<|im_start|>\' + message.role + \'\\n\' }}',
  '{% if message.role == \'assistant\' %}{% generation %}{{ message.content + \'<|im_end|>\' }}{% endgeneration %}{{ \'\\n\' }}',
  '{% else %}{{ message.content + \'<|im_end|>\\n\' }}{% endif %}{% endfor %}',
  '{% if add_generation_prompt %}{{ \'<|im_start|>assistant\\n\' }}{% endif %}',
].join('')

export const sentences = [
  'The quick brown fox jumps over the lazy dog.', 'Ein Käfer läuft über die Straße, naïve façade.', 'What is the capital of France? Paris.',
  'import numpy as np\nprint(np.arange(10))\n', 'Σίσυφος pushed the stone – again and again…', '東京は日本の首都です。', 'Emoji: 🙂👩‍👩‍👧 and 1 234 567.89 €',
  'Once upon a time there was a small model that learned quickly.', 'Never   collapse  spaces\tor tabs.', 'She said: “yes”, and he said “no”.',
]

const made = new Map<string, Promise<string>>()

/** Folder of the family's model; made once. */
export function familyModel(family: Family): Promise<string> {
  let folder = made.get(family)
  if (folder === undefined) {
    const target = scratchFolder(`model-${family}`)
    folder = reference().call('make_model', { folder: target, config: families[family], texts: sentences, seed: 11, chat_template: chatTemplate }).then(() => target)
    made.set(family, folder)
  }
  return folder
}

/** Token rows of different lengths within the vocabulary of the family models. */
export function tokenRows(count: number, seed: number): number[][] {
  let state = seed
  const next = (below: number) => (state = (state * 48271) % 2147483647) % below
  return Array.from({ length: count }, () => Array.from({ length: 2 + next(40) }, () => next(300)))
}

/** Logits of transformers (+ PEFT) for every row. */
export async function referenceLogits(model: string, rows: number[][], adapter?: string): Promise<Float32Array[]> {
  const output = scratchFolder(`logits-${Math.random().toString(36).slice(2)}.safetensors`)
  await reference().call('logits', { model, rows, output, ...(adapter === undefined ? {} : { adapter }) })
  const tensors = readSafetensors(output)
  return rows.map((_, i) => (tensors.get(`row.${i}`) as Tensor).data)
}

export interface CliRun { code: number | null; events: Record<string, unknown>[]; stderr: string }

/** ft-native from source. */
export async function ftNative(args: string[]): Promise<CliRun> {
  const child = spawn(process.execPath, ['--import', 'tsx', path.join(repository, 'lib/cli/main.ts'), ...args], { cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const events = stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>)
  return { code, events, stderr }
}

export function writeJsonLines(file: string, rows: object[]): string {
  fs.writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n') + '\n')
  return file
}
