// Values of Parquet as values of JSON: whole numbers as numbers where they are exact, dates as ISO text, lists and
// structs as arrays and objects. Bytes that are no text stay bytes.
import { isUtf8 } from 'node:buffer'

const utf8 = new TextDecoder()

/** How hyparquet makes values; the rest is done by plainValue. */
export const parsers = {
  dateFromDays: (days: number | undefined): string | null => (typeof days === 'number' ? isoText(BigInt(days) * 86_400_000n, 0n, 3)?.slice(0, -14) ?? null : null),
  timestampFromMilliseconds: (value: bigint | undefined): string | null => isoText(value, 0n, 3),
  timestampFromMicroseconds: (value: bigint | undefined): string | null => (typeof value === 'bigint' ? isoText(floor(value, 1000n), modulo(value, 1000n), 6) : null),
  timestampFromNanoseconds: (value: bigint | undefined): string | null => (typeof value === 'bigint' ? isoText(floor(value, 1_000_000n), modulo(value, 1_000_000n), 9) : null),
  stringFromBytes: (bytes: Uint8Array | undefined): string | Uint8Array | undefined => (bytes === undefined ? undefined : isUtf8(bytes) ? utf8.decode(bytes) : bytes.slice()),
  jsonFromBytes: (bytes: Uint8Array | undefined): unknown => (bytes === undefined ? undefined : (JSON.parse(utf8.decode(bytes)) as unknown)),
}

function floor(value: bigint, unit: bigint): bigint {
  return (value - modulo(value, unit)) / unit
}

function modulo(value: bigint, unit: bigint): bigint {
  return ((value % unit) + unit) % unit
}

/** "2024-02-29T12:00:00.000Z", with more digits where the rest is not 0; null outside the years of Date. */
function isoText(milliseconds: bigint | undefined, rest: bigint, digits: number): string | null {
  if (typeof milliseconds !== 'bigint') return null
  const date = new Date(Number(milliseconds))
  if (Number.isNaN(date.getTime())) return null
  const text = date.toISOString()
  return rest === 0n ? text : `${text.slice(0, -1)}${rest.toString().padStart(digits - 3, '0')}Z`
}

/** Why a value cannot be had: `path` of the column and below. */
export class ValueFault extends Error {
  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(reason)
  }
}

/** Errors: ValueFault. */
export function plainValue(value: unknown, path: string): unknown {
  if (value === undefined) return null
  if (typeof value === 'bigint') {
    const number = Number(value)
    if (!Number.isSafeInteger(number)) throw new ValueFault(path, 'a whole number beyond 2^53 cannot be held exactly')
    return number
  }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return value
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map((item, i) => plainValue(item, `${path}.${i}`))
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, (item, i) => plainValue(item, `${path}.${i}`))
  const plain: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(value)) plain[name] = plainValue(item, `${path}.${name}`)
  return plain
}
