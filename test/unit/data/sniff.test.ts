// Files and streams whose names say nothing: what their beginning is taken for, and what is refused.
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import zlib from 'node:zlib'
import { expect } from 'chai'
import { streamSource } from '../../../lib/data/loaders/bytes.js'
import { DatasetLoaderRegistry, registerLoader } from '../../../lib/data/loaders/index.js'
import type { LoadedRow } from '../../../lib/data/types.js'
import { addLogFile, setupLogger } from '../../../lib/utils/logging.js'
import { failure, fixture, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()
let count = 0

/** As a file without an extension, packed, and as a stream: all three must be taken for the same. */
async function formatOf(content: string | Uint8Array): Promise<string> {
  const bytes = Buffer.from(content as string)
  const name = (await DatasetLoaderRegistry.forFile(folder.write(`rows-${count++}`, bytes))).name
  const packed = (await DatasetLoaderRegistry.forFile(folder.write(`rows-${count++}.gz`, zlib.gzipSync(bytes)))).name
  const stream = (await DatasetLoaderRegistry.forFile('-', { source: streamSource('(standard input)', (async function* () { yield await Promise.resolve(bytes) })()) })).name
  expect([packed, stream]).to.deep.equal([name, name])
  return name
}

async function rows(content: string | Uint8Array): Promise<unknown[]> {
  const file = folder.write(`rows-${count++}`, content)
  const read: LoadedRow[] = []
  for await (const row of (await DatasetLoaderRegistry.forFile(file)).load(file)) read.push(row)
  return read.map((row) => ('value' in row ? row.value : row.problem))
}

const long = 'x'.repeat(1 << 17)

const contents: Readonly<Record<string, readonly (string | Uint8Array)[]>> = {
  jsonl: [
    '\n{"a":1}\n{"a":2}', '{"a":1}\r\n{"b":2}\r\n', '\ufeff{"a":1}\n{"a":2}\n', '{ "a": 1 }\n\n{"a":\n', `{"text":"${long}"}\n{"text":""}\n`, `{"messages":[{"role":"user","content":"${long}"}]}\n`,
    // Broken, and still meant as such.
    '{"a":1\n{"a":2}\n', "{'text': 'a quote of Python'}\n", '{"a":1,}\n', Buffer.from('\ufeff{"a":"ü"}\n{"a":"ß"}\n', 'utf16le'),
  ],
  json: [
    ' [{"a":1}]', '[\n  {"a": 1},\n  {"a": 2}\n]\n', '[]', '{"a":1}', '{\n  "data": [\n    {"a": 1}\n  ]\n}\n', '{"text":["a","b"],"label":[1,2]}', `{"data":[{"a":"${long}"},{"a":""}]}`, `{"text":["${long}","b"]}`,
    '{"a": 1,\n "b": 2}\n{"a": 2,\n "b": 3}', '["a","b"]', '[[1,2],[3,4]]', `["${'word", "'.repeat(20_000)}"]`,
  ],
  csv: [
    'text,label\nhello,1\nworld,2\n', 'q;a\n"x;y";1\nz;2\n', 'a|b|c\n1|2|3\n', ',text\n0,hello\n1,there\n', 'User Name,Score (%)\n"Ann, dear",3\n', '"a","b"\n"x\ny",2\n', `text,label\n${'some words,1\n'.repeat(20_000)}`,
    Buffer.from('name,text\nJos\u00e9,ol\u00e9\nAna,s\u00ed\n', 'latin1'),
  ],
  tsv: ['text\tlabel\nhello, you\t1\n', 'a\tb\n\t2\n'],
  txt: [
    'Call me Ishmael.\nSome years ago\n', 'one word', '[INST] hi [/INST] hello\n', '[1] a note\n[2] another\n', '{title} of {book}\n', '# Notes\n\n- one, two\n- three, four\n', 'Well, he said.\nYes, she said.\n',
    'a, b\nc, d\n', 'x = {"a": 1}\n', Buffer.from('d\u00e9j\u00e0 vu\n', 'latin1'), 'Пришла весна.\n', `${'Ünïcödé '.repeat(20_000)}\n`, 'red\x1b[0m and plain\n',
  ],
}

describe('a file without a known extension', () => {
  before(() => void setupLogger({ console: false }))
  for (const [format, all] of Object.entries(contents)) {
    it(`is ${format} where it looks like it`, async () => {
      for (const content of all) expect(await formatOf(content), Buffer.from(content as string).subarray(0, 60).toString()).to.equal(format)
    })
  }

  it('is Parquet, which no archive and no stream can hold', async () => {
    const bytes = readFileSync(fixture('parquet/flat-snappy.parquet'))
    expect((await rows(bytes)).length).to.be.greaterThan(0)
    expect((await failure(() => rows(zlib.gzipSync(bytes)), 'FT_DATASET')).message).to.include('gzip archive')
    const source = streamSource('(standard input)', (async function* () { yield await Promise.resolve(bytes) })())
    const loader = await DatasetLoaderRegistry.forFile('-', { source })
    expect((await failure(async () => { for await (const _ of loader.load('-', { source })) break }, 'FT_DATASET')).message).to.include('Parquet, which cannot be read as a stream')
  })

  it('gives its rows', async () => {
    expect(await rows('\n{"a":1}\n{"a":2}')).to.deep.equal([{ a: 1 }, { a: 2 }])
    expect(await rows(' [{"a":1}]')).to.deep.equal([{ a: 1 }])
    expect(await rows('{"text":["a","b"],"label":[1,2]}')).to.deep.equal([{ text: 'a', label: 1 }, { text: 'b', label: 2 }])
    expect(await rows('q;a\n"x;y";1\n')).to.deep.equal([{ q: 'x;y', a: '1' }])
    expect(await rows('Well, he said.\nYes.\n')).to.deep.equal([{ text: 'Well, he said.' }, { text: 'Yes.' }])
    expect(await rows('["a",1]')).to.deep.equal(['a row must be an object, this is a text', 'a row must be an object, this is a number'])
  })

  it('is refused where nothing fits, with what it looks like', async () => {
    const noise = Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * i * 7919 + (i >> 3) * 31) & 0xff))
    for (const [content, looks, remedy] of [
      ['', 'is empty', 'check'],
      [Buffer.from([0x50, 0x4b, 3, 4, 20, 0]), 'a zip archive', 'unpack'],
      [Buffer.from('%PDF-1.7\n'), 'a PDF', 'convert'],
      ['<!DOCTYPE html>\n<html><body>Log in</body></html>\n', 'a page of the web', '--data-format txt'],
      ['<?xml version="1.0"?><a/>', 'a page of the web', '--data-format txt'],
      [Buffer.from('SQLite format 3\0\x10\0\x01'), 'neither text', '--data-format'],
      [noise, 'neither text', '.jsonl'],
    ] as const) {
      const error = await failure(() => rows(content), 'FT_DATASET')
      expect(error.message).to.include(looks)
      expect(error.remedy).to.include(remedy)
    }
  })

  it('is asked of loaders from outside before it is taken for plain text', async () => {
    registerLoader({
      name: 'percent', extensions: ['.percent'], recognises: (head, whole) => whole && Buffer.from(head).toString().startsWith('%%'),
      load: () => Readable.from([{ place: { file: 'x', line: 1 }, value: { text: 'from a plugin' } }]),
    })
    expect(await rows('%% some words\n')).to.deep.equal([{ text: 'from a plugin' }])
  })

  it('is told about, and plain text with a warning', async () => {
    const file = folder.path('log')
    const log = addLogFile(file)
    await rows('{"a":1}\n{"a":2}')
    await rows('hello')
    await DatasetLoaderRegistry.forFile(folder.write('named.txt', 'hello'))
    log.close()
    const said = readFileSync(file, 'utf8').trim().split('\n')
    expect(said.length).to.equal(2)
    expect(said[0]).to.match(/info .* is read as jsonl: its first line is a JSON object\. .*--data-format/i)
    expect(said[1]).to.match(/warn .* is read as txt: /i)
  })
})
