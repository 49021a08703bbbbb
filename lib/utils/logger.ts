// The logger behind utils/logging: one winston logger, made with the first message; a console and files.
import { AsyncLocalStorage } from 'node:async_hooks'
import { createRequire } from 'node:module'
import type winston from 'winston'
import { redact, redactDeep } from '../core/redact.js'
import { aroundBar } from './bar.js'
import { consoleLine, jsonLine, plainLine, type LogEntry } from './log-format.js'
import { FileSink, LineSink } from './log-sinks.js'
import { wantsColor } from './terminal.js'

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof logLevels)[number]
export type LogFields = Record<string, unknown>

export interface Logger {
  error(message: string | Error, fields?: LogFields): void
  warn(message: string | Error, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  /** The same logger with fields that every message carries. */
  child(fields: LogFields): Logger
}

export interface LoggerOptions {
  /** Default "info". */
  level?: LogLevel
  /** Also write to this file, appending. */
  file?: string
  /** Lines of the file as JSON. */
  json?: boolean
  /** Default: where stderr is a terminal and NO_COLOR is not set. */
  color?: boolean
  /** false: files only. */
  console?: boolean
}

export interface LogFile {
  /** Lines logged so far are in the file; later ones are not. */
  close(): void
}

interface State {
  winston: typeof winston
  root: winston.Logger
  console: winston.transport | null
  mainFile: LogFile | null
}

let state: State | undefined
const context = new AsyncLocalStorage<LogFields>()

/** Before setupLogger, a library user sees warnings and errors only. */
function current(): State {
  if (state === undefined) {
    const loaded = createRequire(import.meta.url)('winston') as typeof winston
    const root = loaded.createLogger({ level: 'warn', levels: { error: 0, warn: 1, info: 2, debug: 3 }, format: prepare(loaded) })
    state = { winston: loaded, root, console: null, mainFile: null }
    setConsole(state, undefined)
  }
  return state
}

/** Errors keep their stack, fields lose their secrets, context fields join. */
function prepare(loaded: typeof winston): winston.Logform.Format {
  const { combine, errors, timestamp } = loaded.format
  const clean = loaded.format((info) => {
    for (const [key, value] of Object.entries(info)) if (key !== 'level') info[key] = redactDeep(unwrapError(value))
    return info
  })
  return combine(errors({ stack: true }), timestamp(), clean())
}

function unwrapError(value: unknown): unknown {
  return value instanceof Error ? `${value.name}: ${value.message}` : value
}

function setConsole(target: State, color: boolean | undefined): void {
  if (target.console) target.root.remove(target.console)
  const colors = color ?? wantsColor(process.stderr)
  const sink = new LineSink((line) => aroundBar(() => process.stderr.write(redact(line))))
  target.console = lineTransport(target, sink, (entry) => consoleLine(entry, colors))
  target.root.add(target.console)
}

function lineTransport(target: State, stream: LineSink | FileSink, render: (entry: LogEntry) => string): winston.transport {
  const format = target.winston.format.printf((info) => render(entryOf(info)))
  return new target.winston.transports.Stream({ stream, format, eol: '\n' })
}

function entryOf(info: winston.Logform.TransformableInfo): LogEntry {
  return { ...info, timestamp: String(info.timestamp) }
}

/** Sets level, console and file of the one logger; can be called again. Errors: FT_STORAGE when the file cannot be opened. */
export function setupLogger(options: LoggerOptions = {}): Logger {
  const target = current()
  target.root.level = options.level ?? 'info'
  target.mainFile?.close()
  target.mainFile = null
  if (options.console === false) {
    if (target.console) target.root.remove(target.console)
    target.console = null
  } else {
    setConsole(target, options.color)
  }
  if (options.file !== undefined) target.mainFile = addLogFile(options.file, { json: options.json })
  return getLogger()
}

/** Appends what is logged from now on to another file, for example a run's training.log. */
export function addLogFile(file: string, options: { json?: boolean } = {}): LogFile {
  const target = current()
  const sink = new FileSink(file)
  const transport = lineTransport(target, sink, options.json ? jsonLine : plainLine)
  target.root.add(transport)
  let open = true
  return {
    close() {
      if (!open) return
      open = false
      target.root.remove(transport)
      sink.closeFile()
    },
  }
}

/** The logger of the current LogContext. Cheap; ask for it where it is used. */
export function getLogger(): Logger {
  return loggerWith({})
}

function loggerWith(fields: LogFields): Logger {
  const write = (level: LogLevel, message: string | Error, extra?: LogFields): void => {
    const meta = { ...context.getStore(), ...fields, ...extra }
    if (message instanceof Error) current().root.log({ ...meta, level, message: message.message, stack: message.stack })
    else current().root.log({ ...meta, level, message })
  }
  return {
    error: (message, extra) => write('error', message, extra),
    warn: (message, extra) => write('warn', message, extra),
    info: (message, extra) => write('info', message, extra),
    debug: (message, extra) => write('debug', message, extra),
    child: (more) => loggerWith({ ...fields, ...more }),
  }
}

/** Runs `work` with fields that every message inside carries. */
export function withLogFields<T>(fields: LogFields, work: () => T): T {
  return context.run({ ...context.getStore(), ...fields }, work)
}
