// What PEFT 0.21 makes of target modules on models whose experts transformers 5 holds fused
// (peft/utils/transformers_weight_conversion.py): names of single experts' projections, and of the router, become parameters; gate and up,
// fused into one, get both ranks. A configuration that was converted stays as it is.
import { makeError } from '../../core/errors/index.js'
import type { NativeLinearModule } from '../../native/binding.js'
import type { ResolvedLoraOptions } from '../lora.js'
import { fullMatcher } from '../pattern.js'

/** What targets are found and sized by. */
export type TargetableModule = Pick<NativeLinearModule, 'name' | 'inFeatures' | 'outFeatures' | 'kind' | 'experts'>

/** What this needs to know of a model; ModuleSource has it. */
export interface FusedSource {
  linearModules: readonly TargetableModule[]
  embeddingModules?: readonly { name: string }[]
  /** Names of version 4 to parameters of version 5, in order; empty where PEFT converts nothing. */
  renamedTargets?: Readonly<Record<string, string>>
}

export type FusedOptions = Pick<ResolvedLoraOptions, 'targetModules' | 'targetParameters' | 'rankPattern' | 'alphaPattern' | 'r' | 'loraAlpha'>

/** The parameter of which several names became one: only all of them together can be targets. */
const fused = 'gate_up_proj'

/** The name by which target_parameters and patterns know a module's weight. */
export function parameterName(module: TargetableModule): string {
  return module.kind === 'experts' ? module.name : `${module.name}.weight`
}

/** Errors: FT_UNKNOWN_TARGET_MODULE where one of gate and up is targeted without the other; those of a pattern. */
export function withFusedTargets<T extends FusedOptions>(source: FusedSource, options: T, isAllLinear: boolean, head: string): T {
  const renamed = source.renamedTargets ?? {}
  if (Object.keys(renamed).length === 0) return options
  const names = wantedNames(source, renamed, options, isAllLinear, head)
  if (names.length === 0 && typeof options.targetModules === 'string') return options // it matches nothing, and says so later
  const parameters = new Set(options.targetParameters ?? [])
  const kept: string[] = []
  const joined = new Set<string>()
  for (const name of names) {
    const old = Object.keys(renamed).find((key) => name === key || name.endsWith(`.${key}`))
    const parameter = old === undefined ? undefined : renamed[old]
    if (old === undefined || parameter === undefined) {
      kept.push(name)
    } else {
      parameters.add(parameter)
      if (parameter === fused) joined.add(old)
    }
  }
  const needed = Object.keys(renamed).filter((key) => renamed[key] === fused)
  checkJoined(joined, needed)
  const twice = joined.size === needed.length
  const pattern = `.*\\.${fused}`
  return {
    ...options,
    targetModules: kept,
    targetParameters: [...parameters].sort(),
    rankPattern: twice ? { ...options.rankPattern, [pattern]: options.r * needed.length } : options.rankPattern,
    alphaPattern: twice ? { ...options.alphaPattern, [pattern]: options.loraAlpha * needed.length } : options.alphaPattern,
  }
}

function wantedNames(source: FusedSource, renamed: Readonly<Record<string, string>>, { targetModules }: FusedOptions, isAllLinear: boolean, head: string): string[] {
  const plain = source.linearModules.filter((module) => module.kind === undefined && module.name !== head).map((module) => module.name)
  if (isAllLinear) return [...new Set([...plain.map(leaf), ...Object.keys(renamed)])]
  if (typeof targetModules !== 'string') return [...targetModules]
  const matches = fullMatcher(targetModules, { what: 'target_modules' })
  const matched = new Set([...source.linearModules, ...(source.embeddingModules ?? [])].map((module) => module.name).filter(matches).map(leaf))
  // A pattern for single experts' projections, which no longer exist, is tried on the names they would have.
  for (const [old, parameter] of Object.entries(renamed)) {
    const containers = source.linearModules.filter((module) => module.kind === 'experts' && leaf(module.name) === parameter)
    if (containers.some((module) => matches(`${module.name.slice(0, -parameter.length)}${old}`))) matched.add(old)
  }
  return [...matched]
}

/** Modules whose weights these names mean, in module order. */
export function namedParameters(source: FusedSource, names: readonly string[]): TargetableModule[] {
  return source.linearModules.filter((module) => names.some((name) => isNamed(module, name)))
}

export function isNamed(module: TargetableModule, name: string): boolean {
  return parameterName(module) === name || parameterName(module).endsWith(`.${name}`)
}

function checkJoined(joined: ReadonlySet<string>, needed: readonly string[]): void {
  if (joined.size === 0 || joined.size === needed.length) return
  const missing = needed.filter((name) => !joined.has(name))
  throw makeError('FT_UNKNOWN_TARGET_MODULE', `${[...joined].join(', ')} cannot be a target without ${missing.join(', ')}: experts have them in one parameter, ${fused}`, {
    remedy: `target ${needed.join(' and ')} together, or neither`, details: { target: [...joined], missing },
  })
}

function leaf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** Names and shapes in an adapter file of the expert parameters of one module, in module order: PEFT wraps the module once a parameter. */
export function expertShapes(modules: readonly { module: TargetableModule; r: number }[]): { name: string; shape: number[] }[] {
  return modules.flatMap(({ module, r }, index) => {
    const experts = module.experts ?? 1
    const prefix = `base_model.model.${module.name.slice(0, module.name.lastIndexOf('.'))}${'.base_layer'.repeat(modules.length - 1 - index)}`
    return [
      { name: `${prefix}.lora_A.weight`, shape: [experts * r, module.inFeatures] },
      { name: `${prefix}.lora_B.weight`, shape: [module.outFeatures, r * experts] },
    ]
  })
}
