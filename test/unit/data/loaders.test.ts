// JSONL and JSON files as rows, and what is said about files that are neither.
import path from 'node:path'
import { expect } from 'chai'
import { DatasetLoaderRegistry, registerLoader } from '../../../lib/data/loaders/index.js'
import { matchName } from '../../../lib/data/loaders/glob.js'
import { findJsonFault } from '../../../lib/data/loaders/json-error.js'
import { chunkBytes } from '../../../lib/data/loaders/read.js'
import { quickLoad } from '../../../lib/data/quick-load.js'
import { findDataFiles } from '../../../lib/data/sources/find.js'
import { placeText, type LoadedRow } from '../../../lib/data/types.js'
import { failure, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()

async function load(name: string, content: string | Uint8Array): Promise<LoadedRow[]> {
  const file = folder.write(name, content)
  const loader = await DatasetLoaderRegistry.forFile(file)
  const rows: LoadedRow[] = []
  for await (const row of loader.load(file)) rows.push({ ...row, place: { ...row.place, file: name } })
  return rows
}

/** The rows' values, or "line:column reason". */
async function read(name: string, content: string | Uint8Array): Promise<unknown[]> {
  return (await load(name, content)).map((row) => ('value' in row ? row.value : `${placeText(row.place).replace(name, '')} ${row.problem}`))
}

describe('loading JSONL', () => {
  it('reads lines with any line ends, a byte-order mark, empty lines and no last line end', async () => {
    const expected = [{ text: 'a' }, { text: 'b\nc' }, { text: 'é👍' }]
    expect(await read('a.jsonl', '\ufeff{"text":"a"}\r\n\r\n{"text":"b\\nc"}\n   \n\t\n{"text":"é👍"}')).to.deep.equal(expected)
    expect(await read('b.jsonl', '{"text":"a"}\n{"text":"b\\nc"}\n{"text":"é👍"}\n')).to.deep.equal(expected)
    expect(await read('empty.jsonl', '')).to.deep.equal([])
    expect(await read('blank.jsonl', '\n\r\n  \n')).to.deep.equal([])
  })

  it('reads lines that are longer than a chunk, and characters that a chunk cuts', async () => {
    const rows = [{ text: '👍'.repeat(chunkBytes / 2) }, { text: 'x' }, { text: 'é'.repeat(chunkBytes + 7) }, { text: 'y'.repeat(chunkBytes - 11) }]
    expect(await read('long.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))).to.deep.equal(rows)
  })

  it('says where a line is broken and why, and nothing about its content', async () => {
    const secret = 'hunter2'
    const lines: [string, string][] = [
      [`{"text": "${secret}"`, ':1:19 not valid JSON: the text ends inside a value'],
      [`{"text": ${secret}}`, ':1:10 not valid JSON: a value is expected'],
      [`{"text": "${secret}",}`, ':1:20 not valid JSON: a name in double quotes is expected'],
      [`{"text" "${secret}"}`, ':1:9 not valid JSON: ":" is expected'],
      [`{"text": "${secret}" "x": 1}`, ':1:20 not valid JSON: "," or "}" is expected'],
      [`{"text": ["${secret}" 1]}`, ':1:21 not valid JSON: "," or "]" is expected'],
      [`{"text": "${secret}\\q"}`, ':1:18 not valid JSON: unknown escape after "\\"'],
      [`{"text": "${secret}`, ':1:10 not valid JSON: a text in double quotes is not closed'],
      [`{"text": "${secret}\u0000"}`, ':1:18 not valid JSON: a control character inside a text is not escaped'],
      [`{"text": NaN}`, ':1:10 not valid JSON: a value is expected'],
      [`{"text": 01}`, ':1:11 not valid JSON: "," or "}" is expected'],
      [`{"text": "${secret}"} x`, ':1:21 not valid JSON: something follows the end of the value'],
      [`["${secret}"]`, ':1 a row must be an object, this is an array'],
      [`"${secret}"`, ':1 a row must be an object, this is a text'],
      ['null', ':1 a row must be an object, this is null'],
    ]
    for (const [line, expected] of lines) expect(await read('bad.jsonl', line), line).to.deep.equal([expected])
  })

  it('goes on after a bad line, with the right line numbers', async () => {
    expect(await read('mixed.jsonl', '{"a":1}\n\nnope\n{"b":2}\n')).to.deep.equal([{ a: 1 }, ':3:1 not valid JSON: a value is expected', { b: 2 }])
  })

  it('finds the first byte that is not UTF-8', async () => {
    const line = (...bytes: number[]): Uint8Array => Buffer.concat([Buffer.from('{"ok":1}\n{"text":"é'), Buffer.from(bytes), Buffer.from('"}\n{"ok":2}')])
    for (const bytes of [[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x91], [0xc0, 0x80], [0x80]]) {
      expect(await read('utf8.jsonl', line(...bytes)), String(bytes)).to.deep.equal([{ ok: 1 }, ':2:11 the bytes are not UTF-8', { ok: 2 }])
    }
  })

  it('explains every text that JSON.parse refuses, and none that it accepts', () => {
    const parts = ['{', '}', '[', ']', ',', ':', '"a"', '1', '-0.5e+3', 'true', 'null', ' ', '\n', '"\\u00e9"', '"\\x"', '.', '-']
    let seed = 7
    const next = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648)
    let refused = 0
    for (let i = 0; i < 20000; i++) {
      const text = Array.from({ length: 1 + (next() % 8) }, () => parts[next() % parts.length]).join('')
      let valid = true
      try {
        JSON.parse(text)
      } catch {
        valid = false
        refused++
      }
      const { reason, index } = findJsonFault(text)
      expect(reason === 'it cannot be read', text).to.equal(valid)
      expect(index).to.be.within(0, text.length)
    }
    expect(refused).to.be.greaterThan(1000)
    expect(findJsonFault('['.repeat(100_000)).reason).to.equal('nested too deeply')
  })
})

describe('loading JSON', () => {
  it('reads arrays, objects one after another, and JSONL under another name', async () => {
    const rows = [{ text: 'a, ] } " \\' }, { text: 'b', more: [1, { x: '[' }] }, {}]
    for (const content of [JSON.stringify(rows), JSON.stringify(rows, null, 2), `\ufeff \n${JSON.stringify(rows)}\r\n`]) {
      expect(await read('a.json', content)).to.deep.equal(rows)
    }
    for (const separator of ['\n', '', ' ']) expect(await read('b.json', rows.map((row) => JSON.stringify(row)).join(separator))).to.deep.equal(rows)
    expect(await read('pretty.json', rows.map((row) => JSON.stringify(row, null, 2)).join('\n'))).to.deep.equal(rows)
    expect(await read('empty.json', ' [ ] ')).to.deep.equal([])
    expect(await read('nothing.json', '')).to.deep.equal([])
  })

  it('reads rows that cross chunks', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({ i, text: '"\\é👍]}'.repeat(Math.floor(chunkBytes / 30) + i) }))
    expect(await read('large.json', JSON.stringify(rows))).to.deep.equal(rows)
  })

  it('reads rows inside an object, and an object of columns', async () => {
    const rows = [{ text: 'a ]}', n: 1 }, { text: 'b', n: 2 }]
    for (const content of [{ data: rows }, { version: '1', 'my rows': rows, note: { x: [] } }, { text: ['a ]}', 'b'], n: [1, 2] }]) {
      for (const indent of [0, 2]) expect(await read('inside.json', JSON.stringify(content, null, indent)), JSON.stringify(content)).to.deep.equal(rows)
    }
    expect(await read('after.json', `{"train": ${JSON.stringify(rows)}, "count": {"rows": 2}}\n`)).to.deep.equal(rows)
    const large = Array.from({ length: 3000 }, (_, i) => ({ text: 'x'.repeat(300), i }))
    expect(await read('streamed.json', JSON.stringify({ data: large }))).to.deep.equal(large)
    for (const cut of ['{"data": [{"text":"a"}]', '{"data": [{"text":"a"}', '{"data": [{"text":"a"}] x']) await failure(() => read('cut.json', cut), 'FT_DATASET')
  })

  it('leaves rows alone that hold arrays', async () => {
    const rows = [
      { messages: [{ role: 'user', content: 'a' }] }, { conversations: [{ from: 'human', value: 'a' }] }, { input_ids: [1, 2], labels: [-100, 2] },
      { prompt: [{ role: 'user', content: 'a' }], chosen: [{ role: 'assistant', content: 'b' }], rejected: [{ role: 'assistant', content: 'c' }] },
    ]
    for (const row of rows) expect(await read('row.json', JSON.stringify(row))).to.deep.equal([row])
    expect(await read('columns.json', JSON.stringify({ input_ids: [[1], [2, 3]] }))).to.deep.equal([{ input_ids: [1] }, { input_ids: [2, 3] }])
    expect(await read('columns.json', JSON.stringify({ messages: [[{ role: 'user' }]] }))).to.deep.equal([{ messages: [{ role: 'user' }] }])
  })

  it('takes an object for rows only where nothing follows it', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({ answers: [{ text: `a ]} ${i}` }], prompt: 'q', completion: ' a' }))
    for (const separator of ['\n', '', ' \r\n']) expect(await read('squad.json', rows.map((row) => JSON.stringify(row)).join(separator))).to.deep.equal(rows)
    const dialog = { dialog: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] }
    const one = { id: 7, text: 'a brown fox', entities: [{ start: 2 }, { start: 8 }] }
    for (const row of [dialog, { dialog: [{ from: 'human', value: 'a' }] }, { ...dialog, scores: [1, 2] }, one]) expect(await read('one.json', JSON.stringify(row)), JSON.stringify(row)).to.deep.equal([row])
    expect(await read('two.json', `${JSON.stringify(dialog)}\n${JSON.stringify(dialog)}`)).to.deep.equal([dialog, dialog])
    // As long as it takes to be sure.
    const long = { answers: [{ text: 'x'.repeat(3 * chunkBytes) }], n: 1 }
    expect(await read('long.json', `${JSON.stringify(long)}\n{"n":2}`)).to.deep.equal([long, { n: 2 }])
  })

  it('goes through a list that is longer than what it holds, and loses nothing behind it', async () => {
    const list = `[${Array.from({ length: 18 }, (_, i) => `{"i":${i},"text":"${'x'.repeat(1 << 20)}"}`).join(',\n')}]`
    const numbers = async (rest: string): Promise<unknown[]> => (await read('large.json', `{ "data": ${list}${rest}`)).map((row) => (row as { i?: number }).i ?? row)
    const all = Array.from({ length: 18 }, (_, i) => i)
    expect(await numbers('}')).to.deep.equal(all)
    expect(await numbers(`, "note": {"x": ["]}"], "of": ["a"]}}\n`)).to.deep.equal(all)
    for (const [rest, words] of [
      ['}\n{"data": [{"i": 1}]}', '--data-format jsonl'], [', "test": [{"i": 1}]}', 'one list to a file'], [', "a": }', 'repair'], [', "a": 1', 'repair'], ['', 'repair'],
    ] as const) {
      const error = await failure(() => numbers(rest), 'FT_DATASET')
      expect(error.remedy, rest).to.include(words)
      expect(error.message, rest).to.match(/large\.json:1[89]:\d+:/)
    }
  }).timeout(60_000)

  it('says on which line a row of a list stands', async () => {
    const places: number[] = []
    for (const before of ['', '"version": "1",\n']) for (const { place } of await load('places.json', `{${before}"data": [\n{"a": 1},\n{"a":\n2}, {"a": 3}\n], "n": 1}\n\n`)) places.push(place.line)
    // A list that is not the first of its object is read with it.
    expect(places).to.deep.equal([2, 3, 4, 1, 1, 1])
    expect(await read('bad.json', '{"data": [\n{"a": 1},\n{"a": },\n{"a": 3}]}')).to.deep.equal([{ a: 1 }, ':3:7 not valid JSON: a value is expected', { a: 3 }])
    expect((await failure(() => read('cut.json', '{"data": [\n{"a": 1},\n{"a":'), 'FT_DATASET')).message).to.include('cut.json:3:1:')
  })

  it('refuses an object of several lists of rows', async () => {
    const error = await failure(() => read('splits.json', '{"train": [{"text":"a"},{"text":"b"}], "test": [{"text":"c"}]}'), 'FT_DATASET')
    expect(error.message).to.include('"train"').and.include('"test"')
  })

  it('says where a row is bad', async () => {
    const content = '[\n  {"ok": 1},\n  {"text": "x",\n   "y": }\n  , 7, "z", [1]\n]'
    expect(await read('bad.json', content)).to.deep.equal([
      { ok: 1 },
      ':4:9 not valid JSON: a value is expected',
      ':5 a row must be an object, this is a number',
      ':5 a row must be an object, this is a text',
      ':5 a row must be an object, this is an array',
    ])
  })

  it('stops at damage between rows, because what follows cannot be trusted', async () => {
    for (const [content, where] of [
      ['[{"a":1} {"b":2}]', '1:10'], ['[{"a":1},]', '1:10'], ['[{"a":1}', '1:9'], ['[{"a":1},\n{"b":', '2:1'], ['[{"a":1}] x', '1:11'],
      ['{"a":1},{"b":2}', '1:8'], ['[,]', '1:2'], ['[', '1:2'],
    ] as const) {
      const error = await failure(() => read('broken.json', content), 'FT_DATASET')
      expect(error.message, content).to.include(`broken.json:${where}:`)
    }
  })
})

describe('choosing files and loaders', () => {
  it('says what a file is when it is not JSON', async () => {
    for (const [bytes, what] of [[[0x1f, 0x8b, 8], 'gzip'], [[0x50, 0x41, 0x52, 0x31], 'Parquet'], [[0x50, 0x4b, 3, 4], 'zip'], [[0x25, 0x50, 0x44, 0x46, 0x2d], 'PDF']] as const) {
      const error = await failure(() => read('packed.jsonl', Uint8Array.from(bytes)), 'FT_DATASET')
      expect(error.message).to.include(what)
    }
  })

  it('names what is near a missing file', async () => {
    folder.write('near/train.jsonl', '{}')
    folder.write('near/other.json', '[]')
    expect((await failure(() => findDataFiles(folder.path('near/trian.jsonl')), 'FT_DATASET')).remedy).to.include('train.jsonl')
    expect((await failure(() => findDataFiles(folder.path('near/zzzzzz')), 'FT_DATASET')).remedy).to.include('other.json, train.jsonl')
    expect((await failure(() => findDataFiles(folder.path('nowhere/x.jsonl')), 'FT_DATASET')).remedy).to.include('nowhere')
    await failure(() => findDataFiles([]), 'FT_DATASET')
  })

  it('expands globs in order', async () => {
    for (const name of ['b', 'a', 'c', '.hidden']) folder.write(`glob/${name}.jsonl`, '{"x":1}')
    folder.write('glob/deep/er/d.jsonl', '{}')
    const names = async (pattern: string): Promise<string[]> => (await findDataFiles(folder.path(pattern))).map((file) => file.path.slice(folder.path('glob/').length))
    expect(await names('glob/*.jsonl')).to.deep.equal(['a.jsonl', 'b.jsonl', 'c.jsonl'])
    expect(await names('glob/[!b].jsonl')).to.deep.equal(['a.jsonl', 'c.jsonl'])
    expect(await names('glob/{c,a}.jsonl')).to.deep.equal(['a.jsonl', 'c.jsonl'])
    expect(await names('glob/**/*.jsonl')).to.deep.equal(['a.jsonl', 'b.jsonl', 'c.jsonl', 'deep/er/d.jsonl'])
    expect((await findDataFiles([folder.path('glob/b.jsonl'), folder.path('glob/?.jsonl')])).length).to.equal(4)
    await failure(() => findDataFiles(folder.path('glob/*.json')), 'FT_DATASET')
    expect(matchName('*a*a*a*a*a*a*a*a*b', 'a'.repeat(5000))).to.equal(false)
  })

  it('takes a loader from outside', async () => {
    registerLoader({
      name: 'lines',
      extensions: ['.lines.txt'],
      async *load(file) {
        await Promise.resolve()
        yield { place: { file, line: 1 }, value: { text: 'from a plugin' } }
      },
    })
    expect(await quickLoad(folder.write('x.lines.txt', 'anything'))).to.deep.equal([{ text: 'from a plugin' }])
    const place = { file: 'x', line: 1 }
    const gives: Record<string, unknown> = { number: 5, nothing: null, bare: { text: 'x' }, unplaced: { value: { text: 'x' } }, lineless: { place: { file: 'x' }, value: {} }, list: { place, value: [] } }
    registerLoader({ name: 'odd', extensions: ['.odd'], async *load(file) {
      await Promise.resolve()
      const what = path.basename(file, '.odd')
      if (what === 'throws') throw new Error('its own reason')
      yield { place, value: { text: 'good' } }
      yield gives[what] as never
    } })
    for (const name of Object.keys(gives)) expect((await failure(() => quickLoad(folder.write(`${name}.odd`, 'x')), 'FT_PLUGIN')).message).to.include('the loader odd')
    expect((await failure(() => quickLoad(folder.write('throws.odd', 'x')), 'FT_DATASET')).message).to.match(/the loader odd failed on .*throws\.odd: its own reason/)
    await failure(() => registerLoader({ name: 'lines', extensions: ['.q'], load: () => { throw new Error() } }), 'FT_PLUGIN')
    for (const value of [{}, null, { name: 'x' }, { name: 'x', extensions: ['.x'] }, { name: 5, extensions: [], load() {} }]) await failure(() => registerLoader(value as never), 'FT_INVALID_ARGUMENT')
    await failure(() => registerLoader({ name: 'upper', extensions: ['CSV'], load: () => { throw new Error() } }), 'FT_INVALID_ARGUMENT')
    // Other tests of this process may have added theirs.
    expect(DatasetLoaderRegistry.names().slice(0, 6)).to.deep.equal(['jsonl', 'json', 'csv', 'tsv', 'txt', 'parquet'])
    expect(DatasetLoaderRegistry.names()).to.include('lines')
  })

  it('quickLoad refuses bad rows and empty files, and can be cancelled', async () => {
    await failure(() => quickLoad(folder.write('q1.jsonl', '{"a":1}\nx')), 'FT_DATASET_ROW')
    await failure(() => quickLoad(folder.write('q2.jsonl', '')), 'FT_EMPTY_DATASET')
    await failure(() => quickLoad(folder.write('q3.jsonl', '{}'), { signal: AbortSignal.abort() }), 'FT_CANCELLED')
  })
})
