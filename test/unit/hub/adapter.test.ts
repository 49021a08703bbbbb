// Adapters of the hub by name: what is downloaded, what is refused, and the commands that take one.
import { expect } from 'chai'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { resolveAdapterFolder } from '../../../lib/models/index.js'
import { failure, temporaryFolder } from '../data/helpers.js'
import { demoModel, runModelCli } from '../support/demo-model.js'
import { startHub, type HubServer } from '../support/hub-server.js'

const folder = temporaryFolder()
let hub: HubServer
before(async () => (hub = await startHub()))
after(() => hub.close())
beforeEach(() => {
  hub.rules = []
  hub.seen.length = 0
})

const files = { 'adapter_config.json': '{"peft_type":"LORA"}', 'adapter_model.safetensors': 'w'.repeat(500), 'optimizer.pt': 'x', 'README.md': '# x', 'checkpoint-5/adapter_model.safetensors': 'y' }
const env = (name: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({ HF_ENDPOINT: hub.endpoint, HF_HOME: folder.path(name), ...more })

describe('an adapter of the hub', function () {
  this.timeout(120_000)

  it('is its configuration and its weights, by revision, and comes from the cache without the hub', async () => {
    hub.add('models', 'org/lora', files)
    hub.add('models', 'org/lora', { ...files, 'adapter_model.safetensors': 'v'.repeat(600) }, 'v2')
    const found = await resolveAdapterFolder('org/lora', env('a'))
    expect(readdirSync(found).sort()).to.deep.equal(['adapter_config.json', 'adapter_model.safetensors'])
    expect(readFileSync(path.join(await resolveAdapterFolder('org/lora@v2', env('a')), 'adapter_model.safetensors'), 'utf8')).to.equal('v'.repeat(600))
    hub.seen.length = 0
    expect(await resolveAdapterFolder('org/lora', env('a', { HF_HUB_OFFLINE: '1' }))).to.equal(found)
    expect(hub.seen).to.have.length(0)
    hub.rules = [{ path: '/api/', fault: { reset: -1 }, times: 9 }]
    expect(await resolveAdapterFolder('org/lora', env('a'))).to.equal(found)
  })

  it('is refused where it is a pickle, half of one, or none; both readings of the name are told', async () => {
    hub.add('models', 'org/pickled', { 'adapter_config.json': '{}', 'adapter_model.bin': 'x' })
    hub.add('models', 'org/bare', { 'adapter_config.json': '{}' })
    hub.add('models', 'org/other', { 'config.json': '{}' })
    await failure(() => resolveAdapterFolder('org/pickled', env('b')), 'FT_PICKLE_REFUSED')
    for (const name of ['org/bare', 'org/other', 'org/none']) {
      const error = await failure(() => resolveAdapterFolder(name, env('b')), 'FT_ADAPTER')
      expect(error.message).to.include(path.resolve(name)).and.include(`${hub.endpoint}/${name}`)
      expect(error.remedy).to.include('folder').and.include('hub')
    }
    expect(hub.downloads('.bin')).to.have.length(0)
    expect((await failure(() => resolveAdapterFolder('org/lora', env('c', { HF_HUB_OFFLINE: '1' })), 'FT_ADAPTER')).message).to.include('models--org--lora')
    hub.rules = [{ path: '/api/', fault: { status: 403 }, times: 9 }]
    await failure(() => resolveAdapterFolder('org/lora', env('c')), 'FT_HUB_AUTH')
  })

  it('is never asked for where a path is meant', async () => {
    mkdirSync(folder.path('out'), { recursive: true })
    const from = process.cwd()
    process.chdir(folder.path())
    try {
      for (const name of ['out/adaptor', 'adapter', './org/lora', '../x/y', folder.path('none'), '', 'a\0b']) await failure(() => resolveAdapterFolder(name, env('d')), 'FT_ADAPTER')
      expect(await resolveAdapterFolder('out', env('d'))).to.equal('out')
    } finally {
      process.chdir(from)
    }
    await failure(() => resolveAdapterFolder(folder.write('file.safetensors', 'x'), env('d')), 'FT_ADAPTER')
    expect(hub.seen).to.have.length(0)
  })

  it('is taken by train, merge and inspect, and a resumed run has it again', async () => {
    const data = folder.write('data.jsonl', Array.from({ length: 8 }, (_, i) => JSON.stringify({ text: `row ${i}` })).join('\n'))
    const run = async (...args: string[]): Promise<{ stdout: string; stderr: string }> => {
      const done = await runModelCli([...args, '--json'], { env: env('cli') })
      expect(done.code, `${args.join(' ')}\n${done.stderr}`).to.equal(0)
      return done
    }
    await run('train', '--model', demoModel, '--data', data, '--output', folder.path('first'), '--lora-r', '3', '--max-steps', '1', '--no-cache')
    hub.add('models', 'org/tuned', Object.fromEntries(['adapter_config.json', 'adapter_model.safetensors'].map((name) => [name, readFileSync(folder.path('first', name))])))
    await run('train', '--model', demoModel, '--data', data, '--output', folder.path('second'), '--adapter', 'org/tuned', '--max-steps', '1', '--no-cache')
    expect((JSON.parse(readFileSync(folder.path('second/adapter_config.json'), 'utf8')) as { r: number }).r).to.equal(3)
    expect(readFileSync(folder.path('second/ft_config.yaml'), 'utf8')).to.match(/adapter: org\/tuned/)
    await run('train', '--resume', folder.path('second'), '--max-steps', '2', '--no-cache')
    await run('merge', '--adapter', 'org/tuned', '--model', demoModel, '--output', folder.path('merged'))
    expect(JSON.parse((await run('inspect', 'adapter', 'org/tuned')).stdout)).to.include({ usable: true })
  })
})
