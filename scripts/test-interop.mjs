// `npm run test:interop`: against the live Python stack (torch, transformers, PEFT) that FT_PYTHON names, or
// that python3.11 or python3 has. Says how to get it where there is none.
import { spawnSync } from 'node:child_process'
import { report, runMocha } from './test/runners.mjs'

const modules = 'torch, transformers, peft, sentencepiece'
const candidates = [process.env.FT_PYTHON, 'python3.11', 'python3'].filter(Boolean)
const python = candidates.find((name) => spawnSync(name, ['-c', `import ${modules}`]).status === 0)
if (!python) {
  console.error(`No Python with ${modules} (tried ${candidates.join(', ')}). Make one and name it:
  python3 -m venv ~/ft-reference && ~/ft-reference/bin/pip install -r test/interop/requirements.txt
  FT_PYTHON=~/ft-reference/bin/python npm run test:interop`)
  process.exit(1)
}
process.env.FT_PYTHON = python
const result = runMocha('interop', ['--timeout', '600000'])
if (!result) {
  console.error('test/interop has no tests')
  process.exit(1)
}
process.exit(report([result]))
