// From a model's name to its folder: a folder on disk, or a snapshot that is already in the Hugging Face cache
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache). Never touches the network.
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { makeError } from '../core/errors/index.js'
import { pathKind } from '../utils/fs.js'

const repositoryName = /^[A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9][\w.-]{0,95})?$/
const commitName = /^[0-9a-f]{40}$/

/** Errors: FT_MODEL_NOT_FOUND, naming every place that was looked at. */
export async function resolveModelFolder(name: string, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) {
    throw makeError('FT_MODEL_NOT_FOUND', 'no model was named', { remedy: 'give a folder with a config.json' })
  }
  const kind = await pathKind(name)
  if (kind === 'folder') return name
  if (kind === 'file') {
    throw makeError('FT_MODEL_NOT_FOUND', `${name} is a file: a model is a folder with config.json and *.safetensors`, {
      remedy: `use its folder: ${path.dirname(name)}`, details: { path: name },
    })
  }
  const looked = [path.resolve(name)]
  if (repositoryName.test(name) && !name.includes('..')) {
    const repository = path.join(hubCache(env), `models--${name.replaceAll('/', '--')}`)
    const snapshot = await cachedSnapshot(repository)
    if (snapshot !== null) return snapshot
    looked.push(repository)
  }
  throw makeError('FT_MODEL_NOT_FOUND', `there is no model ${JSON.stringify(name)}: looked for ${looked.join(' and for ')}`, {
    remedy: 'give a folder with config.json, tokenizer and *.safetensors files; a model of the hub has to be in the local cache already',
    details: { name, looked },
  })
}

function hubCache(env: NodeJS.ProcessEnv): string {
  const hub = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE
  if (hub) return hub
  if (env.HF_HOME) return path.join(env.HF_HOME, 'hub')
  const cache = env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache')
  return path.join(cache, 'huggingface', 'hub')
}

/** The snapshot of `main`, if it holds a config.json. */
async function cachedSnapshot(repository: string): Promise<string | null> {
  const commit = await fs.readFile(path.join(repository, 'refs', 'main'), 'utf8').then((text) => text.trim()).catch(() => '')
  if (!commitName.test(commit)) return null
  const snapshot = path.join(repository, 'snapshots', commit)
  return (await pathKind(path.join(snapshot, 'config.json'))) === 'file' ? snapshot : null
}
