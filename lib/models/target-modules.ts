// Which modules an adapter attaches to, as PEFT 0.21 decides it (peft/tuners/tuners_utils.py,
// check_target_module_exists): "all-linear" is every linear module except the output head; a list matches whole
// names or what follows a dot; another string is a regular expression for the whole name. Both can name the embedding and a tied head.
import { didYouMean, makeError } from '../core/errors/index.js'
import { native, type NativeEmbeddingModule } from '../native/binding.js'
import { namedParameters, withFusedTargets, type FusedOptions, type TargetableModule } from './peft/expert-targets.js'
import { fullMatcher, layerIndexMatcher, type PatternPlace } from './pattern.js'
import { resolveModelFolder } from './resolve.js'

export type TargetModules = string | readonly string[]

export interface TargetOptions {
  /** As targetModules: names, or one regular expression. Wins over targetModules. */
  excludeModules?: TargetModules | null
  /** Only these layers (with a list of names). */
  layersToTransform?: number | readonly number[] | null
  /** Name of the list of layers, "layers" for example. */
  layersPattern?: string | readonly string[] | null
  /** Entries of a list that match nothing are errors. PEFT lets them pass, so adapter files may hold them. */
  strict?: boolean
  /** For messages: where the patterns come from. */
  place?: Partial<PatternPlace>
}

/** What the detector knows about a model; NativeModelInfo and ModelInspection have it. */
export interface ModuleSource {
  modelType?: string
  linearModules: readonly TargetableModule[]
  /** Besides them, the embedding and a head that shares its weight. */
  embeddingModules?: readonly NativeEmbeddingModule[]
  /** model_type of the model whose text part this is; its other parts may have modules of the same last names. */
  textPartOf?: string
  renamedTargets?: Readonly<Record<string, string>>
  /** Module path of the output head. */
  outputHead?: string
}

export const allLinear = 'all-linear'
const defaultHead = 'lm_head'

export class TargetModuleDetector {
  readonly #source: ModuleSource
  readonly #head: string

  constructor(source: ModuleSource) {
    this.#source = source
    this.#head = source.outputHead ?? defaultHead
  }

  /** Of a loaded model. */
  static of(model: { info: ModuleSource }): TargetModuleDetector {
    return new TargetModuleDetector(model.info)
  }

  /** Of a model's folder, from its config.json alone. Errors: FT_MODEL_NOT_FOUND, FT_MODEL_CONFIG, FT_UNSUPPORTED_MODEL. */
  static async fromFolder(name: string): Promise<TargetModuleDetector> {
    return new TargetModuleDetector(native().inspectConfig(await resolveModelFolder(name, process.env, { need: 'tokenizer' })))
  }

  /** Every linear module that can be targeted by its name, in module order. */
  get modules(): readonly TargetableModule[] {
    return this.#source.linearModules.filter((module) => module.kind === undefined)
  }

  /** Names of everything that target modules can name: the embedding, linear modules, the head, tied or not. */
  #targetable(): string[] {
    const { embeddingModules = [] } = this.#source
    const named = (kind: NativeEmbeddingModule['kind']): string[] => embeddingModules.filter((module) => module.kind === kind).map(({ name }) => name)
    return [...named('embedding'), ...this.modules.map((module) => module.name), ...named('head')]
  }

  /** Module path of the output head. */
  get head(): string {
    return this.#head
  }

  /** Last parts of the names, each once: "q_proj", "k_proj" … */
  names(): string[] {
    return [...new Set(this.modules.map((module) => lastPart(module.name)))]
  }

  /** What "all-linear" stands for: every linear module but the head; on some models with experts, what PEFT makes of that (peft/expert-targets.ts). */
  allLinear(): string[] {
    const options = { targetModules: allLinear, targetParameters: null, rankPattern: {}, alphaPattern: {}, r: 1, loraAlpha: 1 }
    const { targetModules, targetParameters } = withFusedTargets<FusedOptions>(this.#source, options, true, this.#head)
    const names = isAllLinear(targetModules) ? this.#linear() : this.resolve(targetModules)
    return [...names, ...namedParameters(this.#source, targetParameters ?? []).map((module) => module.name)]
  }

  #linear(): string[] {
    return this.modules.map((module) => module.name).filter((name) => name !== this.#head)
  }

  /**
   * Module paths that the target modules name, in module order.
   * Errors: FT_UNKNOWN_TARGET_MODULE (says what exists), FT_INVALID_CONFIG for a pattern that is none.
   */
  resolve(targets: TargetModules, options: TargetOptions = {}): string[] {
    const wanted = isAllLinear(targets) ? this.#linear() : this.#match(targets, options)
    const excluded = options.excludeModules == null ? null : this.#matcher(options.excludeModules, { ...options.place, what: 'exclude_modules' })
    const kept = excluded === null ? wanted : wanted.filter((name) => !excluded(name))
    if (kept.length === 0) this.#nothing(targets, wanted.length > 0)
    return kept
  }

  /** The shortest list that names exactly these modules: last parts where that is possible, whole names otherwise. */
  shortest(modules: readonly string[]): string[] {
    if (this.#source.textPartOf) return [...modules].sort()
    const short = [...new Set(modules.map(lastPart))].sort()
    const matches = this.#matcher(short, {})
    const reached = this.#targetable().filter(matches).length
    return reached === new Set(modules).size ? short : [...modules].sort()
  }

  #match(targets: TargetModules, options: TargetOptions): string[] {
    const matches = this.#matcher(targets, options.place ?? {})
    const names = this.#targetable().filter(matches)
    if (typeof targets === 'string') return names
    if (options.strict !== false) for (const target of targets) this.#mustExist(target)
    return names.filter(this.#layerFilter(targets, options))
  }

  #matcher(targets: TargetModules, place: Partial<PatternPlace>): (name: string) => boolean {
    if (typeof targets === 'string') return fullMatcher(targets, { what: 'target_modules', ...place })
    const wanted = new Set(targets)
    return (name) => {
      if (wanted.has(name)) return true
      for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) if (wanted.has(name.slice(dot + 1))) return true
      return false
    }
  }

  #layerFilter(targets: readonly string[], options: TargetOptions): (name: string) => boolean {
    const layers = options.layersToTransform
    if (layers == null || (typeof layers !== 'number' && layers.length === 0)) return () => true
    const patterns = options.layersPattern ?? []
    const indexOf = layerIndexMatcher(typeof patterns === 'string' ? [patterns] : patterns, { ...options.place, what: 'layers_pattern' })
    const wanted = new Set(typeof layers === 'number' ? [layers] : layers)
    return (name) => {
      if (targets.includes(name)) return true // whole names do not ask for the layer
      const index = indexOf(name)
      return index !== null && wanted.has(index)
    }
  }

  #mustExist(target: string): void {
    const matches = this.#matcher([target], {})
    const names = this.#targetable()
    if (names.some(matches)) return
    const known = target.includes('.') ? names : [...new Set(names.map(lastPart))]
    throw makeError('FT_UNKNOWN_TARGET_MODULE', `the model has no linear module or embedding ${JSON.stringify(target)}: ${didYouMean(target, known)}`, {
      remedy: `use all-linear, or some of ${this.names().join(', ')}`,
      details: { target, available: this.names(), model_type: this.#source.modelType },
    })
  }

  #nothing(targets: TargetModules, excluded: boolean): never {
    const shown = typeof targets === 'string' ? JSON.stringify(targets) : targets.join(', ')
    const message = excluded ? `exclude_modules leaves none of the target modules ${shown}` : `the target modules ${shown} match no linear module of the model`
    throw makeError('FT_UNKNOWN_TARGET_MODULE', message, {
      remedy: `use all-linear, some of ${this.names().join(', ')}, or a regular expression for whole names like ${this.modules[0]?.name ?? 'model.layers.0.self_attn.q_proj'}`,
      details: { target: typeof targets === 'string' ? targets : [...targets], available: this.names(), model_type: this.#source.modelType },
    })
  }
}

/** PEFT compares in lower case; a list with this one entry is what a command line makes of it. */
export function isAllLinear(targets: TargetModules): boolean {
  const only = typeof targets === 'string' ? targets : targets.length === 1 ? targets[0] : undefined
  return only?.toLowerCase() === allLinear
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
