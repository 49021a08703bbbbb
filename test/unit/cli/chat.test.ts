// chat: turns, commands and the limit of the context, from a pipe; and at a terminal a Ctrl-C that stops the answer alone.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { terminalLines } from '../../../lib/cli/generation-terminal.js'
import { demoModel, quick, runModelCli } from '../support/demo-model.js'

interface Document {
  messages: { role: string; content: string }[]
  turns: { prompt_tokens: number; completion_tokens: number; finish_reason: string }[]
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-chat-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('chat', function () {
  this.timeout(60_000)
  const base = ['chat', '--model', demoModel, ...quick, '--max-new-tokens', '6']

  it('answers each line of a pipe, and remembers the conversation', async () => {
    const { code, stdout, stderr } = await runModelCli([...base, '--json', '--system', 'Be brief.'], { input: 'Hello\n\nAnd now?\n' })
    expect(code, stderr).to.equal(0)
    const { messages, turns } = JSON.parse(stdout) as Document
    expect(messages.map((message) => message.role)).to.deep.equal(['system', 'user', 'assistant', 'user', 'assistant'])
    expect(messages.map((message) => message.content)).to.include.members(['Be brief.', 'Hello', 'And now?'])
    expect(turns).to.have.length(2)
    expect(turns[1]?.prompt_tokens).to.be.greaterThan(turns[0]?.prompt_tokens ?? NaN)
    const plain = await runModelCli([...base, '--system', 'Be brief.'], { input: 'Hello\n\nAnd now?\n' })
    expect(plain.stdout).to.equal(`${messages[2]?.content}\n${messages[4]?.content}\n`)
  })

  it('/reset forgets, /save writes a row that train can read, /exit leaves', async () => {
    const file = path.join(folder, 'chat.jsonl')
    const { code, stdout, stderr } = await runModelCli([...base, '--json'], { input: `One\n/reset\nTwo\n/save ${file}\n/exit\nThree\n` })
    expect(code, stderr).to.equal(0)
    const { messages } = JSON.parse(stdout) as Document
    expect(messages.map((message) => message.role)).to.deep.equal(['user', 'assistant'])
    expect(messages[0]?.content).to.equal('Two')
    expect(JSON.parse(readFileSync(file, 'utf8'))).to.deep.equal({ messages })
    const inspected = await runModelCli(['inspect', file, '--model', demoModel, '--json'])
    expect(JSON.parse(inspected.stdout)).to.deep.include({ rows: 1, shapes: { messages: 1 } })
  })

  it('/save does not replace a file', async () => {
    const file = path.join(folder, 'chat.jsonl')
    const { code, stderr } = await runModelCli(base, { input: `/save ${file}\n/save ${file}\n` })
    expect(code).to.equal(2)
    expect(stderr).to.include('exists already')
  })

  it('says when the conversation no longer fits', async () => {
    const { code, stderr } = await runModelCli(base, { input: `${'word '.repeat(900)}\n` })
    expect(code).to.equal(2)
    expect(stderr).to.match(/the conversation has \d+ tokens with this message, the context of the model is 512/)
  })

  it('needs a chat template', async () => {
    const { code, stderr } = await runModelCli([...base, '--chat-template', path.join(folder, 'none.jinja')], { input: 'Hello\n' })
    expect(code).to.equal(3)
    expect(stderr).to.include('none.jinja').and.include('FT_TEMPLATE')
  })

  it('ends with 130 on SIGINT where no terminal can stop an answer', async () => {
    const { code } = await runModelCli([...base, '--max-new-tokens', '400'], {
      input: 'Tell me everything\n'.repeat(50),
      onStart: (child) => child.stdout?.once('data', () => child.kill('SIGINT')),
    })
    expect(code).to.equal(130)
  })
})

/** What a terminal offers, in memory. */
function fakeTerminal() {
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    raw: [] as boolean[],
    setRawMode(on: boolean) {
      this.raw.push(on)
      return this
    },
  })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  let shown = ''
  output.on('data', (bytes: Buffer) => (shown += bytes.toString()))
  const streams = [input as unknown as NodeJS.ReadStream, output as unknown as NodeJS.WriteStream] as const
  return { input, streams, shown: () => shown }
}

describe('a terminal', () => {
  const options = { prompt: '> ', hint: '(leave with /exit)' }

  it('gives the line that was typed, and null at Ctrl-D', async () => {
    const { input, streams, shown } = fakeTerminal()
    const lines = terminalLines(...streams, { ...options, signal: new AbortController().signal })
    const first = lines.next()
    input.write('Hello\r')
    expect(await first).to.equal('Hello')
    expect(shown()).to.include('> ')
    const second = lines.next()
    input.write('\u0004')
    expect(await second).to.equal(null)
  })

  it('Ctrl-C while typing clears the line, on an empty one says how to leave', async () => {
    const { input, streams, shown } = fakeTerminal()
    const lines = terminalLines(...streams, { ...options, signal: new AbortController().signal })
    const line = lines.next()
    input.write('Hel\u0003')
    await new Promise((resolve) => setImmediate(resolve))
    input.write('\u0003')
    await new Promise((resolve) => setImmediate(resolve))
    input.write('Bye\r')
    expect(await line).to.equal('Bye')
    expect(shown()).to.include(options.hint)
  })

  it('Ctrl-C during the answer stops it, again and again', async () => {
    const { input, streams } = fakeTerminal()
    const lines = terminalLines(...streams, { ...options, signal: new AbortController().signal })
    for (let round = 0; round < 3; round++) {
      const stopped = await lines.during(
        () => input.emit('stopped'),
        () => new Promise<boolean>((resolve) => {
          input.once('stopped', () => resolve(true))
          input.write('x\u0003')
        }),
      )
      expect(stopped).to.equal(true)
    }
    expect(input.raw).to.deep.equal([true, false, true, false, true, false])
    expect(input.listenerCount('data')).to.equal(0)
  })
})
