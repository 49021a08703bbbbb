// The same adapter on the same rows, trained with ft-native and with transformers + PEFT.
import { makeInputs } from '../inputs.js'
import { matrixRates } from '../matmul.js'
import { measure, type Result } from '../measure.js'
import type { Question } from '../question.js'
import { table } from '../report.js'

export const training: Question = {
  name: 'training',
  asks: 'tokens/s, memory and first step against transformers + PEFT',
  async ask(settings, say) {
    const results: Result[] = []
    for (const shape of settings.shapes) {
      say(`preparing ${shape.title}`)
      const inputs = makeInputs(settings.cache, shape, settings.dtype)
      const rates = await matrixRates(shape, settings)
      for (const method of settings.methods) results.push(await measure({ shape, method, inputs, settings, rates, say }))
    }
    const differ = results.some((result) => result.agreement !== null && !result.agreement.agrees)
    return { result: results, table: table(results), ...(differ ? { objection: 'the losses of the two programs differ: their speeds do not compare the same work' } : {}) }
  },
}
