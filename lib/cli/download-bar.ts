// How far a download has come, in MB; small files are not worth a bar.
import type { DownloadProgress } from '../hub/host.js'
import type { CliContext } from './context.js'

const worthShowing = 4_000_000
const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10

export function downloadBar(context: Pick<CliContext, 'progress'>, label: string, totalBytes: number): DownloadProgress {
  if (totalBytes < worthShowing) return { update: () => undefined, stop: () => undefined }
  const bar = context.progress({ total: megabytes(totalBytes), label: `downloading ${label}`, unit: 'MB' })
  return { update: (done) => bar.update(megabytes(done)), stop: () => bar.stop() }
}
