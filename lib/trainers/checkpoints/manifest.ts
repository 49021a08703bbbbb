// manifest.json: size and SHA-256 of every file of a checkpoint, written last. A folder whose manifest is missing
// or does not match was not committed, or was damaged since.
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'
import { lazily } from '../../core/zod.js'
import { errnoOf, fsyncFile, sha256File, writeFileSynced } from '../../utils/fs.js'

export const manifestFile = 'manifest.json'

const manifestSchema = lazily((z) =>
  z.strictObject({
    format: z.literal('ft-native-checkpoint'),
    version: z.literal(1),
    step: z.number().int().nonnegative(),
    files: z.record(z.string().regex(/^[^/\\\0]{1,255}$/), z.strictObject({ size: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
    /** SHA-256 of this file's own content without this field. */
    sha256: z.string(),
  }),
)

export type Manifest = z.infer<ReturnType<typeof manifestSchema>>

export type Verdict = { usable: true; manifest: Manifest } | { usable: false; reason: string }

function serialize(manifest: Omit<Manifest, 'sha256'>): string {
  const { format, version, step, files } = manifest
  const content = { format, version, step, files }
  return `${JSON.stringify({ ...content, sha256: createHash('sha256').update(JSON.stringify(content)).digest('hex') }, null, 2)}\n`
}

/** Flushes every file of the folder and writes its manifest. Files only: a checkpoint has no folders inside. */
export async function writeManifest(folder: string, step: number): Promise<Manifest> {
  const files: Manifest['files'] = {}
  for (const name of (await fs.readdir(folder)).sort()) {
    if (name === manifestFile) continue
    const file = path.join(folder, name)
    await fsyncFile(file)
    files[name] = { size: (await fs.stat(file)).size, sha256: await sha256File(file) }
  }
  const text = serialize({ format: 'ft-native-checkpoint', version: 1, step, files })
  await writeFileSynced(path.join(folder, manifestFile), text)
  return manifestSchema().parse(JSON.parse(text))
}

/** Reads every byte of the folder's files against its manifest. Never throws: an unreadable file is a reason. */
export async function verifyManifest(folder: string): Promise<Verdict> {
  try {
    return await check(folder)
  } catch (error) {
    return { usable: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

async function check(folder: string): Promise<Verdict> {
  const read = await readManifest(folder)
  if (!read.usable) return read
  for (const [name, expected] of Object.entries(read.manifest.files)) {
    const file = path.join(folder, name)
    const size = await sizeOf(file)
    if (size === null) return { usable: false, reason: `${name} is missing` }
    if (size !== expected.size) return { usable: false, reason: `${name} has ${size} bytes, its manifest says ${expected.size}` }
    if ((await sha256File(file)) !== expected.sha256) return { usable: false, reason: `${name} does not match its SHA-256` }
  }
  return read
}

/** The manifest alone, without the files' content. */
export async function readManifest(folder: string): Promise<Verdict> {
  let text: string
  try {
    text = await fs.readFile(path.join(folder, manifestFile), 'utf8')
  } catch (error) {
    return { usable: false, reason: errnoOf(error) === 'ENOENT' ? `${manifestFile} is missing` : String(error) }
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { usable: false, reason: `${manifestFile} is not JSON` }
  }
  const parsed = manifestSchema().safeParse(json)
  // Written in one way only: any other byte means damage, also where JSON would not mind.
  if (!parsed.success || serialize(parsed.data) !== text) return { usable: false, reason: `${manifestFile} is damaged` }
  return { usable: true, manifest: parsed.data }
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    return (await fs.stat(file)).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
