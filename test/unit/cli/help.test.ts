// Help must be there at once: it is made without any package (no yargs, zod, winston, yaml, tokenizers …) and
// without the addon. Proved by running it from a folder where none of them can be found.
import os from 'node:os'
import { expect } from 'chai'
import { commandHelp, mainHelp } from '../../../lib/cli/help.js'
import { commands } from '../../../lib/cli/commands/index.js'
import type { CommandRow } from '../../../lib/cli/command.js'
import { globalFlags } from '../../../lib/cli/globals.js'
import type { FlagSpec } from '../../../lib/core/config/flags.js'
import { allKeys } from '../../../lib/core/config/table.js'
import { cliMain, runNode } from '../support/cli.js'

describe('help without any package', () => {
  const help = (...args: string[]) => runNode([cliMain({ packages: false }), ...args], { cwd: os.tmpdir() })

  it('ft-native --help', async () => {
    expect(await help('--help')).to.deep.include({ code: 0, stderr: '', stdout: `${mainHelp(commands)}\n` })
  })

  it('ft-native alone, with 2', async () => {
    const { code, stdout, stderr } = await help()
    expect({ code, stdout }).to.deep.equal({ code: 2, stdout: '' })
    expect(stderr.startsWith(`${mainHelp(commands)}\n`)).to.equal(true)
  })

  it('--version, also of a command', async () => {
    for (const args of [['--version'], ['-v'], ['train', '--version']]) {
      const { code, stdout } = await help(...args)
      expect(code).to.equal(0)
      expect(stdout).to.match(/^\d+\.\d+\.\d+\n$/)
    }
  })

  for (const row of commands) {
    it(`ft-native ${row.name} --help`, async () => {
      expect(await help(row.name, '--help')).to.deep.include({ code: 0, stderr: '', stdout: `${commandHelp(row, await row.load())}\n` })
    })
  }
})

describe('every command', () => {
  it('has help in two columns that do not touch', async () => {
    for (const row of commands) {
      const command = await row.load()
      const lines = commandHelp(row, command).split('\n')
      for (const [name, { kind, choices }] of Object.entries(command.flags())) {
        const line = lines.find((one) => new RegExp(`^ {2}--(?:no-)?${name}(?: |$)`).test(one)) ?? ''
        // The flag and its value, then the text after a gap, or on the next line.
        expect(line, `${row.name} --${name}`).to.match(kind === 'boolean' ? /^ {2}\S+(?: {2,}\S.*)?$/ : choices === undefined ? /^ {2}\S+ (?:<[^>]+>|\S+)(?: \S+)*?(?: {2,}\S.*)?$/ : /^ {2}\S+ [^\s,]+(?: {2,}\S.*)?$/)
      }
    }
  })

  for (const row of commands) {
    it(`${row.name} has flags that do not clash with the global ones`, async () => {
      const command = await row.load()
      for (const name of Object.keys(command.flags())) {
        expect(Object.keys(globalFlags), name).not.to.include(name)
        expect(name).to.match(/^[a-z][a-z0-9-]*$/)
        expect(name.startsWith('no-')).to.equal(false)
      }
    })
  }

  it('is there once', () => {
    const all = commands.map((row) => row.name)
    expect(all.length).to.equal(new Set(all).size)
  })
})

describe('the help text', () => {
  it('fits 100 columns', async () => {
    for (const row of commands) {
      for (const line of commandHelp(row, await row.load()).split('\n')) expect(line.length, line).to.be.at.most(100)
    }
  })

  it('speaks of flags, not of keys', async () => {
    for (const row of commands) {
      const text = commandHelp(row, await row.load())
      const keys = new Set(allKeys.filter((key) => key.name.includes('_') && key.row.flag !== undefined).map((key) => key.name))
      expect((text.match(/\b[a-z]+(?:_[a-z]+)+\b/g) ?? []).filter((word) => keys.has(word)), row.name).to.deep.equal([])
    }
    const { train } = await import('../../../lib/cli/commands/train.js')
    const flags: Record<string, FlagSpec> = train.flags()
    expect(flags['load-best-model-at-end']?.describe).to.include('--save-steps must then be a multiple of --eval-steps')
    expect(flags['eval-batch-size']?.defaultText).to.equal('--batch-size')
  })

  it('has every flag that a training run takes', async () => {
    const { train } = await import('../../../lib/cli/commands/train.js')
    const text = commandHelp(commands.find(({ name }) => name === 'train') as CommandRow, train)
    const usual = [
      'model', 'dtype', 'device', 'attention', 'init', 'data', 'no-shuffle', 'validation-ratio', 'max-seq-length', 'packing', 'train-on-prompt', 'allow-truncation',
      'method', 'output', 'epochs', 'max-steps', 'batch-size', 'gradient-accumulation-steps', 'learning-rate', 'scheduler', 'warmup-ratio', 'warmup-steps', 'weight-decay',
      'max-grad-norm', 'optimizer', 'gradient-checkpointing', 'seed', 'save-steps', 'save-total-limit', 'eval-steps', 'logging-steps', 'lora-r', 'lora-alpha',
      'lora-dropout', 'target-modules', 'adapter', 'overwrite', 'resume', 'dry-run', 'json', 'quiet', 'no-color', 'no-input', 'plugin',
    ]
    const shown = new Set([...text.matchAll(/^ {2}--([a-z0-9-]+)/gm)].map((match) => match[1]))
    expect(usual.filter((flag) => !shown.has(flag))).to.deep.equal([])
  })

  it('shows values, choices and defaults', () => {
    const text = commandHelp({ name: 'x', usage: '', describe: 'X.', load: () => Promise.reject(new Error('not here')) }, {
      flags: () => ({
        size: { kind: 'integer', group: 'G', describe: 'Size.', defaultText: '4' },
        kind: { kind: 'choice', group: 'G', describe: 'Kind.', choices: ['a', 'b'], defaultText: 'a' },
        schedule: { kind: 'choice', group: 'G', describe: 'S.', choices: ['constant', 'linear', 'cosine', 'constant_with_warmup'] },
        on: { kind: 'boolean', group: 'G', describe: 'On.', describeNo: 'Off.', defaultText: 'true' },
        off: { kind: 'boolean', group: 'G', describe: 'Do it.', defaultText: 'false' },
      }),
      run: () => Promise.resolve(),
    })
    expect(text).to.match(/--size <n> +Size\. \[4\]/)
    expect(text).to.match(/--kind a\|b +Kind\. \[a\]/)
    expect(text).to.match(/--schedule <name> +S\. One of constant, linear, cosine, constant_with_warmup\./)
    expect(text).to.match(/--no-on +Off\.\n/)
    expect(text).to.match(/--off +Do it\.\n/)
  })
})
