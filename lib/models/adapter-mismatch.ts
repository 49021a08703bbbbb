// Why an adapter folder does not fit: made for another base, or of another rank than it is expected to have. Told from
// the header of its weights, since the engine's first fault names one tensor.
import path from 'node:path'
import { FineTuneError, makeError } from '../core/errors/index.js'
import { native } from '../native/binding.js'
import { adapterWeightsFile, readAdapterConfig } from './peft/config.js'

/** A tensor as it should be; PEFT's names. */
export interface ExpectedTensor {
  name: string
  shape: readonly number[]
}

export interface MismatchPlace {
  /** Of the adapter. */
  folder: string
  /** As it was asked for. */
  baseModelName: string
  /** Known once the modules are. */
  expected?: () => readonly ExpectedTensor[]
}

/** Runs `work`; a mismatch then says what differs: the rank, or the base that the adapter was made for. */
export async function explainingMismatch<T>(place: MismatchPlace, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof FineTuneError) || (error.code !== 'FT_ADAPTER_MISMATCH' && error.code !== 'FT_UNKNOWN_TARGET_MODULE')) throw error
    throw (await rankMismatch(error, place)) ?? (await baseMismatch(error, place))
  }
}

async function baseMismatch(error: FineTuneError, { folder, baseModelName }: MismatchPlace): Promise<FineTuneError> {
  const made = await readAdapterConfig(folder).then((config) => config.baseModelNameOrPath, () => '')
  const details = { ...error.details, path: folder, adapter_base: made, model: baseModelName }
  if (made !== '' && path.resolve(made) === path.resolve(baseModelName)) {
    return makeError('FT_ADAPTER_MISMATCH', `the adapter ${folder} does not fit ${JSON.stringify(baseModelName)}, though it names that base: ${error.message}`, {
      remedy: 'the base has changed since, or another one had this name: use the files that the adapter was trained on', details, cause: error,
    })
  }
  const from = made === '' ? 'another base' : `the base ${JSON.stringify(made)}`
  return makeError('FT_ADAPTER_MISMATCH', `the adapter ${folder} was made for ${from} and does not fit ${JSON.stringify(baseModelName)}: ${error.message}`, {
    remedy: made === '' ? 'use the base model that the adapter was trained on' : `use the base it was trained on: ${made}`, details, cause: error,
  })
}

/** null: more than the rank differs, or it cannot be told. */
async function rankMismatch(error: FineTuneError, { folder, baseModelName, expected }: MismatchPlace): Promise<FineTuneError | null> {
  const shapes = shapesOf(path.join(folder, adapterWeightsFile))
  const other = shapes === null ? [] : (expected?.() ?? []).filter((tensor) => !sameShape(tensor.shape, shapes.get(tensor.name)))
  const [first] = other
  if (shapes === null || first === undefined || !other.every((tensor) => differsInRank(tensor, shapes.get(tensor.name)))) return null
  const [got, wanted] = [rankOf(first.name, shapes.get(first.name) ?? []), rankOf(first.name, first.shape)]
  const said = await readAdapterConfig(folder).then((config) => config.r, () => undefined)
  const own = said === wanted
  return makeError('FT_ADAPTER_MISMATCH', `the adapter ${folder} fits ${JSON.stringify(baseModelName)}, but its weights have rank ${got} where ${own ? 'its adapter_config.json says' : 'this adapter has'} ${wanted} (${first.name})`, {
    remedy: own ? 'adapter_config.json and adapter_model.safetensors do not belong together: restore both from one save' : 'load it with model.loadAdapter(folder), which makes an adapter of its rank',
    details: { ...error.details, path: folder, tensor: first.name, rank: got, expected_rank: wanted },
    cause: error,
  })
}

/** null: the file cannot be read. */
function shapesOf(file: string): Map<string, readonly number[]> | null {
  try {
    return new Map(native().readSafetensorsHeader(file).tensors.map(({ name, shape }) => [name, shape]))
  } catch {
    return null
  }
}

function sameShape(a: readonly number[], b: readonly number[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((size, index) => size === b[index])
}

/** A is [r, in], B is [out, r]. */
function rankAxis(name: string): 0 | 1 {
  return name.includes('lora_A') ? 0 : 1
}

function rankOf(name: string, shape: readonly number[]): number {
  return shape[rankAxis(name)] ?? 0
}

function differsInRank({ name, shape }: ExpectedTensor, got: readonly number[] | undefined): boolean {
  const kept = 1 - rankAxis(name)
  return got?.length === 2 && shape.length === 2 && got[kept] === shape[kept]
}
