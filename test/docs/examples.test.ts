// Every file of examples/ runs and says what it promises.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { makeSandbox, root, type Sandbox } from './blocks.js'

const examples = path.join(root, 'examples')
const tsx = path.join(root, 'node_modules', 'tsx', 'dist', 'esm', 'index.mjs')

/** What each prints; a file that is not here fails the first test. */
const expected: Record<string, (sandbox: Sandbox) => void> = {
  'train.mjs': (sandbox) => {
    const { status, stdout, stderr } = sandbox.node(path.join(examples, 'train.mjs'), path.join(sandbox.folder, 'out'))
    expect(status, stderr).to.equal(0)
    expect(stdout).to.match(/^step 1: loss \d/m).and.match(/held-out loss \d/).and.include('finished after 20 steps')
  },
  'logprobs.mjs': (sandbox) => {
    const { status, stdout, stderr } = sandbox.node(path.join(examples, 'logprobs.mjs'))
    expect(status, stderr).to.equal(0)
    const [likely = NaN, unlikely = NaN] = [...stdout.matchAll(/: (-\d+\.\d+) nats/g)].map(([, value]) => Number(value))
    expect(likely).to.be.greaterThan(unlikely)
  },
  'generate.ts': (sandbox) => {
    const { status, stdout, stderr } = sandbox.node('--import', tsx, path.join(examples, 'generate.ts'))
    expect(status, stderr).to.equal(0)
    expect(stdout.length).to.be.greaterThan('The whale\n'.length + 20)
    expect(stdout.startsWith('The whale')).to.equal(true)
  },
  'custom-objective.mjs': (sandbox) => {
    const { status, stdout, stderr } = sandbox.node(path.join(examples, 'custom-objective.mjs'))
    expect(status, stderr).to.equal(0)
    const losses = [...stdout.matchAll(/loss (\d+\.\d+)/g)].map(([, value]) => Number(value))
    expect(losses).to.have.length(10)
    expect(losses[0]).to.be.closeTo(Math.LN2, 1e-3) // no preference before the first step
    expect(losses.at(-1)).to.be.lessThan(0.5)
  },
  'custom-trainer.mjs': (sandbox) => {
    const plugin = path.join(examples, 'custom-trainer.mjs')
    const { status, stderr } = sandbox.shell(`npx ft-native train --plugin ${plugin} --method focal_lora --model ./model --data ./data.jsonl --output ./focal --max-steps 2`)
    expect(status, stderr).to.equal(0)
  },
  'require.cjs': (sandbox) => {
    const { status, stdout, stderr } = sandbox.node(path.join(examples, 'require.cjs'))
    expect(status, stderr).to.equal(0)
    expect(stdout).to.match(/^qwen3: \d+ parameters, 4 layers$/m).and.include('attention layers: 16')
  },
  'config.yaml': (sandbox) => {
    const file = path.join(examples, 'config.yaml')
    const [first = ''] = readFileSync(file, 'utf8').split('\n')
    expect(first).to.equal('# yaml-language-server: $schema=../docs/config.schema.json')
    const run = sandbox.shell(`cd ${JSON.stringify(root)} && node dist/cli/main.js train ${file} --max-steps 1 --output ${sandbox.folder}/out`)
    expect(run.status, run.stderr).to.equal(0)
  },
}

describe('examples', function () {
  this.timeout(180_000)

  it('are all run here', () => {
    const files = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== 'README.md').map((entry) => entry.name)
    expect(files.sort()).to.deep.equal(Object.keys(expected).sort())
  })

  for (const [name, run] of Object.entries(expected)) {
    it(name, () => {
      const sandbox = makeSandbox()
      try {
        run(sandbox)
      } finally {
        sandbox.remove()
      }
    })
  }
})
