// Medians, spreads, and whether two series of losses tell the same story.

export interface Figure { median: number; low: number; high: number }

export function figure(values: number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const at = (index: number) => sorted[index] ?? NaN
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, low: at(0), high: at(sorted.length - 1) }
}

export interface Agreement { agrees: boolean; largestDifference: number; fall: number; tolerance: number }

/**
 * Largest relative difference of two loss series from the same start. They agree when it is below `tolerance`
 * (rounding of the dtype) and the loss moved by more than that, so that agreement says something about the updates.
 */
export function agreement(ours: number[], reference: number[], tolerance: number): Agreement {
  const differences = ours.map((loss, i) => Math.abs(loss - (reference[i] ?? NaN)) / Math.abs(reference[i] ?? NaN))
  const largestDifference = Math.max(...differences)
  const fall = 1 - Math.min(...reference) / (reference[0] ?? NaN)
  return { agrees: ours.length === reference.length && largestDifference < tolerance && fall > tolerance, largestDifference, fall, tolerance }
}
