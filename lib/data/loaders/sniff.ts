// A file whose name says nothing is read as what its beginning looks like. What was taken, and why, is logged; where nothing fits the
// error says what the file looks like instead.
import { isUtf8 } from 'node:buffer'
import { fail } from '../../core/errors/index.js'
import { getLogger } from '../../utils/logger.js'
import { withoutCutCharacter } from '../text.js'
import type { DatasetLoader } from './loader.js'
import { otherFormats } from './read.js'
import { packedExtensions } from './unpack.js'

/** Plain text is what is left when nothing else fits: that may be a surprise. */
export function noteFormat(name: string, { name: format, catchAll }: DatasetLoader, why: string | true): void {
  const message = `${name} is read as ${format}${why === true ? '' : `: ${why}`}. If that is wrong, say what it is with --data-format`
  if (catchAll) getLogger().warn(message)
  else getLogger().info(message)
}

/** More control characters than this share are no text. */
const mostControls = 0.01
const markup = /^\s*<(?:!doctype|html|\?xml|head|body)\b/i

/** Why the head is plain text, or false: bytes of something else, and pages of the web, which are most often an error in place of data. */
export function recogniseText(head: Uint8Array): string | false {
  const text = Buffer.from(head).toString('latin1')
  if (looksBinary(Buffer.from(head), text) || markup.test(text) || otherFormat(head) !== undefined) return false
  return 'it is text, and neither JSON nor a table'
}

function looksBinary(head: Buffer, text: string): boolean {
  if (text.includes('\0')) return true
  const controls = text.match(/[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]/g)?.length ?? 0
  if (controls > mostControls * text.length) return true
  // Text of another encoding is letters for the most part; what is packed is not.
  if (isUtf8(withoutCutCharacter(head))) return false
  return (text.match(/[\x80-\x9f]/g)?.length ?? 0) > text.length / 4 && (text.match(/[ \n]/g)?.length ?? 0) < text.length / 100
}

function otherFormat(head: Uint8Array): string | undefined {
  return otherFormats.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0]
}

interface Known {
  names(): string[]
  extensions(): string[]
}

/** Errors: FT_DATASET. */
export function unknownFormat(name: string, head: Buffer, known: Known): never {
  if (head.length === 0) fail('FT_DATASET', `${name} is empty`, { remedy: 'check where it comes from: the command before a pipe may have failed', details: { path: name } })
  const page = markup.test(head.toString('latin1'))
  const other = otherFormat(head)
  const looks = other !== undefined ? `looks like ${other}` : page ? 'looks like a page of the web (HTML or XML)' : 'is neither text nor Parquet'
  const extensions = `extensions that are known: ${known.extensions().join(', ')}, also with ${packedExtensions().join(', ')} behind`
  const remedy = other !== undefined ? `unpack or convert it: ${known.names().join(', ')} are read`
    : page ? 'was an error or login page saved in place of the data? --data-format txt reads it as plain text'
    : `say what it is with --data-format ${known.names().join('|')}; ${extensions}`
  fail('FT_DATASET', `cannot tell how to read ${name}: its name has no known extension, and it ${looks}`, { remedy, details: { path: name, extensions: known.extensions() } })
}
