// What commands talk with: the two forms of stdout, levels of the log, and who may be asked.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { createContext, type OutputStreams } from '../../../lib/cli/context.js'
import { ParsedFlags, type FlagValue } from '../../../lib/cli/parsed-flags.js'
import { addLogFile, setupLogger } from '../../../lib/utils/logging.js'

function make(flags: Record<string, FlagValue>, terminal = false) {
  let out = ''
  const stream = { isTTY: terminal, write: (text: string) => Boolean((out += text)) }
  const streams = { stdout: stream, stderr: stream, stdin: { isTTY: terminal } } as unknown as OutputStreams
  const context = createContext(new ParsedFlags(new Map(Object.entries(flags))), new AbortController().signal, streams)
  return { context, out: () => out }
}

/** What the logger lets through to stderr. */
function logged(work: () => void): string {
  const original = process.stderr.write.bind(process.stderr)
  let text = ''
  process.stderr.write = ((chunk: string) => Boolean((text += chunk)))
  try {
    work()
  } finally {
    process.stderr.write = original
  }
  return text
}

describe('the context of a command', () => {
  afterEach(() => void setupLogger({ level: 'error', console: false }))

  it('prints text, and no JSON, for people', () => {
    const { context, out } = make({})
    context.print('line')
    context.write('piece')
    context.emit({ event: 'step', step: 1 })
    context.document({ a: 1 })
    expect(out()).to.equal('line\npiece')
  })

  it('prints JSON lines and documents, and no text, with --json', () => {
    const { context, out } = make({ json: true })
    context.print('line')
    context.write('piece')
    context.emit({ event: 'step', step: 1 })
    context.document({ a: 1 })
    expect(out()).to.equal('{"event":"step","step":1}\n{\n  "a": 1\n}\n')
  })

  const all = (context: ReturnType<typeof make>['context']) => {
    for (const level of ['error', 'warn', 'info', 'debug'] as const) context.logger[level](`at ${level}`)
  }

  it('logs from info on, from warn with --quiet, everything with --verbose, also against the configuration', () => {
    const cases: [Record<string, FlagValue>, string[]][] = [[{}, ['error', 'warn', 'info']], [{ quiet: true }, ['error', 'warn']], [{ verbose: true }, ['error', 'warn', 'info', 'debug']]]
    for (const [flags, levels] of cases) {
      for (const level of [undefined, 'info'] as const) {
        const text = logged(() => {
          const { context } = make(flags)
          if (level !== undefined) context.configureLogging({ level })
          all(context)
        })
        expect(text.match(/at \w+/g)).to.deep.equal(levels.map((name) => `at ${name}`))
      }
    }
  })

  it('--quiet silences the console, not the log of a run', () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'ft-context-'))
    const file = path.join(folder, 'run.log')
    const console = logged(() => {
      const { context } = make({ quiet: true })
      context.configureLogging({ level: 'info' })
      const log = addLogFile(file)
      all(context)
      context.configureLogging({ level: 'info', fileLevel: 'error', file })
      context.logger.warn('later')
      log.close()
    })
    expect(console.match(/at \w+|later/g)).to.deep.equal(['at error', 'at warn', 'later'])
    expect(readFileSync(file, 'utf8').match(/at \w+|later/g)).to.deep.equal(['at error', 'at warn', 'at info', 'later'])
    setupLogger({ level: 'error', console: false })
    rmSync(folder, { recursive: true })
  })

  it('takes the level of the configuration', () => {
    const text = logged(() => {
      const { context } = make({})
      context.configureLogging({ level: 'error' })
      all(context)
    })
    expect(text.match(/at \w+/g)).to.deep.equal(['at error'])
  })

  it('asks only where a person is, and not with --no-input or --json', () => {
    expect(make({}, true).context.interactive).to.equal(true)
    expect(make({}, false).context.interactive).to.equal(false)
    expect(make({ input: false }, true).context.interactive).to.equal(false)
    expect(make({ json: true }, true).context.interactive).to.equal(false)
  })

  it('colours where told to', () => {
    expect(make({ color: true }).context.color).to.equal(true)
    expect(make({ color: false }, true).context.color).to.equal(false)
    expect(make({}, false).context.color).to.equal(false)
  })
})
