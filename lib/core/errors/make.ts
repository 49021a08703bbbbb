// Making errors from a code, and turning what other layers throw (the addon, Node, AbortSignal) into them.
import { errorClasses, FineTuneError, type ErrorOptions } from './classes.js'
import { errorCodes, type ErrorCode } from './codes.generated.js'

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCodes, value)
}

/** The error of the class that belongs to `code`. */
export function makeError(code: ErrorCode, message: string, options: Omit<ErrorOptions, 'code'> = {}): FineTuneError {
  const ErrorClass = errorClasses[errorCodes[code].errorClass]
  const error = new ErrorClass(message, { ...options, code })
  Error.captureStackTrace?.(error, makeError)
  return error
}

/** Throws makeError(…). */
export function fail(code: ErrorCode, message: string, options: Omit<ErrorOptions, 'code'> = {}): never {
  const error = makeError(code, message, options)
  Error.captureStackTrace?.(error, fail)
  throw error
}

/** An error of the addon (an Error with `code`, `remedy` and `details` set) as its class; anything else as FT_INTERNAL. */
export function fromNative(error: unknown): FineTuneError {
  if (error instanceof FineTuneError) return error
  if (!(error instanceof Error)) return makeError('FT_INTERNAL', `the engine threw ${describeValue(error)}`, { cause: error })
  const code: unknown = Reflect.get(error, 'code')
  const remedy: unknown = Reflect.get(error, 'remedy')
  const details: unknown = Reflect.get(error, 'details')
  return makeError(isErrorCode(code) ? code : 'FT_INTERNAL', error.message, {
    remedy: typeof remedy === 'string' ? remedy : undefined,
    details: isRecord(details) ? details : undefined,
    cause: error,
  })
}

/** System errors that mean "this place cannot be written": they end with the storage exit code wherever they surface. */
const storageErrnos = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EFBIG'])

/** Anything thrown, as a FineTuneError: the last line of defence of the command line. */
export function toFineTuneError(error: unknown): FineTuneError {
  if (error instanceof FineTuneError) return error
  if (!(error instanceof Error)) return makeError('FT_INTERNAL', `unexpected: ${describeValue(error)}`, { cause: error })
  if (error.name === 'AbortError') return makeError('FT_CANCELLED', 'the work was cancelled', { cause: error })
  const code: unknown = Reflect.get(error, 'code')
  if (isErrorCode(code)) return fromNative(error)
  if (typeof code === 'string' && storageErrnos.has(code)) {
    return makeError('FT_STORAGE', error.message, { remedy: 'free space or choose another folder, then run again', cause: error })
  }
  return makeError('FT_INTERNAL', error.message || error.name, { cause: error })
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describeValue(value: unknown): string {
  return typeof value === 'string' ? value : `${typeof value} ${String(value)}`
}
