// Row shapes: which format reads a row, and what is said about a field of the wrong type.
import { expect } from 'chai'
import { names } from '../../../lib/core/registry.js'
import { findFormat, formats } from '../../../lib/data/formats/index.js'

function parse(row: Record<string, unknown>): unknown {
  const format = findFormat(row)
  return format === undefined ? 'no format' : format.parse(row)
}

function problem(row: Record<string, unknown>): string {
  const result = parse(row) as { problem?: string }
  return result.problem ?? `accepted ${JSON.stringify(result)}`
}

describe('row formats', () => {
  it('are chosen by the columns of the row', () => {
    const name = (row: Record<string, unknown>): string | undefined => findFormat(row)?.name
    expect(name({ text: 'a' })).to.equal('text')
    expect(name({ prompt: 'a', completion: 'b', id: 7 })).to.equal('prompt_completion')
    expect(name({ messages: [], text: 'a' })).to.equal('messages')
    expect(name({ input_ids: [1], text: 'a' })).to.equal('tokenized')
    // Tables fill the columns of other rows with null.
    expect(name({ messages: null, prompt: null, completion: 'x', text: 'a' })).to.equal('text')
    expect(name({ text: null })).to.equal('text')
    expect(name({ instruction: 'a', output: 'b', text: 'c' })).to.equal('alpaca')
    expect(name({ conversations: [], text: 'a' })).to.equal('sharegpt')
    expect(name({ prompt: 'a', chosen: 'b', rejected: 'c' })).to.equal('preference')
    expect(name({ chosen: 'b', rejected: 'c', messages: null })).to.equal('preference')
    expect(name({ prompt: 'a', completions: ['b'], labels: [true] })).to.equal('stepwise')
    expect(name({ question: 'a', answer: 'b' })).to.equal(undefined)
    expect(name({ prompt: 'a' })).to.equal(undefined)
    expect(name({})).to.equal(undefined)
    // A labelled completion may be a bad example.
    expect(name({ prompt: 'a', completion: 'b', label: false })).to.equal('unpaired_preference')
    expect([...formats.names()].sort()).to.deep.equal([...names.formats.list()].sort())
  })

  it('name the field, what was expected and what it is, not what it holds', () => {
    expect(problem({ text: 5 })).to.equal('text: expected a text, got a number')
    expect(problem({ text: null })).to.equal('text: expected a text, got null')
    expect(problem({ messages: [null] })).to.equal('messages.0: expected {role, content}, got null')
    expect(problem({ prompt: ['secret'], completion: 'b' })).to.equal('prompt: expected a text, got an array')
    expect(problem({ prompt: 'a', completion: { a: 'secret' } })).to.equal('completion: expected a text, got an object')
    expect(problem({ text: 'ab\ud800c' })).to.equal('text: half of a surrogate pair at position 3')
    expect(problem({ prompt: 'a', completion: '\udc00' })).to.include('completion: half of a surrogate pair')
    expect(parse({ text: '\ud83d\udc4d' })).to.deep.equal({ kind: 'text', text: '👍' })
  })

  it('read conversations', () => {
    const messages = [{ role: 'user', content: 'a', name: 'x' }, { role: 'assistant', content: [{ type: 'text', text: 'b' }] }]
    expect(parse({ messages })).to.deep.equal({ kind: 'chat', messages, tools: null })
    const tools = [{ type: 'function', function: { name: 'f' } }]
    expect(parse({ messages, tools })).to.deep.equal({ kind: 'chat', messages, tools })
    expect(parse({ messages, tools: JSON.stringify(tools) })).to.deep.equal({ kind: 'chat', messages, tools })
    expect(parse({ messages, tools: [] })).to.deep.equal({ kind: 'chat', messages, tools: null })
    const call = [{ role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: {} } }] }]
    expect(parse({ messages: call })).to.deep.equal({ kind: 'chat', messages: call, tools: null })
  })

  it('refuse conversations that no template could render', () => {
    expect(problem({ messages: [] })).to.equal('messages: expected at least one message, this is empty')
    expect(problem({ messages: 'secret' })).to.equal('messages: expected a list of {role, content}, got a text')
    expect(problem({ messages: [{ content: 'a' }] })).to.equal('messages.0.role: expected a text, got missing')
    expect(problem({ messages: [{ role: 'user', content: 'a' }, { role: 'assistant' }] })).to.equal('messages.1.content: expected a text, this is missing or null')
    expect(problem({ messages: [{ role: 'user', content: 7 }] })).to.match(/^messages\.0\.content: expected a text, a list/)
    expect(problem({ messages: [{ role: 'user', content: [{ type: 'image', url: 'x' }] }] })).to.match(/^messages\.0\.content: part 0\.\w+: /)
    expect(problem({ messages: [{ role: 'user', content: '\ud800' }] })).to.include('messages.0.content: half of a surrogate pair')
    expect(problem({ messages: [{ role: 'user', content: 'a' }], tools: 'nope' })).to.include('tools')
    expect(problem({ messages: [{ role: 'user', content: 'a' }], tools: [1] })).to.include('tools: expected a list of objects')
    let deep: unknown = 'x'
    for (let i = 0; i < 1000; i++) deep = { deep }
    expect(problem({ messages: [{ role: 'user', content: 'a', deep }] })).to.include('nested')
  })

  it('read tokens, without their padding', () => {
    const ids = (values: number[]): Int32Array => Int32Array.from(values)
    expect(parse({ input_ids: [1, 2, 3] })).to.deep.equal({ kind: 'tokens', inputIds: ids([1, 2, 3]), labels: null })
    expect(parse({ input_ids: [1, 2], labels: [-100, 2] })).to.deep.equal({ kind: 'tokens', inputIds: ids([1, 2]), labels: ids([-100, 2]) })
    expect(parse({ input_ids: [0, 0, 1, 2, 0], labels: [-100, -100, 1, 2, -100], attention_mask: [0, 0, 1, 1, 0] })).to.deep.equal({
      kind: 'tokens', inputIds: ids([1, 2]), labels: ids([1, 2]),
    })
  })

  it('refuse tokens that do not fit together', () => {
    expect(problem({ input_ids: [] })).to.include('at least one id')
    expect(problem({ input_ids: '1 2' })).to.equal('input_ids: expected a list of integers, got a text')
    expect(problem({ input_ids: [1, 2.5] })).to.include('input_ids.1')
    expect(problem({ input_ids: [1, -1] })).to.include('input_ids.1')
    expect(problem({ input_ids: [1, '2'] })).to.include('got a text')
    expect(problem({ input_ids: [1, 2 ** 31] })).to.include('input_ids.1')
    expect(problem({ input_ids: [1, 2], labels: [1] })).to.equal('labels: expected 2 values as input_ids has, got 1')
    expect(problem({ input_ids: [1], labels: [-1] })).to.include('labels.0: expected an id, or -100')
    expect(problem({ input_ids: [1], labels: [-101] })).to.include('labels.0')
    expect(problem({ input_ids: [1, 2, 3], attention_mask: [1, 0, 1] })).to.include('attention_mask.1')
    expect(problem({ input_ids: [1], attention_mask: [0] })).to.include('0 everywhere')
    expect(problem({ input_ids: [1, 2], attention_mask: [1] })).to.include('attention_mask')
  })
})
