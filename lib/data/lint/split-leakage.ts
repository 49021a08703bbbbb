// split_leakage: a row to train on that a held-out row repeats, exactly (an error) or nearly (a warning): the evaluation
// then measures memory. Looks at validation files where they are given, else at the split the run would make.
import { SketchIndex, sketchOf } from '../minhash.js'
import { placeText } from '../types.js'
import { ngram, threshold } from './near-duplicates.js'
import type { Finding, LintRule } from './rule.js'

export const splitLeakageRule: LintRule = {
  name: 'split_leakage',
  describe: 'a row to train on repeats a held-out row',
  remedy: 'leave it out with --filter validation_overlap, or keep equal rows on one side with --split hash or --split group',
  severity: 'error',
  open({ placeOf }) {
    const keys: number[] = []
    const sketches: (Uint8Array | null)[] = []
    return {
      row({ index, key, text }) {
        keys[index] = key
        sketches[index] = sketchOf(text, ngram)
        return null
      },
      *end(held): Generator<Finding> {
        const exact = new Map<number, number>()
        const near = new SketchIndex(threshold)
        const numbered: number[] = []
        for (const index of held) {
          const sketch = sketches[index] ?? null
          if (!exact.has(keys[index] as number)) exact.set(keys[index] as number, index)
          if (sketch !== null) numbered[near.add(sketch)] = index
        }
        for (let index = 0; index < keys.length; index++) {
          if (held.has(index)) continue
          const copy = exact.get(keys[index] as number)
          if (copy !== undefined) {
            yield { place: placeOf(index), message: `says the same as the held-out row ${placeText(placeOf(copy))}` }
            continue
          }
          const sketch = sketches[index] ?? null
          const alike = sketch === null ? -1 : near.find(sketch)
          if (alike >= 0) yield { place: placeOf(index), severity: 'warning', message: `says nearly the same as the held-out row ${placeText(placeOf(numbered[alike] as number))}` }
        }
      },
    }
  },
}
