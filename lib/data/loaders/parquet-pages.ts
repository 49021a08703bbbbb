// The page headers of a Parquet column chunk (Thrift's compact protocol), read before anything is unpacked: what they claim
// decides how much memory decoding takes, and a few bytes can claim gigabytes.

export interface ChunkClaims {
  /** Bytes that the pages unpack to. */
  bytes: number
  /** Values of all pages, those of the dictionary too. */
  values: number
}

/** Throws RangeError where the headers are damaged. */
export function readClaims(chunk: Buffer): ChunkClaims {
  const claims: ChunkClaims = { bytes: 0, values: 0 }
  const reader = new CompactReader(chunk)
  while (reader.at < chunk.length - 1) {
    const header = reader.struct()
    const packed = numberOf(header.get(3))
    const unpacked = numberOf(header.get(2))
    if (packed > chunk.length - reader.at) throw new RangeError('a page is longer than its column')
    // data_page_header, dictionary_page_header, data_page_header_v2
    for (const field of [5, 7, 8]) {
      const page = header.get(field)
      if (page instanceof Map) claims.values += numberOf(page.get(1))
    }
    claims.bytes += unpacked
    reader.at += packed
  }
  return claims
}

type Value = number | boolean | Uint8Array | Value[] | Map<number, Value>

function numberOf(value: Value | undefined): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new RangeError('a page header lacks a size')
}

const maxDepth = 16

class CompactReader {
  at = 0

  constructor(readonly bytes: Buffer) {}

  struct(depth = 0): Map<number, Value> {
    if (depth > maxDepth) throw new RangeError('a page header is nested too deeply')
    const fields = new Map<number, Value>()
    let field = 0
    for (;;) {
      const head = this.#byte()
      const type = head & 15
      if (type === 0) return fields
      field = head >> 4 === 0 ? this.#zigzag() : field + (head >> 4)
      fields.set(field, this.#value(type, depth))
    }
  }

  #value(type: number, depth: number): Value {
    switch (type) {
      case 1:
      case 2:
        return type === 1
      case 3:
        return this.#byte()
      case 4:
      case 5:
      case 6:
        return this.#zigzag()
      case 7:
        return this.#take(8).readDoubleLE(0)
      case 8:
        return this.#take(this.#varint())
      case 9:
      case 10:
        return this.#list(depth)
      case 12:
        return this.struct(depth + 1)
      default:
        throw new RangeError('a page header has an unknown type')
    }
  }

  #list(depth: number): Value[] {
    const head = this.#byte()
    const length = head >> 4 === 15 ? this.#varint() : head >> 4
    if (length > this.bytes.length) throw new RangeError('a list in a page header is too long')
    const items: Value[] = []
    // In lists a boolean has a byte of its own.
    for (let i = 0; i < length; i++) items.push((head & 15) <= 2 ? this.#byte() === 1 : this.#value(head & 15, depth + 1))
    return items
  }

  #byte(): number {
    const byte = this.bytes[this.at++]
    if (byte === undefined) throw new RangeError('a page header is cut off')
    return byte
  }

  #take(length: number): Buffer {
    if (length > this.bytes.length - this.at) throw new RangeError('a page header is cut off')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  #varint(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 64; scale *= 128) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    throw new RangeError('a number in a page header is too long')
  }

  #zigzag(): number {
    const value = this.#varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}
