// One log entry as a line: coloured for a person, plain or JSON for a file.
import pc from 'picocolors'

export interface LogEntry {
  level: string
  message: unknown
  timestamp: string
  stack?: unknown
  [field: string]: unknown
}

const notFields = new Set(['level', 'message', 'timestamp', 'stack'])
/** Plain to see on the console, where every line has a time. */
const timeFields = new Set(['started_at', 'ended_at', 'seconds'])

/** `12:01:02 info  message  key=value`, local time; no stack: that goes to the files. */
export function consoleLine(entry: LogEntry, colors: boolean): string {
  const paint = pc.createColors(colors)
  const levelColor = { error: paint.red, warn: paint.yellow, info: paint.green, debug: paint.gray }[entry.level] ?? paint.white
  const time = new Date(entry.timestamp).toTimeString().slice(0, 8)
  const fields = fieldText(entry, timeFields)
  return `${paint.dim(time)} ${levelColor(entry.level.padEnd(5))} ${String(entry.message)}${fields ? `  ${paint.dim(fields)}` : ''}`
}

/** `2026-01-02T03:04:05.678Z info  message  key=value`, then the stack of an error. */
export function plainLine(entry: LogEntry): string {
  const fields = fieldText(entry)
  const stack = typeof entry.stack === 'string' ? `\n${entry.stack}` : ''
  return `${entry.timestamp} ${entry.level.padEnd(5)} ${String(entry.message)}${fields ? `  ${fields}` : ''}${stack}`
}

export function jsonLine(entry: LogEntry): string {
  const { timestamp, level, message, ...rest } = entry
  return JSON.stringify({ timestamp, level, message, ...rest }, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

function fieldText(entry: LogEntry, hidden?: ReadonlySet<string>): string {
  const parts: string[] = []
  for (const [key, value] of Object.entries(entry)) {
    if (notFields.has(key) || hidden?.has(key) || value === undefined) continue
    parts.push(`${key}=${valueText(value)}`)
  }
  return parts.join(' ')
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)))
  return JSON.stringify(value) ?? String(value)
}
