// Help must be there at once: it is made without any package (no yargs, zod, winston, yaml, tokenizers …) and
// without the addon. Proved by running it from a folder where none of them can be found.
import os from 'node:os'
import { expect } from 'chai'
import { commandHelp, mainHelp } from '../../../lib/cli/help.js'
import { commands } from '../../../lib/cli/commands/index.js'
import { globalFlags } from '../../../lib/cli/globals.js'
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
