// What the command line of the benchmark asks for.
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { Question } from './question.js'
import { describeMachine, hasBf16 } from './machine.js'
import type { Method } from './measure.js'
import { findPython } from './programs.js'
import { QUICK, SHAPES, type Shape } from './shapes.js'

/** quick: all questions in two minutes; all: in fifteen; full: one that was named, at length. */
export type Depth = 'quick' | 'all' | 'full'

export interface Settings {
  questions: Question[]
  depth: Depth
  shapes: Shape[]
  methods: Method[]
  runs: number
  steps: number
  dtype: 'bf16' | 'fp32'
  python: string | null
  native: boolean
  cache: string
}

const METHODS: readonly Method[] = ['lora', 'lora-checkpointing', 'full']

export function help(questions: readonly Question[]): string {
  const width = Math.max(...questions.map(({ name }) => name.length))
  return `npm run bench -- [options]
  Without --question all of them, short: under fifteen minutes on an idle machine.

  --question <names> comma-separated; each is then asked at length:
${questions.map(({ name, asks }) => `    ${name.padEnd(width)}  ${asks}`).join('\n')}
  --quick            a small shape, few runs: all questions in under two minutes
  --shape <name>     ${SHAPES.map((shape) => shape.name).join(' | ')} | quick (default: the first two for training, else the first)
  --mode <names>     of training: ${METHODS.join(', ')}, comma-separated (default: lora)
  --runs <n>         runs of each program (default 2; 5 for a question asked at length)
  --steps <n>        optimizer steps a run (default 6; 3 where all is asked, 4 with --quick; the first is left out of the rate)
  --dtype <name>     bf16 | fp32 (default: bf16 where this CPU has it)
  --no-reference     measure ft-native alone
  --no-native        of training: measure the Python reference alone
  --cache <folder>   where models and rows are kept (default: the system's temporary folder)
`
}

/** null: help was asked for. */
export function readSettings(all: readonly Question[]): Settings | null {
  const { values } = parseArgs({ options: {
    question: { type: 'string' }, quick: { type: 'boolean', default: false }, shape: { type: 'string' }, mode: { type: 'string' },
    runs: { type: 'string' }, steps: { type: 'string' }, dtype: { type: 'string' }, 'no-reference': { type: 'boolean', default: false },
    'no-native': { type: 'boolean', default: false }, cache: { type: 'string' }, help: { type: 'boolean', default: false },
  } })
  if (values.help) return null
  const usage = (problem: string): never => {
    process.stderr.write(`${problem}\n\n${help(all)}`)
    process.exit(2)
  }
  const wholeNumber = (text: string, name: string): number => {
    const value = Number(text)
    return Number.isInteger(value) && value >= 2 ? value : usage(`--${name} is a whole number from 2 on`)
  }
  // A method or one program alone is a question about training.
  const named = values.question ?? (values.mode !== undefined || values['no-native'] ? 'training' : undefined)
  const questions = named === undefined ? all.filter((question) => !(values.quick && question.slow)) : named.split(',').map((name) => all.find((question) => question.name === name) ?? usage(`no question ${name}`))
  const depth = values.quick ? 'quick' : named === undefined ? 'all' : 'full'
  const shapes = values.shape?.split(',').map((name) => [...SHAPES, QUICK].find((shape) => shape.name === name) ?? usage(`no shape ${name}`))
  const python = values['no-reference'] ? null : findPython()
  if (python === null && !values['no-reference']) {
    usage('no Python with torch, transformers and peft: make the environment that npm run test:interop names, set FT_PYTHON, or give --no-reference')
  }
  return {
    questions, depth, python,
    shapes: shapes ?? (values.quick ? [QUICK] : SHAPES),
    methods: (values.mode ?? 'lora').split(',').map((name) => METHODS.find((mode) => mode === name) ?? usage(`no mode ${name}`)),
    runs: wholeNumber(values.runs ?? (depth === 'full' ? '5' : '2'), 'runs'),
    steps: wholeNumber(values.steps ?? { quick: '4', all: '3', full: '6' }[depth], 'steps'),
    dtype: values.dtype === undefined ? (hasBf16(describeMachine()) ? 'bf16' : 'fp32')
      : values.dtype === 'bf16' || values.dtype === 'fp32' ? values.dtype : usage('--dtype is bf16 or fp32'),
    native: !values['no-native'],
    cache: values.cache ?? path.join(os.tmpdir(), 'ft-native-bench'),
  }
}
