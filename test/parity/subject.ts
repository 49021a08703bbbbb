// ft-native as the parity tests use it: the public facade of lib/models with rows in and plain arrays out.
import { createOptimizer, loadModel, type Adapter, type Model, type Optimizer, type RowBatch, type StepResult } from '../../lib/models/index.js'
import type { Row } from './golden.js'

export interface Trainer {
  /** Gradients of one step over `batches`, by PEFT or Hugging Face tensor name; nothing is updated. */
  gradients(batches: Row[][], options?: { gradientCheckpointing?: boolean }): Promise<Map<string, Float32Array>>
  step(batches: Row[][], options: { learningRate: number; maxGradNorm: number; step: number }): Promise<StepResult>
}

export class Subject {
  readonly vocabSize: number
  #optimizer: Optimizer | undefined

  constructor(readonly model: Model) {
    this.vocabSize = model.info.vocabSize
  }

  /** [tokens, vocab] of one row. */
  async logits(row: number[]): Promise<Float32Array> {
    return (await this.model.forward([row])).logits
  }

  /** As logits, of several rows in one batch. */
  async logitsOfRows(rows: number[][]): Promise<Float32Array[]> {
    const { logits, shape: [count, longest, vocab] } = await this.model.forward(rows)
    if (count !== rows.length || logits.length !== count * longest * vocab) throw new Error(`unexpected shape of logits for ${rows.length} rows`)
    return rows.map((row, i) => logits.slice(i * longest * vocab, (i * longest + row.length) * vocab))
  }

  /** Log-probability of every label, by row. */
  async logprobs(rows: Row[]): Promise<Float32Array[]> {
    const { logprobs, shape: [, longest] } = await this.model.logprobs(rowBatch(rows))
    return rows.map((row, i) => logprobs.slice(i * longest, i * longest + row.input_ids.length))
  }

  async loadAdapter(folder: string): Promise<Adapter> {
    return await this.model.loadAdapter(folder)
  }

  async trainAllWeights(): Promise<void> {
    await this.model.setTrainable()
  }

  /** An AdamW over what is trainable now; one a subject. */
  async trainer({ weightDecay }: { weightDecay: number }): Promise<Trainer> {
    const optimizer = this.#optimizer = await createOptimizer(this.model, { weightDecay, beta1: 0.9, beta2: 0.999, eps: 1e-8 })
    return {
      async gradients(batches, options = {}) {
        await optimizer.zeroGradients()
        await optimizer.accumulate(batches.map(rowBatch), { seed: 1, step: 0, gradientCheckpointing: options.gradientCheckpointing ?? false })
        const gradients = new Map(Object.entries(await optimizer.gradients()).map(([name, tensor]) => [name, tensor.data]))
        await optimizer.zeroGradients()
        return gradients
      },
      step: async (batches, options) => await optimizer.step(batches.map(rowBatch), options),
    }
  }

  /** Loss and gradients of an objective over log-probabilities, summed over batches. */
  async passGradients(batches: Row[][], objective: (logprobs: Float32Array, labels: Int32Array) => { loss: number; grad: Float32Array }) {
    const optimizer = this.#optimizer = await createOptimizer(this.model)
    let loss = 0
    for (const batch of batches) {
      const pass = await this.model.forwardPass(rowBatch(batch))
      const result = objective(pass.logprobs, pass.labels)
      await pass.backward(result.grad)
      pass.dispose()
      loss += result.loss
    }
    const gradients = Object.entries(await optimizer.gradients())
    return { loss, tensors: new Map(gradients.map(([name, tensor]) => [name, tensor.data])) }
  }

  /** Greedy ids for every prompt, end-of-sequence tokens included and not stopped at. */
  async generate(prompts: number[][], options: { maxNewTokens: number; repetitionPenalty: number; useCache: boolean }): Promise<number[][]> {
    const rows: number[][] = []
    for (const prompt of prompts) {
      const made: number[] = []
      for await (const token of this.model.generate(prompt, { ...options, temperature: 0, ignoreEos: true })) made.push(token)
      rows.push(made)
    }
    return rows
  }

  /** As generate, all prompts in one batch. Straight from the engine: token ids need no tokenizer. */
  async generateTogether(prompts: number[][], options: { maxNewTokens: number; repetitionPenalty: number; useCache: boolean }): Promise<number[][]> {
    const generation = await this.model.native.startGeneration(prompts.map((prompt) => Int32Array.from(prompt)),
      { ...options, temperature: 0, topK: 0, topP: 1, seed: 0, stopTokenIds: new Int32Array() })
    const rows = prompts.map((): number[] => [])
    try {
      for (let done = false; !done;) {
        const next = await generation.next()
        next.tokens.forEach((token, i) => { rows[i]?.push(token) })
        done = next.done
      }
    } finally {
      generation.dispose()
    }
    return rows
  }

  async dispose(): Promise<void> {
    await this.#optimizer?.dispose()
    await this.model.dispose()
  }
}

export interface SubjectOptions { dtype?: 'fp32' | 'bf16' | 'fp16'; device?: 'cpu' | 'cuda'; threads?: number }

/** One thread unless told: the models are so small that threads only wait for each other. */
export async function openSubject(model: string, { dtype = 'fp32', device = 'cpu', threads = 1 }: SubjectOptions = {}): Promise<Subject> {
  return new Subject(await loadModel({ name: model, dtype, device, threads }))
}

export function rowBatch(rows: Row[]): RowBatch {
  return { inputIds: rows.map((row) => row.input_ids), labels: rows.map((row) => row.labels) }
}
