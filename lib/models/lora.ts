// LoRA options as people give them, and the fixed list of (module, rank, scale) that the engine takes.
// Rank and alpha patterns follow PEFT's get_pattern_key; scale is alpha / r, or alpha / √r with rslora.
import { makeError } from '../core/errors/index.js'
import type { OptionNames } from '../core/options.js'
import type { NativeLoraTarget } from '../native/binding.js'
import { suffixMatcher, type PatternPlace } from './pattern.js'
import { headTarget, withTiedTargets } from './peft/tied-targets.js'
import { expertShapes, isNamed, namedParameters, parameterName, withFusedTargets, type TargetableModule } from './peft/expert-targets.js'
import { allLinear, isAllLinear, TargetModuleDetector, type ModuleSource, type TargetModules, type TargetOptions } from './target-modules.js'

export interface LoraOptions {
  /** Rank. Default 16. */
  r?: number
  /** Default 32. */
  loraAlpha?: number
  /** Of the adapter's input, in training. Default 0. */
  loraDropout?: number
  /** Default "all-linear". */
  targetModules?: TargetModules
  /**
   * Weights that are adapted by their names, as PEFT's target_parameters: "mlp.experts.down_proj" (of fused experts),
   * "mlp.gate.weight" (of a router or a linear module). Default none.
   */
  targetParameters?: readonly string[] | null
  excludeModules?: TargetModules | null
  /** Ranks by module name or pattern, where they differ from r. */
  rankPattern?: Readonly<Record<string, number>>
  alphaPattern?: Readonly<Record<string, number>>
  /** Scale by alpha / √r. Default false. */
  useRslora?: boolean
  /** Adapters of the embedding and of an output head that shares its weight are one: their matrices are each other's, transposed. Default false. */
  ensureWeightTying?: boolean
  layersToTransform?: number | readonly number[] | null
  layersPattern?: string | readonly string[] | null
}

export type ResolvedLoraOptions = Required<LoraOptions>

export const loraOptionNames: OptionNames<LoraOptions> = {
  r: true, loraAlpha: true, loraDropout: true, targetModules: true, targetParameters: true, excludeModules: true, rankPattern: true, alphaPattern: true, useRslora: true, ensureWeightTying: true,
  layersToTransform: true, layersPattern: true,
}

export function withLoraDefaults(options: LoraOptions): ResolvedLoraOptions {
  const resolved: ResolvedLoraOptions = {
    r: options.r ?? 16,
    loraAlpha: options.loraAlpha ?? 32,
    loraDropout: options.loraDropout ?? 0,
    targetModules: options.targetModules ?? allLinear,
    targetParameters: options.targetParameters ?? null,
    excludeModules: options.excludeModules ?? null,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    useRslora: options.useRslora ?? false,
    ensureWeightTying: options.ensureWeightTying ?? false,
    layersToTransform: options.layersToTransform ?? null,
    layersPattern: options.layersPattern ?? null,
  }
  checkNames(resolved.targetModules, 'target_modules')
  if (resolved.targetParameters !== null) checkNames([...resolved.targetParameters], 'target_parameters')
  if (resolved.excludeModules !== null) checkNames(resolved.excludeModules, 'exclude_modules')
  checkRank(resolved.r, 'r')
  for (const [pattern, rank] of Object.entries(resolved.rankPattern)) checkRank(rank, `rank_pattern[${JSON.stringify(pattern)}]`)
  checkAlpha(resolved.loraAlpha, 'lora_alpha')
  for (const [pattern, alpha] of Object.entries(resolved.alphaPattern)) checkAlpha(alpha, `alpha_pattern[${JSON.stringify(pattern)}]`)
  if (!(resolved.loraDropout >= 0 && resolved.loraDropout < 1)) refuse(`lora_dropout must be from 0 to below 1, got ${resolved.loraDropout}`)
  return resolved
}

function checkNames(value: unknown, what: string): void {
  if (typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'))) return
  refuse(`${what} must be a text or a list of texts`)
}

function checkRank(rank: number, what: string): void {
  if (!Number.isInteger(rank) || rank < 1 || rank > 65_536) refuse(`${what} must be a whole number of at least 1, got ${String(rank)}`)
}

function checkAlpha(alpha: number, what: string): void {
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) refuse(`${what} must be a finite number, got ${String(alpha)}`)
}

function refuse(message: string): never {
  throw makeError('FT_INVALID_ARGUMENT', message, { remedy: 'usual values: r 8 to 64, lora_alpha r to 2r, lora_dropout 0 to 0.1' })
}

/** The options as PEFT would use and write them on this model: targets that it knows by other names renamed. */
export function resolveOn(source: ModuleSource, options: ResolvedLoraOptions): ResolvedLoraOptions {
  const fused = withFusedTargets(source, options, isAllLinear(options.targetModules), new TargetModuleDetector(source).head)
  return withTiedTargets(source, fused)
}

/** Errors: those of TargetModuleDetector.resolve and of the patterns; FT_INCOMPATIBLE_CONFIG for dropout on experts. */
export function loraTargets(source: ModuleSource, asked: ResolvedLoraOptions, how: Pick<TargetOptions, 'strict' | 'place'> = {}): NativeLoraTarget[] {
  const options = resolveOn(source, asked)
  if (how.strict !== false) checkParameters(source, asked.targetParameters ?? [])
  const head = headTarget(source, options, how.strict !== false)
  const parameters = namedParameters(source, options.targetParameters ?? [])
  checkDropout(parameters, options.loraDropout)
  const names = options.targetModules
  const modules = parameters.length > 0 && typeof names !== 'string' && names.length === 0 ? [] : new TargetModuleDetector(source).resolve(names, {
    ...how,
    excludeModules: options.excludeModules,
    layersToTransform: options.layersToTransform,
    layersPattern: options.layersPattern,
  })
  const rankOf = patternTable(options.rankPattern, options.r, { ...how.place, what: 'rank_pattern' })
  const alphaOf = patternTable(options.alphaPattern, options.loraAlpha, { ...how.place, what: 'alpha_pattern' })
  const target = (module: string, known: string): NativeLoraTarget => {
    const r = rankOf(known)
    return { module, r, scale: alphaOf(known) / (options.useRslora ? Math.sqrt(r) : r) }
  }
  const named = modules.filter((module) => module !== head).map((module) => target(module, module))
  return [...named, ...(head === undefined ? [] : [tiedTarget(target(head, head), named, source)]), ...parameters.map((module) => target(module.name, parameterName(module)))]
}

function tiedTarget(head: NativeLoraTarget, targets: readonly NativeLoraTarget[], source: ModuleSource): NativeLoraTarget {
  const embedding = targets.find(({ module }) => source.embeddingModules?.some(({ kind, name }) => kind === 'embedding' && name === module))
  if (embedding?.r === head.r) return { ...head, tied: true }
  throw makeError('FT_INCOMPATIBLE_CONFIG', `ensure_weight_tying needs adapters of embedding and head of one rank, got ${embedding === undefined ? 'none of the embedding' : `${embedding.r} and ${head.r}`}`, {
    remedy: 'leave both out of rank_pattern and exclude_modules, or ensure_weight_tying', details: { head: head.module },
  })
}

function checkParameters(source: ModuleSource, names: readonly string[]): void {
  const missing = names.filter((name) => !source.linearModules.some((module) => isNamed(module, name)))
  if (missing.length === 0) return
  throw makeError('FT_UNKNOWN_TARGET_MODULE', `the model has no matrix of experts or of a linear module ${missing.join(', ')}`, {
    remedy: `use names like ${[...new Set(source.linearModules.map(parameterName).slice(-3))].join(', ')}`, details: { target: missing },
  })
}

function checkDropout(parameters: readonly TargetableModule[], dropout: number): void {
  const [first] = parameters
  if (first === undefined || dropout === 0) return
  throw makeError('FT_INCOMPATIBLE_CONFIG', `lora_dropout is ${dropout}, but ${first.name} is adapted as a parameter, which has no dropout (as in PEFT)`, {
    remedy: 'set lora_dropout to 0, or choose target_modules without experts and routers', details: { lora_dropout: dropout },
  })
}

/** The value of the first pattern that matches, in the order of the table, else `otherwise`. */
function patternTable(table: Readonly<Record<string, number>>, otherwise: number, place: PatternPlace): (module: string) => number {
  const entries = Object.entries(table).map(([pattern, value]) => ({ matches: suffixMatcher(pattern, place), value }))
  return (module) => entries.find((entry) => entry.matches(module))?.value ?? otherwise
}

/** Trainable parameters of a LoRA adapter: r · (in + out) a module; a tied pair counts once. */
export function loraParameters(source: ModuleSource, targets: readonly NativeLoraTarget[]): number {
  const sizes = new Map(source.linearModules.map((module) => [module.name, (module.experts ?? 1) * (module.inFeatures + module.outFeatures)]))
  for (const { name, inFeatures, outFeatures } of source.embeddingModules ?? []) sizes.set(name, inFeatures + outFeatures)
  return targets.reduce((sum, target) => sum + (target.tied === true ? 0 : target.r * (sizes.get(target.module) ?? 0)), 0)
}

/** Whether merging these gives a head that shares the embedding's weight one of its own: the two then differ. */
export function partsHead(source: ModuleSource, targets: readonly NativeLoraTarget[]): boolean {
  const { embeddingModules = [] } = source
  if (!embeddingModules.some(({ kind }) => kind === 'head') || targets.some(({ tied }) => tied === true)) return false
  return targets.some(({ module }) => embeddingModules.some(({ name }) => name === module))
}

/** Tensors of a LoRA adapter's file as PEFT names them: A [r, in], B [out, r]. */
export function loraShapes(source: ModuleSource, targets: readonly NativeLoraTarget[]): { name: string; shape: number[] }[] {
  const modules = new Map(source.linearModules.map((module) => [module.name, module]))
  const containers = new Map<string, { module: TargetableModule; r: number }[]>()
  const embeddings = new Map((source.embeddingModules ?? []).map((module) => [module.name, module]))
  const plain = targets.flatMap(({ module, r }) => {
    const embedding = embeddings.get(module)
    if (embedding?.kind === 'embedding') {
      const name = `base_model.model.${module}.lora_embedding`
      return [{ name: `${name}_A`, shape: [r, embedding.inFeatures] }, { name: `${name}_B`, shape: [embedding.outFeatures, r] }]
    }
    const linear = modules.get(module) ?? embedding
    if (linear === undefined) return []
    if (linear.kind === 'experts') {
      const container = module.slice(0, module.lastIndexOf('.'))
      containers.set(container, [...(containers.get(container) ?? []), { module: linear, r }])
      return []
    }
    const name = `base_model.model.${module}`
    return [{ name: `${name}.lora_A.weight`, shape: [r, linear.inFeatures] }, { name: `${name}.lora_B.weight`, shape: [linear.outFeatures, r] }]
  })
  return [...plain, ...[...containers.values()].flatMap(expertShapes)]
}
