// What happens when a step was not applied: the engine never applies a loss or gradient that is not finite; this
// decides whether the run goes on. fp16 overflows lower the loss scale and are expected now and then, not in a row.
import { fail } from '../core/errors/index.js'
import type { StepOutcome } from './engine.js'
import type { RunProgress } from './progress.js'

/** fp16: after so many overflows in a row the scale is beyond repair. */
export const maxOverflowsInARow = 20

export interface NonFinitePolicy {
  /** Steps that may be skipped in the whole run; 0 stops at the first. */
  allowed: number
}

/** "stop", or "skip:N". Errors: FT_INVALID_CONFIG. */
export function parseOnNan(value: string): NonFinitePolicy {
  if (value === 'stop') return { allowed: 0 }
  const count = /^skip:([1-9]\d{0,8})$/.exec(value)?.[1]
  if (count !== undefined) return { allowed: Number(count) }
  return fail('FT_INVALID_CONFIG', `training.on_nan is "${value}"`, { remedy: 'use "stop", or "skip:N" to go on over at most N steps' })
}

export type StepVerdict = { goOn: true } | { goOn: false; reason: string }

/** Call after `progress` has counted the step (skippedSteps, overflowStreak). */
export function judgeStep(outcome: StepOutcome, progress: RunProgress, policy: NonFinitePolicy): StepVerdict {
  if (outcome.applied) return { goOn: true }
  if (outcome.skipped === 'loss_scale_overflow') {
    if (progress.overflowStreak < maxOverflowsInARow) return { goOn: true }
    return { goOn: false, reason: `fp16 gradients overflowed in ${progress.overflowStreak} steps in a row (loss scale ${outcome.lossScale})` }
  }
  if (progress.skippedSteps <= policy.allowed) return { goOn: true }
  const what = outcome.skipped === 'gradient_not_finite' ? 'the gradient norm is not finite' : 'the loss is not finite'
  return { goOn: false, reason: policy.allowed === 0 ? what : `${what}, and ${progress.skippedSteps - 1} steps were skipped before` }
}
