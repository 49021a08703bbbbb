// The error classes a caller can catch. Each error says what went wrong and where (message), what to do
// (remedy), and carries a stable code; the code decides the exit code of the command line.
import { errorCodes, type ErrorClassName, type ErrorCode } from './codes.generated.js'

export interface ErrorOptions {
  code?: ErrorCode
  /** What to do about it, one sentence. */
  remedy?: string
  /** Facts for programs: `path`, `tensor`, `expected` … */
  details?: Record<string, unknown>
  cause?: unknown
}

export class FineTuneError extends Error {
  static readonly defaultCode: ErrorCode = 'FT_INTERNAL'
  readonly code: ErrorCode
  readonly remedy: string
  readonly details: Readonly<Record<string, unknown>>

  constructor(message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = options.code ?? new.target.defaultCode
    this.remedy = options.remedy ?? ''
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

export class ConfigurationError extends FineTuneError {
  static override readonly defaultCode: ErrorCode = 'FT_INVALID_ARGUMENT'
}
export class InvalidConfigError extends ConfigurationError {
  static override readonly defaultCode: ErrorCode = 'FT_INVALID_CONFIG'
}
export class MissingConfigError extends ConfigurationError {
  static override readonly defaultCode: ErrorCode = 'FT_MISSING_CONFIG'
}
export class IncompatibleConfigError extends ConfigurationError {
  static override readonly defaultCode: ErrorCode = 'FT_INCOMPATIBLE_CONFIG'
}

export class ModelError extends FineTuneError {
  static override readonly defaultCode: ErrorCode = 'FT_MODEL_CONFIG'
}
export class ModelLoadError extends ModelError {}
export class ModelNotFoundError extends ModelError {
  static override readonly defaultCode: ErrorCode = 'FT_MODEL_NOT_FOUND'
}
export class UnsupportedModelError extends ModelError {
  static override readonly defaultCode: ErrorCode = 'FT_UNSUPPORTED_MODEL'
}

export class DatasetError extends FineTuneError {
  static override readonly defaultCode: ErrorCode = 'FT_DATASET'
}
export class DatasetLoadError extends DatasetError {}
export class NoTextColumnsError extends DatasetError {
  static override readonly defaultCode: ErrorCode = 'FT_NO_TEXT_COLUMNS'
}
export class EmptyDatasetError extends DatasetError {
  static override readonly defaultCode: ErrorCode = 'FT_EMPTY_DATASET'
}

export class TrainingError extends FineTuneError {
  static override readonly defaultCode: ErrorCode = 'FT_TRAINING'
}
export class OutOfMemoryError extends TrainingError {
  static override readonly defaultCode: ErrorCode = 'FT_OUT_OF_MEMORY'
}
export class NaNLossError extends TrainingError {
  static override readonly defaultCode: ErrorCode = 'FT_NOT_FINITE'
}
export class CheckpointError extends TrainingError {
  static override readonly defaultCode: ErrorCode = 'FT_CHECKPOINT'
}

export class EvaluationError extends FineTuneError {
  static override readonly defaultCode: ErrorCode = 'FT_EVALUATION'
}
export class MetricComputationError extends EvaluationError {
  static override readonly defaultCode: ErrorCode = 'FT_METRIC'
}

export class HubError extends FineTuneError {
  static override readonly defaultCode: ErrorCode = 'FT_HUB'
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
