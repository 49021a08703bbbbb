// The flags of every command.
import type { FlagTable } from './parse.js'

const group = 'For every command'

export const globalFlags = {
  json: { kind: 'boolean', group, describe: 'Machine-readable stdout: JSON lines, or one JSON document.' },
  quiet: { kind: 'boolean', group, describe: 'No progress, only warnings and errors on stderr.' },
  verbose: { kind: 'boolean', group, describe: 'More on stderr, with stack traces.' },
  color: { kind: 'boolean', group, describe: 'Colours, also where there is no terminal.', describeNo: 'No colours; NO_COLOR does the same.' },
  input: { kind: 'boolean', group, describe: 'Questions where there is a terminal.', describeNo: 'Never ask anything.' },
  plugin: { kind: 'list', group, valueName: '<file>', describe: 'Load this JavaScript file first. May be repeated.' },
  help: { kind: 'boolean', group, describe: 'Show this text.' },
  version: { kind: 'boolean', group, describe: 'Show the version.' },
} as const satisfies FlagTable
