// The command line on models and data sets of a hub: trained, resumed, inspected; what it says of faults, and what it says to nobody.
import { expect } from 'chai'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { temporaryFolder } from '../data/helpers.js'
import { root } from '../support/cli.js'
import { runModelCli } from '../support/demo-model.js'
import { startHub, type HubServer } from '../support/hub-server.js'

const folder = temporaryFolder()
const token = 'hf_abcdefghijklmnopqrstuvwxyz0123'
const model = path.join(root, 'examples/demo/model')
const lines = readFileSync(path.join(root, 'examples/demo/data.jsonl'), 'utf8').split('\n').slice(0, 40)
let hub: HubServer

before(async () => {
  hub = await startHub()
  Object.assign(hub, { token, redirect: true })
  hub.add('models', 'org/demo', Object.fromEntries(readdirSync(model).map((name) => [name, readFileSync(path.join(model, name))])))
  hub.add('datasets', 'org/words', { 'README.md': 'x', 'train.jsonl': lines.slice(0, 30).join('\n'), 'validation.jsonl': lines.slice(30).join('\n') })
})
after(() => hub.close())

const env = (): NodeJS.ProcessEnv => ({ HF_ENDPOINT: hub.endpoint, HF_HOME: folder.path('hf'), HF_TOKEN: token })

function filesBelow(start: string): string[] {
  return readdirSync(start, { recursive: true }).map((name) => path.join(start, String(name))).filter((file) => statSync(file).isFile())
}

describe('the command line and the hub', function () {
  this.timeout(120_000)

  it('trains on names, evaluates on the validation split, and resumes with it', async () => {
    const args = ['train', '--model', 'org/demo', '--data', 'org/words', '--output', folder.path('out'), '--json', '--no-cache']
    const first = await runModelCli([...args, '--max-steps', '1'], { env: env() })
    expect(first.code, first.stderr).to.equal(0)
    const more = await runModelCli(['train', '--resume', folder.path('out'), '--max-steps', '2', '--json', '--no-cache'], { env: env() })
    expect(more.code, more.stderr).to.equal(0)
    for (const { stdout } of [first, more]) {
      const events = stdout.trim().split('\n').map((line) => JSON.parse(line) as { event: string; eval_rows?: number })
      expect(events.find((one) => one.event === 'eval')?.eval_rows).to.equal(10)
    }
    expect((JSON.parse(readFileSync(folder.path('out/adapter_config.json'), 'utf8')) as { base_model_name_or_path: string }).base_model_name_or_path).to.equal('org/demo')
    for (const text of [first.stdout, first.stderr, more.stdout, more.stderr]) expect(text).not.to.include(token)
    for (const file of [...filesBelow(folder.path('out')), ...filesBelow(folder.path('hf'))]) expect(readFileSync(file).includes(token), file).to.equal(false)
  })

  it('fetches no weights and no data for a device that is not here', async () => {
    hub.seen.length = 0
    for (const args of [['train', '--model', 'org/demo', '--data', 'org/words', '--output', folder.path('never')], ['generate', '--model', 'org/demo', '--prompt', 'x'], ['merge', '--model', 'org/demo', '--adapter', 'org/none', '--output', folder.path('never')]]) {
      const { code, stderr } = await runModelCli([...args, '--device', 'cuda:99'], { env: { ...env(), HF_HOME: folder.path('nothing') } })
      expect(code, stderr).to.equal(2)
      expect(stderr).to.include('FT_DEVICE_UNAVAILABLE').and.include('cuda:99')
    }
    expect(hub.downloads('.safetensors')).to.deep.equal([])
    expect(hub.seen.filter((one) => one.path.includes('datasets'))).to.deep.equal([])
  })

  it('reads standard input', async () => {
    const read = await runModelCli(['inspect', 'data', '-', '--json'], { env: env(), input: `${lines.slice(0, 3).join('\n')}\n` })
    expect(read.code, read.stderr).to.equal(0)
    expect(JSON.parse(read.stdout)).to.deep.include({ rows: 3 })
  })

  it('ends with the exit code of the fault, and tells no token', async () => {
    const faults: [string[], NodeJS.ProcessEnv, number, string][] = [
      [['inspect', 'data', 'org/none'], env(), 3, 'FT_HUB_NOT_FOUND'],
      [['inspect', 'data', 'org/words'], { ...env(), HF_HOME: folder.path('empty'), HF_TOKEN: 'hf_wrongwrongwrongwrong1' }, 4, 'FT_HUB_AUTH'],
      [['inspect', 'data', 'org/else'], { ...env(), HF_HUB_OFFLINE: '1' }, 3, 'FT_DATASET'],
      // What is in the cache is used as it is, with a warning.
      [['inspect', 'data', 'org/words'], { ...env(), HF_TOKEN: 'hf_wrongwrongwrongwrong1' }, 0, 'read from the cache'],
      [['inspect', 'model', 'org/none'], env(), 3, 'FT_MODEL_NOT_FOUND'],
    ]
    for (const [args, given, code, name] of faults) {
      const result = await runModelCli(args, { env: given })
      expect(result.code, result.stderr).to.equal(code)
      expect(result.stderr).to.include(name).and.not.match(/hf_[a-z]+\d/)
    }
  })
})
