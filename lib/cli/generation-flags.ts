// The flags that generate and chat share, and how they meet generation_config.json: a flag wins over the file, the
// file over the default. As in transformers, the file's sampling values count only where it says do_sample.
import { pickConfigFlags, type FlagSpec } from '../core/config/flags.js'
import { fail } from '../core/errors/index.js'
import type { ParsedFlags } from './parsed-flags.js'
import { quantizationFlags } from './quantization-flags.js'

const sampling = 'How tokens are chosen'

/** Light: help calls it. */
export function modelFlags(): Record<string, FlagSpec> {
  return {
    ...pickConfigFlags('model'),
    adapter: { kind: 'string', group: 'The model to start from', valueName: '<folder|name>', describe: 'PEFT adapter to use with the model: a folder, or a name on the Hugging Face hub.' },
    ...pickConfigFlags('dtype', 'device', 'arch', ...quantizationFlags),
    threads: { kind: 'integer', group: 'The model to start from', describe: 'CPU threads of the engine.', defaultText: 'the physical cores' },
  }
}

/** Light: help calls it. */
export function samplingFlags(): Record<string, FlagSpec> {
  return {
    'max-new-tokens': { kind: 'integer', group: sampling, describe: 'Longest answer in tokens.', defaultText: 'generation_config.json, else 256' },
    temperature: { kind: 'number', group: sampling, describe: '0: always the likeliest token; higher: more varied.', defaultText: 'generation_config.json, else 0' },
    'top-k': { kind: 'integer', group: sampling, describe: 'Choose among the k likeliest tokens; 0: all.', defaultText: 'generation_config.json, else 0' },
    'top-p': { kind: 'number', group: sampling, describe: 'Choose among the likeliest tokens that add up to this probability; 1: all.', defaultText: 'generation_config.json, else 1' },
    'repetition-penalty': { kind: 'number', group: sampling, describe: 'Above 1: tokens that are already there become less likely.', defaultText: 'generation_config.json, else 1' },
    seed: { kind: 'integer', group: sampling, describe: 'The same seed gives the same answer.', defaultText: '42' },
    stop: { kind: 'list', group: sampling, valueName: '<text>', describe: 'End an answer before this text. May be repeated.' },
  }
}

export interface Sampling {
  maxNewTokens: number
  temperature: number
  topK: number
  topP: number
  repetitionPenalty: number
  seed: number
  stop: string[]
}

/** What generation_config.json may say. */
export interface FileSampling {
  doSample?: boolean
  maxNewTokens?: number
  temperature?: number
  topK?: number
  topP?: number
  repetitionPenalty?: number
}

export const defaultMaxNewTokens = 256
const defaultSeed = 42

/** Errors: FT_USAGE for values out of range, and for sampling flags that would do nothing. */
export function resolveSampling(flags: ParsedFlags, file: FileSampling): Sampling {
  const topK = flags.integer('top-k', { min: 0 })
  const topP = flags.number('top-p', { min: 0, max: 1 })
  if (topP === 0) fail('FT_USAGE', '--top-p: expected a number above 0, got "0"', { remedy: 'use --temperature 0 for the likeliest token' })
  const penalty = flags.number('repetition-penalty', { min: 0 })
  if (penalty === 0) fail('FT_USAGE', '--repetition-penalty: expected a number above 0, got "0"', { remedy: '1 is no penalty' })
  const asked = flags.number('temperature', { min: 0, max: 100 })
  const narrows = topK !== undefined || topP !== undefined
  if (asked === 0 && narrows) {
    fail('FT_USAGE', `${topK === undefined ? '--top-p' : '--top-k'} does nothing with --temperature 0`, { remedy: 'leave one of them out' })
  }
  const fromFile = file.doSample === true ? file : {}
  const sampled = file.doSample === true || narrows
  return {
    maxNewTokens: flags.integer('max-new-tokens', { min: 1, max: 1_000_000 }) ?? file.maxNewTokens ?? defaultMaxNewTokens,
    temperature: asked ?? fromFile.temperature ?? (sampled ? 1 : 0),
    topK: topK ?? fromFile.topK ?? 0,
    topP: topP ?? fromFile.topP ?? 1,
    repetitionPenalty: penalty ?? file.repetitionPenalty ?? 1,
    seed: flags.integer('seed', { min: 0 }) ?? defaultSeed,
    stop: flags.list('stop'),
  }
}

/** --model. Errors: FT_USAGE. */
export function requireModel(flags: ParsedFlags, command: string): string {
  return flags.text('model') ?? fail('FT_USAGE', 'no model was named', { remedy: `ft-native ${command} --model <folder>` })
}
