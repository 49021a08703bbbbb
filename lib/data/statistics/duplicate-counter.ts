// How many rows repeat an earlier one, in bounded memory: exact while the different rows fit, beyond that an estimate from
// the rows whose hash ends in k zero bits (adaptive sampling, Flajolet 1990): every second key goes when the set is full.
import { KeySet } from '../key-set.js'

const defaultCapacity = 1 << 21

export class DuplicateCounter {
  readonly #capacity: number
  readonly #keys = new KeySet()
  #zeroBits = 0
  #repeats = 0

  /** @param capacity different rows that are remembered, at up to 32 bytes each */
  constructor(capacity = defaultCapacity) {
    this.#capacity = capacity
  }

  /** True where it repeats an earlier row; in a sample only rows of the sample are known. */
  add(high: number, low: number): boolean {
    if ((low & this.#mask) !== 0) return false
    if (!this.#keys.add(high, low)) {
      this.#repeats += 2 ** this.#zeroBits
      return true
    }
    while (this.#keys.size > this.#capacity) {
      this.#zeroBits++
      this.#keys.retain((_high, key) => (key & this.#mask) === 0)
    }
    return false
  }

  get exact(): boolean {
    return this.#zeroBits === 0
  }

  /** Rows that repeat an earlier one. */
  get repeats(): number {
    return this.#repeats
  }

  get #mask(): number {
    return 2 ** this.#zeroBits - 1
  }
}
