// The log.
import { key, optionalKey, type SectionRows } from '../row.js'

const levels = ['error', 'warn', 'info', 'debug'] as const

export const logging = {
  level: key({
    kind: 'choice', flag: 'log-level', choices: levels, default: 'info', aka: ['log_level', 'verbosity'],
    schema: (z) => z.enum(levels), expects: 'error, warn, info or debug',
    describe: 'What the console shows.',
  }),
  file_level: optionalKey({
    kind: 'choice', flag: 'log-file-level', choices: levels, defaultText: 'info (debug when level is)', aka: ['log_file_level'],
    schema: (z) => z.enum(levels), expects: 'error, warn, info or debug',
    describe: 'What training.log and the log file keep, however quiet the console is.',
  }),
  file: optionalKey({
    kind: 'string', flag: 'log-file', path: 'always', valueName: '<file>', aka: ['log_file'],
    schema: (z) => z.string().min(1), expects: 'a path',
    describe: 'Also append the log to this file. training.log in the output folder is written in any case.',
  }),
} satisfies SectionRows
