// A bar while data is read: share of the bytes, rows, MB and time left. On a terminal only, and only for what takes more than
// a second.
import type { Progress } from '../utils/progress.js'
import { formatCount, isInteractive } from '../utils/terminal.js'
import type { CliContext } from './context.js'

const patience = 1000

export interface DataProgress {
  update(state: { rows: number; bytes: number; totalBytes: number }): void
  stop(): void
}

export function dataProgress(context: Pick<CliContext, 'progress' | 'json'>, label: string, interactive = isInteractive(process.stderr), now: () => number = () => performance.now()): DataProgress {
  const start = now()
  let bar: Progress | null = null
  return {
    update({ rows, bytes, totalBytes }) {
      if (!interactive || context.json || now() - start < patience) return
      bar ??= context.progress({ total: totalBytes, label, width: 14 })
      // Validation files are read after those to train on.
      bar.setTotal(totalBytes)
      bar.update(Math.min(bytes, totalBytes), `${formatCount(rows)} rows, ${megabytes(bytes)} of ${megabytes(totalBytes)} MB`)
    },
    stop() {
      bar?.stop()
      bar = null
    },
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)
}
