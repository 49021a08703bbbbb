// Rows and their shapes, without a tokenizer.
import { findDataFiles } from '../data/sources/find.js'
import { RowReader, type RowShapeOptions } from '../data/formats/reader.js'
import { BadRows, readRows } from '../data/rows.js'

export interface ShapeReport {
  files: { path: string; bytes: number }[]
  rows: number
  /** Row format → rows. */
  shapes: Record<string, number>
  skipped: number
  examples: string[]
}

/** Errors: FT_DATASET, FT_DATASET_ROW, FT_NO_TEXT_COLUMNS; more than 1 % bad rows where they are skipped. */
export async function describeShapes(paths: string, onBadRow: 'stop' | 'skip', options: RowShapeOptions = {}): Promise<ShapeReport> {
  const files = await findDataFiles(paths)
  const reader = await RowReader.open(options)
  const badRows = new BadRows(onBadRow)
  const shapes: Record<string, number> = {}
  let rows = 0
  for await (const { shape } of readRows({ files, reader, badRows })) {
    badRows.good()
    shapes[shape] = (shapes[shape] ?? 0) + 1
    rows += 1
  }
  badRows.check()
  return { files: files.map(({ path, bytes }) => ({ path, bytes })), rows, shapes, skipped: badRows.skipped, examples: badRows.examples }
}
