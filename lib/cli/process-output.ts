// stdout and stderr of the process: a reader that has gone away (`| head`) is no error, a full disk is,
// and nothing is lost when the process ends.
import type { Interrupts } from './interrupts.js'

export interface ProcessOutput {
  /** Waits until all is written; the first failure of stdout other than a closed pipe, or null. */
  finish(): Promise<Error | null>
}

/** On a closed pipe an ordinary command ends with 0, one that handles signals (a training run) goes on. */
export function watchOutput(interrupts: Interrupts): ProcessOutput {
  let failure: Error | null = null
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') failure ??= error
    else if (!interrupts.graceful) process.exit(0)
  })
  process.stderr.on('error', () => undefined) // nowhere left to say it
  return {
    async finish() {
      await flush(process.stdout)
      await flush(process.stderr)
      // Errors of the last write are delivered after its callback.
      await new Promise((resolve) => setImmediate(resolve))
      return failure
    },
  }
}

/** Pipes are written asynchronously: wait until the last byte is out. */
async function flush(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || !stream.writable) return
  await new Promise<void>((resolve) => stream.write('', () => resolve()))
}
