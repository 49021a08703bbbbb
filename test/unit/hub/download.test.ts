// Downloads against a hub that fails in every way: what arrives is what was promised, or an error with a type; what came is kept.
import { expect } from 'chai'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import os from 'node:os'
import path from 'node:path'
import type { ErrorCode } from '../../../lib/core/errors/index.js'
import { exitCodeOf } from '../../../lib/core/errors/index.js'
import { redact } from '../../../lib/core/redact.js'
import { downloadFile } from '../../../lib/hub/download.js'
import { setHubHost } from '../../../lib/hub/host.js'
import { retryAfter } from '../../../lib/hub/http.js'
import { modelFolder } from '../../../lib/hub/model.js'
import { checkFileName, openRepository, repositoryId, type Repository } from '../../../lib/hub/repository.js'
import { hubSettings, type HubSettings } from '../../../lib/hub/settings.js'
import { resolveModelFolder } from '../../../lib/models/resolve.js'
import { setupLogger } from '../../../lib/utils/logger.js'
import { failure, temporaryFolder } from '../data/helpers.js'
import { oidOf, startHub, type Fault, type HubServer } from '../support/hub-server.js'

const folder = temporaryFolder()
const secret = 'hf_hunter2hunter2hunter2hunter2'
let hub: HubServer
let count = 0

before(async () => {
  hub = await startHub()
})
after(() => hub.close())
beforeEach(() => {
  Object.assign(hub, { rules: [], redirect: false, token: undefined })
  hub.seen.length = 0
})

function settings(more: Partial<HubSettings> = {}, env: NodeJS.ProcessEnv = {}): HubSettings {
  return { ...hubSettings({ HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: folder.path(`cache${++count}`), ...env }), pause: 2, stallTimeout: 150, answerTimeout: 400, ...more }
}

const weights = randomBytes(200_000)
const model = { 'config.json': '{"model_type":"llama"}', 'tokenizer.json': `{"x":"${'y'.repeat(400)}"}`, 'model.safetensors': weights, 'README.md': '# hi', 'pytorch_model.bin': 'pickle', 'onnx/model.onnx': 'x' }

async function repository(with_: HubSettings, name = 'org/model'): Promise<Repository> {
  return await openRepository(with_, repositoryId('model', name))
}

/** Downloads the weights with a fault in the way. */
async function download(faults: readonly Fault[], more: Partial<HubSettings> = {}, name = 'org/model'): Promise<string> {
  hub.add('models', name, model)
  const with_ = settings(more)
  const repo = await repository(with_, name)
  hub.rules = faults.map((fault) => ({ path: 'model.safetensors', fault }))
  const file = repo.files.find((one) => one.path === 'model.safetensors')
  return await downloadFile(with_, repo, file as NonNullable<typeof file>)
}

function tries(): number {
  return hub.downloads('model.safetensors').length
}

describe('a download', () => {
  const passing: [string, Fault[], number][] = [
    ['nothing', [], 1],
    ['a reset in the middle', [{ reset: 70_000 }], 2],
    ['a reset before the answer', [{ reset: -1 }], 2],
    ['a body that is cut short', [{ truncate: 50_000 }, { truncate: 10 }], 3],
    ['a stall', [{ stall: 1000 }], 2],
    ['no answer', [{ stall: -1 }], 2],
    ['500, 502, 503 and 429', [{ status: 500 }, { status: 502 }, { status: 503 }, { status: 429, headers: { 'retry-after': '0' } }], 5],
    ['content that is not what was promised', [{ corrupt: true }], 2],
    ['too many bytes', [{ excess: true }], 2],
    ['a server that knows no ranges', [{ reset: 70_000 }, { noRange: true }], 2],
    ['another part than was asked for', [{ reset: 70_000 }, { wrongRange: true }], 3],
    ['a changed file between two parts', [{ reset: 70_000 }, { corrupt: true }], 3],
  ]
  for (const [what, faults, expected] of passing) {
    for (const redirect of [false, true]) {
      it(`survives ${what}${redirect ? ', from another host' : ''}`, async () => {
        hub.redirect = redirect
        expect(readFileSync(await download(faults)).equals(weights)).to.equal(true)
        expect(tries()).to.equal(redirect ? 2 * expected : expected)
      })
    }
  }

  it('goes on where it ended', async () => {
    await download([{ reset: 70_000 }, { truncate: 30_000 }])
    const ranges = hub.downloads('model.safetensors').map((one) => one.range)
    expect(ranges[0]).to.equal(undefined)
    for (const range of ranges.slice(1)) expect(range).to.match(/^bytes=[1-9]\d*-$/)
  })

  it('ends after five tries, keeps what came, and the next run goes on there', async () => {
    hub.add('models', 'org/model', model)
    const with_ = settings()
    const repo = await repository(with_)
    const file = repo.files.find((one) => one.path === 'model.safetensors')
    hub.rules = [{ path: 'model.safetensors', fault: { reset: 20_000 }, times: 5 }]
    const error = await failure(() => downloadFile(with_, repo, file as NonNullable<typeof file>), 'FT_HUB')
    expect(exitCodeOf(error)).to.equal(9)
    expect(tries()).to.equal(5)
    hub.seen.length = 0
    await downloadFile(with_, repo, file as NonNullable<typeof file>)
    expect(hub.downloads('model.safetensors').map((one) => one.range)).to.deep.equal([`bytes=${5 * 20_000}-`])
  })

  it('takes over what a process that was killed left behind, and nothing else', async () => {
    hub.add('models', 'org/model', model)
    const with_ = settings()
    const repo = await repository(with_)
    const blobs = path.join(with_.cacheDir, 'models--org--model/blobs')
    const oid = oidOf(weights)
    mkdirSync(blobs, { recursive: true })
    const host = (await import('node:os')).hostname().replaceAll(/[^A-Za-z0-9-]/g, '').slice(0, 40)
    writeFileSync(path.join(blobs, `${oid}.${host}.999999999.01234567.part`), weights.subarray(0, 150_000))
    writeFileSync(path.join(blobs, `${oid}.incomplete`), 'of another program')
    const file = repo.files.find((one) => one.path === 'model.safetensors')
    await downloadFile(with_, repo, file as NonNullable<typeof file>)
    expect(hub.downloads('model.safetensors').map((one) => one.range)).to.deep.equal(['bytes=150000-'])
    expect(readdirSync(blobs).sort()).to.deep.equal([oid, `${oid}.incomplete`].sort())
  })

  it('never uses content with another hash', async () => {
    const error = await failure(() => download([1, 2, 3, 4, 5].map(() => ({ corrupt: true as const }))), 'FT_HUB')
    expect(error.message).to.include('hash')
    expect(tries()).to.equal(5)
    const blobs = readdirSync(folder.path(`cache${count}`, 'models--org--model/blobs'))
    expect(blobs.filter((name) => !name.endsWith('.part'))).to.deep.equal([])
  })

  const final: [Fault, ErrorCode, number][] = [
    [{ status: 401 }, 'FT_HUB_AUTH', 4], [{ status: 403, headers: { 'x-error-code': 'GatedRepo' } }, 'FT_HUB_AUTH', 4], [{ status: 404, headers: { 'x-error-code': 'EntryNotFound' } }, 'FT_HUB_NOT_FOUND', 3],
    [{ status: 400 }, 'FT_HUB', 9],
  ]
  for (const [fault, code, exit] of final) {
    it(`is not tried again after ${'status' in fault ? fault.status : ''}`, async () => {
      const error = await failure(() => download([fault]), code)
      expect(exitCodeOf(error)).to.equal(exit)
      expect(tries()).to.equal(1)
      expect(JSON.stringify([error.message, error.remedy, error.details])).not.to.include('hunter2')
    })
  }

  it('waits as long as it is told to, but not for hours', async () => {
    const started = Date.now()
    await download([{ status: 429, headers: { 'retry-after': '1' } }])
    expect(Date.now() - started).to.be.greaterThan(900)
    const error = await failure(() => download([{ status: 429, headers: { 'retry-after': '7200' } }]), 'FT_HUB')
    expect(error.remedy).to.include('7200 s')
    expect(retryAfter(new Date(Date.now() + 5000).toUTCString())).to.be.within(3000, 5100)
    for (const odd of [null, '', 'soon']) expect(retryAfter(odd)).to.equal(undefined)
  })

  it('can be cancelled, also while it waits', async () => {
    for (const fault of [{ stall: 1000 }, { status: 503, headers: { 'retry-after': '60' } }] as const) {
      const stop = new AbortController()
      setTimeout(() => stop.abort(), 50)
      hub.add('models', 'org/model', model)
      const with_ = settings({ stallTimeout: 60_000 })
      const repo = await repository(with_)
      hub.rules = [{ path: 'model.safetensors', fault }]
      const file = repo.files.find((one) => one.path === 'model.safetensors')
      const started = Date.now()
      await failure(() => downloadFile(with_, repo, file as NonNullable<typeof file>, { signal: stop.signal }), 'FT_CANCELLED')
      expect(Date.now() - started).to.be.lessThan(5000)
    }
  })

  it('shows how far it has come', async () => {
    hub.add('models', 'org/model', model)
    const shown: string[] = []
    setHubHost({ progress: (label, total) => ({ update: (done) => shown.push(`${label} ${done}/${total}`), stop: () => shown.push('stop') }) })
    try {
      await modelFolder(settings(), repositoryId('model', 'org/model'))
    } finally {
      setHubHost({})
    }
    const total = weights.length + model['config.json'].length + model['tokenizer.json'].length
    expect(shown).to.include(`org/model ${total}/${total}`)
    expect(shown[shown.length - 1]).to.equal('stop')
  })
})

describe('two downloads of the same file', () => {
  it('make one request where they can, and both have the file', async () => {
    hub.add('models', 'org/model', model)
    const with_ = settings()
    const repo = await repository(with_)
    const file = repo.files.find((one) => one.path === 'model.safetensors') as Repository['files'][number]
    const done = await Promise.all([1, 2, 3].map(() => downloadFile(with_, repo, file)))
    for (const one of done) expect(readFileSync(one).equals(weights)).to.equal(true)
    expect(readdirSync(path.join(with_.cacheDir, 'models--org--model/blobs'))).to.deep.equal([file.oid])
  })

  /** The beginning of the weights under the name of another process. */
  async function leftBy(pid: number, with_: HubSettings, where = os.hostname().replaceAll(/[^A-Za-z0-9-]/g, '').slice(0, 40)): Promise<{ left: string; get: () => Promise<string> }> {
    hub.add('models', 'org/model', model)
    const repo = await repository(with_)
    const left = path.join(with_.cacheDir, 'models--org--model/blobs', `${oidOf(weights)}.${where}.${pid}.01234567.part`)
    mkdirSync(path.dirname(left), { recursive: true })
    writeFileSync(left, weights.subarray(0, 150_000))
    const file = repo.files.find((one) => one.path === 'model.safetensors') as Repository['files'][number]
    return { left, get: () => downloadFile(with_, repo, file) }
  }

  it('are one, where a process has the number of one that has ended', async () => {
    for (const pid of [1, process.pid, process.ppid]) {
      hub.seen.length = 0
      const { left, get } = await leftBy(pid, settings())
      utimesSync(left, 1e9, 1e9)
      expect(readFileSync(await get()).equals(weights)).to.equal(true)
      expect(hub.downloads('model.safetensors').map((one) => one.range)).to.deep.equal(['bytes=150000-'])
    }
  })

  it('wait for one another as long as the other moves, and say so', async () => {
    for (const where of [undefined, 'elsewhere']) {
      const log = folder.path(`wait${++count}.log`)
      setupLogger({ file: log, console: false })
      const { left, get } = await leftBy(process.ppid, settings({ quietTimeout: 900 }), where)
      let here = 150_000
      const moving = setInterval(() => writeFileSync(left, weights.subarray(0, ++here)), 100)
      let moved = 0
      setTimeout(() => {
        moved = hub.downloads('model.safetensors').length
        clearInterval(moving)
      }, 1800)
      expect(readFileSync(await get()).equals(weights)).to.equal(true)
      setupLogger({ console: false })
      expect(moved, 'while it moves').to.equal(0)
      expect(here).to.be.greaterThan(150_005)
      expect(readFileSync(log, 'utf8')).to.include(`process ${process.ppid}${where === undefined ? '' : ' on elsewhere'} downloads org/model/model.safetensors: waiting for it`).and.include('has not moved for 1 s')
      expect(readdirSync(path.dirname(left)).sort()).to.deep.equal([oidOf(weights), path.basename(left)].sort())
      hub.seen.length = 0
    }
  })

  it('survive that one takes the other for dead', async () => {
    const with_ = settings({ pause: 300 })
    const { left, get } = await leftBy(999_999_999, with_)
    hub.rules = [{ path: 'model.safetensors', fault: { reset: 10_000 } }]
    const blobs = path.dirname(left)
    const done = get()
    // Another machine of the same name sees no such process, and goes on with its file.
    const steal = setInterval(() => {
      const mine = readdirSync(blobs).find((name) => name.includes(`.${process.pid}.`))
      if (mine === undefined || hub.downloads('model.safetensors').length === 0) return
      clearInterval(steal)
      renameSync(path.join(blobs, mine), path.join(blobs, `${oidOf(weights)}.elsewhere.1.01234567.part`))
    }, 5)
    expect(readFileSync(await done).equals(weights)).to.equal(true)
    expect(hub.downloads('model.safetensors').at(-1)?.range).to.equal(undefined)
  })
})

describe('the token', () => {
  it('goes to the hub alone, and is told to nobody', async () => {
    hub.redirect = true
    hub.token = secret
    hub.add('models', 'org/model', model)
    const with_ = settings({}, { HF_TOKEN: ` ${secret}\n` })
    await modelFolder(with_, repositoryId('model', 'org/model'))
    expect(hub.seen.filter((one) => one.path.startsWith('/cdn/'))).not.to.have.length(0)
    for (const one of hub.seen) expect(one.authorization, one.path).to.equal(one.path.startsWith('/cdn/') ? undefined : `Bearer ${secret}`)
    hub.token = 'another'
    const error = await failure(() => modelFolder(settings({}, { HF_TOKEN: secret }), repositoryId('model', 'org/model')), 'FT_HUB_AUTH')
    expect(JSON.stringify([error.message, error.remedy, error.details, String(error.cause)])).not.to.include(secret)
  })

  it('comes from the environment or from where huggingface_hub keeps it', async () => {
    const home = path.dirname(folder.write('home/token', `${secret}\n`))
    expect(hubSettings({ HF_HOME: home }).token).to.equal(secret)
    expect(redact(`the token ${secret}`, {})).not.to.include(secret)
    writeFileSync(path.join(home, 'another'), 'of-no-known-shape\n')
    hubSettings({ HF_TOKEN_PATH: path.join(home, 'another') })
    expect(redact('the token of-no-known-shape', {})).to.equal('the token [redacted]')
    expect(hubSettings({ HF_HOME: home, HF_TOKEN: 'hf_other' }).token).to.equal('hf_other')
    expect(hubSettings({ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token).to.equal(undefined)
    expect(hubSettings({ HF_HOME: folder.path('none'), HF_TOKEN_PATH: path.join(home, 'token') }).token).to.equal(secret)
    const error = await failure(() => hubSettings({ HF_TOKEN: 'hf_hunter2\nX-Evil: 1' }), 'FT_INVALID_CONFIG')
    expect(error.message).not.to.include('hunter2')
  })
})

describe('the environment', () => {
  it('says where the hub and the cache are, as for huggingface_hub', async () => {
    expect(hubSettings({ HOME: '/h' })).to.include({ endpoint: 'https://huggingface.co', cacheDir: '/h/.cache/huggingface/hub', offline: false })
    expect(hubSettings({ HOME: '/h', XDG_CACHE_HOME: '/x' }).cacheDir).to.equal('/x/huggingface/hub')
    expect(hubSettings({ HOME: '/h', HF_HOME: '~/hf' }).cacheDir).to.equal('/h/hf/hub')
    expect(hubSettings({ HF_HOME: '/hf', HF_HUB_CACHE: '/c' }).cacheDir).to.equal('/c')
    expect(hubSettings({ HF_ENDPOINT: 'http://mirror.example/hf/' }).endpoint).to.equal('http://mirror.example/hf')
    expect(hubSettings({ HF_HUB_OFFLINE: '1' }).offline).to.equal(true)
    for (const bad of ['ftp://x', 'x', 'https://me:hunter2@x']) expect((await failure(() => hubSettings({ HF_ENDPOINT: bad }), 'FT_INVALID_CONFIG')).message).not.to.include('hunter2')
  })
})

describe('a model of the hub', () => {
  it('is a snapshot with the files that are needed, as Python lays it out', async () => {
    hub.add('models', 'org/model', model)
    const with_ = settings()
    const found = await modelFolder(with_, repositoryId('model', 'org/model')) as string
    const commit = hub.commitOf('models', 'org/model')
    expect(found).to.equal(path.join(with_.cacheDir, 'models--org--model/snapshots', commit))
    expect(readdirSync(found).sort()).to.deep.equal(['config.json', 'model.safetensors', 'tokenizer.json'])
    expect(readFileSync(path.join(with_.cacheDir, 'models--org--model/refs/main'), 'utf8')).to.equal(commit)
    for (const name of readdirSync(found)) {
      expect(lstatSync(path.join(found, name)).isSymbolicLink()).to.equal(true)
      expect(readlinkSync(path.join(found, name))).to.match(/^\.\.\/\.\.\/blobs\/[0-9a-f]+$/)
    }
    hub.seen.length = 0
    expect(await modelFolder(with_, repositoryId('model', 'org/model'))).to.equal(found)
    expect(hub.downloads('')).to.have.length(0)
  })

  it('needs no weights where only the tokenizer is wanted', async () => {
    hub.add('models', 'org/model', model)
    const found = await modelFolder(settings(), repositoryId('model', 'org/model'), { weights: false }) as string
    expect(readdirSync(found).sort()).to.deep.equal(['config.json', 'tokenizer.json'])
  })

  it('has the shards that its index names, and no other weights', async () => {
    const shard = (name: string): Buffer => Buffer.from(name.repeat(100))
    hub.add('models', 'org/shards', {
      'config.json': '{}', 'model.safetensors.index.json': JSON.stringify({ weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors', c: 'model-00001-of-00002.safetensors' } }),
      'model-00001-of-00002.safetensors': shard('a'), 'model-00002-of-00002.safetensors': shard('b'), 'consolidated.safetensors': shard('c'),
    })
    const found = await modelFolder(settings(), repositoryId('model', 'org/shards')) as string
    expect(readdirSync(found).sort()).to.deep.equal(['config.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model.safetensors.index.json'])
    hub.add('models', 'org/lost', { 'config.json': '{}', 'model.safetensors.index.json': JSON.stringify({ weight_map: { a: 'gone.safetensors' } }) })
    await failure(() => modelFolder(settings(), repositoryId('model', 'org/lost')), 'FT_MISSING_SHARD')
    hub.add('models', 'org/evil', { 'config.json': '{}', 'model.safetensors.index.json': JSON.stringify({ weight_map: { a: '../../../evil.safetensors' } }) })
    await failure(() => modelFolder(settings(), repositoryId('model', 'org/evil')), 'FT_UNSAFE_PATH')
  })

  it('is refused where its weights are pickles, or where it is none', async () => {
    hub.add('models', 'org/pickled', { 'config.json': '{}', 'pytorch_model.bin': 'x' })
    await failure(() => modelFolder(settings(), repositoryId('model', 'org/pickled')), 'FT_PICKLE_REFUSED')
    expect(hub.downloads('.bin')).to.have.length(0)
    hub.add('models', 'org/none', { 'README.md': 'x' })
    await failure(() => modelFolder(settings(), repositoryId('model', 'org/none')), 'FT_HUB_NOT_FOUND')
  })

  it('refuses names that lead out of the cache', async () => {
    for (const name of ['../x', '/etc/x', 'a/../../b', 'a\\b', 'a\0b', 'a//b', '', 'C:x', 'x'.repeat(300), 'a/./b', 'a\u001bb']) {
      await failure(() => checkFileName('r', name), 'FT_UNSAFE_PATH')
    }
    hub.add('models', 'org/escape', { 'config.json': '{}', '..\\..\\outside.safetensors': 'x' })
    await failure(() => modelFolder(settings(), repositoryId('model', 'org/escape')), 'FT_UNSAFE_PATH')
    for (const name of ['../x', 'a/b/c', 'a@../x', 'a@', 'a b', '.hidden/x', 'a@b c', 'a--b']) await failure(() => repositoryId('model', name), 'FT_INVALID_ARGUMENT').catch((error: unknown) => { throw new Error(name, { cause: error }) })
  })

  it('is found by revision, and lists of many files are read to their end', async () => {
    hub.add('models', 'org/model', model)
    hub.add('models', 'org/model', { ...Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`file${i}.json`, '{}'])), 'config.json': '{"v":2}', 'model.safetensors': 'small' }, 'v2.0')
    const with_ = settings()
    const found = await modelFolder(with_, repositoryId('model', 'org/model@v2.0')) as string
    expect(readFileSync(path.join(found, 'config.json'), 'utf8')).to.equal('{"v":2}')
    expect(existsSync(path.join(with_.cacheDir, 'models--org--model/refs/v2.0'))).to.equal(true)
    expect(await modelFolder({ ...with_, offline: true }, repositoryId('model', `org/model@${hub.commitOf('models', 'org/model', 'v2.0')}`))).to.equal(found)
    await failure(() => modelFolder(settings(), repositoryId('model', 'org/model@v3')), 'FT_HUB_NOT_FOUND')
  })

  it('comes from the cache where the hub cannot be asked', async () => {
    hub.add('models', 'org/model', model)
    const with_ = settings()
    const found = await modelFolder(with_, repositoryId('model', 'org/model'))
    for (const fault of [{ status: 503 }, { reset: -1 }, { status: 401 }] as const) {
      hub.rules = [{ path: '/api/', fault, times: 9 }]
      expect(await modelFolder(with_, repositoryId('model', 'org/model'))).to.equal(found)
    }
    hub.seen.length = 0
    expect(await modelFolder({ ...with_, offline: true }, repositoryId('model', 'org/model'))).to.equal(found)
    expect(await modelFolder(settings({ offline: true }), repositoryId('model', 'org/model'))).to.equal(null)
    expect(hub.seen).to.have.length(0)
  })

  it('of which only a part is in the cache is not taken for it', async () => {
    hub.add('models', 'org/model', model)
    const shards = { 'config.json': '{}', 'model.safetensors.index.json': JSON.stringify({ weight_map: { a: 'a.safetensors', b: 'b.safetensors' } }), 'a.safetensors': 'a', 'b.safetensors': 'b' }
    hub.add('models', 'org/shards', shards)
    for (const name of ['org/model', 'org/shards']) {
      const with_ = settings()
      const id = repositoryId('model', name)
      const found = await modelFolder(with_, id, { weights: false }) as string
      if (name === 'org/shards') for (const file of (await repository(with_, name)).files) if (file.path !== 'b.safetensors') await downloadFile(with_, await repository(with_, name), file)
      for (const [fault, code, asked] of [[{ status: 401 }, 'FT_HUB_AUTH', 1], [{ status: 403 }, 'FT_HUB_AUTH', 1], [{ status: 404 }, 'FT_HUB_NOT_FOUND', 1], [{ status: 503 }, 'FT_HUB', 5], [{ reset: -1 }, 'FT_HUB', 5]] as const) {
        hub.rules = [{ path: '/api/', fault, times: 9 }]
        hub.seen.length = 0
        await failure(() => modelFolder(with_, id), code)
        expect(hub.seen).to.have.length(asked)
        // What needs no weights has all that it needs.
        expect(await modelFolder(with_, id, { weights: false })).to.equal(found)
      }
      expect(await modelFolder({ ...with_, offline: true }, id), 'nothing more can be had').to.equal(found)
      hub.rules = []
      expect(await modelFolder(with_, id)).to.equal(found)
      hub.rules = [{ path: '/api/', fault: { status: 404 }, times: 9 }]
      expect(await modelFolder(with_, id)).to.equal(found)
      hub.rules = [{ path: '/api/', fault: { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } } }]
      await failure(() => modelFolder(with_, id), 'FT_HUB_NOT_FOUND')
    }
  })

  it('that has changed is asked for and fetched with all tries, though an older one is in the cache', async () => {
    hub.add('models', 'org/model', model)
    const with_ = settings()
    await modelFolder(with_, repositoryId('model', 'org/model'))
    hub.add('models', 'org/model', { ...model, 'config.json': '{"v":2}' })
    hub.rules = [{ path: '/api/', fault: { status: 503 }, times: 4 }, { path: 'config.json', fault: { status: 502 }, times: 4 }]
    const found = await modelFolder(with_, repositoryId('model', 'org/model')) as string
    expect(readFileSync(path.join(found, 'config.json'), 'utf8')).to.equal('{"v":2}')
    hub.rules = [{ path: '/api/', fault: { reset: -1 }, times: 9 }]
    hub.seen.length = 0
    expect(await modelFolder(with_, repositoryId('model', 'org/model'))).to.equal(found)
    expect(hub.seen, 'nobody waits long for what is here').to.have.length(2)
  })

  it('is one commit in a process, whatever is asked for first', async () => {
    const versions = [1, 2].map((v) => ({ 'config.json': `{"v":${v}}`, 'tokenizer.json': `{"v":${v}}`, 'model.safetensors': `weights ${v}` }))
    const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: folder.path('moving') }
    hub.add('models', 'org/moving', versions[0] ?? {})
    const asked = resolveModelFolder('org/moving', env, { need: 'tokenizer' })
    const [tokenizer, meanwhile] = await Promise.all([asked, resolveModelFolder('org/moving', env, { need: 'tokenizer' })])
    expect(hub.seen.filter((one) => one.path.includes('/revision/'))).to.have.length(1)
    hub.add('models', 'org/moving', versions[1] ?? {})
    expect([meanwhile, await resolveModelFolder('org/moving', env)]).to.deep.equal([tokenizer, tokenizer])
    expect(readdirSync(tokenizer).sort()).to.deep.equal(['config.json', 'model.safetensors', 'tokenizer.json'])
    expect(readFileSync(path.join(tokenizer, 'model.safetensors'), 'utf8')).to.equal('weights 1')
  })

  it('is what a model name resolves to', async () => {
    hub.add('models', 'org/model', model)
    const env = { HF_ENDPOINT: hub.endpoint, HF_HOME: folder.path('resolve') }
    const found = await resolveModelFolder('org/model', env, { need: 'tokenizer' })
    expect(readdirSync(found).sort()).to.deep.equal(['config.json', 'tokenizer.json'])
    const asked = hub.seen.length
    expect(await resolveModelFolder('org/model', env, { need: 'tokenizer' })).to.equal(found)
    expect(hub.seen.length).to.equal(asked)
    expect(readdirSync(await resolveModelFolder('org/model', env))).to.include('model.safetensors')
    const error = await failure(() => resolveModelFolder('org/other', env), 'FT_MODEL_NOT_FOUND')
    expect(error.message).to.include(path.resolve('org/other')).and.include(hub.endpoint)
    hub.rules = [{ path: '/api/', fault: { status: 403 }, times: 9 }]
    expect(exitCodeOf(await failure(() => resolveModelFolder('org/secret', env), 'FT_HUB_AUTH'))).to.equal(4)
  })
})
