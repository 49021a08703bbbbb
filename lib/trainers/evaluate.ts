// Loss on the validation rows: the sum over all supervised tokens divided by their number, never a mean of means.
import type { EncodedRow } from '../data/index.js'
import { makeError } from '../core/errors/index.js'
import { evaluationBatches, type SharedWindow } from './batches.js'
import type { EngineModel, TrainingBackend } from './engine.js'

export interface EvaluationResult {
  loss: number
  supervisedTokens: number
  rows: number
  batches: number
  seconds: number
}

/** null when the signal ended it: half an evaluation is none. Errors: FT_EVALUATION without any supervised token. */
export async function evaluateRows(
  backend: Pick<TrainingBackend, 'planEpoch' | 'toBatch'>,
  model: EngineModel,
  rows: readonly EncodedRow[],
  options: { batchSize: number; window?: SharedWindow; signal?: AbortSignal },
): Promise<EvaluationResult | null> {
  const start = performance.now()
  let lossSum = 0
  let supervisedTokens = 0
  let batches = 0
  for (const batch of evaluationBatches(backend, rows, options)) {
    if (options.signal?.aborted) return null
    const result = await model.evaluate(batch)
    lossSum += result.lossSum
    supervisedTokens += result.supervisedTokens
    batches += 1
  }
  if (supervisedTokens === 0) {
    throw makeError('FT_EVALUATION', `none of the ${rows.length} validation rows has a token with loss`, {
      remedy: 'give validation rows with an answer, or --validation-ratio 0',
    })
  }
  return { loss: lossSum / supervisedTokens, supervisedTokens, rows: rows.length, batches, seconds: (performance.now() - start) / 1000 }
}
