// The command line parser: every kind of flag, and every way to misuse it.
import { expect } from 'chai'
import type { FlagSpec } from '../../../lib/core/config/flags.js'
import type { Positional } from '../../../lib/cli/command.js'
import { parseLine } from '../../../lib/cli/parse.js'
import { caught } from '../support/caught.js'

const flag = (kind: FlagSpec['kind']): FlagSpec => ({ kind, describe: '', group: '' })
const table = {
  model: flag('string'), data: flag('list'), epochs: flag('integer'), 'learning-rate': flag('number'), shuffle: flag('boolean'), overwrite: flag('boolean'),
  'gradient-checkpointing': flag('toggle'), resume: flag('optional'), 'target-modules': flag('names'), json: flag('boolean'),
}
const positionals: Positional[] = [{ name: 'config', describe: 'file', optional: true }]
const parse = (line: string, words: readonly Positional[] = positionals) => parseLine(line === '' ? [] : line.split(' '), table, words, 'see --help')
const values = (line: string) => {
  const { positionals: named, flags } = parse(line)
  return { ...Object.fromEntries(flags.entries()), ...(named.config === undefined ? {} : { config: named.config }) }
}

describe('parseLine', () => {
  const cases: [string, Record<string, unknown>][] = [
    ['', {}],
    ['c.yaml --model m --epochs 3', { config: 'c.yaml', model: 'm', epochs: '3' }],
    ['--model=m --learning-rate=1e-4 c.yaml', { config: 'c.yaml', model: 'm', 'learning-rate': '1e-4' }],
    ['--model a --model b', { model: 'b' }],
    ['--data a --data b --data=c', { data: ['a', 'b', 'c'] }],
    ['--data a', { data: 'a' }],
    ['--overwrite c.yaml', { overwrite: true, config: 'c.yaml' }],
    ['--overwrite=false', { overwrite: false }],
    ['--overwrite true c.yaml', { overwrite: true, config: 'c.yaml' }],
    ['--no-shuffle c.yaml', { shuffle: false, config: 'c.yaml' }],
    ['--gradient-checkpointing c.yaml', { 'gradient-checkpointing': true, config: 'c.yaml' }],
    ['--gradient-checkpointing auto', { 'gradient-checkpointing': 'auto' }],
    ['--gradient-checkpointing 12', { 'gradient-checkpointing': '12' }],
    ['--gradient-checkpointing=auto', { 'gradient-checkpointing': 'auto' }],
    ['--no-gradient-checkpointing', { 'gradient-checkpointing': false }],
    ['--resume', { resume: true }],
    ['--resume --json', { resume: true, json: true }],
    ['--resume ./out/checkpoint-5 c.yaml', { resume: './out/checkpoint-5', config: 'c.yaml' }],
    ['--resume c.yaml', { resume: true, config: 'c.yaml' }],
    ['--resume=c.yaml', { resume: 'c.yaml' }],
    ['--learning-rate -1', { 'learning-rate': '-1' }],
    ['--learning-rate -.5', { 'learning-rate': '-.5' }],
    ['-- --model', { config: '--model' }],
    ['--target-modules .*_proj', { 'target-modules': '.*_proj' }],
    // Text stays as it was typed: no number, no quotes taken off, no dots read as a path.
    ['--model 0x10 1e3', { model: '0x10', config: '1e3' }],
    ['--model=007 --data="a" --data=\'b\'', { model: '007', data: ['"a"', "'b'"] }],
    ['--model=a=b --target-modules=--x', { model: 'a=b', 'target-modules': '--x' }],
    ['--learning-rate -1e-4', { 'learning-rate': '-1e-4' }],
    ['--learning-rate -.5e-3', { 'learning-rate': '-.5e-3' }],
    ['--data a c.yaml', { data: 'a', config: 'c.yaml' }],
    ['--shuffle --no-shuffle', { shuffle: false }],
    ['--no-shuffle --shuffle', { shuffle: true }],
    ['--overwrite=TRUE', { overwrite: true }],
    ['--json -- -1', { json: true, config: '-1' }],
    ['help', { config: 'help' }],
  ]
  for (const [line, wanted] of cases) {
    it(`reads "${line}"`, () => {
      expect(values(line)).to.deep.equal(wanted)
    })
  }

  const misuses: [string, string, string][] = [
    ['--modle m', 'unknown flag --modle', 'did you mean --model?'],
    ['--load-in-4bit', 'unknown flag --load-in-4bit', 'see --help'],
    ['--no-model', 'unknown flag --no-model', 'did you mean --model?'],
    ['--no-resume', 'unknown flag --no-resume', 'did you mean --resume?'],
    ['-x', 'unknown flag -x', 'see --help'],
    ['--constructor', 'unknown flag --constructor', 'see --help'],
    ['--__proto__ 1', 'unknown flag --__proto__', 'see --help'],
    ['--no-constructor', 'unknown flag --no-constructor', 'see --help'],
    ['--learningRate 1', 'unknown flag --learningRate', 'did you mean --learning-rate?'],
    ['--model.name m', 'unknown flag --model.name', ''],
    ['-json', 'unknown flag -j', ''],
    ['-1', 'unknown flag -1', 'see --help'],
    ['--help', 'unknown flag --help', ''],
    // What yargs keeps for itself.
    ['--_ a', 'unknown flag --_', 'see --help'],
    ['--no-_', 'unknown flag --no-_', 'see --help'],
    ['-_/a', 'unknown flag -_', 'see --help'],
    ['--$0=a', 'unknown flag --$0', 'see --help'],
    ['--get-yargs-completions', 'unknown flag --get-yargs-completions', 'see --help'],
    ['--model', '--model needs a value', 'see --help'],
    ['--data --json', '--data needs a value', 'see --help'],
    ['--model -- a', '--model needs a value', 'see --help'],
    ['--resume=', '--resume needs a value', 'see --help'],
    ['--model --epochs 3', '--model needs a value', 'see --help'],
    ['--model=', '--model needs a value', 'see --help'],
    ['--overwrite=maybe', '--overwrite: expected true or false, got "maybe"', ''],
    ['--gradient-checkpointing=yes', '--gradient-checkpointing: expected true, false, auto or a number, got "yes"', ''],
    ['--no-shuffle=true', '--no-shuffle takes no value', 'see --help'],
    ['a.yaml b.yaml', 'unexpected argument "b.yaml"', 'see --help'],
  ]
  for (const [line, message, remedy] of misuses) {
    it(`refuses "${line}"`, () => {
      const error = caught(() => parse(line))
      expect(error).to.include({ code: 'FT_USAGE', exitCode: 2, message })
      if (remedy) expect(error.remedy).to.equal(remedy)
      else expect(error.remedy).not.to.equal('')
    })
  }

  it('asks for arguments that are needed, and checks their choices', () => {
    const words: Positional[] = [{ name: 'action', describe: 'what to do', choices: ['validate', 'show'] }]
    expect(parse('show', words).positionals).to.deep.equal({ action: 'show' })
    expect(caught(() => parse('', words)).message).to.equal('<action> is missing: what to do')
    expect(caught(() => parse('sohw', words))).to.include({ message: '<action>: expected validate, show, got "sohw"', remedy: 'did you mean "show"?' })
  })
})

describe('ParsedFlags', () => {
  it('types values on demand', () => {
    const { flags } = parse('--epochs 3 --learning-rate 1e-4 --data a --data b --overwrite')
    expect(flags.integer('epochs')).to.equal(3)
    expect(flags.number('learning-rate')).to.equal(1e-4)
    expect(flags.list('data')).to.deep.equal(['a', 'b'])
    expect(flags.text('data')).to.equal('b')
    expect(flags.boolean('overwrite')).to.equal(true)
    expect([flags.text('model'), flags.integer('max'), flags.boolean('json'), flags.has('model')]).to.deep.equal([undefined, undefined, undefined, false])
    expect(flags.list('model')).to.deep.equal([])
  })

  it('refuses what does not fit, with the range', () => {
    const { flags } = parse('--epochs 2.5 --learning-rate 9 --model x --target-modules 0x10')
    expect(caught(() => flags.integer('epochs', { min: 1 })).message).to.equal('--epochs: expected an integer of at least 1, got "2.5"')
    expect(caught(() => flags.number('learning-rate', { min: 0, max: 1 })).message).to.equal('--learning-rate: expected a number of at least 0 and at most 1, got "9"')
    expect(caught(() => flags.integer('target-modules')).code).to.equal('FT_USAGE')
    expect(flags.choice('model', ['x', 'y'])).to.equal('x')
    expect(caught(() => flags.choice('model', ['a', 'b'])).message).to.equal('--model: expected a, b, got "x"')
  })
})
