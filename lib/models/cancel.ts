// AbortSignal → the engine's flag: a long call rejects with FT_CANCELLED between layers or micro-batches.
import { makeError } from '../core/errors/index.js'
import { native, type NativeCancel } from '../native/binding.js'

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw makeError('FT_CANCELLED', 'the operation was cancelled', { cause: signal.reason })
}

/** Runs a call that listens to `signal`. */
export async function withCancel<T>(signal: AbortSignal | undefined, call: (cancel: NativeCancel | undefined) => Promise<T>): Promise<T> {
  if (signal === undefined) return await call(undefined)
  throwIfAborted(signal)
  const cancel = native().createCancel()
  const onAbort = (): void => cancel.cancel()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await call(cancel)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
