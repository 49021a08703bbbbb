// sentencepiece's precompiled normalisation map, checked: the Rust reader follows its indices without looking,
// and an index outside ends the process.
// Layout: size of the trie in bytes (uint32 little-endian), a Darts-clone double array (uint32 units, in blocks
// of 256), then NUL-terminated UTF-8 texts that leaves point into.
import { isUtf8 } from 'node:buffer'

const blockUnits = 256
const leafBit = 0x8000_0000
const hasLeafBit = 0x100

/** The reason why the map is refused, or null. */
export function findCharsmapFault(base64: string): string | null {
  const bytes = Buffer.from(base64, 'base64')
  const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE(0)
  if (trieBytes === 0 || trieBytes % (4 * blockUnits) !== 0 || trieBytes > bytes.length - 4) return 'its trie has a wrong size'
  const texts = bytes.subarray(4 + trieBytes)
  if (!isUtf8(texts)) return 'its texts are not UTF-8'
  const units = trieBytes / 4
  const unitAt = (i: number): number => bytes.readUInt32LE(4 + 4 * i)
  for (let i = 0; i < units; i++) {
    const unit = unitAt(i)
    if (unit >= leafBit) continue
    // Children stand in one block of 256, at the unit's own place XOR its offset XOR a byte.
    const base = (i ^ offsetOf(unit)) >>> 0
    if (base >= units) return 'its trie points outside itself'
    if ((unit & hasLeafBit) === 0) continue
    const text = unitAt(base) & 0x7fff_ffff
    if (text > texts.length || isContinuation(texts[text])) return 'its trie points between its texts'
  }
  return null
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
