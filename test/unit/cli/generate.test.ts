// generate: where prompts and sampling options come from, and what the command prints.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { resolveSampling } from '../../../lib/cli/generation-flags.js'
import { contextLengthOf } from '../../../lib/cli/context-length.js'
import { answerRoom } from '../../../lib/cli/generation-model.js'
import { parsePrompts, readPrompts } from '../../../lib/cli/generation-prompts.js'
import { ParsedFlags, type FlagValue } from '../../../lib/cli/parsed-flags.js'
import { caught, rejected } from '../support/caught.js'
import { demoModel, quick, runModelCli } from '../support/demo-model.js'

const flags = (values: Record<string, FlagValue>): ParsedFlags => new ParsedFlags(new Map(Object.entries(values)))
const stdin = (text: string): NodeJS.ReadStream => Object.assign(new PassThrough().end(text), { isTTY: false }) as unknown as NodeJS.ReadStream

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-generate-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('sampling options', () => {
  it('are greedy, up to 256 tokens, where nothing says otherwise', () => {
    expect(resolveSampling(flags({}), {})).to.deep.equal({ maxNewTokens: 256, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 42, stop: [] })
  })

  it('come from generation_config.json only where it says do_sample', () => {
    const file = { temperature: 0.6, topK: 20, topP: 0.9, repetitionPenalty: 1.1, maxNewTokens: 33 }
    expect(resolveSampling(flags({}), file)).to.include({ temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1.1, maxNewTokens: 33 })
    expect(resolveSampling(flags({}), { ...file, doSample: true })).to.include({ temperature: 0.6, topK: 20, topP: 0.9 })
    expect(resolveSampling(flags({}), { doSample: true })).to.include({ temperature: 1 })
  })

  it('of flags win', () => {
    const given = flags({ temperature: '0', 'max-new-tokens': '5', seed: '7', stop: ['a', 'b'] })
    expect(resolveSampling(given, { doSample: true, temperature: 0.6, maxNewTokens: 33 })).to.include({ temperature: 0, maxNewTokens: 5, seed: 7 }).and.deep.include({ stop: ['a', 'b'] })
  })

  it('sample when --top-k or --top-p asks for it', () => {
    expect(resolveSampling(flags({ 'top-p': '0.9' }), {})).to.include({ temperature: 1, topP: 0.9 })
    expect(caught(() => resolveSampling(flags({ 'top-k': '5', temperature: '0' }), {}))).to.include({ code: 'FT_USAGE' })
  })

  it('out of range are refused', () => {
    for (const [name, value] of [['temperature', '-1'], ['top-p', '0'], ['top-p', '1.5'], ['top-k', '-1'], ['repetition-penalty', '0'], ['max-new-tokens', '0'], ['seed', '1.5']] as const) {
      expect(caught(() => resolveSampling(flags({ [name]: value }), {})), `${name} ${value}`).to.include({ code: 'FT_USAGE' })
    }
  })

  it('stay inside the context', () => {
    const setup = { contextLength: 10, sampling: resolveSampling(flags({ 'max-new-tokens': '8' }), {}) }
    expect(answerRoom(1, setup)).to.equal(8)
    expect(answerRoom(7, setup)).to.equal(3)
    expect(caught(() => answerRoom(10, setup))).to.include({ code: 'FT_INVALID_ARGUMENT' })
  })
})

describe('the context', () => {
  it('is what scaled rotary embeddings make of it', () => {
    expect(contextLengthOf(64, {})).to.equal(64)
    expect(contextLengthOf(64, { rope_parameters: { rope_type: 'default', rope_theta: 1e4, factor: 4 } })).to.equal(64)
    expect(contextLengthOf(64, { rope_parameters: { rope_type: 'dynamic', factor: 3, original_max_position_embeddings: 16 } })).to.equal(192)
    expect(contextLengthOf(64, { rope_scaling: { type: 'linear', factor: 2.5 } })).to.equal(160)
    expect(contextLengthOf(64, { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 } })).to.equal(256)
    expect(contextLengthOf(64, { rope_parameters: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 } })).to.equal(64)
    expect(contextLengthOf(128, { rope_parameters: { rope_type: 'llama3', factor: 4, original_max_position_embeddings: 16 } })).to.equal(128)
    expect(contextLengthOf(64, { rope_parameters: { rope_type: 'linear', factor: null } })).to.equal(64)
  })
})

describe('prompts', () => {
  it('of a text file are its lines that are not empty', () => {
    expect(parsePrompts('one\r\n\ntwo\n', 'p.txt')).to.deep.equal([{ text: 'one' }, { text: 'two' }])
  })

  it('of a .jsonl file are texts, {prompt} or {messages}', () => {
    const messages = [{ role: 'user', content: 'Hi' }]
    expect(parsePrompts(`"one"\n{"prompt": "two"}\n${JSON.stringify({ messages })}\n`, 'p.jsonl')).to.deep.equal([{ text: 'one' }, { text: 'two' }, { messages }])
  })

  it('that are none name the line and not its content', () => {
    for (const bad of ['{"secret": 1}', '{oops', '[]', '{"messages": []}', '""']) {
      const error = caught(() => parsePrompts(`"fine"\n${bad}\n`, 'p.jsonl'))
      expect(error).to.include({ code: 'FT_DATASET_ROW' })
      expect(error.message).to.include('p.jsonl:2').and.not.include('secret')
    }
  })

  it('come from --prompt, --prompt-file or standard input, from one of them', async () => {
    const file = path.join(folder, 'p.txt')
    writeFileSync(file, 'a\nb\n')
    expect(await readPrompts(flags({ prompt: ['x', 'y'] }), { stdin: stdin('') })).to.deep.equal([{ text: 'x' }, { text: 'y' }])
    expect(await readPrompts(flags({ 'prompt-file': file }), { stdin: stdin('') })).to.deep.equal([{ text: 'a' }, { text: 'b' }])
    expect(await readPrompts(flags({ 'prompt-file': '-' }), { stdin: stdin('a\nb\n') })).to.deep.equal([{ text: 'a' }, { text: 'b' }])
    expect(await readPrompts(flags({}), { stdin: stdin('two\nlines\n') })).to.deep.equal([{ text: 'two\nlines' }])
    expect(await rejected(readPrompts(flags({ prompt: 'x', 'prompt-file': file }), { stdin: stdin('') }))).to.include({ code: 'FT_USAGE' })
    expect(await rejected(readPrompts(flags({}), { stdin: stdin('') }))).to.include({ code: 'FT_USAGE' })
    expect(await rejected(readPrompts(flags({}), { stdin: { isTTY: true } as NodeJS.ReadStream }))).to.include({ code: 'FT_USAGE' })
    expect(await rejected(readPrompts(flags({ 'prompt-file': path.join(folder, 'none') }), { stdin: stdin('') }))).to.include({ code: 'FT_DATASET' })
  })
})

interface Document {
  results: { prompt: string; text: string; finish_reason: string; prompt_tokens: number; completion_tokens: number }[]
  options: Record<string, unknown>
  completion_tokens: number
  tokens_per_second: number
}

describe('generate', function () {
  this.timeout(60_000)
  const generate = async (...args: string[]): Promise<Document> => {
    const { code, stdout, stderr } = await runModelCli(['generate', '--model', demoModel, ...quick, '--json', ...args])
    expect(code, stderr).to.equal(0)
    return JSON.parse(stdout) as Document
  }

  it('writes the answer of one prompt to stdout, and how long it took to stderr', async () => {
    const { code, stdout, stderr } = await runModelCli(['generate', '--model', demoModel, ...quick, '--prompt', 'The whale', '--max-new-tokens', '8'])
    const { results: [answer] } = await generate('--prompt', 'The whale', '--max-new-tokens', '8')
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal(`${answer?.text}\n`)
    expect(stderr).to.match(/8 tokens in [\d.]+ s \([\d.]+ tokens\/s\), ended by length/)
  })

  it('gives each prompt of a batch what it gets alone', async () => {
    const prompts = ['The whale', 'Call me', 'It was a dark night, and the sea']
    const together = await generate(...prompts.flatMap((prompt) => ['--prompt', prompt]), '--max-new-tokens', '10')
    expect(together.results.map((row) => row.prompt)).to.deep.equal(prompts)
    const apart = await generate(...prompts.flatMap((prompt) => ['--prompt', prompt]), '--max-new-tokens', '10', '--batch-size', '1')
    expect(together.results).to.deep.equal(apart.results)
    expect(together.completion_tokens).to.equal(together.results.reduce((sum, row) => sum + row.completion_tokens, 0))
  })

  it('a long prompt of a batch leaves the others their room', async () => {
    const long = 'the whale '.repeat(100)
    const alone = (await generate('--prompt', long, '--max-new-tokens', '1')).results[0]?.prompt_tokens ?? NaN
    const room = 512 - alone
    const { results } = await generate('--prompt', 'The whale', '--prompt', long, '--max-new-tokens', String(room + 20))
    expect(results[0]).to.include({ finish_reason: 'length', completion_tokens: room + 20 })
    expect(results[1]?.completion_tokens).to.be.within(1, room)
  })

  it('repeats itself for a seed, and not for another', async () => {
    const sampled = ['--prompt', 'The whale', '--max-new-tokens', '24', '--temperature', '1.2']
    const [one, again, other] = [await generate(...sampled, '--seed', '1'), await generate(...sampled, '--seed', '1'), await generate(...sampled, '--seed', '2')]
    expect(one.results).to.deep.equal(again.results)
    expect(one.results[0]?.text).not.to.equal(other.results[0]?.text)
    expect(one.options).to.include({ temperature: 1.2, seed: 1 })
  })

  it('ends before a stop text', async () => {
    const { results: [whole] } = await generate('--prompt', 'The whale', '--max-new-tokens', '16')
    const stop = whole?.text.slice(8, 11) ?? ''
    const { results: [cut] } = await generate('--prompt', 'The whale', '--max-new-tokens', '16', '--stop', stop)
    expect(cut).to.include({ finish_reason: 'stop', text: whole?.text.slice(0, whole.text.indexOf(stop)) })
  })

  it('--chat puts the prompt into the template, --prompt alone does not', async () => {
    const { results: [plain] } = await generate('--prompt', 'Hi', '--max-new-tokens', '1')
    const { results: [chat] } = await generate('--prompt', 'Hi', '--max-new-tokens', '1', '--chat')
    const { results: [system] } = await generate('--prompt', 'Hi', '--max-new-tokens', '1', '--chat', '--system', 'Be brief.')
    expect(chat?.prompt_tokens).to.be.greaterThan(plain?.prompt_tokens ?? NaN)
    expect(system?.prompt_tokens).to.be.greaterThan(chat?.prompt_tokens ?? NaN)
  })

  it('takes special tokens of a plain prompt for what they are, and those of a message for text', async () => {
    const token = '<|im_end|>'
    expect((await generate('--prompt', token, '--max-new-tokens', '1')).results[0]?.prompt_tokens).to.equal(1)
    const [empty, named] = [await generate('--prompt', 'a', '--max-new-tokens', '1', '--chat'), await generate('--prompt', `a${token}`, '--max-new-tokens', '1', '--chat')]
    expect(named.results[0]?.prompt_tokens).to.be.greaterThan((empty.results[0]?.prompt_tokens ?? NaN) + 3)
  })

  it('ends with 2 or 3 and says why', async () => {
    const cases: [string[], number, string][] = [
      [['--prompt', 'x'], 2, 'no model was named'],
      [['--model', demoModel, '--prompt', 'x', '--system', 'y'], 2, '--system needs --chat'],
      [['--model', demoModel, '--prompt', 'x '.repeat(2000)], 2, 'the context of the model is 512'],
      [['--model', path.join(folder, 'none'), '--prompt', 'x'], 3, 'there is no model'],
      [['--model', demoModel, '--adapter', folder, '--prompt', 'x'], 3, 'not an adapter folder'],
      [['--model', demoModel, '--device', 'cuda:99', '--prompt', 'x'], 2, 'cuda:99'],
    ]
    for (const [args, code, text] of cases) {
      const result = await runModelCli(['generate', ...args])
      expect(result.code, result.stderr).to.equal(code)
      expect(result.stderr).to.include(text)
    }
  })
})
