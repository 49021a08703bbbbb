// The flags of every command.
import type { FlagTable } from './parse.js'

const group = 'For every command'

export const globalFlags = {
  json: { kind: 'boolean', group, describe: 'Machine-readable stdout: JSON lines, or one JSON document.' },
  quiet: { kind: 'boolean', group, describe: 'No progress, only warnings and errors on stderr.' },
  verbose: { kind: 'boolean', group, describe: 'More on stderr, with stack traces.' },
  color: { kind: 'boolean', group, describe: 'Colours; --no-color or NO_COLOR turns them off.', defaultText: 'on a terminal' },
  input: { kind: 'boolean', group, describe: 'Questions; --no-input never asks.', defaultText: 'on a terminal' },
  plugin: { kind: 'list', group, valueName: '<file>', describe: 'Load this JavaScript file first. May be repeated.' },
  help: { kind: 'boolean', group, describe: 'Show this text.' },
  version: { kind: 'boolean', group, describe: 'Show the version.' },
} as const satisfies FlagTable
