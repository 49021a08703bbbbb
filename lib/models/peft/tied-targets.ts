// ensure_weight_tying as PEFT 0.21 does it (peft/tuners/lora/model.py, _add_targets_to_tie): where the embedding or a head that shares its
// weight is targeted, the embedding gets the adapter and the head's matrices are the embedding's, transposed.
import { makeError } from '../../core/errors/index.js'
import type { ResolvedLoraOptions } from '../lora.js'
import { fullMatcher } from '../pattern.js'

/** What this needs to know of a model; ModuleSource has it. */
export interface TiedSource {
  embeddingModules?: readonly { name: string; kind: 'embedding' | 'head' }[]
}

type TiedOptions = Pick<ResolvedLoraOptions, 'targetModules' | 'ensureWeightTying'>

/** The names that PEFT looks for, whatever a model calls its own. */
export const embeddingNames: readonly string[] = ['embed_tokens', 'lm_head']

/** With the embedding among the target modules in place of the head, as PEFT writes them. */
export function withTiedTargets<T extends TiedOptions>(source: TiedSource, options: T): T {
  const pair = tiedPair(source, options)
  if (pair === undefined) return options
  const { targetModules } = options
  if (typeof targetModules === 'string') {
    const matches = fullMatcher(targetModules, { what: 'target_modules' })
    return matches(pair.embedding) ? options : { ...options, targetModules: `(?:${targetModules}|^${pair.embedding.replaceAll('.', '\\.')}$)` }
  }
  const others = targetModules.filter((name) => name !== pair.head && !pair.head.endsWith(`.${name}`) && name !== pair.embedding)
  return { ...options, targetModules: [...others, pair.embedding] }
}

/**
 * The head whose matrices are the embedding's; undefined: none is. `strict`: asking for it in vain is an error, where PEFT warns.
 * Errors: FT_INCOMPATIBLE_CONFIG.
 */
export function headTarget(source: TiedSource, options: TiedOptions, strict: boolean): string | undefined {
  if (!options.ensureWeightTying) return undefined
  const pair = tiedPair(source, options)
  if (pair !== undefined || !strict) return pair?.head
  const tied = source.embeddingModules?.some(({ kind }) => kind === 'head') === true
  throw makeError('FT_INCOMPATIBLE_CONFIG', `ensure_weight_tying: ${tied ? 'the target modules name neither embedding nor output head' : "the model's output head has a weight of its own"}`, {
    remedy: 'leave ensure_weight_tying out', details: { ensure_weight_tying: true },
  })
}

function tiedPair(source: TiedSource, { targetModules, ensureWeightTying }: TiedOptions): { embedding: string; head: string } | undefined {
  const embedding = source.embeddingModules?.find(({ kind }) => kind === 'embedding')?.name
  const head = source.embeddingModules?.find(({ kind }) => kind === 'head')?.name
  if (!ensureWeightTying || embedding === undefined || head === undefined) return undefined
  return namesEmbedding(targetModules, embedding) ? { embedding, head } : undefined
}

function namesEmbedding(targetModules: TiedOptions['targetModules'], embedding: string): boolean {
  if (typeof targetModules !== 'string') return targetModules.some((name) => embeddingNames.includes(name.slice(name.lastIndexOf('.') + 1)))
  const matches = fullMatcher(targetModules, { what: 'target_modules' })
  return embeddingNames.some(matches) || matches(embedding)
}
