// Several files of a repository at once: a few in parallel, one bar for all of them.
import { makeFolder } from '../utils/fs.js'
import { snapshotFolder, writeRef } from './cache.js'
import { downloadFile } from './download.js'
import { downloadProgress } from './host.js'
import type { HubFile, Repository } from './repository.js'
import type { HubSettings } from './settings.js'

const atOnce = 4

/** The snapshot's folder, with these files in it. Errors: those of downloadFile; the first ends the others. */
export async function downloadFiles(settings: HubSettings, repository: Repository, files: readonly HubFile[], signal?: AbortSignal): Promise<string> {
  const folder = snapshotFolder(settings, repository)
  await makeFolder(folder)
  const total = files.reduce((sum, file) => sum + file.size, 0)
  const here = new Map<string, number>()
  const progress = downloadProgress(repository.name, total)
  const stop = new AbortController()
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const waiting = [...files]
  const failures: unknown[] = []
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { path } = file
      await downloadFile(settings, repository, file, {
        signal: both,
        onBytes: (bytes) => {
          here.set(path, bytes)
          progress.update([...here.values()].reduce((sum, one) => sum + one, 0), total)
        },
      })
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, files.length) }, () => work().catch((error: unknown) => {
      failures.push(error)
      waiting.length = 0
      stop.abort()
    })))
    if (failures.length > 0) throw failures[0]
    // Where every blob was here already, nothing else has said which commit is meant now.
    await writeRef(settings, repository)
    return folder
  } finally {
    progress.stop()
  }
}
