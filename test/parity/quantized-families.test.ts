// Which linear weights of a family are quantized, and that those which are stored [in, out] or stand outside of the layers are quantized right: as
// transformers and bitsandbytes do it, every linear module but the output head.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { exportModel, inspectModel, loadModel, type LoadModelOptions } from '../../lib/models/index.js'
import { difference, goldenCases } from './golden.js'
import { readTensors } from '../../scripts/quantization/safetensors.js'

const cases: { name: string; outside: string[] }[] = [
  { name: 'gpt2', outside: [] },
  { name: 'opt-350m', outside: ['model.decoder.project_in', 'model.decoder.project_out'] },
]
const row = [3, 17, 90, 3, 41, 8, 22, 9]

async function logitsOf(options: LoadModelOptions): Promise<Float32Array> {
  await using model = await loadModel({ dtype: 'fp32', device: 'cpu', threads: 1, ...options })
  return (await model.forward([row])).logits
}

describe('quantized weights of families', function () {
  this.timeout(60_000)
  let folder: string
  before(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-families-'))))
  after(() => fs.rmSync(folder, { recursive: true, force: true }))

  for (const { name, outside } of cases) {
    it(`${name}: every linear module but the head, and close to what they were`, async () => {
      const model = goldenCases().find((golden) => golden.name === name)?.model ?? ''
      const info = await inspectModel(model)
      const linear = info.linearModules.map((module) => module.name).filter((module) => module !== info.outputHead)
      expect(linear).to.include.members(outside)
      const [packed, plain] = [path.join(folder, `${name}-4bit`), path.join(folder, `${name}-plain`)]
      await exportModel({ model, format: 'bnb-4bit', output: packed })
      const stored = [...readTensors(path.join(packed, 'model.safetensors')).keys()].filter((tensor) => tensor.endsWith('.weight.absmax'))
      expect(stored.sort()).to.deep.equal(linear.map((module) => `${module}.weight.absmax`).sort())
      await exportModel({ model: packed, format: 'plain', output: plain, dtype: 'fp32' })
      expect(difference(await logitsOf({ name: packed }), await logitsOf({ name: plain })), 'made plain again').to.be.below(1e-5)
      const exact = await logitsOf({ name: model })
      expect(difference(await logitsOf({ name: model, loadIn8bit: true }), exact), '8 bits').to.be.below(0.05)
      expect(difference(await logitsOf({ name: model, loadIn4bit: true }), exact), '4 bits').to.be.below(0.6)
    })
  }
})
