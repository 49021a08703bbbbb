// Adapter folders: tensor names and shapes as PEFT writes them, values unchanged by a load and a save, and
// merged weights that compute what base and adapter compute together.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { loadModel, mergeAdapter } from '../../lib/models/index.js'
import { at, difference, goldenCases, pickRows, tensorOf } from './golden.js'
import { readSafetensors } from './safetensors.js'
import { openSubject } from './subject.js'

describe('adapters in files', function () {
  this.timeout(60_000)
  let scratch = ''
  before(() => { scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-parity-')) })
  after(() => { fs.rmSync(scratch, { recursive: true, force: true }) })

  for (const golden of goldenCases()) {
    it(`${golden.name}: loading and saving a PEFT adapter changes no name, shape or bit`, async () => {
      const subject = await openSubject(golden.model)
      try {
        const adapter = await subject.loadAdapter(golden.adapter)
        const expected = readSafetensors(path.join(golden.adapter, 'adapter_model.safetensors'))
        expect(Object.fromEntries(adapter.tensors().map(({ name, shape }) => [name, shape])))
          .to.deep.equal(Object.fromEntries([...expected].map(([name, { shape }]) => [name, shape])))
        const folder = path.join(scratch, golden.name)
        await adapter.save(folder)
        const written = readSafetensors(path.join(folder, 'adapter_model.safetensors'))
        expect([...written.keys()].sort()).to.deep.equal([...expected.keys()].sort())
        for (const [name, tensor] of expected) {
          expect(written.get(name)?.shape, name).to.deep.equal(tensor.shape)
          expect(difference(written.get(name)?.data ?? [], tensor.data), name).to.equal(0)
        }
        const config = (where: string) => JSON.parse(fs.readFileSync(path.join(where, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
        for (const key of ['peft_type', 'task_type', 'r', 'lora_alpha', 'rank_pattern', 'alpha_pattern', 'use_rslora', 'lora_dropout', 'bias']) {
          expect(config(folder)[key], key).to.deep.equal(config(golden.adapter)[key])
        }
        expect(Object.keys(config(folder)).sort()).to.deep.equal(Object.keys(config(golden.adapter)).sort())
      } finally {
        await subject.dispose()
      }
    })

    it(`${golden.name}: the merged model computes what base and adapter do`, async () => {
      const output = path.join(scratch, `${golden.name}-merged`)
      await mergeAdapter({ model: golden.model, adapter: golden.adapter, output, dtype: 'fp32' })
      await using model = await loadModel({ name: output, dtype: 'fp32', device: 'cpu', threads: 1 })
      const records = golden.golden.logits.filter((record) => record.adapter)
      expect(records).to.not.be.empty
      for (const record of records) {
        const { logits } = await model.forward([record.input_ids])
        expect(difference(pickRows(logits, model.info.vocabSize, record.positions), tensorOf(golden, record.tensor).data)).to.be.below(1e-5)
      }
    })
  }

  it('an attached adapter stays although nobody keeps its handle', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const golden = at(goldenCases(), 0)
    const record = at(golden.golden.logits.filter((entry) => entry.adapter), 0)
    const subject = await openSubject(golden.model)
    try {
      await subject.loadAdapter(golden.adapter)
      for (let i = 0; i < 5; i++) {
        collect()
        await setTimeout(10) // finalizers of handles run between turns of the event loop
      }
      const logits = pickRows(await subject.logits(record.input_ids), subject.vocabSize, record.positions)
      expect(difference(logits, tensorOf(golden, record.tensor).data)).to.be.below(1e-5)
    } finally {
      await subject.dispose()
    }
  })

  it('a fresh adapter starts as the base: B is zero, A is not', async () => {
    for (const golden of goldenCases()) {
      const subject = await openSubject(golden.model)
      try {
        const record = golden.golden.logits.find((entry) => entry.tensor === 'logits.short')
        if (record === undefined) throw new Error(`${golden.name}: no short logits`)
        const adapter = await subject.model.addAdapter({ r: 4, loraAlpha: 8 })
        const folder = path.join(scratch, `${golden.name}-fresh`)
        await adapter.save(folder)
        for (const [name, { data, shape }] of readSafetensors(path.join(folder, 'adapter_model.safetensors'))) {
          const largest = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
          if (name.includes('lora_B')) expect(largest, name).to.equal(0)
          else expect(largest, name).to.be.within(0.5 / Math.sqrt(shape[1] ?? 0), 1 / Math.sqrt(shape[1] ?? 0))
        }
        expect(difference(await subject.logits(record.input_ids), tensorOf(golden, 'logits.short').data)).to.be.below(1e-5)
      } finally {
        await subject.dispose()
      }
    }
  })
})
