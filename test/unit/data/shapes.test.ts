// The row shapes of other tools: ShareGPT, Alpaca, preferences, tools and reasoning, columns and templates of the user's, schemas.
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect } from 'chai'
import { builtInRowSchema, InstructionStrategy, MultiColumnStrategy, SingleColumnStrategy } from '../../../lib/data/index.js'
import { findFormat } from '../../../lib/data/formats/index.js'
import { RowReader, type RowShapeOptions } from '../../../lib/data/formats/reader.js'
import type { ChatRow, ParsedRow } from '../../../lib/data/formats/format.js'
import { failure, temporaryFolder } from './helpers.js'

const folder = temporaryFolder()

function parse(row: Record<string, unknown>): ParsedRow {
  const result = findFormat(row)?.parse(row) ?? { problem: 'no format' }
  if ('problem' in result) throw new Error(result.problem)
  return result
}

function problem(row: Record<string, unknown>): string {
  try {
    return `accepted ${JSON.stringify(parse(row))}`
  } catch (error) {
    return (error as Error).message
  }
}

async function read(row: Record<string, unknown>, options: RowShapeOptions) {
  return (await RowReader.open(options)).read(row)
}

describe('conversations of other tools', () => {
  it('ShareGPT: every name a speaker has, in any case', () => {
    const role = (from: string): string => ((parse({ conversations: [{ from, value: 'x' }] }) as ChatRow).messages[0] as { role: string }).role
    for (const name of ['human', 'user', 'Human', 'prompter']) expect(role(name), name).to.equal('user')
    for (const name of ['gpt', 'assistant', 'bard', 'bing', 'chatgpt', 'GPT', 'ChatGPT', 'model']) expect(role(name), name).to.equal('assistant')
    for (const name of ['tool', 'observation', 'function_response', 'function', 'tool response']) expect(role(name), name).to.equal('tool')
    expect(role('system')).to.equal('system')
    const error = problem({ conversations: [{ from: 'human', value: 'a' }, { from: 'hal9000', value: 'secret' }] })
    expect(error).to.match(/^conversations\.1\.from: expected who speaks: .*gpt/).and.not.to.match(/hal9000|secret/)
    expect(problem({ conversations: [{ from: '__proto__', value: 'a' }] })).to.include('conversations.0.from: expected who speaks')
    expect(problem({ conversations: [{ from: 'human', value: 7 }] })).to.equal('conversations.0.value: expected a text, got a number')
    expect(problem({ conversations: [] })).to.include('this is empty')
    expect(problem({ conversations: 'secret' })).to.equal('conversations: expected a list of {role, content}, got a text')
  })

  it('ShareGPT: system and tools beside it, calls as calls, OpenAI keys too', () => {
    const tools = [{ type: 'function', function: { name: 'f' } }]
    expect(parse({
      conversations: [{ from: 'human', value: 'a' }, { from: 'function_call', value: '{"name": "f", "arguments": {"x": 1}}' }, { from: 'observation', value: '2' }, { from: 'gpt', value: 'b' }],
      system: 'be brief', tools: JSON.stringify(tools),
    })).to.deep.equal({
      kind: 'chat', tools,
      messages: [
        { role: 'system', content: 'be brief' }, { role: 'user', content: 'a' },
        { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: { name: 'f', arguments: { x: 1 } } }] },
        { role: 'tool', content: '2' }, { role: 'assistant', content: 'b' },
      ],
    })
    const own = (parse({ conversations: [{ from: 'function_call', value: 'not JSON' }] }) as ChatRow).messages
    expect(own).to.deep.equal([{ role: 'assistant', content: 'not JSON' }])
    const messages = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }]
    expect(parse({ conversations: messages })).to.deep.equal({ kind: 'chat', messages, tools: null })
    expect(parse({ messages: [{ from: 'human', value: 'a' }, { from: 'gpt', value: 'b' }] })).to.deep.equal({ kind: 'chat', messages, tools: null })
    expect(problem({ conversations: [{ from: 'system', value: 'x' }], system: 'y' })).to.include('keep one of them')
  })

  it('keep names, reasoning and several system turns; nulls that tables put there go', () => {
    const messages = [
      { role: 'system', content: 'one' }, { role: 'system', content: 'two' }, { role: 'user', content: 'a', name: 'Ada' },
      { role: 'assistant', content: 'b', reasoning_content: 'hm', thinking: 'hm' },
    ]
    expect(parse({ messages })).to.deep.equal({ kind: 'chat', messages, tools: null })
    const filled = messages.map((message) => ({ tool_calls: null, name: null, weight: null, ...message }))
    expect(parse({ messages: filled })).to.deep.equal({ kind: 'chat', messages, tools: null })
  })

  it('say about a turn whether it is learned, and in no other way than 0, 1, true and false', () => {
    const chat = parse({ messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b', weight: 0 }, { role: 'assistant', content: 'c', weight: 1 }, { role: 'user', content: 'd', train: true }] }) as ChatRow
    expect(chat.trained).to.deep.equal([null, false, true, true])
    expect(chat.messages[1]).to.deep.equal({ role: 'assistant', content: 'b' })
    expect((parse({ conversations: [{ from: 'gpt', value: 'a', train: false }] }) as ChatRow).trained).to.deep.equal([false])
    expect(problem({ messages: [{ role: 'assistant', content: 'a', weight: 0.5 }] })).to.include('messages.0.weight: expected 0 or 1')
    expect(problem({ messages: [{ role: 'assistant', content: 'a', train: 'yes' }] })).to.include('messages.0.train: expected true or false')
  })

  it('of a prompt and a completion', () => {
    const prompt = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }]
    const completion = [{ role: 'assistant', content: 'd' }]
    expect(parse({ prompt, completion })).to.deep.equal({ kind: 'chat', messages: [...prompt, ...completion], tools: null, answersFrom: 3 })
  })
})

describe('alpaca', () => {
  it('is a conversation, and Stanford\'s prompt where there is no template', () => {
    expect(parse({ instruction: 'Add.', input: '1 2', output: '3' })).to.deep.equal({
      kind: 'instruction',
      chat: { kind: 'chat', tools: null, messages: [{ role: 'user', content: 'Add.\n1 2' }, { role: 'assistant', content: '3' }] },
      pair: {
        kind: 'pair', completion: '3',
        prompt: 'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:',
      },
    })
    const alone = parse({ instruction: 'Hi', input: null, output: 'Ho' }) as ParsedRow & { kind: 'instruction' }
    expect(alone.chat.messages[0]).to.deep.equal({ role: 'user', content: 'Hi' })
    expect(alone.pair.prompt).to.equal('Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nHi\n\n### Response:')
  })

  it('with system and history', () => {
    const row = parse({ instruction: 'c', output: 'd', system: 's', history: [['a', 'b'], ['x', '']] }) as ParsedRow & { kind: 'instruction' }
    expect(row.chat.messages.map(({ role, content }) => `${role}: ${String(content)}`)).to.deep.equal(['system: s', 'user: a', 'assistant: b', 'user: x', 'assistant: ', 'user: c', 'assistant: d'])
    expect(row.pair.prompt).to.equal('s\n\n### Instruction:\na\n\n### Response:b\n\n### Instruction:\nx\n\n### Response:\n\n### Instruction:\nc\n\n### Response:')
    expect(row.pair.answers?.map(([from, to]) => row.pair.prompt.slice(from, to))).to.deep.equal(['b'])
    expect(problem({ instruction: 'a', output: 'b', history: [['secret']] })).to.match(/^history\.0: expected \[instruction, answer\]/)
    expect(problem({ instruction: 1, output: 'b' })).to.equal('instruction: expected a text, got a number')
  })
})

describe('preferences', () => {
  it('as texts and as conversations', () => {
    expect(parse({ prompt: 'p', chosen: 'c', rejected: 'r' })).to.deep.equal({ kind: 'preference', prompt: 'p', chosen: 'c', rejected: 'r', tools: null })
    expect(parse({ chosen: 'c', rejected: 'r' })).to.include({ prompt: null })
    const chosen = [{ role: 'assistant', content: 'c' }]
    const rejected = [{ from: 'gpt', value: 'r' }]
    expect(parse({ prompt: [{ role: 'user', content: 'p' }], chosen, rejected, system: 's' })).to.deep.equal({
      kind: 'preference', prompt: [{ role: 'system', content: 's' }, { role: 'user', content: 'p' }], chosen, rejected: [{ role: 'assistant', content: 'r' }], tools: null,
    })
    expect(problem({ prompt: 'p', chosen, rejected })).to.equal('chosen: expected a text as prompt is')
    expect(problem({ chosen: 'c', rejected: 4 })).to.equal('rejected: expected a text or a list of messages, got a number')
  })

  it('unpaired and stepwise', () => {
    expect(parse({ prompt: 'p', completion: 'c', label: false })).to.deep.equal({ kind: 'unpaired', prompt: 'p', completion: 'c', label: false, tools: null })
    expect(parse({ prompt: 'p', completion: 'c', label: 1 })).to.include({ label: true })
    expect(problem({ prompt: 'p', completion: 'c', label: 'good' })).to.equal('label: expected true or false, got a text')
    expect(parse({ prompt: 'p', completions: ['a', 'b'], labels: [true, 0] })).to.deep.equal({ kind: 'stepwise', prompt: 'p', completions: ['a', 'b'], labels: [true, false] })
    expect(problem({ prompt: 'p', completions: ['a', 'b'], labels: [true] })).to.equal('labels: expected 2 values as completions has, got 1')
    expect(problem({ prompt: 'p', completions: [], labels: [] })).to.include('at least one step')
  })
})

describe('columns', () => {
  it('strategies read one, several, or a question and its answer', () => {
    expect(new SingleColumnStrategy('body').parse({ body: 'x' })).to.deep.equal({ kind: 'text', text: 'x' })
    expect(new SingleColumnStrategy('body').parse({ text: 'x' })).to.deep.equal({ problem: 'the column "body" is missing' })
    expect(new MultiColumnStrategy(['title', 'year', 'body'], { separator: ' / ' }).parse({ title: 'a', year: 1999, body: null })).to.deep.equal({ kind: 'text', text: 'a / 1999' })
    const asked = new InstructionStrategy({ instruction: 'q', response: 'a', input: 'context' }).parse({ q: 'Q', a: true, context: 'C' })
    expect(asked).to.deep.equal(parse({ instruction: 'Q', input: 'C', output: 'true' }))
    expect(() => new MultiColumnStrategy([])).to.throw('needs the names of columns')
  })

  it('hostile names are names', () => {
    const row = JSON.parse('{"__proto__": "x", "constructor": "y", "to\\u001b[31mString\\u202e": {"secret": 1}}') as Record<string, unknown>
    expect(new MultiColumnStrategy(['__proto__', 'constructor']).parse(row)).to.deep.equal({ kind: 'text', text: 'x\ny' })
    expect(new SingleColumnStrategy('toString').parse(row)).to.deep.equal({ problem: 'the column "toString" is missing' })
    const { problem: said } = new SingleColumnStrategy('to\u001b[31mString\u202e').parse(row) as { problem: string }
    expect(said).to.include('expected a text, got an object').and.not.to.match(/[\u001b\u202e]|secret/)
  })

  it('dataset.columns maps fields of a shape', async () => {
    expect(await read({ q: 'a', r: 'b', text: 'no' }, { columns: { prompt: 'q', completion: 'r' } })).to.deep.equal({ shape: 'prompt_completion', row: { kind: 'pair', prompt: 'a', completion: 'b' } })
    expect(await read({ a: 'x', b: 3 }, { columns: { text: ['a', 'b'] }, columnSeparator: '\\n\\n' })).to.deep.equal({ shape: 'text', row: { kind: 'text', text: 'x\n\n3' } })
    expect(await read({ q: 'x', a: 'y' }, { columns: { question: 'q', answer: 'a' } })).to.have.nested.property('row.kind', 'instruction')
    expect(await read({ q: ['secret'], r: 'b' }, { columns: { prompt: 'q', completion: 'r' } })).to.deep.equal({ problem: 'column "q" as prompt: expected a text, got an array' })
    expect(await read({ q: 'a' }, { columns: { prompt: 'q', completion: 'r' } })).to.have.property('problem').that.includes('column "r" (dataset.columns.completion) is missing')
    expect(await read({ z: 'a' }, { columns: { text: 'q' } })).to.include({ code: 'FT_NO_TEXT_COLUMNS' })
    await failure(() => RowReader.open({ columns: { promt: 'q' } }), 'FT_INVALID_CONFIG')
    expect((await failure(() => RowReader.open({ columns: { prompt: 'q' } }), 'FT_INVALID_CONFIG')).remedy).to.include('{prompt, completion}')
    await failure(() => RowReader.open({ columns: { text: 'q' }, template: '{q}' }), 'FT_INCOMPATIBLE_CONFIG')
  })

  it('dataset.template writes text around columns, and runs nothing', async () => {
    expect(await read({ title: 'T', body: 'B {title} {{x}} $&' }, { template: '### {title}\\n{body}\n{{end}}' })).to.deep.equal({ shape: 'template', row: { kind: 'text', text: '### T\nB {title} {{x}} $&\n{end}' } })
    expect(await read({ q: 'a', r: null }, { template: { prompt: 'Q: {q}\n', completion: 'A: {r}' } })).to.deep.equal({ shape: 'template', row: { kind: 'pair', prompt: 'Q: a\n', completion: 'A: ' } })
    expect(await read({ q: 'a' }, { template: '{q}{toString}' })).to.have.property('problem', 'the column "toString" is missing')
    for (const template of ['{', 'a } b', '{}', 'no column', '{a{b}}']) await failure(() => RowReader.open({ template }), 'FT_INVALID_CONFIG')
  })
})

describe('row schemas', () => {
  const schema = { type: 'object', required: ['text'], properties: { text: { type: 'string', pattern: '^[a-z ]+$' }, 'odd/name': { type: 'number' } }, additionalProperties: false }

  it('of the user: inline or from a file, with path and reason', async () => {
    for (const rowSchema of [schema, folder.write('schema.json', JSON.stringify(schema))]) {
      expect(await read({ text: 'fine' }, { rowSchema })).to.have.nested.property('row.text', 'fine')
      expect(await read({ text: 'Secret' }, { rowSchema })).to.have.property('problem').that.matches(/^text: must match pattern/).and.not.matches(/Secret/)
      expect(await read({}, { rowSchema })).to.have.property('problem', "the row: must have required property 'text' (dataset.row_schema)")
      expect(await read({ text: 'a', 'odd/name': 'x' }, { rowSchema })).to.have.property('problem', '"odd/name": must be number (dataset.row_schema)')
      expect(await read({ text: 'a', extra: 1 }, { rowSchema })).to.have.property('problem').that.includes('"extra"')
    }
  })

  it('that are none are refused', async () => {
    await failure(() => RowReader.open({ rowSchema: folder.path('nowhere.json') }), 'FT_INVALID_CONFIG')
    await failure(() => RowReader.open({ rowSchema: folder.write('broken.json', '{') }), 'FT_INVALID_CONFIG')
    await failure(() => RowReader.open({ rowSchema: { type: 'no such type' } }), 'FT_INVALID_CONFIG')
    await failure(() => RowReader.open({ rowSchema: { $ref: 'https://example.org/x.json' } }), 'FT_INVALID_CONFIG')
  })

  it('a pattern that would backtrack for ever does not', async () => {
    const rowSchema = { properties: { text: { pattern: '^(a+)+$' } } }
    expect(await read({ text: `${'a'.repeat(50_000)}!` }, { rowSchema })).to.have.property('problem').that.includes('must match pattern')
  })

  it('ship for every built-in shape', () => {
    const validate = new Ajv2020({ strict: false }).compile(builtInRowSchema())
    const turns = [{ role: 'user', content: 'a' }, { role: 'assistant', content: null, tool_calls: [{}] }]
    const good = [
      { text: 'a' }, { prompt: 'a', completion: 'b' }, { prompt: turns, completion: turns }, { messages: turns, tools: null }, { conversations: [{ from: 'human', value: 'a' }] },
      { input_ids: [1], labels: [-100] }, { instruction: 'a', output: 'b', history: [['a', 'b']] }, { chosen: 'a', rejected: 'b' }, { prompt: 'a', completion: 'b', label: true },
      { prompt: 'a', completions: ['b'], labels: [false] },
    ]
    for (const row of good) expect(validate(row), JSON.stringify(row)).to.equal(true)
    for (const row of [{}, { text: 1 }, { messages: [] }, { input_ids: [-1] }, { prompt: 'a', completions: [1], labels: [2] }]) expect(validate(row), JSON.stringify(row)).to.equal(false)
  })
})
