// An options object with a name that a call does not know is refused, wherever it is passed: a misspelled option would
// otherwise be the default. The calls that need the addon are in test/binding.
import path from 'node:path'
import { expect } from 'chai'
import { checkOptions } from '../../../lib/core/options.js'
import {
  ConfigBuilder, defineTrainer, describeDataset, loadConfig, loadTokenizer, LoRATrainer, planEpoch, prepareDataset, quickLoad, renderChat, setupLogger, train,
  TrainerFactory,
} from '../../../lib/index.js'
import { caught, rejected } from '../support/caught.js'

const tokenizers = path.resolve(import.meta.dirname, '../../fixtures/tokenizers')

describe('options objects', () => {
  it('are objects', () => {
    for (const wrong of [null, 'x', 5, [], undefined]) expect(caught(() => checkOptions('call', wrong, { seed: true })).message).to.equal('call: the options must be an object')
    checkOptions('call', {}, { seed: true })
    checkOptions('call', { seed: undefined }, { seed: true })
    expect(caught(() => checkOptions('call', { toString: 1 }, { seed: true }))).to.include({ code: 'FT_INVALID_ARGUMENT', remedy: 'known: seed' })
  })

  const config = new ConfigBuilder().withModel('m').withDataset('d').withTraining('lora', 'o').build()
  const calls: [string, string, (options: never) => unknown][] = [
    ['max_seq_length', 'maxSeqLength', (given) => prepareDataset({ paths: 'a', tokenizer: {} as never, ...(given as object) } as never)],
    ['exampleRows', 'exampleRow', (given) => describeDataset(given)],
    ['signals', 'signal', (given) => quickLoad('a.jsonl', given)],
    ['add_generation_prompt', 'addGenerationPrompt', (given) => renderChat([], given)],
    ['batch_size', 'batchSize', (given) => planEpoch(given)],
    ['optionals', 'optional', (given) => loadTokenizer('x', given)],
    ['levels', 'level', (given) => setupLogger(given)],
    ['onEvents', 'onEvent', (given) => train(config, given)],
    ['dry_run', 'dryRun', (given) => new LoRATrainer(config, given)],
    ['objectives', 'objective', (given) => defineTrainer(given)],
    ['replaces', 'replace', (given) => TrainerFactory.register('never-registered', LoRATrainer, given)],
    ['flag', 'flags', (given) => loadConfig(given)],
  ]
  for (const [name, nearest, call] of calls) {
    it(`with ${name} are refused: ${nearest}`, async () => {
      const error = await rejected((async () => call({ [name]: 1 } as never))())
      expect(error.code).to.equal('FT_INVALID_ARGUMENT')
      expect(error.message).to.include(`unknown option "${name}"`)
      expect(error.remedy).to.equal(`did you mean "${nearest}"?`)
    })
  }

  it('of a tokenizer too', async () => {
    const tokenizer = await loadTokenizer(path.join(tokenizers, 'qwen-style'))
    for (const call of [
      (given: never) => tokenizer.encode('a', given),
      (given: never) => tokenizer.encodeBatch(['a'], given),
      (given: never) => tokenizer.encodeWithOffsets('a', given),
    ]) expect((await rejected(call({ add_special_tokens: false } as never))).remedy).to.equal('did you mean "addSpecialTokens"?')
    expect((await rejected(tokenizer.decode([1], { skip_special_tokens: true } as never))).remedy).to.equal('did you mean "skipSpecialTokens"?')
    expect(caught(() => tokenizer.streamDecoder({ befor: [] } as never)).remedy).to.equal('did you mean "before"?')
    tokenizer.dispose()
  })
})
