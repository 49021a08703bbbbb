// Writes small zip files (stored, not compressed) and wheels with a RECORD, for the tests of setup.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

interface Entry {
  name: string
  data: Buffer
}

export function makeZip(entries: Entry[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data } of entries) {
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt32LE(crc32(data), 10)
    fields.writeUInt32LE(data.length, 14)
    fields.writeUInt32LE(data.length, 18)
    fields.writeUInt16LE(Buffer.byteLength(name), 22)
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    directory.push(Buffer.from([0x50, 0x4b, 1, 2, 20, 0]), fields, tail, Buffer.from(name))
    const local = Buffer.concat([Buffer.from([0x50, 0x4b, 3, 4]), fields, Buffer.from(name), data])
    parts.push(local)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, central, end])
}

/** A wheel of these files; `lies` replaces sums in its RECORD. */
export function makeWheel(files: Record<string, string>, lies: Record<string, string> = {}): Buffer {
  const entries = Object.entries(files).map(([name, text]) => ({ name, data: Buffer.from(text) }))
  const record = entries.map(({ name, data }) => {
    const sum = createHash('sha256').update(lies[name] ?? data).digest('base64url')
    return `${name},sha256=${sum},${data.length}`
  })
  return makeZip([...entries, { name: 'torch-2.13.0.dist-info/RECORD', data: Buffer.from(record.join('\n') + '\n') }])
}
