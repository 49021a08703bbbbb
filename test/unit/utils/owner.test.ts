// A process that got the number of one that ended is not taken for it.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { expect } from 'chai'
import { elapsedSeconds, isOwnerAlive, startOf } from '../../../lib/utils/owner.js'

describe('the owner of a file', () => {
  let other: ChildProcess
  const started = Date.now()
  before(() => (other = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], { stdio: 'ignore' })))
  after(() => other.kill('SIGKILL'))
  const pid = (): number => other.pid as number

  it('is alive while its process is, and only that one', () => {
    expect(isOwnerAlive(pid(), Date.now())).to.equal(true)
    expect(isOwnerAlive(process.pid, Date.now())).to.equal(true)
    // Files from before the process began are of another that had its number.
    for (const one of [pid(), process.pid, 1]) expect(isOwnerAlive(one, Date.now() - 20 * 365 * 86_400_000), String(one)).to.equal(false)
    expect(isOwnerAlive(pid(), started - 60_000)).to.equal(false)
    expect(isOwnerAlive(spawnSync(process.execPath, ['-e', '']).pid, Date.now())).to.equal(false)
    for (const odd of [0, -1, 1.5, NaN]) expect(isOwnerAlive(odd, Date.now())).to.equal(false)
  })

  it('began when the system says, by either of its ways', function () {
    expect(startOf(pid())).to.be.within(started - 2000, Date.now() + 2000)
    if (spawnSync('ps', ['-o', 'etime=', '-p', String(pid())]).status !== 0) this.skip()
    expect(elapsedSeconds(pid())).to.be.within(0, (Date.now() - started) / 1000 + 2)
    expect(elapsedSeconds(process.pid)).to.be.closeTo(process.uptime(), 3)
    expect(elapsedSeconds(spawnSync(process.execPath, ['-e', '']).pid)).to.equal(null)
  })
})
