// Messages around a piece of work: LogProgress says when a task starts and ends and how long it took;
// LogContext gives every message inside it the same fields.
import { getLogger, withLogFields, type LogFields, type Logger } from './logger.js'
import { formatSeconds } from './terminal.js'

export interface LogProgressOptions {
  logger?: Logger
  fields?: LogFields
}

/** `loading model …` at the start, `loading model: done in 1.2 s` at the end. */
export class LogProgress {
  readonly task: string
  readonly startedAt: Date
  readonly #logger: Logger
  readonly #start: number
  #ended = false

  constructor(task: string, options: LogProgressOptions = {}) {
    this.task = task
    this.#logger = options.fields ? (options.logger ?? getLogger()).child(options.fields) : (options.logger ?? getLogger())
    this.startedAt = new Date()
    this.#start = performance.now()
    this.#logger.info(`${task} …`, { started_at: this.startedAt.toISOString() })
  }

  /** Runs `work` as a task; a failure is logged and passed on. */
  static async run<T>(task: string, work: () => Promise<T> | T, options: LogProgressOptions = {}): Promise<T> {
    const progress = new LogProgress(task, options)
    try {
      const result = await work()
      progress.done()
      return result
    } catch (error) {
      progress.failed(error)
      throw error
    }
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000
  }

  /** Ends the task; later calls do nothing. */
  done(fields: LogFields = {}): void {
    if (this.#ended) return
    this.#ended = true
    const seconds = this.seconds
    this.#logger.info(`${this.task}: done in ${formatSeconds(seconds)}`, { ...fields, ended_at: new Date().toISOString(), seconds })
  }

  failed(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    const seconds = this.seconds
    const reason = error instanceof Error ? error.message : String(error)
    this.#logger.error(`${this.task}: failed after ${formatSeconds(seconds)}: ${reason}`, { ended_at: new Date().toISOString(), seconds })
  }

  [Symbol.dispose](): void {
    this.done()
  }
}

/** Fields for a stretch of work: `new LogContext({ run: 'a' }).run(() => …)`; contexts nest. */
export class LogContext {
  readonly fields: Readonly<LogFields>

  constructor(fields: LogFields) {
    this.fields = Object.freeze({ ...fields })
  }

  child(fields: LogFields): LogContext {
    return new LogContext({ ...this.fields, ...fields })
  }

  get logger(): Logger {
    return getLogger().child(this.fields)
  }

  /** Every message logged inside `work`, also after an await, carries the fields. */
  run<T>(work: () => T): T {
    return withLogFields(this.fields, work)
  }
}
