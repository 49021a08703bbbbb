// Every row of test/fixtures/families.json, live against transformers and PEFT, in fp32: logits at every position,
// loss and all gradients, greedy generation, target modules, LoRA steps, adapter files, merged and saved weights. `--grep "families .* bloom"` runs one.
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { mergeAdapter, TargetModuleDetector } from '../../lib/models/index.js'
import { difference, seriesDifference } from '../parity/golden.js'
import { readSafetensors, type Tensor } from '../parity/safetensors.js'
import { openSubject, type Subject } from '../parity/subject.js'
import type { FamilyReference } from './python.js'
import { reference, repository, scratchFolder } from './shared.js'

const LOGITS = 1e-5
const LOSS = 1e-5
const GRADIENT = 1e-4
const NEW_TOKENS = 64

interface Made extends FamilyReference {
  folder: string
  model: string
  adapter: string
  /** Tensors whose names begin with `kind.`, by the rest of the name. */
  tensors: (kind: string) => Map<string, Tensor>
}

const rows = JSON.parse(fs.readFileSync(path.join(repository, 'test/fixtures/families.json'), 'utf8')) as Record<string, { config: object }>

async function makeFamily(name: string): Promise<Made> {
  const folder = scratchFolder(`family-${name}`)
  const answer = await reference().call('family', { name, folder })
  const all = readSafetensors(path.join(folder, 'reference.safetensors'))
  const tensors = (kind: string) => new Map([...all].filter(([key]) => key.startsWith(`${kind}.`)).map(([key, tensor]) => [key.slice(kind.length + 1), tensor]))
  return { ...answer, folder, model: path.join(folder, 'model'), adapter: path.join(folder, 'adapter'), tensors }
}

async function compareLogits(subject: Subject, made: Made, kind: string): Promise<void> {
  for (const [i, tensor] of made.tensors(kind)) {
    const row = made.rows[Number(i)]?.input_ids ?? []
    expect(difference(await subject.logits(row), tensor.data), `${kind} of the row of ${row.length} tokens`).to.be.below(LOGITS)
  }
}

/** A gradient that is zero but for rounding (a key's bias, which softmax ignores) has no relative error of its own. */
function compareGradients(actual: ReadonlyMap<string, ArrayLike<number>>, expected: ReadonlyMap<string, ArrayLike<number>>, tolerance: number): void {
  expect([...actual.keys()].sort()).to.deep.equal([...expected.keys()].sort())
  const largest = Math.max(...[...expected.values()].map(scaleOf))
  for (const [name, data] of expected) {
    const ours = actual.get(name) ?? []
    expect(ours.length, name).to.equal(data.length)
    const error = Array.from(ours).reduce((worst, value, i) => Math.max(worst, Math.abs(value - (data[i] ?? NaN))), 0)
    expect(error / Math.max(scaleOf(data), 1e-3 * largest), `gradient of ${name}`).to.be.below(tolerance)
  }
}

function scaleOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
}

function dataOf(tensors: Map<string, Tensor>): Map<string, Float32Array> {
  return new Map([...tensors].map(([name, { data }]) => [name, data]))
}

describe('families as transformers and PEFT compute them', function () {
  this.timeout(600_000)

  for (const name of Object.keys(rows)) {
    describe(name, () => {
      let made: Made
      before(async () => { made = await makeFamily(name) })

      it('logits at every position, loss, gradients of all parameters', async () => {
        const subject = await openSubject(made.model)
        try {
          await compareLogits(subject, made, 'logits')
          await subject.trainAllWeights()
          const trainer = await subject.trainer({ weightDecay: 0 })
          const gradients = await trainer.gradients([made.rows.slice(0, 3), made.rows.slice(3)])
          compareGradients(gradients, dataOf(made.tensors('gradient')), GRADIENT)
          compareGradients(await trainer.gradients([made.rows], { gradientCheckpointing: true }), gradients, 1e-5)
          const { loss } = await trainer.step([made.rows], { learningRate: 0, maxGradNorm: 1, step: 0 })
          expect(difference([loss], [made.loss]), 'loss').to.be.below(LOSS)
        } finally {
          await subject.dispose()
        }
      })

      it('greedy generation: with and without cache, alone and left-padded', async () => {
        const subject = await openSubject(made.model)
        try {
          const { prompts, tokens } = made.generation
          for (const useCache of [true, false]) {
            const options = { maxNewTokens: NEW_TOKENS, repetitionPenalty: 1, useCache }
            expect(await subject.generate(prompts.slice(0, 1), options), `alone, cache ${useCache}`).to.deep.equal(tokens.slice(0, 1))
            expect(await subject.generateTogether(prompts, options), `together, cache ${useCache}`).to.deep.equal(tokens)
          }
        } finally {
          await subject.dispose()
        }
      })

      it('LoRA: target modules, the PEFT adapter, its gradients, losses of steps, its files', async () => {
        expect([...(await TargetModuleDetector.fromFolder(made.model)).allLinear()].sort()).to.deep.equal(made.all_linear)
        const subject = await openSubject(made.model)
        try {
          const adapter = await subject.loadAdapter(made.adapter)
          await compareLogits(subject, made, 'adapted')
          compareFiles(made.adapter, await saved(adapter, path.join(made.folder, 'adapter-ft')))
          const trainer = await subject.trainer({ weightDecay: 0 })
          compareGradients(await trainer.gradients([made.rows]), dataOf(made.tensors('lora')), GRADIENT)
          const losses: number[] = []
          for (let step = 0; step < made.lora_losses.length; step++) {
            losses.push((await trainer.step([made.rows], { learningRate: 1e-2, maxGradNorm: 1e9, step })).loss)
          }
          expect(seriesDifference(losses, made.lora_losses), 'losses').to.be.below(1e-4)
        } finally {
          await subject.dispose()
        }
      })

      it('saved and merged weights load in transformers, bit for bit', async () => {
        const [again, output] = [path.join(made.folder, 'saved'), path.join(made.folder, 'merged')]
        const subject = await openSubject(made.model)
        try {
          await subject.model.save(again)
        } finally {
          await subject.dispose()
        }
        expect(await reference().call('reloaded', { folder: made.model, other: again }), 'saved').to.deep.equal([])
        await mergeAdapter({ model: made.model, adapter: made.adapter, output })
        expect(await reference().call('loads_exactly', { folder: output }), 'merged').to.deep.equal([])
        const [ours, theirs] = [output, path.join(made.folder, 'merged-peft')].map((folder) => readSafetensors(path.join(folder, 'model.safetensors')))
        expect([...ours?.keys() ?? []].sort()).to.deep.equal([...theirs?.keys() ?? []].sort())
        for (const [tensor, { data }] of theirs ?? []) expect(difference(ours?.get(tensor)?.data ?? [], data), tensor).to.be.below(1e-5)
      })
    })
  }
})

async function saved(adapter: { save(folder: string): Promise<void> }, folder: string): Promise<string> {
  await adapter.save(folder)
  return folder
}

/** Tensors bit for bit, and every field of adapter_config.json. */
function compareFiles(peft: string, ours: string): void {
  const [expected, written] = [peft, ours].map((folder) => readSafetensors(path.join(folder, 'adapter_model.safetensors')))
  expect([...written?.keys() ?? []].sort()).to.deep.equal([...expected?.keys() ?? []].sort())
  for (const [name, { shape, data }] of expected ?? []) {
    expect(written?.get(name)?.shape, name).to.deep.equal(shape)
    expect(difference(written?.get(name)?.data ?? [], data), name).to.equal(0)
  }
  const config = (folder: string) => {
    const fields = JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    const sorted = (value: unknown) => (Array.isArray(value) ? [...value as string[]].sort() : value)
    return { ...fields, base_model_name_or_path: '', target_modules: sorted(fields.target_modules), target_parameters: sorted(fields.target_parameters) }
  }
  expect(config(ours)).to.deep.equal(config(peft))
}
