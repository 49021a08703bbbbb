// validation_overlap: rows to train on that nearly say what a held-out row says (the same MinHash as near_duplicates), so that
// the evaluation measures what the model has not seen. 128 bytes a row are kept until the split is decided.
import type { FilterOptions } from '../../core/config/filters.js'
import { SketchIndex, sketchOf, sketchValues } from '../minhash.js'
import type { FilterKind } from './filter.js'

export const validationOverlapFilter: FilterKind = {
  name: 'validation_overlap',
  describe: 'rows to train on that nearly say what a held-out row says',
  open(options) {
    const { threshold, ngram } = options as FilterOptions<'validation_overlap'>
    const sketches = new SketchList()
    return {
      taken: (index, { text }) => sketches.set(index, sketchOf(text, ngram)),
      split(held) {
        const index = new SketchIndex(threshold)
        for (const row of held) {
          const sketch = sketches.get(row)
          if (sketch !== null) index.add(sketch)
        }
        const dropped = new Map<number, string>()
        for (let row = 0; row < sketches.length; row++) {
          const sketch = held.has(row) ? null : sketches.get(row)
          if (sketch !== null && index.find(sketch) >= 0) dropped.set(row, 'nearly said by a held-out row')
        }
        return dropped
      },
    }
  },
}

class SketchList {
  length = 0
  readonly #slabs: Uint8Array[] = []
  readonly #without = new Set<number>()

  set(index: number, sketch: Uint8Array | null): void {
    const slab = (this.#slabs[index >> 12] ??= new Uint8Array(sketchValues << 12))
    if (sketch === null) this.#without.add(index)
    else slab.set(sketch, (index & 0xfff) * sketchValues)
    this.length = Math.max(this.length, index + 1)
  }

  get(index: number): Uint8Array | null {
    const at = (index & 0xfff) * sketchValues
    return this.#without.has(index) ? null : (this.#slabs[index >> 12]?.subarray(at, at + sketchValues) ?? null)
  }
}
