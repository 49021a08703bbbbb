// Logging: levels, console and files, task messages, contexts, no secrets, and a disk that gives up.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { addLogFile, getLogger, LogContext, logDatasetInfo, logModelInfo, LogProgress, setupLogger } from '../../../lib/utils/logging.js'
import { rejected, caught } from '../support/caught.js'
import { makeError } from '../../../lib/core/errors/index.js'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-log-'))
  file = path.join(folder, 'run.log')
})
afterEach(() => {
  setupLogger({ level: 'error', console: false })
  rmSync(folder, { recursive: true, force: true })
})

const lines = () => readFileSync(file, 'utf8').trimEnd().split('\n')
const records = () => lines().map((line) => JSON.parse(line) as Record<string, unknown>)

/** What `work` writes to stderr. */
function captured(work: () => void): string {
  const original = process.stderr.write.bind(process.stderr)
  let text = ''
  process.stderr.write = ((chunk: string) => {
    text += chunk
    return true
  })
  try {
    work()
  } finally {
    process.stderr.write = original
  }
  return text
}

describe('setupLogger', () => {
  it('writes plain lines with level, message and fields', () => {
    setupLogger({ file, console: false }).info('hello world', { rows: 3, ratio: 0.123456789, name: 'a b', list: [1] })
    expect(lines()).to.have.length(1)
    expect(lines()[0]).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z info {2}hello world {2}rows=3 ratio=0\.123457 name="a b" list=\[1\]$/)
  })

  it('writes JSON lines', () => {
    const logger = setupLogger({ file, json: true, console: false })
    logger.warn('careful', { rows: 3n })
    expect(records()[0]).to.include({ level: 'warn', message: 'careful', rows: '3' })
    expect(String(records()[0]?.timestamp)).to.match(/Z$/)
  })

  it('honours the level', () => {
    const logger = setupLogger({ file, level: 'warn', console: false })
    for (const level of ['error', 'warn', 'info', 'debug'] as const) logger[level](level)
    expect(lines().map((line) => line.split(' ')[1])).to.deep.equal(['error', 'warn'])
  })

  it('a file has its own level, whatever the console shows', () => {
    const levels = ['error', 'warn', 'info', 'debug'] as const
    const text = captured(() => {
      const logger = setupLogger({ file, level: 'warn', fileLevel: 'debug', color: false })
      for (const level of levels) logger[level](`at ${level}`)
      setupLogger({ file, level: 'debug', fileLevel: 'error', color: false }).debug('loud')
    })
    expect(text.match(/at \w+|loud/g)).to.deep.equal(['at error', 'at warn', 'loud'])
    expect(lines().map((line) => /at \w+$/.exec(line)?.[0])).to.deep.equal(levels.map((level) => `at ${level}`))
  })

  it('keeps the stack of an error in files, not on the console', () => {
    const text = captured(() => setupLogger({ file, color: false }).error(new Error('broken')))
    expect(text).to.match(/^\d\d:\d\d:\d\d error broken\n$/)
    expect(lines().join('\n')).to.include('broken').and.include('at ')
  })

  it('shows errors that are fields by name and message', () => {
    setupLogger({ file, console: false }).warn('retry', { reason: makeError('FT_DATASET', 'bad row') })
    expect(lines()[0]).to.include('reason="DatasetLoadError: bad row"')
  })

  it('colours only when told to or on a terminal', () => {
    expect(captured(() => setupLogger({ color: true }).info('x'))).to.include('\u001b[32minfo')
    expect(captured(() => setupLogger({ color: false }).info('x'))).not.to.include('\u001b[')
  })

  it('appends, and a second set-up ends the first file', () => {
    setupLogger({ file, console: false }).info('one')
    setupLogger({ file, console: false }).info('two')
    setupLogger({ console: false }).info('three')
    expect(lines().map((line) => line.split('  ')[1])).to.deep.equal(['one', 'two'])
  })

  it('refuses levels that do not exist', () => {
    for (const level of ['loud', 'trace', null, 3]) {
      for (const options of [{ level }, { fileLevel: level }]) {
        expect(caught(() => setupLogger(options as Parameters<typeof setupLogger>[0]))).to.include({ code: 'FT_INVALID_ARGUMENT' })
      }
      expect(caught(() => addLogFile(file, { level } as Parameters<typeof addLogFile>[1])).remedy).to.include('error, warn, info, debug')
    }
    expect(existsSync(file)).to.equal(false)
  })

  it('with a file that cannot be opened is FT_STORAGE', () => {
    expect(caught(() => setupLogger({ file: path.join(folder, 'none', 'x.log'), console: false }))).to.include({ code: 'FT_STORAGE', exitCode: 5 })
  })

  it('a file that fails later ends with one warning, and the work goes on', function () {
    if (!existsSync('/dev/full')) this.skip()
    const text = captured(() => {
      const logger = setupLogger({ file: '/dev/full', console: false })
      logger.info('one')
      logger.info('two')
    })
    expect(text.match(/no longer written/g)).to.have.length(1)
  })
})

describe('addLogFile', () => {
  it('adds a file until it is closed', () => {
    setupLogger({ console: false })
    const extra = addLogFile(file)
    getLogger().info('in')
    extra.close()
    extra.close()
    getLogger().info('out')
    expect(lines()).to.have.length(1)
  })

  it('keeps info under a quiet console, more where the console shows more or the caller wants it', () => {
    const kept = (options: Parameters<typeof setupLogger>[0], own?: Parameters<typeof addLogFile>[1]): string[] => {
      rmSync(file, { force: true })
      setupLogger(options)
      const extra = addLogFile(file, own)
      for (const level of ['error', 'warn', 'info', 'debug'] as const) getLogger()[level](level)
      extra.close()
      return lines().map((line) => line.split(' ')[1] ?? '')
    }
    expect(kept({ level: 'error', console: false })).to.deep.equal(['error', 'warn', 'info'])
    expect(kept({ level: 'debug', console: false })).to.deep.equal(['error', 'warn', 'info', 'debug'])
    expect(kept({ level: 'debug', fileLevel: 'warn', console: false })).to.deep.equal(['error', 'warn'])
    expect(kept({ level: 'info', console: false }, { level: 'error' })).to.deep.equal(['error'])
  })
})

describe('secrets', () => {
  it('reach neither console nor files', () => {
    const token = 'hf_abcdefghijABCDEFGHIJ0123456789abcd'
    const text = captured(() => {
      const logger = setupLogger({ file, json: true, color: false })
      logger.info(`got ${token}`, { url: 'https://u:hunter22@host', token: 'anything', nested: { deep: [token] } })
      logger.error(new Error(token))
    })
    for (const output of [text, readFileSync(file, 'utf8')]) {
      expect(output).not.to.include(token).and.not.include('hunter22').and.not.include('anything')
      expect(output).to.include('[redacted]')
    }
  })
})

describe('LogProgress', () => {
  it('logs start and end with times', async () => {
    setupLogger({ file, json: true, console: false })
    expect(await LogProgress.run('loading', async () => Promise.resolve(5))).to.equal(5)
    const [start, end] = records()
    expect(start).to.include({ level: 'info', message: 'loading …' })
    expect(String(end?.message)).to.match(/^loading: done in \d/)
    expect(Date.parse(String(end?.ended_at))).to.be.at.least(Date.parse(String(start?.started_at)))
    expect(end?.seconds).to.be.a('number')
  })

  it('logs a failure and passes it on', async () => {
    setupLogger({ file, json: true, console: false })
    const error = await rejected(LogProgress.run('loading', () => Promise.reject(makeError('FT_DATASET', 'bad'))))
    expect(error.message).to.equal('bad')
    expect(records()[1]).to.include({ level: 'error' })
    expect(String(records()[1]?.message)).to.match(/^loading: failed after .*: bad$/)
  })

  it('ends once', () => {
    setupLogger({ file, console: false })
    const progress = new LogProgress('task', { fields: { a: 1 } })
    progress.done({ rows: 1 })
    progress.failed(new Error('late'))
    progress[Symbol.dispose]()
    expect(lines()).to.have.length(2)
    expect(lines()[1]).to.include('a=1').and.include('rows=1')
  })
})

describe('LogContext', () => {
  it('gives its fields to every message inside, after an await too, and nests', async () => {
    setupLogger({ file, json: true, console: false })
    const outer = new LogContext({ run: 'a' })
    await outer.run(async () => {
      await Promise.resolve()
      getLogger().info('one')
      new LogContext({ step: 1 }).run(() => getLogger().info('two', { step: 2 }))
    })
    getLogger().info('three')
    outer.child({ part: 'x' }).logger.info('four')
    const [one, two, three, four] = records()
    expect(one).to.include({ run: 'a' })
    expect(two).to.include({ run: 'a', step: 2 })
    expect(three).not.to.have.property('run')
    expect(four).to.include({ run: 'a', part: 'x' })
  })

  it('child loggers add fields', () => {
    setupLogger({ file, console: false })
    getLogger().child({ a: 1 }).child({ b: 2 }).info('x')
    expect(lines()[0]).to.include('a=1 b=2')
  })
})

describe('logModelInfo and logDatasetInfo', () => {
  it('say what a person checks first', () => {
    setupLogger({ file, console: false })
    logModelInfo({ modelType: 'llama', numParameters: 1_000_000, trainableParameters: 10_000, numHiddenLayers: 2, hiddenSize: 64, vocabSize: 300, weightBytes: 4096, dtype: 'bf16' })
    logDatasetInfo({ rows: 12, tokens: 100, supervisedTokens: 25, warnings: ['3 rows are long'] })
    expect(lines()[0]).to.include('model: llama, 1,000,000 parameters, 10,000 trainable (0.990 %), 4.00 KiB of weights').and.include('dtype=bf16').and.not.include('device=')
    expect(lines()[1]).to.include('data: 12 rows, 100 tokens, 25.0 % with loss')
    expect(lines()[2]).to.include('warn').and.include('3 rows are long')
  })
})
