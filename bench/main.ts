// npm run bench [-- --quick] — ft-native next to transformers + PEFT on the same machine, model, adapter and
// rows. The two take turns; figures are medians over runs with their spread; a speed is quoted only when
// both trained to the same losses. Prints a table on stderr and one JSON document on stdout.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, hasBf16 } from './machine.js'
import { makeInputs } from './inputs.js'
import { findPython, jsonLines, referenceCommand } from './programs.js'
import { measure, type Method, type Result, type Settings } from './measure.js'
import { matrixRates } from './matmul.js'
import { table } from './report.js'
import { QUICK, SHAPES } from './shapes.js'

const HELP = `npm run bench -- [options]
  --quick            one small shape, two runs: under two minutes
  --shape <name>     ${SHAPES.map((shape) => shape.name).join(' | ')} | quick (default: the first two)
  --mode <names>     lora, lora-checkpointing, full, comma-separated (default: lora)
  --runs <n>         runs of each program (default 5; --quick 2)
  --steps <n>        optimizer steps a run (default 6; the first is left out of the rate)
  --dtype <name>     bf16 | fp32 (default: bf16 where this CPU has it)
  --no-reference     measure ft-native alone
  --no-native        measure the Python reference alone
  --cache <folder>   where models and rows are kept (default: the system's temporary folder)`

function readSettings(): Settings | null {
  const { values } = parseArgs({ options: {
    quick: { type: 'boolean', default: false }, shape: { type: 'string' }, mode: { type: 'string', default: 'lora' },
    runs: { type: 'string' }, steps: { type: 'string', default: '6' }, dtype: { type: 'string' },
    'no-reference': { type: 'boolean', default: false }, 'no-native': { type: 'boolean', default: false },
    cache: { type: 'string' }, help: { type: 'boolean', default: false },
  } })
  if (values.help) return null
  const names = values.shape?.split(',') ?? (values.quick ? ['quick'] : SHAPES.map((shape) => shape.name))
  const shapes = names.map((name) => [...SHAPES, QUICK].find((shape) => shape.name === name) ?? usage(`no shape ${name}`))
  const modes: Method[] = ['lora', 'lora-checkpointing', 'full']
  const python = values['no-reference'] ? null : findPython()
  if (python === null && !values['no-reference']) {
    usage('no Python with torch, transformers and peft: set FT_PYTHON, or give --no-reference')
  }
  return {
    shapes, python,
    native: !values['no-native'],
    methods: values.mode.split(',').map((name) => modes.find((mode) => mode === name) ?? usage(`no mode ${name}`)),
    runs: wholeNumber(values.runs ?? (values.quick ? '2' : '5'), 'runs'),
    steps: wholeNumber(values.steps, 'steps'),
    dtype: values.dtype === undefined ? (hasBf16(describeMachine()) ? 'bf16' : 'fp32')
      : values.dtype === 'bf16' || values.dtype === 'fp32' ? values.dtype : usage('--dtype is bf16 or fp32'),
    cache: values.cache ?? path.join(os.tmpdir(), 'ft-native-bench'),
  }
}

function wholeNumber(text: string, name: string): number {
  const value = Number(text)
  return Number.isInteger(value) && value >= 2 ? value : usage(`--${name} is a whole number from 2 on`)
}

function usage(problem: string): never {
  process.stderr.write(`${problem}\n\n${HELP}\n`)
  process.exit(2)
}

async function main(): Promise<void> {
  const settings = readSettings()
  if (settings === null) {
    process.stdout.write(`${HELP}\n`)
    return
  }
  const say = (text: string) => { process.stderr.write(`${text}\n`) }
  const machine = describeMachine()
  say(`${machine.cpu}, ${machine.cores} cores (${machine.instructionSets.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, load ${machine.loadAverage}`)
  fs.mkdirSync(settings.cache, { recursive: true })
  const reference = settings.python === null ? null : (await jsonLines(referenceCommand(settings.python, ['versions'])))[0]
  const results: Result[] = []
  for (const shape of settings.shapes) {
    say(`preparing ${shape.title}`)
    const inputs = makeInputs(settings.cache, shape, settings.dtype)
    const rates = await matrixRates(shape, settings)
    for (const method of settings.methods) {
      results.push(await measure({ shape, method, inputs, settings, rates, say }))
    }
  }
  say(table(results))
  process.stdout.write(`${JSON.stringify({ benchmark: 'training', machine, reference, settings: { ...settings, shapes: undefined }, results }, null, 2)}\n`)
  if (results.some((result) => result.agreement !== null && !result.agreement.agrees)) {
    say('The losses of the two programs differ: the speeds above do not compare the same work.')
    process.exitCode = 1
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
