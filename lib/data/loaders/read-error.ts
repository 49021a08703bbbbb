// What a failed read of a data file is called.
import { FineTuneError, makeError } from '../../core/errors/index.js'

export function readError(file: string, error: unknown, signal?: AbortSignal): FineTuneError {
  if (error instanceof FineTuneError) return error
  if (signal?.aborted) return makeError('FT_CANCELLED', `reading ${file} was cancelled`, { cause: error })
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (typeof code !== 'string') throw error
  const reason = code === 'EISDIR' ? 'it is a folder' : code === 'ENOENT' ? 'it does not exist' : code === 'EACCES' ? 'permission denied' : (error as Error).message
  return makeError('FT_DATASET', `cannot read ${file}: ${reason}`, {
    remedy: code === 'EISDIR' ? 'name the files in it, for example folder/*.jsonl' : 'check the path and its permissions',
    details: { path: file, errno: code },
    cause: error,
  })
}
