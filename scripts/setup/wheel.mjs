// Reads wheels (zip files) in a stream: the list of entries, and chosen entries unpacked with their SHA-256
// checked against the wheel's own RECORD.
import { createHash } from 'node:crypto'
import { createWriteStream, mkdirSync } from 'node:fs'
import path from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import yauzl from 'yauzl'
import { SetupError } from './report.mjs'

/** Calls visit(entry, openStream) for every entry, one after the other. */
async function eachEntry(file, visit) {
  let zip
  try {
    zip = await yauzl.openPromise(file, { lazyEntries: true, autoClose: false })
  } catch (error) {
    throw new SetupError(`${file} is not a zip file (${error.message})`, '', { cause: error })
  }
  try {
    for await (const entry of zip.eachEntry()) {
      await visit(entry, () => zip.openReadStreamPromise(entry))
    }
  } finally {
    zip.close()
  }
}

async function textOf(file, matches) {
  let text
  await eachEntry(file, async (entry, open) => {
    if (text !== undefined || !matches(entry.fileName)) return
    const chunks = []
    for await (const chunk of await open()) chunks.push(chunk)
    text = Buffer.concat(chunks).toString('utf8')
  })
  if (text === undefined) throw new SetupError(`${file} is not a wheel: its metadata is missing`)
  return text
}

/** True where the torch in this wheel was built with CUDA. */
export async function isCudaWheel(file) {
  const version = await textOf(file, (name) => name === 'torch/version.py')
  return /^cuda\b[^=]*=\s*['"]/m.test(version)
}

/** name → SHA-256 (base64url without padding), from the wheel's RECORD. */
async function readRecord(file) {
  const sums = new Map()
  for (const line of (await textOf(file, (name) => /^[^/]+\.dist-info\/RECORD$/.test(name))).split(/\r?\n/)) {
    const match = /^"?(.+?)"?,sha256=([\w-]+),\d*$/.exec(line)
    if (match) sums.set(match[1], match[2])
  }
  return sums
}

/**
 * Unpacks the entries that keep(name) accepts below `folder`; onBytes gets the bytes written so far.
 * Returns [{name, size, sha256 (hex)}].
 */
export async function unpackWheel(file, folder, keep, onBytes = () => {}) {
  const record = await readRecord(file)
  const files = []
  let done = 0
  await eachEntry(file, async (entry, open) => {
    const name = entry.fileName
    if (name.endsWith('/') || !keep(name)) return
    const target = path.join(folder, name)
    if (path.relative(folder, target).startsWith('..')) throw new SetupError(`${file} has an entry outside its folder: ${name}`)
    const expected = record.get(name)
    if (!expected) throw new SetupError(`${file}: ${name} is not in the wheel's RECORD`)
    mkdirSync(path.dirname(target), { recursive: true })
    const hash = createHash('sha256')
    const meter = new Transform({
      transform(chunk, _encoding, callback) {
        hash.update(chunk)
        done += chunk.length
        onBytes(done)
        callback(null, chunk)
      },
    })
    await pipeline(await open(), meter, createWriteStream(target))
    const digest = hash.digest()
    if (digest.toString('base64url') !== expected) throw new SetupError(`${file}: ${name} does not have the SHA-256 of the wheel's RECORD`)
    files.push({ name, size: entry.uncompressedSize, sha256: digest.toString('hex') })
  })
  return files
}

/** Bytes that unpackWheel would write. */
export async function unpackedSize(file, keep) {
  let total = 0
  await eachEntry(file, (entry) => {
    if (keep(entry.fileName)) total += entry.uncompressedSize
  })
  return total
}
