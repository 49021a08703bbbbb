// LoRA options as people give them, and the fixed list of (module, rank, scale) that the engine takes.
// Rank and alpha patterns follow PEFT's get_pattern_key; scale is alpha / r, or alpha / √r with rslora.
import { makeError } from '../core/errors/index.js'
import type { OptionNames } from '../core/options.js'
import type { NativeLoraTarget } from '../native/binding.js'
import { suffixMatcher, type PatternPlace } from './pattern.js'
import { allLinear, TargetModuleDetector, type ModuleSource, type TargetModules, type TargetOptions } from './target-modules.js'

export interface LoraOptions {
  /** Rank. Default 16. */
  r?: number
  /** Default 32. */
  loraAlpha?: number
  /** Of the adapter's input, in training. Default 0. */
  loraDropout?: number
  /** Default "all-linear". */
  targetModules?: TargetModules
  excludeModules?: TargetModules | null
  /** Ranks by module name or pattern, where they differ from r. */
  rankPattern?: Readonly<Record<string, number>>
  alphaPattern?: Readonly<Record<string, number>>
  /** Scale by alpha / √r. Default false. */
  useRslora?: boolean
  layersToTransform?: number | readonly number[] | null
  layersPattern?: string | readonly string[] | null
}

export type ResolvedLoraOptions = Required<LoraOptions>

export const loraOptionNames: OptionNames<LoraOptions> = {
  r: true, loraAlpha: true, loraDropout: true, targetModules: true, excludeModules: true, rankPattern: true, alphaPattern: true, useRslora: true,
  layersToTransform: true, layersPattern: true,
}

export function withLoraDefaults(options: LoraOptions): ResolvedLoraOptions {
  const resolved: ResolvedLoraOptions = {
    r: options.r ?? 16,
    loraAlpha: options.loraAlpha ?? 32,
    loraDropout: options.loraDropout ?? 0,
    targetModules: options.targetModules ?? allLinear,
    excludeModules: options.excludeModules ?? null,
    rankPattern: options.rankPattern ?? {},
    alphaPattern: options.alphaPattern ?? {},
    useRslora: options.useRslora ?? false,
    layersToTransform: options.layersToTransform ?? null,
    layersPattern: options.layersPattern ?? null,
  }
  checkNames(resolved.targetModules, 'target_modules')
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

/** Errors: those of TargetModuleDetector.resolve and of the patterns. */
export function loraTargets(source: ModuleSource, options: ResolvedLoraOptions, how: Pick<TargetOptions, 'strict' | 'place'> = {}): NativeLoraTarget[] {
  const modules = new TargetModuleDetector(source).resolve(options.targetModules, {
    ...how,
    excludeModules: options.excludeModules,
    layersToTransform: options.layersToTransform,
    layersPattern: options.layersPattern,
  })
  const rankOf = patternTable(options.rankPattern, options.r, { ...how.place, what: 'rank_pattern' })
  const alphaOf = patternTable(options.alphaPattern, options.loraAlpha, { ...how.place, what: 'alpha_pattern' })
  return modules.map((module) => {
    const r = rankOf(module)
    return { module, r, scale: alphaOf(module) / (options.useRslora ? Math.sqrt(r) : r) }
  })
}

/** The value of the first pattern that matches, in the order of the table, else `otherwise`. */
function patternTable(table: Readonly<Record<string, number>>, otherwise: number, place: PatternPlace): (module: string) => number {
  const entries = Object.entries(table).map(([pattern, value]) => ({ matches: suffixMatcher(pattern, place), value }))
  return (module) => entries.find((entry) => entry.matches(module))?.value ?? otherwise
}

/** Trainable parameters of a LoRA adapter: r · (in + out) a module. */
export function loraParameters(source: ModuleSource, targets: readonly NativeLoraTarget[]): number {
  const sizes = new Map(source.linearModules.map((module) => [module.name, module.inFeatures + module.outFeatures]))
  return targets.reduce((sum, target) => sum + target.r * (sizes.get(target.module) ?? 0), 0)
}

/** Tensors of a LoRA adapter as PEFT names them: A [r, in], B [out, r]. */
export function loraShapes(source: ModuleSource, targets: readonly NativeLoraTarget[]): { name: string; shape: number[] }[] {
  const modules = new Map(source.linearModules.map((module) => [module.name, module]))
  return targets.flatMap(({ module, r }) => {
    const linear = modules.get(module)
    if (linear === undefined) return []
    const name = `base_model.model.${module}`
    return [{ name: `${name}.lora_A.weight`, shape: [r, linear.inFeatures] }, { name: `${name}.lora_B.weight`, shape: [linear.outFeatures, r] }]
  })
}
