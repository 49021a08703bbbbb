#!/usr/bin/env node
// The command line: finds the command, loads it, runs it, and ends with the exit code of the contract.
// Nothing heavy is imported here: `--help` has to be there in 150 ms, so yargs waits for a line to parse (parse.ts).
import { readFileSync } from 'node:fs'
import { describeError, errorEvent, exitCodeOf, fail, FineTuneError, suggest } from '../core/errors/index.js'
import type { FlagSpec } from '../core/config/flags.js'
import type { CommandRow } from './command.js'
import { commands } from './commands/index.js'
import { setHubHost } from '../hub/host.js'
import { downloadBar } from './download-bar.js'
import { globalFlags } from './globals.js'
import { watchInterrupts, type Interrupts } from './interrupts.js'
import { watchOutput } from './process-output.js'

/** Index of the command's name: the first word that is neither a flag nor the value of a global one. */
function commandIndex(argv: readonly string[]): number {
  return argv.findIndex((word, index) => !word.startsWith('-') && !isGlobalValue(word, argv[index - 1] ?? ''))
}

function isGlobalValue(word: string, before: string): boolean {
  const flags: Readonly<Record<string, FlagSpec>> = globalFlags
  const spec = before.startsWith('--') && Object.hasOwn(flags, before.slice(2)) ? flags[before.slice(2)] : undefined
  return spec !== undefined && (spec.kind !== 'boolean' || /^(?:true|false)$/i.test(word))
}

function findCommand(name: string): CommandRow {
  const row = commands.find((entry) => entry.name === name)
  if (row !== undefined) return row
  const [near] = suggest(name, commands.map((entry) => entry.name))
  return fail('FT_USAGE', `unknown command "${name}"`, { remedy: near === undefined ? 'ft-native --help lists the commands' : `did you mean "${near}"?` })
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}

/** Runs one command line; resolves to the exit code. Throws what the command throws. */
async function run(argv: readonly string[], interrupts: Interrupts): Promise<number> {
  const at = commandIndex(argv)
  const name = argv[at]
  if (name === undefined) return withoutCommand(argv)
  const row = findCommand(name)
  const args = argv.filter((_word, index) => index !== at)
  const command = await row.load()
  if (asks(args, '--help', '-h')) return print((await import('./help.js')).commandHelp(row, command))
  if (asks(args, '--version')) return print(version())
  const { parseLine } = await import('./parse.js')
  const input = parseLine(args, { ...command.flags(), ...globalFlags }, command.positionals ?? [], `ft-native ${row.name} --help lists the flags`)
  const { createContext } = await import('./context.js')
  const context = createContext(input.flags, interrupts.signal)
  setHubHost({ signal: interrupts.signal, progress: (label, totalBytes) => downloadBar(context, label, totalBytes) })
  const plugins = input.flags.list('plugin')
  if (plugins.length > 0) await (await import('./plugins.js')).loadPlugins(plugins)
  interrupts.graceful = command.handlesSignals ?? false
  const code = await command.run(input, context)
  return code ?? interrupts.received?.exitCode ?? 0
}

async function withoutCommand(argv: readonly string[]): Promise<number> {
  const hint = 'ft-native --help lists the commands'
  const { mainHelp } = await import('./help.js')
  if (asks(argv, '--help', '-h')) return print(mainHelp(commands))
  if (asks(argv, '--version', '-v')) return print(version())
  if (argv.length > 0) (await import('./parse.js')).parseLine(argv, globalFlags, [], hint)
  process.stderr.write(`${mainHelp(commands)}\n`)
  return fail('FT_USAGE', 'no command given', { remedy: hint })
}

/** Is one of the words there, before a `--`? */
function asks(args: readonly string[], ...words: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).some((word) => words.includes(word))
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

/** Is the switch on? Read off the words, because an error may come before the line is parsed; `parseLine` says the same of a good one. */
function switchedOn(argv: readonly string[], name: string): boolean {
  const end = argv.indexOf('--')
  const words = end === -1 ? argv : argv.slice(0, end)
  let on = false
  words.forEach((word, index) => {
    if (word === `--no-${name}`) on = false
    else if (word === `--${name}`) on = !/^false$/i.test(words[index + 1] ?? '')
    else if (word.startsWith(`--${name}=`)) on = !/=false$/i.test(word)
  })
  return on
}

/** The error for people on stderr and, with --json, as the last line of stdout. */
function report(error: unknown, argv: readonly string[]): void {
  if (switchedOn(argv, 'json')) process.stdout.write(`${JSON.stringify(errorEvent(error))}\n`)
  process.stderr.write(`${describeError(error, { verbose: switchedOn(argv, 'verbose') })}\n`)
}

async function main(argv: readonly string[]): Promise<void> {
  const interrupts = watchInterrupts()
  const output = watchOutput(interrupts)
  const end = async (code: number): Promise<never> => {
    const failure = await output.finish()
    if (failure === null || code !== 0) process.exit(code)
    process.stderr.write(`${describeError(failure)}\n`)
    process.exit(exitCodeOf(failure))
  }
  let crashed = false
  const crash = (error: unknown): void => {
    if (crashed) return
    crashed = true
    report(error, argv)
    void end(exitCodeOf(error))
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  await end(await runReported(argv, interrupts))
}

/** The exit code of a command line, its error reported. */
async function runReported(argv: readonly string[], interrupts: Interrupts): Promise<number> {
  try {
    return await run(argv, interrupts)
  } catch (error) {
    report(error, argv)
    const cancelled = error instanceof FineTuneError && error.code === 'FT_CANCELLED'
    return (cancelled ? interrupts.received?.exitCode : undefined) ?? exitCodeOf(error)
  }
}

void main(process.argv.slice(2))
