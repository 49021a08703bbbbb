// One file over HTTPS: resumes a partial download, retries a broken connection, shows progress and checks
// the SHA-256 before the file gets its name. A file with a wrong sum is deleted, never used.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync, statSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SetupError, progress, say } from './report.mjs'

const connectSeconds = 10
const stallSeconds = 60
const attempts = 4

export async function sha256OfFile(file) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash)
  return hash.digest('hex')
}

/** Downloads `url` to `target`; returns when target has the sum. */
export async function download(url, target, sha256) {
  if (existsSync(target) && (await sha256OfFile(target)) === sha256) return
  const partial = `${target}.part`
  let error
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const before = existsSync(partial) ? statSync(partial).size : 0
    try {
      await transfer(url, partial, before)
      error = undefined
      break
    } catch (caught) {
      error = caught
      const grown = existsSync(partial) && statSync(partial).size > before
      // Nothing came: the host is out of reach, and waiting would only delay the next way to get the file.
      if (!grown || caught instanceof SetupError) break
      say(`connection lost (${reason(caught)}), resuming`)
    }
  }
  if (error instanceof SetupError) throw error
  if (error) throw new SetupError(`${new URL(url).host} could not be reached (${reason(error)})`, '', { cause: error })
  const sum = await sha256OfFile(partial)
  if (sum !== sha256) {
    rmSync(partial)
    throw new SetupError(`${url} has SHA-256 ${sum}, expected ${sha256}; the file was removed`)
  }
  renameSync(partial, target)
}

async function transfer(url, partial, offset) {
  const controller = new AbortController()
  let timer = setTimeout(() => controller.abort(new Error('no answer')), connectSeconds * 1000)
  try {
    const response = await fetch(url, { signal: controller.signal, headers: offset > 0 ? { range: `bytes=${offset}-` } : {} })
    if (response.status === 416) return // The partial file is complete already; its sum decides.
    if (!response.ok || !response.body) throw new SetupError(`${url} answered ${response.status}`)
    const resumed = response.status === 206
    const start = resumed ? offset : 0
    const total = start + Number(response.headers.get('content-length') ?? 0)
    if (resumed) say(`resuming at ${Math.floor((100 * start) / Math.max(total, 1))} %`)
    const bar = progress(`downloading ${decodeURIComponent(new URL(url).pathname.split('/').pop())}`, total)
    let done = start
    const body = Readable.fromWeb(response.body)
    body.on('data', (chunk) => {
      done += chunk.length
      bar.update(done)
      clearTimeout(timer)
      timer = setTimeout(() => controller.abort(new Error('transfer stalled')), stallSeconds * 1000)
    })
    await pipeline(body, createWriteStream(partial, { flags: resumed ? 'a' : 'w' }))
    bar.end()
    if (total > 0 && done < total) throw new Error('connection closed early')
  } finally {
    clearTimeout(timer)
  }
}

function reason(error) {
  return error.cause?.code ?? error.cause?.message ?? error.message
}
