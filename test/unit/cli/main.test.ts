// The command line as a process: exit codes, streams, errors in both forms, plugins, signals, closed pipes.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { commands } from '../../../lib/cli/commands/index.js'
import { cliMain, runCli } from '../support/cli.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const file = path.join(folder, name)
  writeFileSync(file, text)
  return file
}

const needed = ['--model', 'm', '--data', 'd.jsonl']

describe('ft-native', () => {
  it('--help lists every command on stdout', async () => {
    const { code, stdout, stderr } = await runCli(['--help'])
    expect(code).to.equal(0)
    expect(stderr).to.equal('')
    for (const { name } of commands) expect(stdout).to.match(new RegExp(`^  ${name}\\b`, 'm'))
    expect(stdout).to.include('--json').and.include('--no-color').and.include('--plugin <file>')
  })

  it('--version is that of the package', async () => {
    const { code, stdout } = await runCli(['--version'])
    expect(code).to.equal(0)
    expect(stdout).to.match(/^\d+\.\d+\.\d+\n$/)
  })

  it('without a command shows help on stderr and ends with 2', async () => {
    const { code, stdout, stderr } = await runCli([])
    expect(code).to.equal(2)
    expect(stdout).to.equal('')
    expect(stderr).to.include('Usage: ft-native').and.include('no command given')
  })

  it('with an unknown command names the nearest', async () => {
    const { code, stderr } = await runCli(['confgi', 'show'])
    expect(code).to.equal(2)
    expect(stderr).to.include('unknown command "confgi"').and.include('did you mean "config"?').and.include('FT_USAGE')
  })

  it('finds the command after global flags and their values', async () => {
    for (const flags of [['--json', 'true'], ['--quiet', 'FALSE'], ['--color', 'false', '--json']]) {
      const { code, stderr } = await runCli([...flags, 'config', 'show', ...needed])
      expect(code, stderr).to.equal(0)
    }
    expect((await runCli(['--plugin', 'true', 'nothing'])).stderr).to.include('unknown command "nothing"')
  })

  it('with an unknown flag ends with 2, what, remedy and code on stderr, no stack', async () => {
    const { code, stdout, stderr } = await runCli(['config', 'show', '--learning-rte', '1'])
    expect(code).to.equal(2)
    expect(stdout).to.equal('')
    expect(stderr).to.equal('error: unknown flag --learning-rte\nremedy: did you mean --learning-rate?\ncode: FT_USAGE\n')
  })

  it('--json in its other spellings makes an error a line of stdout', async () => {
    for (const flags of [['--json=true'], ['--no-json', '--json', 'TRUE']]) {
      const { stdout } = await runCli(['config', 'show', '--learning-rte', '1', ...flags])
      expect(JSON.parse(stdout), flags.join(' ')).to.include({ event: 'error', code: 'FT_USAGE' })
    }
    for (const flags of [['--json=false'], ['--json', '--no-json', '--', '--json']]) {
      expect((await runCli(['config', 'show', '--learning-rte', '1', ...flags])).stdout, flags.join(' ')).to.equal('')
    }
  })

  it('speaks English in any locale, and warns of nothing', async () => {
    const { code, stderr } = await runCli(['config', 'show', '--seed'], { env: { LC_ALL: 'de_DE.UTF-8', LANG: 'de_DE.UTF-8' } })
    expect(code).to.equal(2)
    expect(stderr).to.equal('error: --seed needs a value\nremedy: ft-native config --help lists the flags\ncode: FT_USAGE\n')
    expect((await runCli(['config', 'schema'])).stderr).to.equal('')
  })

  it('--verbose adds the stack', async () => {
    const { stderr } = await runCli(['config', 'show', '--nope', '--verbose'])
    expect(stderr).to.include('    at ')
  })

  it('--json ends stdout with the error as an event, and says the same on stderr', async () => {
    const { code, stdout, stderr } = await runCli(['config', 'show', '--json', '--batch-size', '0'])
    expect(code).to.equal(2)
    const event = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, string>
    expect(event).to.have.all.keys('event', 'code', 'message', 'remedy')
    expect(event).to.include({ event: 'error', code: 'FT_INVALID_CONFIG' })
    expect(event.message).to.include('--batch-size')
    expect(stderr).to.include(event.message).and.include(event.remedy)
  })

  it('--quiet with --verbose is a contradiction', async () => {
    expect((await runCli(['config', 'show', '--quiet', '--verbose'])).code).to.equal(2)
  })

  it('never shows a token, not even in an error about it', async () => {
    const secret = 'some-secret-token-value'
    const { code, stdout, stderr } = await runCli(['config', 'show', '--json', '--dtype', secret, '--model', `https://u:${secret}@h/m`], { env: { HF_TOKEN: secret } })
    expect(code).to.equal(2)
    expect(stdout + stderr).not.to.include(secret)
  })

  it('does not mind a reader that goes away', () => {
    const command = `set -o pipefail; "${process.execPath}" "${cliMain()}" config schema | true`
    const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' })
    expect(stderr).to.equal('')
    expect(status).to.equal(0)
  })
})

describe('a stdout that cannot be written', () => {
  it('is a storage error', function () {
    if (!existsSync('/dev/full')) this.skip()
    const { status, stderr } = spawnSync('bash', ['-c', `"${process.execPath}" "${cliMain()}" config schema > /dev/full`], { encoding: 'utf8' })
    expect(status).to.equal(5)
    expect(stderr).to.include('FT_STORAGE')
  })
})

describe('config', () => {
  it('validate says yes with 0', async () => {
    const file = write('c.yaml', 'model:\n  name: m\ndataset:\n  path: d.jsonl\n')
    const human = await runCli(['config', 'validate', file])
    expect(human).to.include({ code: 0, stdout: `${file} is valid\n`, stderr: '' })
    const machine = await runCli(['config', 'validate', file, '--json'])
    expect(JSON.parse(machine.stdout)).to.deep.equal({ valid: true, file })
  })

  it('validate names file, line and the nearest key with 2', async () => {
    const file = write('c.yaml', 'model:\n  name: m\ntraining:\n  learning_rte: 1\n')
    const { code, stderr } = await runCli(['config', 'validate', file])
    expect(code).to.equal(2)
    expect(stderr).to.include(`${file}:4`).and.include('did you mean "learning_rate"?').and.include('FT_UNKNOWN_CONFIG_KEY')
  })

  it('validate without a file is a usage error', async () => {
    expect((await runCli(['config', 'validate'])).stderr).to.include('no configuration file given')
    expect((await runCli(['config', 'chekc'])).code).to.equal(2)
  })

  it('show has the value and origin of every key', async () => {
    const file = write('c.yaml', 'training:\n  seed: 7\n')
    const args = ['config', 'show', file, '--epochs', '2', '--no-shuffle']
    const env = { FT_NATIVE_LORA__R: '4' }
    const { code, stdout } = await runCli([...args, '--json'], { env })
    expect(code).to.equal(0)
    const shown = JSON.parse(stdout) as { config: Record<string, Record<string, unknown>>; origins: Record<string, { origin: string; where?: string }> }
    expect(shown.config.training).to.include({ seed: 7, num_epochs: 2, batch_size: 4 })
    expect(shown.config.dataset).to.include({ shuffle: false })
    expect(shown.config.lora).to.include({ r: 4 })
    expect(shown.origins['training.seed']).to.deep.equal({ origin: 'file', where: `${file}:2` })
    expect(shown.origins['training.num_epochs']).to.deep.equal({ origin: 'flag', where: '--epochs' })
    expect(shown.origins['lora.r']).to.deep.equal({ origin: 'environment', where: 'FT_NATIVE_LORA__R' })
    expect(shown.origins['training.batch_size']).to.deep.equal({ origin: 'default' })
    const human = await runCli(args, { env })
    expect(human.stdout).to.match(/^training\.seed +7 +file \(.*c\.yaml:2\)$/m)
    expect(human.stdout).to.match(/^lora\.r +4 +environment \(FT_NATIVE_LORA__R\)$/m)
    expect(human.stdout).to.match(/^model\.name +\(missing\) +default$/m)
    expect(human.stdout).to.match(/^training\.save_steps +\(each epoch\) +default$/m)
  })

  it('schema prints the JSON Schema', async () => {
    const { code, stdout } = await runCli(['config', 'schema'])
    expect(code).to.equal(0)
    expect(JSON.parse(stdout)).to.have.nested.property('properties.lora.properties.r.minimum', 1)
  })
})

describe('doctor', () => {
  it('without the addon ends with 1 and says how to build it', async () => {
    // The transpiled copy has no build/ folder beside it.
    const { code, stdout, stderr } = await runCli(['doctor', '--json'], { env: { HF_TOKEN: 'some-secret-token-value' } })
    expect(code).to.equal(1)
    const { healthy, checks } = JSON.parse(stdout) as { healthy: boolean; checks: { name: string; status: string; remedy?: string }[] }
    expect(healthy).to.equal(false)
    expect(checks.find((check) => check.name === 'engine')).to.include({ status: 'failed' }).and.have.property('remedy').that.includes('build')
    expect(checks.filter((check) => check.status === 'failed')).to.have.length(1)
    expect(stdout + stderr).not.to.include('some-secret-token-value')
  })
})

describe('--plugin', () => {
  it('is loaded before the command, and gets the package', async () => {
    const plugin = write('plugin.mjs', "export function register(api) { process.stderr.write(`plugin ${typeof api.ConfigBuilder}\\n`) }\n")
    const other = write('other.cjs', "process.stderr.write('other\\n')\n")
    const { code, stderr } = await runCli(['--plugin', plugin, 'config', 'show', '--plugin', other, ...needed])
    expect(code).to.equal(0)
    expect(stderr).to.equal('plugin function\nother\n')
  })

  it('that is not there, or throws, is FT_PLUGIN naming the file', async () => {
    const missing = await runCli(['config', 'show', '--plugin', path.join(folder, 'none.mjs')])
    expect(missing.code).to.equal(2)
    expect(missing.stderr).to.include('none.mjs').and.include('FT_PLUGIN')
    const broken = await runCli(['config', 'show', '--plugin', write('broken.mjs', "throw new Error('kaput')\n")])
    expect(broken.code).to.equal(2)
    expect(broken.stderr).to.include('kaput').and.include('FT_PLUGIN').and.not.include('    at ')
  })
})

describe('signals and crashes', () => {
  const waiting = "process.stderr.write('ready\\n'); setInterval(() => {}, 1000); await new Promise(() => {})\n"
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    it(`${signal} ends a command that does not handle it with ${code}`, async () => {
      const plugin = write('wait.mjs', waiting)
      const result = await runCli(['config', 'show', '--plugin', plugin], {
        onStart: (child) => child.stderr?.on('data', () => child.kill(signal)),
      })
      expect(result.code).to.equal(code)
    })
  }

  it('an error nobody caught ends with 1 and its text', async () => {
    const plugin = write('late.mjs', "setTimeout(() => { throw new Error('late') }, 10); await new Promise((resolve) => setTimeout(resolve, 5000))\n")
    const { code, stdout, stderr } = await runCli(['config', 'show', '--json', '--plugin', plugin])
    expect(code).to.equal(1)
    expect(stderr).to.include('error: late').and.include('FT_INTERNAL').and.not.include('    at ')
    expect(JSON.parse(stdout)).to.include({ event: 'error', code: 'FT_INTERNAL' })
  })
})
