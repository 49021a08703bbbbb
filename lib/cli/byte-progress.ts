// A bar for work that is measured in bytes, shown only where there is enough of it to wait for.
import type { CliContext } from './context.js'

const worthShowing = 256 * 2 ** 20

export interface ByteProgress {
  update(doneBytes: number, totalBytes: number): void
  stop(): void
}

export function byteProgress(context: Pick<CliContext, 'progress'>, label: string): ByteProgress {
  let bar: ReturnType<CliContext['progress']> | undefined
  return {
    update(doneBytes, totalBytes) {
      if (totalBytes < worthShowing) return
      bar ??= context.progress({ total: totalBytes, label })
      bar.update(doneBytes)
    },
    stop: () => bar?.stop(),
  }
}
