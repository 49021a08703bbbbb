// MinHash sketches of texts and an index of them by bands (locality-sensitive hashing): finds texts whose sets of word
// n-grams have a high Jaccard similarity. One permutation with optimal densification (Shrivastava 2017), so a text costs one
// hash an n-gram; the index keeps 8 bits of each of the 128 values (b-bit MinHash, Li & König 2010).

export const sketchValues = 128
/** A pair at the threshold is a candidate with at least this probability. */
const wantedRecall = 0.95
/** Two different values agree in their 8 bits with this probability. */
const chance = 1 / 256

/** Rows with a long common part share many bands: a band remembers the first so many of them, so that no row is compared with all. */
const mostAlike = 64

/** Scripts that write without spaces: each character counts as a word. */
const unspaced: readonly (readonly [number, number])[] = [[0x0e00, 0x0eff], [0x1000, 0x109f], [0x1780, 0x17ff], [0x3040, 0x30ff], [0x3400, 0x9fff], [0xf900, 0xfaff]]
const punctuation: readonly (readonly [number, number])[] = [[0x80, 0xa9], [0xab, 0xb4], [0xb6, 0xb9], [0xbb, 0xbf], [0x2000, 0x206f], [0x2e00, 0x2e7f], [0x3000, 0x303f], [0xff00, 0xff0f], [0xff1a, 0xff20]]
const inAny = (ranges: typeof unspaced, code: number): boolean => ranges.some(([from, to]) => code >= from && code <= to)

/** The words of a text as 32-bit hashes: letters and digits without regard to case. */
export function wordHashes(text: string): number[] {
  const lower = text.toLowerCase()
  const words: number[] = []
  let hash = 0
  for (let i = 0; i < lower.length; i++) {
    const code = lower.charCodeAt(i)
    const isWord = code < 0x80 ? (code >= 97 && code <= 122) || (code >= 48 && code <= 57) : !inAny(punctuation, code)
    const alone = code >= 0x0e00 && inAny(unspaced, code)
    if (hash !== 0 && (!isWord || alone)) {
      words.push(hash)
      hash = 0
    }
    if (!isWord) continue
    hash = Math.imul((hash === 0 ? 0x811c9dc5 : hash) ^ code, 0x01000193) | 1
    if (alone) {
      words.push(hash)
      hash = 0
    }
  }
  if (hash !== 0) words.push(hash)
  return words
}

/** [128], the 8 bits of each value; null: the text has no word. A text of fewer words than `ngram` is one n-gram. */
export function sketchOf(text: string, ngram: number): Uint8Array | null {
  const words = wordHashes(text)
  if (words.length === 0) return null
  const least = new Uint32Array(sketchValues).fill(0xffff_ffff)
  const width = Math.min(ngram, words.length)
  for (let start = 0; start + width <= words.length; start++) {
    let hash = width
    for (let i = 0; i < width; i++) hash = mix(Math.imul(hash, 31) + (words[start + i] as number))
    const bin = hash >>> 25
    const value = Math.min(mix(hash ^ 0x5bd1e995), 0xffff_fffe)
    if (value < (least[bin] as number)) least[bin] = value
  }
  return densify(least)
}

/** An empty bin takes the value of another, chosen in the same order for every text. */
function densify(least: Uint32Array): Uint8Array {
  const sketch = new Uint8Array(sketchValues)
  for (let bin = 0; bin < sketchValues; bin++) {
    let from = bin
    for (let attempt = 1; least[from] === 0xffff_ffff; attempt++) from = mix(Math.imul(bin + 1, 0x9e3779b1) + attempt) >>> 25
    // Other bits in each bin, or a text of one n-gram would be told from others by 8 bits in all.
    sketch[bin] = mix((least[from] as number) ^ Math.imul(bin, 0x85ebca6b)) >>> 24
  }
  return sketch
}

function mix(value: number): number {
  let z = value | 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}

/** Estimated Jaccard similarity; standard error at most 0.045. */
export function similarityOf(a: Uint8Array, b: Uint8Array, bOffset = 0): number {
  let same = 0
  for (let i = 0; i < sketchValues; i++) if (a[i] === b[bOffset + i]) same++
  return Math.max(0, (same / sketchValues - chance) / (1 - chance))
}

/** The longest bands that still find a pair at the threshold. */
export function bandsFor(threshold: number): { bands: number; rows: number } {
  for (let rows = 32; rows > 1; rows--) {
    const bands = Math.floor(sketchValues / rows)
    if (1 - (1 - threshold ** rows) ** bands >= wantedRecall) return { bands, rows }
  }
  return { bands: sketchValues, rows: 1 }
}

/** Sketches by number, found by similarity: some 400 bytes each at a threshold of 0.8. */
export class SketchIndex {
  readonly threshold: number
  readonly #bands: number
  readonly #rows: number
  #sketches = new Uint8Array(1024 * sketchValues)
  #count = 0
  /** Numbers + 1 by the hash of one band; open addressing, half full at most. */
  #slots = new Uint32Array(1 << 15)
  #used = 0

  constructor(threshold: number) {
    this.threshold = threshold
    const { bands, rows } = bandsFor(threshold)
    this.#bands = bands
    this.#rows = rows
  }

  get size(): number {
    return this.#count
  }

  /** Its number: 0, 1, 2 … */
  add(sketch: Uint8Array): number {
    if ((this.#count + 1) * sketchValues > this.#sketches.length) this.#sketches = enlarged(this.#sketches)
    if (2 * (this.#used + this.#bands) > this.#slots.length) this.#grow()
    const number = this.#count++
    this.#sketches.set(sketch, number * sketchValues)
    for (let band = 0; band < this.#bands; band++) this.#insert(number, band)
    return number
  }

  /** The first sketch that is as similar as the threshold, or -1. */
  find(sketch: Uint8Array): number {
    let best = -1
    for (let band = 0; band < this.#bands; band++) {
      const mask = this.#slots.length - 1
      for (let slot = this.#hash(sketch, band) & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
        const number = (this.#slots[slot] as number) - 1
        if ((best >= 0 && number >= best) || !this.#sameBand(sketch, number, band)) continue
        if (similarityOf(sketch, this.#sketches, number * sketchValues) >= this.threshold) best = number
      }
    }
    return best
  }

  #insert(number: number, band: number): void {
    const mask = this.#slots.length - 1
    const sketch = this.#sketches.subarray(number * sketchValues, (number + 1) * sketchValues)
    let slot = this.#hash(sketch, band) & mask
    for (let alike = 0; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#sameBand(sketch, (this.#slots[slot] as number) - 1, band) && ++alike === mostAlike) return
    }
    this.#slots[slot] = number + 1
    this.#used++
  }

  #grow(): void {
    const count = this.#count
    this.#slots = new Uint32Array(4 * this.#slots.length)
    this.#used = 0
    for (let number = 0; number < count; number++) for (let band = 0; band < this.#bands; band++) this.#insert(number, band)
  }

  #hash(sketch: Uint8Array, band: number): number {
    let hash = Math.imul(band + 1, 0x9e3779b1)
    for (let i = 0; i < this.#rows; i++) hash = Math.imul(hash ^ (sketch[band * this.#rows + i] as number), 0x01000193)
    return mix(hash)
  }

  #sameBand(sketch: Uint8Array, number: number, band: number): boolean {
    const from = band * this.#rows
    const offset = number * sketchValues
    for (let i = from; i < from + this.#rows; i++) if (sketch[i] !== this.#sketches[offset + i]) return false
    return true
  }
}

function enlarged(values: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * values.length)
  larger.set(values)
  return larger
}
