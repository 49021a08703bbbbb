// The Python reference stack as a child process that answers requests (reference.py beside this file).
// FT_PYTHON names the interpreter, else python3.11 and python3 are tried. Without one the suite fails: it
// exists to compare, and a comparison that did not happen must not look like one that passed.
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROBE = 'import torch, transformers, peft, trl, datasets'

interface Answer { id: number; result?: unknown; error?: string }

/** One conversation with reference.py; requests are answered in order. */
export class Reference {
  private readonly child: ChildProcessWithoutNullStreams
  private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  private next = 0
  private complaints = ''

  constructor() {
    const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'reference.py')
    this.child = spawn(findInterpreter(), ['-W', 'ignore', script], { stdio: 'pipe' })
    this.child.stderr.on('data', (chunk: Buffer) => { this.complaints = (this.complaints + chunk.toString()).slice(-4000) })
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => { this.settle(JSON.parse(line) as Answer) })
    this.child.on('close', (code) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`the Python reference ended (${String(code)}):\n${this.complaints}`))
      this.waiting.clear()
    })
  }

  call(method: 'versions'): Promise<Record<string, string>>
  call(method: 'make_model', params: { folder: string; config: object; texts: string[]; seed: number; chat_template?: string }): Promise<{ vocab_size: number }>
  call(method: 'make_bare_model', params: { folder: string; config: object; seed: number }): Promise<null>
  call(method: 'gradients', params: { model: string; adapter?: string; rows: { input_ids: number[]; labels: number[] }[]; output: string; dtype?: string }): Promise<number>
  call(method: 'make_adapter', params: { model: string; folder: string; lora: object; seed: number; embeddings?: boolean | 'auto' }): Promise<string[]>
  call(method: 'lora_targets', params: { model: string; lora: object }): Promise<LoraTargets>
  call(method: 'logits', params: { model: string; adapter?: string; rows: number[][]; output: string }): Promise<null>
  call(method: 'merge', params: { model: string; adapter: string; folder: string }): Promise<null>
  call(method: 'resave', params: { model: string; folder: string; max_shard_size?: string }): Promise<null>
  call(method: 'quantization_config', params: { model: string }): Promise<Record<string, unknown>>
  call(method: 'generate', params: { model: string; adapter?: string; prompt: number[]; max_new_tokens: number; repetition_penalty?: number }): Promise<number[]>
  call(method: 'use_chat_template', params: { model: string; name: string }): Promise<null>
  call(method: 'encode', params: { model: string; texts: string[]; add_special_tokens?: boolean }): Promise<number[][]>
  call(method: 'sft_rows', params: { model: string; rows: object[]; output: string; assistant_only_loss?: boolean }): Promise<{ input_ids: number[]; labels: number[] }[]>
  call(method: 'sft_train', params: { model: string; rows: object[]; output: string; adapter?: string; save?: string; assistant_only_loss?: boolean } & Record<string, unknown>): Promise<{ losses: number[]; grad_norms: number[] }>
  call(method: 'family', params: { name: string; folder: string }): Promise<FamilyReference>
  call(method: 'balanced', params: { name: string; folder: string }): Promise<{ rows: FamilyReference['rows']; loss: number; balance: number }>
  call(method: 'older_adapter', params: { name: string; folder: string }): Promise<{ rows: FamilyReference['rows'] }>
  call(method: 'mxfp4', params: { folder: string }): Promise<{ rows: FamilyReference['rows'] }>
  call(method: 'reloaded', params: { folder: string; other: string }): Promise<string[]>
  call(method: 'loads_exactly', params: { folder: string }): Promise<string[]>
  call(method: string, params: object = {}): Promise<unknown> {
    const id = this.next++
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.child.stdin.write(`${JSON.stringify({ id, method, params })}\n`)
    })
  }

  close(): void {
    this.child.stdin.end()
  }

  private settle(answer: Answer): void {
    const request = this.waiting.get(answer.id)
    if (request === undefined) return
    this.waiting.delete(answer.id)
    if (answer.error === undefined) request.resolve(answer.result)
    else request.reject(new Error(`Python: ${answer.error}`))
  }
}

export interface LoraTargets {
  modules: Record<string, { r: number; scale: number }>
  config: Record<string, unknown>
}

/** What families.py says of a row; tensors are in <folder>/reference.safetensors. */
export interface FamilyReference {
  rows: { input_ids: number[]; labels: number[] }[]
  loss: number
  lora_losses: number[]
  all_linear: string[]
  generation: { prompts: number[][]; tokens: number[][] }
}

function findInterpreter(): string {
  const candidates = process.env.FT_PYTHON ? [process.env.FT_PYTHON] : ['python3.11', 'python3']
  const found = candidates.find((candidate) => spawnSync(candidate, ['-c', PROBE], { stdio: 'ignore' }).status === 0)
  if (found !== undefined) return found
  throw new Error(`test/interop compares with the Python stack, and none of ${candidates.join(', ')} can \`${PROBE}\`. ` +
    'Set FT_PYTHON to an interpreter that has torch 2.13, transformers 5.17, peft 0.21, trl 1.13 and datasets.')
}
