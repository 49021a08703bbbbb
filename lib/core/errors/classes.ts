// The error classes a caller can catch. Each error says what went wrong and where (message), what to do
// (remedy), and carries a stable code; the code decides the exit code of the command line.
import { errorCodes, type ErrorClassName, type ErrorCode } from './codes.generated.js'
import { generalRemedy } from './remedies.js'

export interface ErrorOptions {
  code?: ErrorCode
  /** What to do about it, one sentence. */
  remedy?: string
  /** Facts for programs: `path`, `tensor`, `expected` … */
  details?: Record<string, unknown>
  cause?: unknown
}

export class FineTuneError extends Error {
  readonly code: ErrorCode
  readonly remedy: string
  readonly details: Readonly<Record<string, unknown>>

  constructor(message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = options.code ?? defaultCodeOf(new.target)
    this.remedy = options.remedy === undefined || options.remedy === '' ? generalRemedy(this.code) : options.remedy
    this.details = Object.freeze({ ...options.details })
  }

  /** What the command line ends with when this error reaches it. */
  get exitCode(): number {
    return errorCodes[this.code].exitCode
  }

  toJSON(): { name: string; code: ErrorCode; message: string; remedy: string; details: Readonly<Record<string, unknown>> } {
    return { name: this.name, code: this.code, message: this.message, remedy: this.remedy, details: this.details }
  }
}

export class ConfigurationError extends FineTuneError {}
export class InvalidConfigError extends ConfigurationError {}
export class MissingConfigError extends ConfigurationError {}
export class IncompatibleConfigError extends ConfigurationError {}

export class ModelError extends FineTuneError {}
export class ModelLoadError extends ModelError {}
export class ModelNotFoundError extends ModelError {}
export class UnsupportedModelError extends ModelError {}

export class DatasetError extends FineTuneError {}
export class DatasetLoadError extends DatasetError {}
export class NoTextColumnsError extends DatasetError {}
export class EmptyDatasetError extends DatasetError {}

export class TrainingError extends FineTuneError {}
export class OutOfMemoryError extends TrainingError {}
export class NaNLossError extends TrainingError {}
export class CheckpointError extends TrainingError {}

export class EvaluationError extends FineTuneError {}
export class MetricComputationError extends EvaluationError {}

export class HubError extends FineTuneError {}

/** The code of an error that is made without one; a class without a row has that of its parent. */
const defaultCodes = new Map<unknown, ErrorCode>([
  [FineTuneError, 'FT_INTERNAL'],
  [ConfigurationError, 'FT_INVALID_ARGUMENT'],
  [InvalidConfigError, 'FT_INVALID_CONFIG'],
  [MissingConfigError, 'FT_MISSING_CONFIG'],
  [IncompatibleConfigError, 'FT_INCOMPATIBLE_CONFIG'],
  [ModelError, 'FT_MODEL_CONFIG'],
  [ModelNotFoundError, 'FT_MODEL_NOT_FOUND'],
  [UnsupportedModelError, 'FT_UNSUPPORTED_MODEL'],
  [DatasetError, 'FT_DATASET'],
  [NoTextColumnsError, 'FT_NO_TEXT_COLUMNS'],
  [EmptyDatasetError, 'FT_EMPTY_DATASET'],
  [TrainingError, 'FT_TRAINING'],
  [OutOfMemoryError, 'FT_OUT_OF_MEMORY'],
  [NaNLossError, 'FT_NOT_FINITE'],
  [CheckpointError, 'FT_CHECKPOINT'],
  [EvaluationError, 'FT_EVALUATION'],
  [MetricComputationError, 'FT_METRIC'],
  [HubError, 'FT_HUB'],
])

function defaultCodeOf(type: unknown): ErrorCode {
  for (let current = type; typeof current === 'function'; current = Object.getPrototypeOf(current)) {
    const code = defaultCodes.get(current)
    if (code !== undefined) return code
  }
  return 'FT_INTERNAL'
}

/** The class of every name in error_codes.def; the compiler refuses a table that misses one. */
export const errorClasses = {
  FineTuneError,
  ConfigurationError,
  InvalidConfigError,
  MissingConfigError,
  IncompatibleConfigError,
  ModelLoadError,
  ModelNotFoundError,
  UnsupportedModelError,
  DatasetError,
  DatasetLoadError,
  NoTextColumnsError,
  EmptyDatasetError,
  TrainingError,
  OutOfMemoryError,
  NaNLossError,
  CheckpointError,
  EvaluationError,
  MetricComputationError,
  HubError,
} satisfies Record<ErrorClassName, typeof FineTuneError>
