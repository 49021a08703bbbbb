// Lengths of millions of rows in a fixed amount of memory: one counter for each length below 16384, above it one for each
// 1 % step (as DDSketch, Masson et al. 2019). Quantiles are exact below, and above within 1 %.

const exactBelow = 1 << 14
const step = Math.log(1.01)

export interface HistogramBin {
  /** Lengths from … to, both inside. */
  from: number
  to: number
  rows: number
}

export interface LengthSummary {
  mean: number
  p50: number
  p90: number
  p95: number
  p99: number
  min: number
  max: number
  /** False: quantiles of lengths from 16384 on are within 1 %. */
  exact: boolean
}

export class LengthSketch {
  readonly #exact = new Uint32Array(exactBelow)
  readonly #steps: number[] = []
  #count = 0
  #sum = 0
  #min = Infinity
  #max = 0

  add(length: number): void {
    if (length < exactBelow) this.#exact[length] = (this.#exact[length] as number) + 1
    else {
      const at = Math.floor(Math.log(length / exactBelow) / step)
      this.#steps[at] = (this.#steps[at] ?? 0) + 1
    }
    this.#count++
    this.#sum += length
    this.#min = Math.min(this.#min, length)
    this.#max = Math.max(this.#max, length)
  }

  get count(): number {
    return this.#count
  }

  get sum(): number {
    return this.#sum
  }

  get max(): number {
    return this.#max
  }

  /** By nearest rank. 0 where there is nothing. */
  quantile(share: number): number {
    if (share >= 1) return this.#max
    const rank = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (const { from, to, rows } of this.#cells()) {
      seen += rows
      if (seen >= rank) return from === to ? from : Math.max(this.#min, Math.min(this.#max, Math.round((from + to) / 2)))
    }
    return 0
  }

  summary(): LengthSummary {
    const at = (share: number): number => this.quantile(share)
    return {
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99),
      min: this.#count === 0 ? 0 : this.#min, max: this.#max, exact: this.#steps.length === 0,
    }
  }

  /** Up to `most` bins of one width, a round number, and one for the long tail from 1.5 times the 99 % quantile on. */
  histogram(most = 16): HistogramBin[] {
    if (this.#count === 0) return []
    const tail = this.#max > 1.5 * this.quantile(0.99) ? Math.ceil(1.5 * this.quantile(0.99)) : this.#max
    const width = roundUp(Math.max(1, (Math.max(tail, 1) - Math.min(this.#min, tail) + 1) / most))
    const start = Math.floor(Math.min(this.#min, tail) / width) * width
    const bins: HistogramBin[] = []
    for (let from = start; from <= tail; from += width) bins.push({ from, to: from + width - 1, rows: 0 })
    const end = start + bins.length * width
    if (this.#max >= end) bins.push({ from: end, to: this.#max, rows: 0 })
    for (const { from, rows } of this.#cells()) {
      const bin = bins[Math.max(0, Math.min(bins.length - 1, Math.floor((from - start) / width)))]
      if (bin !== undefined) bin.rows += rows
    }
    return bins
  }

  *#cells(): Generator<HistogramBin> {
    for (let length = 0; length < exactBelow; length++) if (this.#exact[length] !== 0) yield { from: length, to: length, rows: this.#exact[length] as number }
    for (const [at, rows] of this.#steps.entries()) {
      if (rows !== undefined) yield { from: Math.ceil(exactBelow * Math.exp(at * step)), to: Math.ceil(exactBelow * Math.exp((at + 1) * step)) - 1, rows }
    }
  }
}

/** 1, 2 or 5 times a power of ten, or the next whole number below ten. */
function roundUp(width: number): number {
  const power = 10 ** Math.floor(Math.log10(width))
  for (const factor of [1, 2, 5, 10]) if (factor * power >= width) return factor * power
  return Math.ceil(width)
}
