// An objective turns one optimizer step's micro-batches into a loss and gradients. Supervised training is one fused
// native call; any other loss over token log-probabilities is a pure function, made into a step by `fromLogprobs`.
import { fail } from '../../core/errors/index.js'
import type { Batch, EngineModel, EngineOptimizer, StepOutcome, StepSettings } from '../engine.js'

export interface Objective {
  readonly name: string
  step(model: EngineModel, optimizer: EngineOptimizer, batches: Batch[], settings: StepSettings): Promise<StepOutcome>
}

export interface LogprobContext {
  /** Supervised tokens of the whole step, all micro-batches together: divide by it for a mean over tokens. */
  supervisedTokens: number
  /** Optimizer steps done before this one. */
  step: number
}

/**
 * Loss of one micro-batch and its gradient by log-probability. The losses of a step's micro-batches are added up.
 * logprobs, gradient: [tokens]; 0 where `batch.labels` is -100 and at a row's first token.
 */
export type LogprobLoss = (logprobs: Float32Array, batch: Batch, context: LogprobContext) => { loss: number; gradient: Float32Array }

/** An objective from a function over log-probabilities. Errors: FT_TRAINING when its gradient has another length. */
export function fromLogprobs(name: string, lossOf: LogprobLoss): Objective {
  return {
    name,
    async step(model, optimizer, batches, settings) {
      const { learningRate, maxGradNorm, ...passSettings } = settings
      const supervisedTokens = batches.reduce((sum, batch) => sum + countSupervised(batch), 0)
      const outcome = { tokens: batches.reduce((sum, batch) => sum + batch.inputIds.length, 0), supervisedTokens, lossScale: 1 }
      let loss = 0
      for (const batch of batches) {
        const pass = await model.forwardPass(batch, passSettings)
        try {
          const result = lossOf(pass.logprobs, batch, { supervisedTokens, step: settings.step })
          checkGradient(name, result.gradient, batch)
          loss += result.loss
          if (!Number.isFinite(loss)) {
            await optimizer.zeroGradients()
            return { ...outcome, loss, gradNorm: Number.NaN, applied: false, skipped: 'loss_not_finite' }
          }
          await pass.backward(result.gradient)
        } finally {
          pass.dispose()
        }
      }
      const applied = await optimizer.apply({ learningRate, maxGradNorm })
      return {
        ...outcome,
        loss,
        gradNorm: applied.gradNorm,
        applied: applied.applied,
        skipped: applied.applied ? null : (applied.skipped ?? 'gradient_not_finite'),
        lossScale: applied.lossScale ?? 1,
      }
    },
  }
}

function checkGradient(name: string, gradient: Float32Array, batch: Batch): void {
  if (gradient.length === batch.inputIds.length) return
  fail('FT_TRAINING', `the objective "${name}" returned a gradient of ${gradient.length} values for ${batch.inputIds.length} tokens`, {
    remedy: 'return one value for each token of the batch, 0 where there is no label',
  })
}

/** Labels that are predicted from something: all but -100 and each row's first. */
export function countSupervised(batch: Batch): number {
  if (batch.labels === undefined) return 0
  let count = 0
  for (let row = 0; row + 1 < batch.cuSeqlens.length; row++) {
    const end = batch.cuSeqlens[row + 1] ?? 0
    for (let token = (batch.cuSeqlens[row] ?? 0) + 1; token < end; token++) if (batch.labels[token] !== -100) count += 1
  }
  return count
}
