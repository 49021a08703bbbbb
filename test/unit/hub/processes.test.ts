// Several real processes that want the same file of the hub at once: all of them get it, whoever is killed, and the cache holds it once.
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ChildProcess } from 'node:child_process'
import { expect } from 'chai'
import { temporaryFolder } from '../data/helpers.js'
import { cliMain, runNode, type CliResult } from '../support/cli.js'
import { oidOf, startHub, type HubServer } from '../support/hub-server.js'

const folder = temporaryFolder()
const weights = randomBytes(3_000_000)
let hub: HubServer
before(async () => {
  hub = await startHub()
  hub.add('models', 'org/big', { 'config.json': '{"model_type":"llama"}', 'model.safetensors': weights })
})
after(() => hub.close())

/** A process that resolves the model and prints the folder. */
function resolveInProcess(home: string, onStart?: (child: ChildProcess) => void): Promise<CliResult> {
  const module = pathToFileURL(path.join(path.dirname(cliMain()), '../models/resolve.js')).href
  const code = `import { resolveModelFolder } from ${JSON.stringify(module)}; process.stdout.write(await resolveModelFolder('org/big'))`
  return runNode(['--input-type=module', '-e', code], { env: { HF_ENDPOINT: hub.endpoint, HF_HOME: home, HF_HUB_DOWNLOAD_TIMEOUT: '20' }, onStart })
}

const blobs = (home: string): string => path.join(home, 'hub/models--org--big/blobs')

function expectOneGoodBlob(home: string): void {
  expect(readdirSync(blobs(home)).sort()).to.deep.equal([oidOf(Buffer.from('{"model_type":"llama"}')), oidOf(weights)].sort())
  expect(readFileSync(path.join(blobs(home), oidOf(weights))).equals(weights)).to.equal(true)
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(holds()).to.equal(true)
}

describe('processes that want the same file', function () {
  this.timeout(120_000)

  it('all get it, through a broken connection, and download it about once', async () => {
    const home = folder.path('many')
    hub.rules = [{ path: 'model.safetensors', fault: { reset: 1_000_000 } }]
    const results = await Promise.all([1, 2, 3].map(() => resolveInProcess(home)))
    for (const { code, stderr, stdout } of results) {
      expect(code, stderr).to.equal(0)
      expect(stdout).to.equal(results[0]!.stdout)
      expect(readFileSync(path.join(stdout, 'model.safetensors')).equals(weights)).to.equal(true)
    }
    expectOneGoodBlob(home)
    // Each may have begun before it saw the others; nobody begins again.
    expect(hub.downloads('model.safetensors').length).to.be.at.most(4)
  })

  it('go on with what one has when that is killed', async () => {
    const home = folder.path('killed')
    hub.rules = [{ path: 'model.safetensors', fault: { stall: 2_000_000 } }]
    hub.seen.length = 0
    let first: ChildProcess | undefined
    const killed = resolveInProcess(home, (child) => (first = child))
    const partial = (): string | undefined => (existsSync(blobs(home)) ? readdirSync(blobs(home)).find((name) => name.startsWith(oidOf(weights)) && name.endsWith('.part')) : undefined)
    await until(() => partial() !== undefined && statSync(path.join(blobs(home), partial() as string)).size >= 2_000_000)
    const second = resolveInProcess(home)
    // It waits for the first, which is alive.
    await until(() => hub.seen.filter(({ path: one }) => one.includes('/tree/')).length >= 2)
    expect(hub.downloads('model.safetensors')).to.have.length(1)
    first?.kill('SIGKILL')
    expect((await killed).signal).to.equal('SIGKILL')
    const { code, stderr } = await second
    expect(code, stderr).to.equal(0)
    expectOneGoodBlob(home)
    expect(hub.downloads('model.safetensors').map(({ range }) => range)).to.deep.equal([undefined, 'bytes=2000000-'])
  })
})
