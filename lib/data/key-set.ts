// A set of 64-bit keys in typed arrays (open addressing, half full at most): 16 bytes a key and no object for each, so
// that millions of rows can be told apart.
import { hash } from 'node:crypto'

/** 64 bits of SHA-256 as two numbers: two different texts among n are taken for one with probability n² / 2⁶⁵. */
export function keyOfText(text: string): readonly [high: number, low: number] {
  const bytes = hash('sha256', text, 'buffer')
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)]
}

/** 53 bits of the same, as one number: for maps. */
export function numberOfText(text: string): number {
  const [high, low] = keyOfText(text)
  return (high & 0x1f_ffff) * 2 ** 32 + low
}

export class KeySet {
  size = 0
  /** Pairs (high, low); (0, 0) is free, the key (0, 0) itself is kept apart. */
  #slots = new Uint32Array(2 * 1024)
  #hasZero = false

  /** False: it was there. */
  add(high: number, low: number): boolean {
    if (high === 0 && low === 0) {
      if (this.#hasZero) return false
      this.size++
      return (this.#hasZero = true)
    }
    if (4 * (this.size + 1) > this.#slots.length) this.#grow()
    const at = this.#find(high, low)
    if (this.#slots[at] === high && this.#slots[at + 1] === low) return false
    this.#slots[at] = high
    this.#slots[at + 1] = low
    this.size++
    return true
  }

  has(high: number, low: number): boolean {
    if (high === 0 && low === 0) return this.#hasZero
    const at = this.#find(high, low)
    return this.#slots[at] === high && this.#slots[at + 1] === low
  }

  /** Keeps the keys for which `keep` is true. */
  retain(keep: (high: number, low: number) => boolean): void {
    const old = this.#slots
    this.#slots = new Uint32Array(old.length)
    this.#hasZero &&= keep(0, 0)
    this.size = this.#hasZero ? 1 : 0
    for (let i = 0; i < old.length; i += 2) {
      const [high, low] = [old[i] as number, old[i + 1] as number]
      if ((high !== 0 || low !== 0) && keep(high, low)) this.#insert(high, low)
    }
  }

  #insert(high: number, low: number): void {
    const at = this.#find(high, low)
    this.#slots[at] = high
    this.#slots[at + 1] = low
    this.size++
  }

  /** Where it is, or the free place where it belongs. */
  #find(high: number, low: number): number {
    const mask = this.#slots.length / 2 - 1
    let place = Math.imul(high ^ Math.imul(low, 0x9e3779b1), 0x85ebca6b) >>> 0
    place = (place ^ (place >>> 15)) & mask
    for (;;) {
      const at = 2 * place
      const [slotHigh, slotLow] = [this.#slots[at], this.#slots[at + 1]]
      if ((slotHigh === 0 && slotLow === 0) || (slotHigh === high && slotLow === low)) return at
      place = (place + 1) & mask
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Uint32Array(2 * old.length)
    this.size = this.#hasZero ? 1 : 0
    for (let i = 0; i < old.length; i += 2) if (old[i] !== 0 || old[i + 1] !== 0) this.#insert(old[i] as number, old[i + 1] as number)
  }
}
