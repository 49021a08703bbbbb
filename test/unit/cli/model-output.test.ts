// Writing a model over another one: what a killed process left beside it is put right, whoever has its number now.
import { expect } from 'chai'
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { writeModelFolder } from '../../../lib/cli/model-output.js'
import { failure, temporaryFolder } from '../data/helpers.js'

describe('the folder of a model that is written', () => {
  const folder = temporaryFolder()
  const model = (name: string, touched?: number): string => {
    writeFileSync(path.join((mkdirSync(folder.path(name), { recursive: true }), folder.path(name)), 'config.json'), name)
    if (touched !== undefined) utimesSync(folder.path(name), touched, touched)
    return folder.path(name)
  }
  const writes = (temporary: string): Promise<void> => Promise.resolve(void writeFileSync(path.join((mkdirSync(temporary), temporary), 'config.json'), 'new'))

  it('gets back what a process had put aside that is gone, though another has its number', async () => {
    for (const pid of [999_999_999, process.pid, process.ppid]) {
      model(`.old-out-${pid}`, 1e9)
      model(`.tmp-out-${pid}`, 1e9)
      await failure(() => writeModelFolder({ output: folder.path('out'), overwrite: false, inputs: [] }, writes), 'FT_OUTPUT_EXISTS')
      expect(readdirSync(folder.path())).to.deep.equal(['out'])
      expect(readFileSync(folder.path('out/config.json'), 'utf8')).to.equal(`.old-out-${pid}`)
      await writeModelFolder({ output: folder.path('out'), overwrite: true, inputs: [] }, writes)
      expect(readFileSync(folder.path('out/config.json'), 'utf8')).to.equal('new')
      await writeModelFolder({ output: model('none'), overwrite: true, inputs: [] }, writes)
      for (const name of ['out', 'none']) rmSync(folder.path(name), { recursive: true })
    }
  })

  it('leaves alone what a process is at', async () => {
    model(`.tmp-busy-${process.ppid}`)
    await writeModelFolder({ output: folder.path('busy'), overwrite: false, inputs: [] }, writes)
    expect(readdirSync(folder.path()).sort()).to.deep.equal([`.tmp-busy-${process.ppid}`, 'busy'])
  })
})
