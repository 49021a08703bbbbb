// {input_ids, labels?, attention_mask?}: tokens made elsewhere; a label of -100 carries no loss.
import { lazily } from '../../core/zod.js'
import { kindOf } from '../loaders/parse-row.js'
import { ignoreLabel } from '../types.js'
import type { RowFormat } from './format.js'

const largestId = 0x7fff_ffff

export const tokenizedFormat: RowFormat = {
  name: 'tokenized',
  shape: '{input_ids, labels?, attention_mask?}',
  columns: ['input_ids'],
  optional: ['labels', 'attention_mask'],
  schema: lazily((z) => {
    const id = z.int().min(0).max(largestId)
    return z.looseObject({
      input_ids: z.array(id).min(1),
      labels: z.array(z.union([id, z.literal(ignoreLabel)])).nullish(),
      attention_mask: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
    })
  }),
  parse(row) {
    const inputIds = readIntegers(row.input_ids, 'input_ids', 0, largestId)
    if (typeof inputIds === 'string') return { problem: inputIds }
    if (inputIds.length === 0) return { problem: 'input_ids: expected at least one id, this is empty' }
    const labels = row.labels == null ? null : readIntegers(row.labels, 'labels', ignoreLabel, largestId)
    if (typeof labels === 'string') return { problem: labels }
    const unknown = labels?.findIndex((label) => label < 0 && label !== ignoreLabel) ?? -1
    if (unknown >= 0) return { problem: `labels.${unknown}: expected an id, or ${ignoreLabel} for no loss` }
    const mask = row.attention_mask == null ? null : readIntegers(row.attention_mask, 'attention_mask', 0, 1)
    if (typeof mask === 'string') return { problem: mask }
    for (const [name, other] of [['labels', labels], ['attention_mask', mask]] as const) {
      if (other !== null && other.length !== inputIds.length) {
        return { problem: `${name}: expected ${inputIds.length} values as input_ids has, got ${other.length}` }
      }
    }
    return withoutPadding(inputIds, labels, mask)
  },
}

/** An Int32Array, or the problem. */
function readIntegers(value: unknown, name: string, least: number, most: number): Int32Array | string {
  if (!Array.isArray(value)) return `${name}: expected a list of integers, got ${kindOf(value)}`
  const integers = new Int32Array(value.length)
  for (let i = 0; i < value.length; i++) {
    const one: unknown = value[i]
    if (typeof one !== 'number' || !Number.isInteger(one) || one < least || one > most) {
      return `${name}.${i}: expected an integer from ${least} to ${most}, got ${typeof one === 'number' ? 'another number' : kindOf(one)}`
    }
    integers[i] = one
  }
  return integers
}

/** Padding on either side goes: rows are laid end to end without it. A hole would move what follows. */
function withoutPadding(inputIds: Int32Array, labels: Int32Array | null, mask: Int32Array | null): ReturnType<RowFormat['parse']> {
  if (mask === null) return { kind: 'tokens', inputIds, labels }
  const begin = mask.indexOf(1)
  const end = mask.lastIndexOf(1) + 1
  if (begin < 0) return { problem: 'attention_mask: it is 0 everywhere' }
  const hole = mask.subarray(begin, end).indexOf(0)
  if (hole >= 0) return { problem: `attention_mask.${begin + hole}: a 0 between ones is not supported` }
  return { kind: 'tokens', inputIds: inputIds.slice(begin, end), labels: labels?.slice(begin, end) ?? null }
}
