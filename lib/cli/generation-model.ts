// The model, tokenizer and sampling behind generate and chat, and the limit that the model's context sets.
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { loadModel, type FinishReason, type Model } from '../models/index.js'
import type { DtypeOption } from '../models/devices.js'
import { readJsonFile } from '../models/json-file.js'
import { resolveModelFolder } from '../models/resolve.js'
import { pathKind } from '../utils/fs.js'
import { byteProgress } from './byte-progress.js'
import { contextLengthOf } from './context-length.js'
import type { CliContext } from './context.js'
import { requireModel, resolveSampling, type FileSampling, type Sampling } from './generation-flags.js'
import type { ParsedFlags } from './parsed-flags.js'
import { quantizationOf } from './quantization-flags.js'

/** How the command line says why an answer ended. */
export const finishReasons = { stop_token: 'eos', stop_string: 'stop', length: 'length' } as const satisfies Record<FinishReason, string>
export type FinishText = (typeof finishReasons)[FinishReason]

export interface GenerationSetup {
  model: Model
  sampling: Sampling
  /** Longest row, prompt and answer together, in tokens. */
  contextLength: number
}

const dtypes: readonly DtypeOption[] = ['auto', 'bf16', 'fp16', 'fp32']

/** Loads what the flags name. The caller disposes the model. */
export async function openModel(flags: ParsedFlags, context: CliContext, command: string): Promise<GenerationSetup> {
  const name = requireModel(flags, command)
  const sampling = resolveSampling(flags, await readGenerationConfig(name)) // flags are checked before the weights are read
  const progress = byteProgress(context, `loading ${name}`)
  try {
    const model = await loadModel({
      name,
      adapter: flags.text('adapter'),
      dtype: flags.choice('dtype', dtypes),
      device: flags.text('device'),
      arch: flags.text('arch'),
      threads: flags.integer('threads', { min: 1, max: 4096 }),
      ...quantizationOf(flags),
      signal: context.signal,
      onProgress: progress.update,
    })
    const config = await readJsonFile(path.join(await resolveModelFolder(name, process.env, { need: 'tokenizer' }), 'config.json'), 'FT_MODEL_CONFIG')
    return { model, sampling, contextLength: contextLengthOf(model.info.maxPositionEmbeddings, config) }
  } finally {
    progress.stop()
  }
}

async function readGenerationConfig(name: string): Promise<FileSampling> {
  const file = path.join(await resolveModelFolder(name, process.env, { need: 'tokenizer' }), 'generation_config.json')
  if ((await pathKind(file)) !== 'file') return {}
  const raw = await readJsonFile(file, 'FT_MODEL_CONFIG')
  return {
    doSample: raw.do_sample === true,
    maxNewTokens: inRange(raw.max_new_tokens, 1, 1_000_000, true),
    temperature: inRange(raw.temperature, 0, 100),
    topK: inRange(raw.top_k, 0, Number.MAX_SAFE_INTEGER, true),
    topP: inRange(raw.top_p, Number.MIN_VALUE, 1),
    repetitionPenalty: inRange(raw.repetition_penalty, Number.MIN_VALUE, 1000),
  }
}

/** undefined: the file has no such value, or one that means nothing. */
function inRange(value: unknown, min: number, max: number, whole = false): number | undefined {
  if (typeof value !== 'number' || !(value >= min && value <= max)) return undefined
  return whole && !Number.isInteger(value) ? undefined : value
}

/**
 * How many tokens an answer may have: what was asked for, or what the context leaves.
 * Errors: FT_INVALID_ARGUMENT when the prompt alone fills it.
 */
export function answerRoom(promptTokens: number, { sampling, contextLength }: Pick<GenerationSetup, 'sampling' | 'contextLength'>, what = 'the prompt'): number {
  const room = contextLength - promptTokens
  if (room >= 1) return Math.min(sampling.maxNewTokens, room)
  return fail('FT_INVALID_ARGUMENT', `${what} has ${promptTokens} tokens, the context of the model is ${contextLength}`, {
    remedy: 'shorten it: prompt and answer together have to fit',
    details: { prompt_tokens: promptTokens, context_length: contextLength },
  })
}

/** The options of Model.generateBatch. */
export function samplingOptions({ sampling }: Pick<GenerationSetup, 'sampling'>) {
  const { temperature, topK, topP, repetitionPenalty, seed, stop } = sampling
  return { temperature, topK, topP, repetitionPenalty, seed, stop }
}
