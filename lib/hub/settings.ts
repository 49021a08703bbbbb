// Where the hub is, who asks, and where files are kept: the environment variables of the Python package huggingface_hub
// (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables), read the same way.
import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fail } from '../core/errors/index.js'
import { hideSecret } from '../core/redact.js'

export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string
  /** Sent to the endpoint alone; never shown. */
  token: string | undefined
  /** Folder of models--… and datasets--…. */
  cacheDir: string
  /** Nothing is asked of the network. */
  offline: boolean
  /** Milliseconds until an answer must begin, and between two pieces of it. */
  answerTimeout: number
  stallTimeout: number
  /** Milliseconds without a sign of another process that downloads the same file, until it is not waited for any more. */
  quietTimeout: number
  /** Tries of one file or request, and the first pause between them in milliseconds. */
  tries: number
  /** The same where nothing answers. */
  unreachedTries: number
  pause: number
}

const on = /^(?:1|on|yes|true)$/i
const expandHome = (folder: string, env: NodeJS.ProcessEnv): string => (folder === '~' || folder.startsWith('~/') ? path.join(env.HOME || os.homedir(), folder.slice(1)) : folder)

/** Errors: FT_INVALID_CONFIG. */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = homeOf(env)
  const seconds = (name: string, fallback: number): number => {
    const value = Number(env[name])
    return env[name] !== undefined && value > 0 && Number.isFinite(value) ? value * 1000 : fallback
  }
  return {
    endpoint: endpointOf(env),
    token: tokenOf(env, home),
    cacheDir: expandHome(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || path.join(home, 'hub'), env),
    offline: on.test(env.HF_HUB_OFFLINE ?? '') || on.test(env.TRANSFORMERS_OFFLINE ?? ''),
    answerTimeout: seconds('HF_HUB_ETAG_TIMEOUT', 10_000),
    stallTimeout: seconds('HF_HUB_DOWNLOAD_TIMEOUT', 30_000),
    quietTimeout: 120_000,
    tries: 5,
    unreachedTries: 5,
    pause: 500,
  }
}

function homeOf(env: NodeJS.ProcessEnv): string {
  if (env.HF_HOME) return expandHome(env.HF_HOME, env)
  return path.join(expandHome(env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), '.cache'), env), 'huggingface')
}

function endpointOf(env: NodeJS.ProcessEnv): string {
  const text = env.HF_ENDPOINT || 'https://huggingface.co'
  try {
    const url = new URL(text)
    if ((url.protocol === 'https:' || url.protocol === 'http:') && url.username === '' && url.password === '') return text.replace(/\/+$/, '')
  } catch {
    // Answered below.
  }
  return fail('FT_INVALID_CONFIG', 'HF_ENDPOINT is not the address of a hub', { remedy: 'set it to something like https://huggingface.co, without a name or password in it' })
}

function tokenOf(env: NodeJS.ProcessEnv, home: string): string | undefined {
  const given = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || (on.test(env.HF_HUB_DISABLE_IMPLICIT_TOKEN ?? '') ? '' : savedToken(env.HF_TOKEN_PATH || path.join(home, 'token')))
  const token = given.trim()
  if (token === '') return undefined
  // What a header cannot hold would otherwise be told by an error that repeats it.
  if (!/^[\x21-\x7e]+$/.test(token)) fail('FT_INVALID_CONFIG', 'the hub token holds characters that no token has', { remedy: 'set HF_TOKEN to the token alone' })
  hideSecret(token)
  return token
}

function savedToken(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
