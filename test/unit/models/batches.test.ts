// Batches as people write them → as the engine takes them; results padded back; stop strings; names → folders.
import { expect } from 'chai'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { FineTuneError } from '../../../lib/core/errors/index.js'
import { packBatch, packMicroBatches, padRows, type BatchInput } from '../../../lib/models/batch.js'
import { presentDevice, resolveDevice, resolveDtype } from '../../../lib/models/devices.js'
import { resolveModelFolder } from '../../../lib/models/resolve.js'
import { configFor, writeCompanions } from '../../../lib/models/save.js'
import { StopStrings } from '../../../lib/models/stop-strings.js'

const ints = (...values: number[]): Int32Array => Int32Array.from(values)

describe('batches', () => {
  it('rows become one array and offsets', () => {
    expect(packBatch([[1, 2, 3], [4]])).to.deep.equal({ inputIds: ints(1, 2, 3, 4), cuSeqlens: ints(0, 3, 4) })
    expect(packBatch([ints(5), ints(6, 7)])).to.deep.equal({ inputIds: ints(5, 6, 7), cuSeqlens: ints(0, 1, 3) })
    expect(packBatch({ inputIds: [[1, 2]], labels: [[-100, 2]] })).to.deep.equal({ inputIds: ints(1, 2), labels: ints(-100, 2), cuSeqlens: ints(0, 2) })
    expect(packBatch([[1, 2]], { defaultLabels: true }).labels).to.deep.equal(ints(1, 2))
  })

  it('packed batches pass as they are', () => {
    const packed = { inputIds: ints(1, 2), labels: ints(1, -100), cuSeqlens: ints(0, 2) }
    expect(packBatch(packed, { defaultLabels: true })).to.equal(packed)
  })

  it('a list of rows is one micro-batch, a list of batches several, with rows numbered through', () => {
    expect(packMicroBatches([[1, 2], [3]])).to.have.length(1)
    expect(packMicroBatches([ints(1, 2)])).to.have.length(1)
    const several = packMicroBatches([[[1, 2], [3]], { inputIds: [[4]] }, { inputIds: ints(5, 6), cuSeqlens: ints(0, 1, 2) }])
    expect(several.map((batch) => batch.rowIds)).to.deep.equal([undefined, ints(2), ints(3, 4)])
    expect(several.map((batch) => batch.labels)).to.deep.equal([ints(1, 2, 3), ints(4), ints(5, 6)])
  })

  it('what is no batch is refused', () => {
    const cases: unknown[] = [null, 1, 'x', [], {}, [[]], [1, 2], [['a']], [[1.5]], [[2 ** 31]], [[NaN]], { inputIds: [] }, { inputIds: [[1]], labels: [] }, { inputIds: [[1]], labels: [[1, 2]] }, { inputIds: [[1]], labels: 3 }]
    for (const value of cases) {
      expect(() => packBatch(value as BatchInput), JSON.stringify(value)).to.throw(FineTuneError).with.property('code', 'FT_INVALID_ARGUMENT')
    }
    expect(() => packMicroBatches([])).to.throw(FineTuneError)
  })

  it('results come back as rows with zeros behind shorter ones', () => {
    const flat = Float32Array.of(1, 1, 2, 2, 3, 3)
    expect(padRows(flat, ints(0, 1, 3), 2)).to.deep.equal({ data: Float32Array.of(1, 1, 0, 0, 2, 2, 3, 3), rows: 2, longest: 2 })
    expect(padRows(flat, ints(0, 3), 2).data).to.equal(flat)
  })
})

describe('stop strings', () => {
  function stream(stops: string[], pieces: string[]): { text: string; stopped: boolean } {
    const finder = new StopStrings(stops)
    let text = ''
    for (const piece of pieces) {
      const found = finder.push(piece)
      text += found.text
      if (found.stopped) return { text, stopped: true }
    }
    return { text: text + finder.end(), stopped: false }
  }

  it('end the text in front of them, however it is cut into pieces', () => {
    const text = 'one two STOP three'
    for (let a = 1; a < text.length; a++) {
      for (let b = a; b < text.length; b++) {
        expect(stream(['STOP'], [text.slice(0, a), text.slice(a, b), text.slice(b)])).to.deep.equal({ text: 'one two ', stopped: true })
      }
    }
  })

  it('the first in the text wins; beginnings that come to nothing are not lost', () => {
    expect(stream(['b', 'ab'], ['xxab'])).to.deep.equal({ text: 'xx', stopped: true })
    expect(stream(['###'], ['a#', '#b', '##'])).to.deep.equal({ text: 'a##b##', stopped: false })
    expect(stream(['aab'], ['a', 'a', 'a', 'b', 'c'])).to.deep.equal({ text: 'a', stopped: true })
    expect(stream([''], ['abc'])).to.deep.equal({ text: 'abc', stopped: false })
  })

  it('nothing is shown that may begin a stop string', () => {
    const finder = new StopStrings(['<end>'])
    expect(finder.push('text <e').text).to.equal('text ')
    expect(finder.push('lse').text).to.equal('<else')
  })
})

describe('devices and dtypes', () => {
  const device = (name: string) => ({ name, description: '', totalBytes: 0 })

  it('auto takes the best there is', () => {
    expect(resolveDevice('auto', { devices: [device('cpu')] })).to.equal('cpu')
    expect(resolveDevice('auto', { devices: [device('cpu'), device('cuda:0'), device('cuda:1')] })).to.equal('cuda:0')
    expect(resolveDevice('auto', { devices: [device('cpu'), device('mps')] })).to.equal('mps')
    expect(resolveDevice('cuda:1', { devices: [device('cpu')] })).to.equal('cuda:1')
    expect(() => resolveDevice('gpu', { devices: [] })).to.throw(FineTuneError).with.property('code', 'FT_INVALID_ARGUMENT')
  })

  it('that is named has to be here where it is to compute', () => {
    expect(presentDevice('auto', { cuda: false, devices: [device('cpu')] })).to.equal('cpu')
    const two = { cuda: true, devices: [device('cpu'), device('cuda:0'), device('cuda:1')] }
    expect(presentDevice('cuda', two)).to.equal('cuda')
    expect(presentDevice('cuda:1', two)).to.equal('cuda:1')
    const none = { cuda: false, devices: [device('cpu')] }
    const absent: [string, typeof two, string][] = [['cuda:2', two, 'there is cpu, cuda:0, cuda:1'], ['mps', two, 'cuda:0'], ['cuda', none, 'no CUDA support']]
    for (const [name, build, reason] of absent) {
      expect(() => presentDevice(name, build)).to.throw(FineTuneError).with.property('code', 'FT_DEVICE_UNAVAILABLE')
      expect(() => presentDevice(name, build)).to.throw(reason)
    }
  })

  it('bf16 where it is native', () => {
    expect(resolveDtype('auto', 'cpu', { bf16Native: true })).to.equal('bf16')
    expect(resolveDtype('auto', 'cpu', { bf16Native: false })).to.equal('fp32')
    expect(resolveDtype('auto', 'cuda:0', { bf16Native: false })).to.equal('bf16')
    expect(resolveDtype('fp16', 'cpu', { bf16Native: true })).to.equal('fp16')
    expect(() => resolveDtype('int8' as 'fp16', 'cpu', { bf16Native: true })).to.throw(FineTuneError)
  })
})

describe('model names', () => {
  let root: string
  before(() => (root = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-names-'))))
  after(() => fs.rmSync(root, { recursive: true }))

  it('a folder is itself; a cached hub model is its snapshot', async () => {
    expect(await resolveModelFolder(root)).to.equal(root)
    const repository = path.join(root, 'hub', 'models--org--name')
    const commit = 'a'.repeat(40)
    fs.mkdirSync(path.join(repository, 'refs'), { recursive: true })
    fs.mkdirSync(path.join(repository, 'snapshots', commit), { recursive: true })
    fs.writeFileSync(path.join(repository, 'refs', 'main'), commit)
    await failing('org/name', { HF_HOME: root, HF_HUB_OFFLINE: '1' })
    fs.writeFileSync(path.join(repository, 'snapshots', commit, 'config.json'), '{}')
    const snapshot = path.join(repository, 'snapshots', commit)
    expect(await resolveModelFolder('org/name', { HF_HOME: root, HF_HUB_OFFLINE: '1' })).to.equal(snapshot)
    expect(await resolveModelFolder('org/name', { HF_HUB_CACHE: path.join(root, 'hub'), HF_HUB_OFFLINE: '1' })).to.equal(snapshot)
  })

  it('what is not there is an error that names where it was looked for', async () => {
    const error = await failing('org/other', { HF_HOME: root, HF_HUB_OFFLINE: '1' })
    expect(error.message).to.contain(path.resolve('org/other')).and.contain(path.join(root, 'hub', 'models--org--other'))
    for (const name of ['', 'a\0b', './none/..//none', 'a/../../b', path.join(root, 'none')]) await failing(name, { HF_HOME: root, HF_HUB_OFFLINE: '1' })
    fs.writeFileSync(path.join(root, 'file.safetensors'), '')
    expect((await failing(path.join(root, 'file.safetensors'), {})).remedy).to.contain(root)
  })

  it('a reference that is no commit is not followed', async () => {
    const repository = path.join(root, 'hub', 'models--org--evil')
    fs.mkdirSync(path.join(repository, 'refs'), { recursive: true })
    fs.writeFileSync(path.join(repository, 'refs', 'main'), '../../../..')
    await failing('org/evil', { HF_HOME: root, HF_HUB_OFFLINE: '1' })
  })

  async function failing(name: string, env: NodeJS.ProcessEnv): Promise<FineTuneError> {
    try {
      await resolveModelFolder(name, env)
    } catch (error) {
      if (error instanceof FineTuneError && error.code === 'FT_MODEL_NOT_FOUND') return error
      throw error
    }
    throw new Error(`found ${name}`)
  }
})

describe('config.json of a saved model', () => {
  it('every number stays as it was written: readers tell 1.0 from 1', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-config-'))
    try {
      const text = '{\n  "fraction": 1.0,\n  "eps": 1e-05,\n  "list": [\n    2,\n    -0.50,\n    1E+3\n  ],\n  "text": "1.0 \\" 2.0",\n  "n": 7\n}\n'
      fs.writeFileSync(path.join(folder, 'config.json'), text)
      const output = path.join(folder, 'saved')
      fs.mkdirSync(output)
      await writeCompanions(folder, output, { architecture: 'A', tieWordEmbeddings: false })
      const saved = fs.readFileSync(path.join(output, 'config.json'), 'utf8')
      expect(saved).to.equal(text.replace('\n}\n', ',\n  "architectures": [\n    "A"\n  ]\n}\n'))
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  })

  it('says the dtype of the weights and keeps the rest', () => {
    const facts = { dtype: 'bf16', architecture: 'Qwen3ForCausalLM', tieWordEmbeddings: true } as const
    expect(configFor({ model_type: 'qwen3', torch_dtype: 'float32', tie_word_embeddings: true, x: 1, _name_or_path: '/home/me' }, facts)).to.deep.equal({
      model_type: 'qwen3', torch_dtype: 'bfloat16', tie_word_embeddings: true, x: 1, architectures: ['Qwen3ForCausalLM'],
    })
    expect(configFor({ architectures: ['A'], dtype: 'float16' }, { ...facts, tieWordEmbeddings: false })).to.deep.equal({ architectures: ['A'], dtype: 'bfloat16' })
    expect(configFor({ architectures: ['A'], tie_word_embeddings: true }, { architecture: 'LlamaForCausalLM', tieWordEmbeddings: false })).to.deep.equal({ architectures: ['A'], tie_word_embeddings: false })
    const whole = { model_type: 'gemma3', architectures: ['A'], vision_config: {}, text_config: { hidden_size: 8 } }
    expect(configFor(whole, { architecture: 'Gemma3ForCausalLM', tieWordEmbeddings: true, textPart: 'gemma3_text' }), 'a text part by itself').to.deep.equal({
      hidden_size: 8, model_type: 'gemma3_text', architectures: ['Gemma3ForCausalLM'], tie_word_embeddings: true,
    })
  })
})
