// Signals: one ends an ordinary command at once; a graceful one is told, and a second signal ends it.
import { expect } from 'chai'
import { watchInterrupts } from '../../../lib/cli/interrupts.js'

describe('watchInterrupts', () => {
  const watch = () => {
    const codes: number[] = []
    return { codes, interrupts: watchInterrupts((code) => codes.push(code)) }
  }

  it('ends an ordinary command with 130 or 143', () => {
    const { codes, interrupts } = watch()
    process.emit('SIGINT', 'SIGINT')
    process.emit('SIGTERM', 'SIGTERM')
    interrupts.dispose()
    expect(codes).to.deep.equal([130, 143])
    expect(interrupts.signal.aborted).to.equal(false)
  })

  it('tells a graceful command once, then ends it', () => {
    const { codes, interrupts } = watch()
    interrupts.graceful = true
    process.emit('SIGTERM', 'SIGTERM')
    expect(codes).to.deep.equal([])
    expect(interrupts.received).to.deep.equal({ signal: 'SIGTERM', exitCode: 143 })
    expect(interrupts.signal.reason).to.equal(interrupts.received)
    process.emit('SIGINT', 'SIGINT')
    interrupts.dispose()
    expect(codes).to.deep.equal([130])
  })
})
