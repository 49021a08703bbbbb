// What a command gets to talk with: stdout in its two forms, the logger, progress, interrupts.
// Data goes to stdout, everything else to stderr.
import { fail } from '../core/errors/index.js'
import { getLogger, setupLogger, type Logger, type LogLevel } from '../utils/logger.js'
import type { Progress, ProgressOptions } from '../utils/progress.js'
import { createProgress } from '../utils/progress.js'
import { wantsColor } from '../utils/terminal.js'
import type { ParsedFlags } from './parsed-flags.js'

export interface CliContext {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** Colours on stdout. */
  readonly color: boolean
  /** A person is there to answer: stdin is a terminal and --no-input was not given. */
  readonly interactive: boolean
  /** Aborted by SIGINT or SIGTERM where the command handles signals; `reason` is an Interrupt. */
  readonly signal: AbortSignal
  readonly logger: Logger
  /** One line of JSON on stdout; nothing without --json. */
  emit(event: { event: string; [field: string]: unknown }): void
  /** The one JSON document of the command; nothing without --json. */
  document(data: unknown): void
  /** A line for people on stdout; nothing with --json. */
  print(text: string): void
  /** Text on stdout as it is, for streaming; nothing with --json. */
  write(text: string): void
  /** A bar on a terminal, plain lines elsewhere, nothing with --quiet. On stderr. */
  progress(options: Omit<ProgressOptions, 'quiet' | 'color'>): Progress
  /** Levels and file from a configuration; on the console --quiet and --verbose win. */
  configureLogging(logging: { level: LogLevel; file?: string; fileLevel?: LogLevel }): void
}

/** Why a command was interrupted. */
export interface Interrupt {
  signal: 'SIGINT' | 'SIGTERM'
  /** 130 or 143 */
  exitCode: number
}

export interface OutputStreams {
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  stdin: NodeJS.ReadStream
}

export function createContext(flags: ParsedFlags, signal: AbortSignal, streams: OutputStreams = process): CliContext {
  const json = flags.boolean('json') ?? false
  const quiet = flags.boolean('quiet') ?? false
  const verbose = flags.boolean('verbose') ?? false
  if (quiet && verbose) fail('FT_USAGE', '--quiet and --verbose contradict each other', { remedy: 'keep one of them' })
  const asked = flags.boolean('color')
  const logColor = asked ?? wantsColor(streams.stderr)
  const configureLogging: CliContext['configureLogging'] = ({ level, file, fileLevel }) => {
    const kept = fileLevel ?? (verbose || level === 'debug' ? 'debug' : 'info')
    setupLogger({ level: quiet ? 'warn' : verbose ? 'debug' : level, file, fileLevel: kept, color: logColor })
  }
  configureLogging({ level: 'info' })
  const line = (text: string): void => void streams.stdout.write(`${text}\n`)
  return {
    json,
    quiet,
    verbose,
    color: asked ?? wantsColor(streams.stdout),
    interactive: (flags.boolean('input') ?? true) && streams.stdin.isTTY === true && !json,
    signal,
    get logger() {
      return getLogger()
    },
    emit: (event) => void (json && line(JSON.stringify(event))),
    document: (data) => void (json && line(JSON.stringify(data, null, 2))),
    print: (text) => void (!json && line(text)),
    write: (text) => void (!json && streams.stdout.write(text)),
    progress: (options) => createProgress({ ...options, quiet, color: logColor }),
    configureLogging,
  }
}
