// Progress: plain lines without a terminal, a bar on one, silence when quiet; and how numbers are written.
import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { setupLogger } from '../../../lib/utils/logging.js'
import { createProgress } from '../../../lib/utils/progress.js'
import { formatBytes, formatCount, formatSeconds, isInteractive, wantsColor } from '../../../lib/utils/terminal.js'

/** A stream that looks like stderr; `text()` is all that was written. */
function fakeStream(terminal: boolean) {
  const stream = new PassThrough() as unknown as NodeJS.WriteStream & { text(): string }
  let all = ''
  stream.on('data', (chunk: Buffer) => {
    all += chunk.toString()
  })
  Object.assign(stream, { isTTY: terminal, columns: 100, cursorTo: () => true, clearLine: () => true, moveCursor: () => true })
  stream.text = () => {
    ;(stream as unknown as PassThrough).read()
    return all
  }
  return stream
}

describe('createProgress', () => {
  it('writes occasional plain lines where there is no terminal', () => {
    const stream = fakeStream(false)
    const progress = createProgress({ total: 10, label: 'training', unit: 'steps', stream, lineSeconds: 0 })
    progress.update(5, 'loss 1.5')
    progress.update(10)
    progress.stop()
    const text = stream.text()
    expect(text).to.match(/training: 5\/10 steps 50 %, .* left, loss 1\.5\n/)
    expect(text).to.include('training: 10/10 steps 100 %, loss 1.5\n')
    expect(text).not.to.include('\u001b').and.not.include('\r')
  })

  it('holds lines back until it is time, but always shows the end', () => {
    const stream = fakeStream(false)
    const progress = createProgress({ total: 10, label: 'x', stream, lineSeconds: 3600 })
    for (let i = 1; i <= 10; i++) progress.update(i)
    progress.stop()
    expect(stream.text()).to.equal('x: 100 %\n')
  })

  it('is silent when quiet, and when nothing was done', () => {
    const stream = fakeStream(false)
    const quiet = createProgress({ total: 1, label: 'x', stream, quiet: true, lineSeconds: 0 })
    quiet.update(1)
    quiet.stop()
    createProgress({ total: 1, label: 'x', stream, lineSeconds: 0 }).stop()
    expect(stream.text()).to.equal('')
  })

  it('draws a bar on a terminal, out of the way of log lines', () => {
    const { CI } = process.env
    delete process.env.CI
    const stream = fakeStream(true)
    const original = process.stderr.write.bind(process.stderr)
    try {
      const progress = createProgress({ total: 4, label: 'training', unit: 'steps', stream, color: false })
      progress.update(2, 'loss 2')
      process.stderr.write = (() => true)
      setupLogger({ level: 'info', color: false }).info('a line')
      process.stderr.write = original
      progress.update(4)
      progress.stop()
      const text = stream.text()
      expect(text).to.include('training').and.include('█').and.include('4/4 steps')
      expect(text).to.include('\r\u001b[K')
    } finally {
      process.stderr.write = original
      setupLogger({ level: 'error', console: false })
      if (CI !== undefined) process.env.CI = CI
    }
  })
})

describe('the terminal', () => {
  it('decides about colours with NO_COLOR and FORCE_COLOR', () => {
    expect(wantsColor({ isTTY: true }, {})).to.equal(true)
    expect(wantsColor({}, {})).to.equal(false)
    expect(wantsColor({ isTTY: true }, { NO_COLOR: '1' })).to.equal(false)
    expect(wantsColor({ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' })).to.equal(false)
    expect(wantsColor({}, { FORCE_COLOR: '1' })).to.equal(true)
    expect(wantsColor({ isTTY: true }, { TERM: 'dumb' })).to.equal(false)
  })

  it('draws in place only where a person looks', () => {
    expect(isInteractive({ isTTY: true }, {})).to.equal(true)
    expect(isInteractive({ isTTY: true }, { CI: 'true' })).to.equal(false)
    expect(isInteractive({}, {})).to.equal(false)
  })
})

describe('formats', () => {
  it('of bytes, seconds and counts', () => {
    expect([0, 1023, 1536, 20 * 2 ** 20, 3 * 2 ** 40].map(formatBytes)).to.deep.equal(['0 B', '1023 B', '1.50 KiB', '20.0 MiB', '3.00 TiB'])
    expect([0.04, 9.96, 42, 75, 3723, NaN].map(formatSeconds)).to.deep.equal(['0.0 s', '10.0 s', '42 s', '1 min 15 s', '1 h 02 min', '–'])
    expect(formatCount(1234567)).to.equal('1,234,567')
  })
})
