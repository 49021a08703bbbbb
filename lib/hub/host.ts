// The program that downloads run in: it may show how far they have come, and interrupt them. The command line sets it; a
// library shows nothing and interrupts nothing unless its user does.
export interface DownloadProgress {
  update(doneBytes: number, totalBytes: number): void
  stop(): void
}

export interface HubHost {
  progress?(label: string, totalBytes: number): DownloadProgress
  signal?: AbortSignal
}

const silent: DownloadProgress = { update: () => undefined, stop: () => undefined }
let host: HubHost = {}

export function setHubHost(next: HubHost): void {
  host = next
}

export function downloadProgress(label: string, totalBytes: number): DownloadProgress {
  return host.progress?.(label, totalBytes) ?? silent
}

/** Aborted by the caller, or by whoever runs the program. */
export function hubSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || host.signal === undefined) return signal ?? host.signal
  return AbortSignal.any([signal, host.signal])
}
