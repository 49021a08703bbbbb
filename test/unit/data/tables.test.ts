// CSV, TSV and plain text: what is detected, what a row is, and what is said of faults.
import { expect } from 'chai'
import iconv from 'iconv-lite'
import { DatasetLoaderRegistry, type LoadOptions } from '../../../lib/data/loaders/index.js'
import { chunkBytes } from '../../../lib/data/loaders/read.js'
import { placeText } from '../../../lib/data/types.js'
import { failure, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()

/** The rows' values, or "line: reason". */
async function read(name: string, content: string | Uint8Array, options: LoadOptions = {}): Promise<unknown[]> {
  const file = folder.write(name, content)
  const loader = await DatasetLoaderRegistry.forFile(file, options)
  const rows: unknown[] = []
  for await (const row of loader.load(file, options)) rows.push('value' in row ? row.value : `${placeText(row.place).replace(`${file}:`, '')}: ${row.problem}`)
  return rows
}

const rows = [{ prompt: 'a, "b"', completion: 'line\nline\r\nline' }, { prompt: '', completion: ' é👍 ' }]
const csv = 'prompt,completion\n"a, ""b""","line\nline\r\nline"\n, é👍 \n'

describe('loading CSV and TSV', () => {
  it('reads quotes, line ends in cells, empty cells, a mark, CRLF and no last line end', async () => {
    expect(await read('a.csv', csv)).to.deep.equal(rows)
    expect(await read('b.csv', `\ufeff${csv.trimEnd()} `)).to.deep.equal(rows)
    expect(await read('c.csv', 'a,b\r\n1,2\r\n\r\n3,4')).to.deep.equal([{ a: '1', b: '2' }, { a: '3', b: '4' }])
    expect(await read('d.csv', 'text\nhello, said "he"\n"x"\n')).to.deep.equal([{ text: 'hello, said "he"' }, { text: 'x' }].map((row, i) => (i === 0 ? '2: the row has 2 cells, the header 1' : row)))
    expect(await read('e.csv', '')).to.deep.equal([])
    expect(await read('f.csv', 'a,b\n')).to.deep.equal([])
    expect(await read('g.tsv', 'a\tb\nsaid "he", x\ty\n')).to.deep.equal([{ a: 'said "he", x', b: 'y' }])
    expect(await read('h.csv', ',text\n0,a\n')).to.deep.equal([{ 'Unnamed: 0': '0', text: 'a' }])
  })

  it('finds the delimiter, also where cells hold the others', async () => {
    for (const [delimiter, others] of [[',', ';|'], [';', ',,'], ['\t', ',;'], ['|', ',;']] as const) {
      const table = [['q', 'a'], [`x${others}`, `"${delimiter}${others}\n"`], ['y', others]]
      expect(await read('x.csv', table.map((row) => row.join(delimiter)).join('\n')), delimiter).to.deep.equal([
        { q: `x${others}`, a: `${delimiter}${others}\n` }, { q: 'y', a: others },
      ])
    }
    expect(await read('y.csv', 'a;b\n1,5;2\n', { delimiter: ',' })).to.deep.equal([{ 'a;b': '1' }].map(() => '2: the row has 2 cells, the header 1'))
    expect(await read('z', 'a;b\n1;2', { format: 'csv' })).to.deep.equal([{ a: '1', b: '2' }])
  })

  it('finds the encoding', async () => {
    const text = 'frage,antwort\n"Größe, süß?","Ja, natürlich: Käse, Äpfel und Straßenbahn für fünf Euro – schön."\n'.repeat(1) + 'Übung,Öl\n'.repeat(40)
    const expected = [{ frage: 'Größe, süß?', antwort: 'Ja, natürlich: Käse, Äpfel und Straßenbahn für fünf Euro – schön.' }, ...Array.from({ length: 40 }, () => ({ frage: 'Übung', antwort: 'Öl' }))]
    for (const encoding of ['utf8', 'utf-16le', 'utf-16be', 'windows-1252']) {
      expect(await read('enc.csv', iconv.encode(text, encoding, { addBOM: encoding.startsWith('utf-16') })), encoding).to.deep.equal(expected)
    }
    const japanese = '質問,答え\n' + '日本語の文章です。これは試験です。,はい、そうです。\n'.repeat(20)
    const answers = Array.from({ length: 20 }, () => ({ 質問: '日本語の文章です。これは試験です。', 答え: 'はい、そうです。' }))
    for (const encoding of ['shift_jis', 'euc-jp', 'utf-16le']) expect(await read('ja.csv', iconv.encode(japanese, encoding, { addBOM: true })), encoding).to.deep.equal(answers)
    expect(await read('said.csv', iconv.encode('a,b\né,œ\n', 'utf-16le'), { encoding: 'utf-16le' })).to.deep.equal([{ a: 'é', b: 'œ' }])
    expect(await read('said.csv', Buffer.from([0x61, 0x0a, 0xa4, 0x0a]), { encoding: 'iso-8859-15' })).to.deep.equal([{ a: '€' }])
    await failure(() => read('said.csv', 'a', { encoding: 'klingon' }), 'FT_INVALID_CONFIG')
  })

  it('names the rows it cannot take, and goes on', async () => {
    expect(await read('ragged.csv', 'a,b\n1,2\n3\n4,5,6\n"x\ny",8\n9\n')).to.deep.equal([{ a: '1', b: '2' }, '3: the row has 1 cells, the header 2', '4: the row has 3 cells, the header 2', { a: 'x\ny', b: '8' }, '7: the row has 1 cells, the header 2'])
    for (const end of ['\n', '\r\n']) {
      const lines = ['a,b', '"x', '', 'y",8', '', '9', '"q', 'z"', '10']
      expect(await read('lines.csv', lines.join(end))).to.deep.equal([{ a: `x${end}${end}y`, b: '8' }, ...[6, 7, 9].map((line) => `${line}: the row has 1 cells, the header 2`)])
    }
    expect(await read('nul.csv', 'a,b\n1,x\0y\n3,4\n')).to.deep.equal(['2: column 2 holds a NUL character', { a: '3', b: '4' }])
    const mixed = Buffer.concat([Buffer.from('a,b\né,ü\n1,'), Buffer.from([0xff]), Buffer.from('\n3,�\n')])
    expect(await read('utf8.csv', mixed)).to.deep.equal([{ a: 'é', b: 'ü' }, '3: column 2: the bytes are not UTF-8', '4: column 2: the bytes are not UTF-8'])
    expect(await read('fffd.csv', 'a,b\né,�\n')).to.deep.equal([{ a: 'é', b: '�' }])
  })

  it('refuses headers that cannot name columns, quotes that never close, and half characters', async () => {
    expect((await failure(() => read('twice.csv', 'text,label,text\n1,2,3\n'), 'FT_DATASET')).message).to.include('columns 1 and 3 have the same name, "text"')
    await failure(() => read('proto.csv', '__proto__,b\n1,2\n'), 'FT_DATASET')
    const open = await failure(() => read('open.csv', 'a,b\n1,2\n3,"hunter2\n4,5\n'), 'FT_DATASET')
    expect(open.message).to.match(/open\.csv:3: a quoted cell is not closed/).and.not.include('hunter2')
    const half = await failure(() => read('half.csv', Buffer.concat([Buffer.from([0xff, 0xfe]), iconv.encode('a\nb', 'utf-16le'), Buffer.from([0x3d, 0xd8, 0x0a, 0x00])])), 'FT_DATASET')
    expect(half.message).to.include('half.csv:2: half a surrogate pair')
    expect(await read('control.csv', 'a\u001b[2J,b\n1,2\n')).to.deep.equal([{ 'a\u001b[2J': '1', b: '2' }])
  })
})

describe('loading plain text', () => {
  const text = '\ufeffOne\r\n  two \n\n \nthree 👍\nfour\n\n\n'

  it('makes rows of lines, paragraphs or the whole file', async () => {
    const of = (values: readonly string[]): { text: string }[] => values.map((value) => ({ text: value }))
    expect(await read('a.txt', text)).to.deep.equal(of(['One', '  two ', 'three 👍', 'four']))
    expect(await read('a.txt', text, { sampleBy: 'paragraph' })).to.deep.equal(of(['One\n  two ', 'three 👍\nfour']))
    expect(await read('a.txt', text, { sampleBy: 'file' })).to.deep.equal(of([text.slice(1)]))
    for (const sampleBy of ['line', 'paragraph', 'file'] as const) expect(await read('blank.txt', ' \n\n\t', { sampleBy })).to.deep.equal([])
  })

  it('names lines in place of bad ones, however the file is cut', async () => {
    const bytes = Buffer.concat([Buffer.from('ü good é\nbad '), Buffer.from([0xe9]), Buffer.from('\nn\0l\nlast')])
    expect(await read('bad.txt', bytes)).to.deep.equal([{ text: 'ü good é' }, '2: the bytes are not UTF-8', '3:2: the text holds a NUL character', { text: 'last' }])
    expect(await read('bad.txt', bytes, { sampleBy: 'paragraph' })).to.deep.equal(['2: the bytes are not UTF-8'])
  })

  it('reads lines longer than a chunk, and another encoding', async () => {
    const lines = ['👍'.repeat(chunkBytes / 3), 'x', 'é'.repeat(chunkBytes)]
    expect(await read('long.txt', lines.join('\r\n'))).to.deep.equal(lines.map((line) => ({ text: line })))
    expect(await read('wide.txt', iconv.encode(lines.join('\n'), 'utf-16be', { addBOM: true }))).to.deep.equal(lines.map((line) => ({ text: line })))
    expect(await read('latin.txt', iconv.encode('Der Käse läuft über die Straße.\nSchöne Grüße!\n', 'latin1'))).to.deep.equal([{ text: 'Der Käse läuft über die Straße.' }, { text: 'Schöne Grüße!' }])
  })
})
