// A scratch folder with a model folder that the tiny engine accepts, and configurations for it.
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { ConfigBuilder, type LoraInput, type ResolvedConfig, type TrainingInput } from '../../../lib/core/config/index.js'
import { FineTuneError, type ErrorCode } from '../../../lib/core/errors/index.js'
import { setupLogger } from '../../../lib/utils/logging.js'
import type { StepEvent, TrainingEvent } from '../../../lib/trainers/index.js'

export class Workspace {
  readonly root: string
  readonly model: string

  private constructor(root: string) {
    this.root = root
    this.model = path.join(root, 'model')
  }

  static async create(): Promise<Workspace> {
    setupLogger({ level: 'info', console: false })
    // In memory where that is possible: the many fsyncs of a run are not what these tests ask about.
    const base = await fs.access('/dev/shm', fs.constants.W_OK).then(() => '/dev/shm', () => os.tmpdir())
    const workspace = new Workspace(await fs.mkdtemp(path.join(base, 'ft-trainers-')))
    await fs.mkdir(workspace.model)
    await fs.writeFile(path.join(workspace.model, 'config.json'), '{"model_type":"tiny"}')
    await fs.writeFile(path.join(workspace.model, 'tokenizer.json'), '{}')
    await fs.writeFile(path.join(workspace.model, 'model.safetensors'), Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}'), Buffer.alloc(4096, 7)]))
    return workspace
  }

  path(...parts: string[]): string {
    return path.join(this.root, ...parts)
  }

  config(output: string, training: TrainingInput = {}, lora: LoraInput = {}): ResolvedConfig {
    return new ConfigBuilder()
      .withModel(this.model)
      .withDataset('./data.jsonl')
      .withTraining({ method: 'lora', outputDir: this.path(output), batchSize: 2, numEpochs: 2, learningRate: 0.05, ...training })
      .withLora(lora)
      .build()
  }

  async remove(): Promise<void> {
    await fs.rm(this.root, { recursive: true, force: true })
  }
}

/** Names and SHA-256 of the files of a folder. */
export async function digests(folder: string, only?: RegExp): Promise<Record<string, string>> {
  const result: Record<string, string> = {}
  for (const entry of (await fs.readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isFile() && (only === undefined || only.test(entry.name))) result[entry.name] = createHash('sha256').update(await fs.readFile(path.join(folder, entry.name))).digest('hex')
  }
  return result
}

/** What a run's numbers are kept in. */
export const stateFiles = /^(adapter_model\.safetensors|model\.safetensors|optimizer\.safetensors)$/

export async function failure(work: Promise<unknown>): Promise<FineTuneError> {
  try {
    await work
  } catch (error) {
    if (error instanceof FineTuneError) return error
    throw error
  }
  throw new Error('it should have failed')
}

export async function failsWith(code: ErrorCode, exitCode: number, work: Promise<unknown>): Promise<FineTuneError> {
  const error = await failure(work)
  if (error.code !== code || error.exitCode !== exitCode) throw new Error(`expected ${code} (exit ${exitCode}), got ${error.code} (exit ${error.exitCode}): ${error.message}`)
  if (error.remedy === '') throw new Error(`${error.code} has no remedy`)
  return error
}

export class Recorder {
  // A recorder is spread into the options of a run: only the two functions may come along.
  readonly #events: TrainingEvent[] = []
  readonly #states: string[] = []
  readonly onEvent = (event: TrainingEvent): void => void this.#events.push(event)
  readonly onState = (state: string): void => void this.#states.push(state)

  get events(): TrainingEvent[] {
    return this.#events
  }

  get states(): string[] {
    return this.#states
  }

  get steps(): StepEvent[] {
    return this.events.filter((event): event is StepEvent => event.event === 'step')
  }

  of<Name extends TrainingEvent['event']>(name: Name): Extract<TrainingEvent, { event: Name }>[] {
    return this.events.filter((event): event is Extract<TrainingEvent, { event: Name }> => event.event === name)
  }
}
