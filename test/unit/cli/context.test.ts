// What commands talk with: the two forms of stdout, levels of the log, and who may be asked.
import { expect } from 'chai'
import { createContext, type OutputStreams } from '../../../lib/cli/context.js'
import { ParsedFlags, type FlagValue } from '../../../lib/cli/parsed-flags.js'
import { setupLogger } from '../../../lib/utils/logging.js'

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
