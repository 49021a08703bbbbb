// Markdown tables, and figures in them.
import type { Figure } from './statistics.js'

export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n')
}

/** "median (low–high)" */
export function spread(figure: Figure, unit: number, digits: number): string {
  const text = (value: number) => (value / unit).toFixed(digits)
  return `${text(figure.median)} (${text(figure.low)}–${text(figure.high)})`
}

export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}
