// Which modules' own weights PEFT 0.21 saves beside an adapter (peft/utils/save_and_load.py, save_embedding_layers "auto"): those of embedding
// and head, where they are adapted and the target modules name one of them as most models call it.
import { fullMatcher } from '../pattern.js'
import { embeddingNames } from './tied-targets.js'

/** What this needs to know of a model; ModuleSource has it. */
export interface EmbeddingSource {
  linearModules: readonly { name: string }[]
  embeddingModules?: readonly { name: string; kind: 'embedding' | 'head' }[]
  outputHead?: string
}

/** Module paths, embedding first. `modules`: what is adapted; `written`: target_modules as adapter_config.json has it. */
export function savedBaseLayers(source: EmbeddingSource, modules: readonly string[], written: string | readonly string[]): string[] {
  const embedding = source.embeddingModules?.find(({ kind }) => kind === 'embedding')?.name
  const candidates = [embedding, source.outputHead].filter((name) => name !== undefined)
  const named = typeof written === 'string' ? namedBy(written, candidates) : embeddingNames.some((name) => written.includes(name))
  return named ? candidates.filter((name) => modules.includes(name)) : []
}

function namedBy(pattern: string, candidates: readonly string[]): boolean {
  const matches = fullMatcher(pattern, { what: 'target_modules' })
  return candidates.some((name) => embeddingNames.includes(name.slice(name.lastIndexOf('.') + 1)) && matches(name))
}
