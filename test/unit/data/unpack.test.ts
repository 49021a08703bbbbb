// Packed files: what is unpacked, where it stops, and that nothing is lost on the way.
import { expect } from 'chai'
import zlib from 'node:zlib'
import { DatasetLoaderRegistry, type LoadOptions } from '../../../lib/data/loaders/index.js'
import { streamSource } from '../../../lib/data/loaders/bytes.js'
import { placeText } from '../../../lib/data/types.js'
import { failure, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()

async function read(name: string, content: Uint8Array, options: LoadOptions = {}): Promise<unknown[]> {
  const file = folder.write(name, content)
  const loader = await DatasetLoaderRegistry.forFile(file, options)
  const rows: unknown[] = []
  for await (const row of loader.load(file, options)) rows.push('value' in row ? row.value : `${placeText(row.place).replace(`${file}:`, '')}: ${row.problem}`)
  return rows
}

const rows = Array.from({ length: 500 }, (_, i) => ({ text: `row ${i} é👍` }))
const jsonl = rows.map((row) => JSON.stringify(row)).join('\n')

describe('packed files', () => {
  it('reads .gz of every text format, and archives without the name', async () => {
    expect(await read('a.jsonl.gz', zlib.gzipSync(jsonl))).to.deep.equal(rows)
    expect(await read('a.JSON.GZ', zlib.gzipSync(JSON.stringify(rows)))).to.deep.equal(rows)
    expect(await read('a.csv.gz', zlib.gzipSync(`text\n${rows.map((row) => row.text).join('\n')}\n`))).to.deep.equal(rows)
    expect(await read('a.txt.gz', zlib.gzipSync(`\ufeff${rows.map((row) => row.text).join('\r\n')}`))).to.deep.equal(rows)
    expect(await read('a.jsonl', zlib.gzipSync(jsonl))).to.deep.equal(rows)
    expect(await read('a', zlib.gzipSync(jsonl))).to.deep.equal(rows)
    expect(await read('two.jsonl.gz', Buffer.concat([zlib.gzipSync(`${jsonl}\n`), zlib.gzipSync(jsonl)]))).to.deep.equal([...rows, ...rows])
  })

  it('reads .zst where Node.js can, and says so where it cannot', async () => {
    const compress: unknown = Reflect.get(zlib, 'zstdCompressSync')
    if (typeof compress === 'function') {
      expect(await read('a.jsonl.zst', (compress as (text: string) => Buffer)(jsonl))).to.deep.equal(rows)
    } else {
      const error = await failure(() => read('a.jsonl.zst', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0])), 'FT_DATASET')
      expect(error.message).to.include('cannot unpack')
      expect(error.remedy).to.include('22.15')
    }
  })

  it('says what is wrong with an archive', async () => {
    const whole = zlib.gzipSync(jsonl)
    expect((await failure(() => read('cut.jsonl.gz', whole.subarray(0, -20)), 'FT_DATASET')).message).to.include('ends too early')
    const flipped = Buffer.from(whole)
    flipped[whole.length >> 1] = (flipped[whole.length >> 1] as number) ^ 0xff
    expect((await failure(() => read('bad.jsonl.gz', flipped), 'FT_DATASET')).message).to.include('damaged')
    expect((await failure(() => read('none.jsonl.gz', Buffer.from(jsonl)), 'FT_DATASET')).message).to.include('is none')
  })

  it('stops an archive that grows without end, by ratio or by size', async () => {
    const lines = Buffer.from(`{"text":"${'a'.repeat((1 << 20) - 12)}"}\n`)
    const bomb = zlib.gzipSync(Buffer.concat(Array.from({ length: 130 }, () => lines)), { level: 9 })
    let last = 0
    const count = async (options: LoadOptions): Promise<void> => {
      const file = folder.write('bomb.jsonl.gz', bomb)
      for await (const batch of DatasetLoaderRegistry.get('jsonl').batches?.(file, options) ?? []) last = batch.start.row
    }
    expect((await failure(() => count({}), 'FT_DATASET')).message).to.include('100 times')
    expect(last).to.be.within(60, 70)
    expect((await failure(() => count({ maxUnpackedBytes: 1 << 20 }), 'FT_DATASET')).message).to.include(String(1 << 20))
    await count({ maxUnpackRatio: 1e4 })
    expect(last).to.be.greaterThan(120)
  })

  it('counts the bytes of the file, and can be cancelled', async () => {
    let bytes = 0
    const packed = zlib.gzipSync(jsonl)
    await read('a.jsonl.gz', packed, { onBytes: (count) => (bytes += count) })
    expect(bytes).to.equal(packed.length)
    await failure(() => read('a.jsonl.gz', packed, { signal: AbortSignal.abort() }), 'FT_CANCELLED')
  })

  it('reads one layer', async () => {
    expect((await failure(() => read('twice.jsonl.gz', zlib.gzipSync(zlib.gzipSync(jsonl))), 'FT_DATASET')).message).to.include('a gzip archive in an archive')
  })

  it('reads a stream once, whatever its pieces', async () => {
    for (const content of [Buffer.from(jsonl), zlib.gzipSync(jsonl)]) {
      const pieces = async function* (): AsyncGenerator<Buffer> {
        for (let i = 0; i < content.length; i += 7) yield await Promise.resolve(content.subarray(i, i + 7))
      }
      const source = streamSource('(standard input)', pieces())
      const loader = await DatasetLoaderRegistry.forFile('-', { source })
      expect(loader.name).to.equal('jsonl')
      const read: unknown[] = []
      for await (const row of loader.load('-', { source })) read.push('value' in row ? row.value : row)
      expect(read).to.deep.equal(rows)
    }
  })

  it('reads one line of a gigabyte as a bad row, without holding it', async () => {
    const block = Buffer.alloc(1 << 20, 0x61)
    const huge = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('{"a":1}\n{"text":"')
      for (let i = 0; i < 1024; i++) yield block
      yield await Promise.resolve(Buffer.from('"}\n{"b":2}\n'))
    }
    for (const [format, good] of [['jsonl', [{ a: 1 }, '2:1: the line is longer than 256 MiB', { b: 2 }]], ['txt', [{ text: '{"a":1}' }, '2:1: the row is longer than 256 MiB', { text: '{"b":2}' }]]] as const) {
      const source = streamSource('huge', huge())
      const found: unknown[] = []
      const before = process.memoryUsage().rss
      let most = 0
      for await (const row of DatasetLoaderRegistry.get(format).load('huge', { source })) {
        most = Math.max(most, process.memoryUsage().rss - before)
        found.push('value' in row ? row.value : `${placeText(row.place).replace('huge:', '')}: ${row.problem}`)
      }
      expect(found).to.deep.equal(good)
      expect(most).to.be.lessThan(600 * 2 ** 20)
    }
  })
})
