// TextColumnDetector: shapes and columns of rows that nobody named for us, the reasons, and what it refuses.
import { expect } from 'chai'
import fc from 'fast-check'
import { renameColumns, TextColumnDetector, type ColumnMap } from '../../../lib/data/detect-columns.js'
import { failure } from './helpers.js'

type Row = Record<string, unknown>

const question = (i: number): string => `How far is it from harbour ${i} to the lighthouse?`
const answer = (i: number): string => `It is ${i} miles, if the wind is kind to you.`
const many = (row: (i: number) => Row, count = 30): Row[] => Array.from({ length: count }, (_, i) => row(i))
const detect = (rows: Row[], columns?: ColumnMap) => TextColumnDetector.detect(rows, columns === undefined ? {} : { columns })

describe('TextColumnDetector', () => {
  const cases: readonly (readonly [string, (i: number) => Row, string, ColumnMap])[] = [
    ['question and answer', (i) => ({ id: `a-${i}`, question: question(i), answer: answer(i) }), 'instruction', { instruction: 'question', output: 'answer' }],
    ['other spellings', (i) => ({ Question: question(i), 'Answer ': answer(i) }), 'instruction', { instruction: 'Question', output: 'Answer ' }],
    ['with a passage', (i) => ({ context: answer(i + 1), question: question(i), answer: answer(i) }), 'instruction', { instruction: 'question', input: 'context', output: 'answer' }],
    ['input and output', (i) => ({ input: question(i), output: answer(i) }), 'instruction', { instruction: 'input', output: 'output' }],
    ['source and target', (i) => ({ source: question(i), target: answer(i) }), 'instruction', { instruction: 'source', output: 'target' }],
    ['query and response', (i) => ({ query: question(i), response: answer(i), system_prompt: 'Be brief and kind.' }), 'instruction', { instruction: 'query', output: 'response', system: 'system_prompt' }],
    ['problem, solution and a short answer', (i) => ({ problem: question(i), solution: answer(i), answer: `${i}` }), 'instruction', { instruction: 'problem', output: 'solution' }],
    ['a number for an answer', (i) => ({ question: question(i), answer: i }), 'instruction', { instruction: 'question', output: 'answer' }],
    ['longer names', (i) => ({ user_question: question(i), gpt4_answer: answer(i), human_answer: `${answer(i)} ${answer(i)}` }), 'instruction', { instruction: 'user_question', output: 'human_answer' }],
    ['a source that is a category', (i) => ({ source: 'wiki', instruction: question(i), response: answer(i) }), 'instruction', { instruction: 'instruction', output: 'response' }],
    ['good and bad answers', (i) => ({ prompt: question(i), response: answer(i), thumbs_up: i % 2 === 0 }), 'unpaired_preference', { prompt: 'prompt', completion: 'response', label: 'thumbs_up' }],
    ['preference', (i) => ({ question: question(i), better: answer(i), worse: 'I do not know.' }), 'preference', { chosen: 'better', rejected: 'worse', prompt: 'question' }],
    ['conversations', (i) => ({ id: i, dialog: [{ role: 'user', content: question(i) }, { role: 'assistant', content: answer(i) }] }), 'messages', { messages: 'dialog' }],
    ['shareGPT under another name', (i) => ({ thing: [{ from: 'human', value: question(i) }, { from: 'gpt', value: answer(i) }] }), 'sharegpt', { conversations: 'thing' }],
    ['token ids', (i) => ({ token_ids: [i, 2, 3], labels: [-100, 2, 3] }), 'tokenized', { input_ids: 'token_ids', labels: 'labels' }],
    ['content with a title', (i) => ({ title: question(i), content: answer(i), url: `https://example.org/${i}` }), 'text', { text: 'content' }],
    ['the only text, whatever it is called', (i) => ({ n: i, __proto: 'x', kommentar: answer(i) }), 'text', { text: 'kommentar' }],
    ['a body beside its headline', (i) => ({ kopf: `Nr ${i} heute`, rumpf: answer(i).repeat(20) }), 'text', { text: 'rumpf' }],
    ['text without spaces', (i) => ({ n: `${i}`, 本文: `今日は港まで${i}里を歩いた。` }), 'text', { text: '本文' }],
  ]
  for (const [name, row, shape, columns] of cases) {
    it(name, () => {
      const found = detect(many(row))
      expect({ shape: found.shape, columns: { ...found.columns } }, found.reasons.join('\n')).to.deep.equal({ shape, columns })
      for (const column of Object.values(columns)) expect(found.reasons.some((reason) => reason.includes(JSON.stringify(column))), column).to.equal(true)
      expect([...found.unused, ...Object.values(columns)]).to.have.members(Object.keys(row(0)))
    })
  }

  it('refuses what it cannot tell apart, and lists the columns', async () => {
    const unclear = await failure(() => detect(many((i) => ({ eins: question(i), zwei: answer(i), nr: i }))), 'FT_NO_TEXT_COLUMNS')
    expect(unclear.message).to.include('"eins" (prose)').and.include('"zwei" (prose)').and.include('"nr" (numbers)')
    expect(unclear.remedy).to.include('dataset.columns')
    const nothing = await failure(() => detect(many((i) => ({ id: i, url: `https://example.org/${i}`, kind: 'a', list: [question(i)] }))), 'FT_NO_TEXT_COLUMNS')
    expect(nothing.message).to.include('no column looks like text').and.include('"list" (lists)')
    await failure(() => detect([]), 'FT_NO_TEXT_COLUMNS')
    await failure(() => detect([{}]), 'FT_NO_TEXT_COLUMNS')
    await failure(() => detect(many(() => ({ text: null }))), 'FT_NO_TEXT_COLUMNS')
  })

  it('takes what dataset.columns says, and refuses a column that is not there', async () => {
    const rows = many((i) => ({ eins: question(i), zwei: answer(i) }))
    expect(detect(rows, { completion: 'zwei', prompt: 'eins' })).to.deep.include({ columns: { prompt: 'eins', completion: 'zwei' }, unused: [] })
    const missing = await failure(() => detect(rows, { text: 'drei' }), 'FT_NO_TEXT_COLUMNS')
    expect(missing.message).to.include('"drei"').and.include('"eins", "zwei"')
    await failure(() => detect(rows, { promt: 'eins' } as ColumnMap), 'FT_INVALID_CONFIG')
  })

  it('never prints the content of a row, and no control character of a name', async () => {
    const name = 'a\u001b[2J\u202e\u009b31m<script>'
    const error = await failure(() => detect(many((i) => ({ [name]: `SECRET ${question(i)}`, other: `SECRET ${answer(i)}` }))), 'FT_NO_TEXT_COLUMNS')
    expect(error.message).not.to.include('SECRET').and.not.match(/[\u0000-\u001f\u007f-\u009f\u202e]/)
    expect(detect(many((i) => ({ [name]: `SECRET ${question(i)}` }))).reasons.join()).not.to.include('SECRET').and.not.match(/[\u0000-\u001f\u007f-\u009f\u202e]/)
  })

  it('is at home with hostile names', () => {
    const rows = many((i) => JSON.parse(`{"__proto__": "${question(i)}", "constructor": "${answer(i)}", "toString": 1}`) as Row)
    const { columns } = detect(rows, { prompt: '__proto__', completion: 'constructor' })
    expect(renameColumns(rows[0]!, columns)).to.deep.equal({ prompt: question(0), completion: answer(0) })
    expect(renameColumns({}, columns)).to.deep.equal({})
    const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`c${i}`, i]))
    expect(() => detect([{ ...wide, text: 1 }])).to.throw('and 980 more')
  })

  it('makes texts of numbers, and leaves null alone', () => {
    const columns = { instruction: 'q', output: 'a', label: 'ok' }
    expect(renameColumns({ q: 3.5, a: false, ok: true, more: 1 }, columns)).to.deep.equal({ instruction: '3.5', output: 'false', label: true })
    expect(renameColumns({ q: 'x', a: null }, columns)).to.deep.equal({ instruction: 'x', output: null })
  })

  it('does not depend on the order of columns or rows, and answers or refuses whatever comes', () => {
    const values = fc.oneof(fc.string(), fc.lorem({ maxCount: 8 }), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer()), fc.array(fc.record({ role: fc.string(), content: fc.string() })))
    const columnNames = fc.oneof(fc.string(), fc.constantFrom('text', 'question', 'answer', 'source', 'target', '__proto__', 'chosen', 'rejected', 'input_ids'))
    fc.assert(fc.property(fc.array(fc.dictionary(columnNames, values), { maxLength: 20 }), (rows) => {
      const run = (given: Row[]) => {
        try {
          return detect(given)
        } catch (error) {
          expect(error).to.have.property('code', 'FT_NO_TEXT_COLUMNS')
          return null
        }
      }
      const found = run(rows)
      const again = run([...rows].reverse())
      expect(again?.shape).to.equal(found?.shape)
      if (found !== null) for (const name of Object.values(found.columns)) expect(rows.some((row) => Object.hasOwn(row, name))).to.equal(true)
    }), { numRuns: 200 })
  })
})
