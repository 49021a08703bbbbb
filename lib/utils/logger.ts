// The logger behind utils/logging: one winston logger, made with the first message; a console and files.
import { AsyncLocalStorage } from 'node:async_hooks'
import { createRequire } from 'node:module'
import type winston from 'winston'
import { fail } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import { isSecretKey, redact, redactDeep } from '../core/redact.js'
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
  /** Of the console, and of `file` where `fileLevel` says nothing else. Default "info". */
  level?: LogLevel
  /** Of `file` and of files added later, whatever the console shows. */
  fileLevel?: LogLevel
  /** Also write to this file, appending. */
  file?: string
  /** Lines of the file as JSON. */
  json?: boolean
  /** Default: where stderr is a terminal and NO_COLOR is not set. */
  color?: boolean
  /** false: files only. */
  console?: boolean
}

const optionNames: OptionNames<LoggerOptions> = { level: true, fileLevel: true, file: true, json: true, color: true, console: true }

export interface LogFile {
  /** Lines logged so far are in the file; later ones are not. */
  close(): void
}

/** One place where lines go. */
interface Output {
  level: LogLevel
  stream: LineSink | FileSink
  render: (entry: LogEntry) => string
}

/** Before setupLogger, a user of the library sees warnings and errors only. */
let consoleOutput: Output | null = consoleTo('warn', undefined)
/** Of files that are added without a level of their own. */
let addedLevel: LogLevel = 'info'
let mainFile: LogFile | null = null
const files = new Set<Output>()
const context = new AsyncLocalStorage<LogFields>()

let root: winston.Logger | undefined

/** The winston logger over the outputs of the moment, made with the first message. */
function logger(): winston.Logger {
  if (root !== undefined) return root
  const loaded = createRequire(import.meta.url)('winston') as typeof winston
  const { combine, errors, printf, timestamp } = loaded.format
  const clean = loaded.format(cleanFields)
  const outputs = [...(consoleOutput === null ? [] : [consoleOutput]), ...files]
  root = loaded.createLogger({
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: combine(errors({ stack: true }), timestamp(), clean()),
    silent: outputs.length === 0,
    transports: outputs.map(({ level, stream, render }) => new loaded.transports.Stream({ level, stream, eol: '\n', format: printf((info) => render(entryOf(info))) })),
  })
  return root
}

/** The outputs have changed: the next message sees them. */
function reset(): void {
  root = undefined
}

function checkLevel(level: LogLevel | undefined): void {
  if (level === undefined || logLevels.includes(level)) return
  fail('FT_INVALID_ARGUMENT', `unknown log level ${JSON.stringify(level)}`, { remedy: `use one of ${logLevels.join(', ')}` })
}

function cleanFields(info: winston.Logform.TransformableInfo): winston.Logform.TransformableInfo {
  for (const [key, value] of Object.entries(info)) {
    if (key !== 'level') info[key] = isSecretKey(key) ? '[redacted]' : redactDeep(value instanceof Error ? `${value.name}: ${value.message}` : value)
  }
  return info
}

function entryOf(info: winston.Logform.TransformableInfo): LogEntry {
  return { ...info, timestamp: String(info.timestamp) }
}

function consoleTo(level: LogLevel, color: boolean | undefined): Output {
  const stream = new LineSink((line) => aroundBar(() => process.stderr.write(redact(line))))
  return { level, stream, render: (entry) => consoleLine(entry, color ?? wantsColor(process.stderr)) }
}

/** Sets levels, console and file of the one logger; can be called again. Errors: FT_STORAGE when the file cannot be opened. */
export function setupLogger(options: LoggerOptions = {}): Logger {
  checkOptions('setupLogger', options, optionNames)
  checkLevel(options.level)
  checkLevel(options.fileLevel)
  const level = options.level ?? 'info'
  consoleOutput = options.console === false ? null : consoleTo(level, options.color)
  // A quiet console is no reason for a run to leave no trace.
  addedLevel = options.fileLevel ?? (level === 'debug' ? 'debug' : 'info')
  mainFile?.close()
  mainFile = null
  reset()
  if (options.file !== undefined) mainFile = addLogFile(options.file, { json: options.json, level: options.fileLevel ?? level })
  return getLogger()
}

/**
 * Appends what is logged from now on to another file, for example a run's training.log. level: default the `fileLevel`
 * of setupLogger, else info, or debug where the console has it.
 */
export function addLogFile(file: string, options: { json?: boolean; level?: LogLevel } = {}): LogFile {
  checkLevel(options.level)
  const sink = new FileSink(file)
  const output: Output = { level: options.level ?? addedLevel, stream: sink, render: options.json ? jsonLine : plainLine }
  files.add(output)
  reset()
  return {
    close() {
      if (!files.delete(output)) return
      reset()
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
    if (message instanceof Error) logger().log({ ...meta, level, message: message.message, stack: message.stack })
    else logger().log({ ...meta, level, message })
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
