// What a command is. To add one: write lib/cli/commands/<name>.ts exporting an object that satisfies
// Command, and add its row to lib/cli/commands/index.ts. Example:
//
//   export const inspect = {
//     positionals: [{ name: 'what', describe: 'model folder or data file' }],
//     flags: () => ({ ...pickConfigFlags('model', 'dtype'), 'top-k': { kind: 'integer', describe: '…', group: 'Sampling', defaultText: '0' } }),
//     async run(input, context) {
//       const topK = input.flags.integer('top-k', { min: 0 }) ?? 0
//       const { inspectModel } = await import('../../models/index.js')   // heavy imports inside run only
//       const facts = await inspectModel(…)
//       context.document(facts)            // stdout, with --json only
//       context.print(table(facts))        // stdout, without --json only
//     },
//   } satisfies Command
//
// Throw FineTuneErrors (fail(code, …)); main prints them and ends with their exit code. Log through
// context.logger or getLogger(): both go to stderr. Never write to stdout in another way than by context.
import type { FlagSpec } from '../core/config/flags.js'
import type { CliContext } from './context.js'
import type { ParsedFlags } from './parsed-flags.js'

export interface Positional {
  name: string
  describe: string
  /** Absent is fine. */
  optional?: true
  choices?: readonly string[]
}

export interface CommandInput {
  /** Arguments without a flag, by the name of their Positional. */
  positionals: Readonly<Record<string, string | undefined>>
  flags: ParsedFlags
}

export interface Command {
  positionals?: readonly Positional[]
  /** By kebab-case name. Light: `--help` calls it. Global flags are added by main. */
  flags(): Readonly<Record<string, FlagSpec>>
  /** Whole command lines, for help. */
  examples?: readonly string[]
  /** The command watches context.signal and ends by itself; else SIGINT and SIGTERM end the process at once. */
  handlesSignals?: true
  /** Resolves to the exit code; nothing means 0, or 130/143 after an interrupt. */
  run(input: CommandInput, context: CliContext): Promise<number | void>
}

/** A row of the table of commands: enough for `ft-native --help` without loading the command. */
export interface CommandRow {
  name: string
  /** What follows the name in help: "[config.yaml]". */
  usage: string
  describe: string
  load(): Promise<Command>
}
