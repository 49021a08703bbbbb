// One encoded row as 32-bit words: its ids, then what is needed to know its labels. Nearly all rows learn their own ids in a few runs,
// so labels take a few words instead of as many as the ids.
import { ignoreLabel, type EncodedRow } from '../types.js'

export interface PackedRow {
  /** [ids …, begin0, end0, begin1, end1 …] or [ids …, labels …] */
  words: Int32Array
  /** Number of ids. */
  length: number
}

/** Labels that are not ids are kept as they are; `words.length - length` is then `length`, and the sign of the first word tells. */
const asTheyAre = -1

export function packRow({ inputIds, labels }: EncodedRow): PackedRow {
  const { length } = inputIds
  const runs = runsOf(inputIds, labels)
  const extra = runs === null ? 1 + length : runs.length
  const words = new Int32Array(length + extra)
  words.set(inputIds)
  if (runs !== null) words.set(runs, length)
  else {
    words[length] = asTheyAre
    words.set(labels, length + 1)
  }
  return { words, length }
}

export function unpackIds({ words, length }: PackedRow): Int32Array {
  return words.subarray(0, length)
}

export function unpackLabels({ words, length }: PackedRow): Int32Array {
  if (words[length] === asTheyAre) return words.subarray(length + 1)
  const labels = new Int32Array(length).fill(ignoreLabel)
  for (let i = length; i < words.length; i += 2) {
    const [begin, end] = [words[i] as number, words[i + 1] as number]
    labels.set(words.subarray(begin, end), begin)
  }
  return labels
}

/** [begin0, end0 …) of positions whose label is their id; null: some label is neither that nor ignored, or runs would take more room. */
function runsOf(ids: Int32Array, labels: Int32Array): number[] | null {
  const runs: number[] = []
  for (let t = 0; t < ids.length; t++) {
    const label = labels[t]
    if (label === ignoreLabel) continue
    if (label !== ids[t]) return null
    if (runs.length > 0 && runs[runs.length - 1] === t) runs[runs.length - 1] = t + 1
    else if (runs.push(t, t + 1) > ids.length) return null
  }
  return runs
}

/** FNV-1a over words: finds bytes that a disk lost, not somebody who changes them. */
export function checksum(words: Int32Array): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ (words[i] as number), 0x01000193)
  return hash ^ (hash >>> 15)
}
