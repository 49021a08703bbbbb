// One cache for Python's huggingface_hub and for this package: what one has downloaded the other uses without the network.
import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { downloadFile } from '../../lib/hub/download.js'
import { modelFolder } from '../../lib/hub/model.js'
import { openRepository, repositoryId } from '../../lib/hub/repository.js'
import { hubSettings } from '../../lib/hub/settings.js'
import { temporaryFolder } from '../unit/data/helpers.js'
import { startHub, type HubServer } from '../unit/support/hub-server.js'

const python = process.env.FT_PYTHON ?? 'python3'
const folder = temporaryFolder()
const files = { 'config.json': '{"a":1}', 'tokenizer.json': 'x'.repeat(500), 'model.safetensors': Buffer.alloc(70_000, 7) }
let hub: HubServer

before(async () => {
  hub = await startHub()
  hub.add('models', 'org/model', files)
})
after(() => hub.close())

/** Runs a program that prints JSON. */
async function run(program: string, env: NodeJS.ProcessEnv): Promise<unknown> {
  const child = spawn(python, ['-c', program], { env: { PATH: process.env.PATH, HOME: folder.path('home'), HF_ENDPOINT: hub.endpoint, HF_HUB_DISABLE_XET: '1', HF_HUB_DISABLE_TELEMETRY: '1', ...env } })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect(code, stderr).to.equal(0)
  return JSON.parse(stdout) as unknown
}

describe('the cache of the hub', function () {
  this.timeout(120_000)

  it('that this package wrote is complete for Python, offline', async () => {
    const cache = folder.path('ours')
    const ours = await modelFolder(hubSettings({ HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache }), repositoryId('model', 'org/model'))
    const found = await run(`
import json
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
paths = [hf_hub_download("org/model", name) for name in ${JSON.stringify(Object.keys(files))}]
info = scan_cache_dir()
repo = next(iter(info.repos))
print(json.dumps({"paths": paths, "snapshot": snapshot_download("org/model"), "warnings": [str(w) for w in info.warnings], "id": repo.repo_id, "size": repo.size_on_disk, "refs": sorted(repo.refs)}))
`, { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: '1' })
    const size = Object.values(files).reduce((sum, content) => sum + content.length, 0)
    expect(found).to.deep.equal({ paths: Object.keys(files).map((name) => path.join(ours as string, name)), snapshot: ours, warnings: [], id: 'org/model', size, refs: ['main'] })
  })

  it('with data sets that this package fetched in part is none that Python warns of', async () => {
    const cache = folder.path('part')
    hub.add('datasets', 'org/parts', { 'a.jsonl': '{"text":"a"}\n', 'b.jsonl': '{"text":"b"}\n' })
    const settings = hubSettings({ HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache })
    const repository = await openRepository(settings, repositoryId('dataset', 'org/parts'))
    await downloadFile(settings, repository, repository.files[0] as NonNullable<(typeof repository.files)[number]>)
    const found = await run(`
import json
from huggingface_hub import scan_cache_dir
info = scan_cache_dir()
before = [sorted(f.file_name for r in repo.revisions for f in r.files) for repo in info.repos]
info.delete_revisions(*[r.commit_hash for repo in info.repos for r in repo.revisions]).execute()
print(json.dumps({"files": before, "warnings": [str(w) for w in info.warnings]}))
`, { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: '1' })
    expect(found).to.deep.equal({ files: [['a.jsonl']], warnings: [] })
    expect(readdirSync(cache).filter((name) => name.startsWith('datasets--'))).to.deep.equal([])
  })

  it('that Python wrote is complete for this package, offline', async () => {
    const cache = folder.path('theirs')
    const theirs = await run(`
import json, os
from huggingface_hub import hf_hub_download
print(json.dumps([hf_hub_download("org/model", name) for name in ${JSON.stringify(Object.keys(files))}]))
`, { HF_HUB_CACHE: cache })
    const requests = hub.seen.length
    const settings = hubSettings({ HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache, HF_HUB_OFFLINE: '1' })
    const ours = await modelFolder(settings, repositoryId('model', 'org/model')) as string
    expect(hub.seen.length).to.equal(requests)
    expect(Object.keys(files).map((name) => path.join(ours, name))).to.deep.equal(theirs)
    for (const [name, content] of Object.entries(files)) expect(readFileSync(path.join(ours, name)).equals(Buffer.from(content))).to.equal(true)
    // And online nothing is downloaded again: the blobs have the names that the hub gives them.
    hub.seen.length = 0
    expect(await modelFolder({ ...settings, offline: false }, repositoryId('model', 'org/model'))).to.equal(ours)
    expect(hub.downloads('')).to.deep.equal([])
    expect(readdirSync(path.join(cache, 'models--org--model/blobs')).sort()).to.deep.equal(Object.keys(files).map((name) => path.basename(realpathSync(path.join(ours, name)))).sort())
  })
})
