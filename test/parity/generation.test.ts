// Greedy continuations against transformers' (fp32, where the first choice always leads), with the key-value
// cache and without, alone and in a batch of prompts of different lengths.
import { expect } from 'chai'
import { goldenCases } from './golden.js'
import { openSubject } from './subject.js'

describe('generation as transformers generates', function () {
  this.timeout(60_000)

  for (const golden of goldenCases()) {
    it(`${golden.name}: greedy, with and without the cache, with a repetition penalty`, async () => {
      const subject = await openSubject(golden.model)
      try {
        for (const { prompt, tokens, tokens_with_cache: cached, repetition_penalty: repetitionPenalty } of golden.golden.generation) {
          const options = { maxNewTokens: tokens.length, repetitionPenalty }
          expect(await subject.generate([prompt], { ...options, useCache: false }), `no cache, penalty ${repetitionPenalty}`).to.deep.equal([tokens])
          expect(await subject.generate([prompt], { ...options, useCache: true }), `cache, penalty ${repetitionPenalty}`).to.deep.equal([cached])
        }
      } finally {
        await subject.dispose()
      }
    })
  }

  it('a batch of prompts gives what each gives alone', async () => {
    for (const golden of goldenCases()) {
      const subject = await openSubject(golden.model)
      try {
        const prompts = golden.golden.rows.slice(0, 4).map((row) => row.input_ids)
        const options = { maxNewTokens: 12, repetitionPenalty: 1, useCache: true }
        const together = await subject.generateTogether(prompts, options)
        for (const [i, prompt] of prompts.entries()) {
          const [alone] = await subject.generate([prompt], options)
          expect(together[i], `${golden.name} prompt ${i}`).to.deep.equal(alone)
        }
      } finally {
        await subject.dispose()
      }
    }
  })
})
