// Writing rows and reading them gives the same rows, for every format; and reading can start again at any of them.
import fc from 'fast-check'
import { expect } from 'chai'
import zlib from 'node:zlib'
import { DatasetLoaderRegistry, type LoadOptions } from '../../../lib/data/loaders/index.js'
import { openBatches } from '../../../lib/data/loaders/loader.js'
import type { LoadedRow } from '../../../lib/data/types.js'
import { temporaryFolder } from './helpers.js'

const folder = temporaryFolder()

async function read(name: string, content: string | Uint8Array, options: LoadOptions = {}): Promise<unknown[]> {
  const file = folder.write(name, content)
  const loader = await DatasetLoaderRegistry.forFile(file, options)
  const rows: unknown[] = []
  for await (const row of loader.load(file, options)) rows.push('value' in row ? row.value : row)
  return rows
}

/** Texts with what formats must quote. UTF-8 holds no half characters. */
const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r\n', '\t', ';', '|', '\\', ' ', 'é', '👍', '\ufeff', '\u2028', 'a', ']', '}') }))
const cell = text.filter((value) => !value.includes('\0') && !value.includes('\r'))
const json = fc.jsonValue({ stringUnit: 'grapheme' })
const jsonRow = fc.dictionary(text, json, { maxKeys: 5 })
const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z "\n,;é]{0,8}[a-z]$/), { minLength: 1, maxLength: 4 })
const table = names.chain((columns) => fc.record({ columns: fc.constant(columns), cells: fc.array(fc.array(cell, { minLength: columns.length, maxLength: columns.length }), { maxLength: 8 }) }))

const rounds = { numRuns: 150 }

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

describe('parse after write is the identity', () => {
  it('JSONL', async () => {
    await fc.assert(fc.asyncProperty(fc.array(jsonRow), fc.constantFrom('\n', '\r\n', '\n\n'), async (rows, end) => {
      const written = rows.map((row) => JSON.stringify(row)).join(end)
      expect(await read('p.jsonl', written)).to.deep.equal(plain(rows))
      expect(await read('p.jsonl.gz', zlib.gzipSync(written))).to.deep.equal(plain(rows))
    }), rounds)
  })

  it('JSON', async () => {
    await fc.assert(fc.asyncProperty(fc.array(jsonRow), fc.constantFrom(0, 1, '\t'), async (rows, indent) => {
      expect(await read('p.json', JSON.stringify(rows, null, indent))).to.deep.equal(plain(rows))
    }), rounds)
  })

  for (const [extension, delimiter] of [['csv', ','], ['csv', ';'], ['csv', '|'], ['tsv', '\t']] as const) {
    it(`${extension.toUpperCase()} with ${JSON.stringify(delimiter)}`, async () => {
      await fc.assert(fc.asyncProperty(table, fc.constantFrom('\n', '\r\n'), async ({ columns, cells }, end) => {
        const quoted = (value: string): string => `"${value.replaceAll('"', '""')}"`
        const written = [columns, ...cells].map((row) => row.map(quoted).join(delimiter)).join(end) + end
        const rows = cells.map((row) => Object.fromEntries(row.map((value, i) => [(columns[i] as string).trim(), value])))
        expect(await read(`p.${extension}`, written, { delimiter })).to.deep.equal(rows)
      }), rounds)
    })
  }

  it('TXT by line, paragraph and file', async () => {
    const line = cell.filter((value) => value.trim() !== '' && !value.includes('\n') && !value.startsWith('\ufeff'))
    await fc.assert(fc.asyncProperty(fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 }), fc.constantFrom('\n', '\r\n'), async (paragraphs, end) => {
      const written = paragraphs.map((lines) => lines.join(end)).join(end + end)
      expect(await read('p.txt', written)).to.deep.equal(paragraphs.flat().map((one) => ({ text: one })))
      expect(await read('p.txt', written, { sampleBy: 'paragraph' })).to.deep.equal(paragraphs.map((lines) => ({ text: lines.join('\n') })))
      expect(await read('p.txt', written, { sampleBy: 'file' })).to.deep.equal([{ text: written }])
    }), rounds)
  })
})

describe('reading starts again', () => {
  const rows = Array.from({ length: 2500 }, (_, i) => ({ text: `row ${i} é ${'x'.repeat((i * 37) % 400)}` }))
  const files: [string, string | Uint8Array][] = [
    ['s.jsonl', rows.map((row) => JSON.stringify(row)).join('\r\n')],
    ['s.jsonl.gz', zlib.gzipSync(rows.map((row) => JSON.stringify(row)).join('\n'))],
    ['s.json', JSON.stringify(rows)],
    ['s.csv', `text\n${rows.map((row) => row.text).join('\n')}`],
    ['s.txt', `\ufeff${rows.map((row) => row.text).join('\n')}`],
  ]
  for (const [name, content] of files) {
    it(`at any row of ${name}, with the same places`, async () => {
      const file = folder.write(name, content)
      const loader = await DatasetLoaderRegistry.forFile(file)
      const all: LoadedRow[] = []
      const starts: LoadOptions['from'][] = []
      for await (const batch of openBatches(loader, file)) {
        batch.rows.forEach((_, i) => starts.push({ ...batch.start, row: batch.start.row + i }))
        all.push(...batch.rows)
      }
      expect(all.map((row) => 'value' in row && row.value)).to.deep.equal(rows)
      for (const cut of [0, 1, 63, 64, 900, 1777, 2499]) {
        const rest: LoadedRow[] = []
        const start = starts[cut] as NonNullable<LoadOptions['from']>
        for await (const batch of openBatches(loader, file, { from: start })) rest.push(...batch.rows)
        expect(rest, String(cut)).to.deep.equal(all.slice(cut))
        const counted: LoadedRow[] = []
        for await (const batch of openBatches(loader, file, { from: { row: cut } })) counted.push(...batch.rows)
        expect(counted).to.deep.equal(all.slice(cut))
      }
    })
  }
})
