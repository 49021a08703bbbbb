// Times and rates of a run, and the events made of them. No decisions are taken here.
import { finiteOrNull, type StepEvent } from './events.js'
import type { StepOutcome } from './engine.js'
import type { RunProgress } from './progress.js'
import { epochAt, type RunPlan } from './run-plan.js'

/** Steps that the remaining time is estimated from. */
const window = 32

export class StepClock {
  #last: number
  readonly #now: () => number
  readonly #recent: number[] = []
  #steps = 0
  /** From the start of the process to the end of the first step taken here. */
  firstStepSeconds: number | null = null

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#last = now()
  }

  /** Seconds since the previous step ended (or since the clock was made). */
  step(): number {
    const now = this.#now()
    const seconds = (now - this.#last) / 1000
    this.#last = now
    this.#steps += 1
    this.firstStepSeconds ??= process.uptime()
    // The first step pays for everything that is made once.
    if (this.#steps === 2) this.#recent.length = 0
    this.#recent.push(seconds)
    if (this.#recent.length > window) this.#recent.shift()
    return seconds
  }

  eta(stepsLeft: number): number {
    const sum = this.#recent.reduce((total, seconds) => total + seconds, 0)
    return this.#recent.length === 0 ? 0 : (sum / this.#recent.length) * stepsLeft
  }
}

export interface StepFacts {
  outcome: StepOutcome
  learningRate: number
  seconds: number
  step: number
  plan: RunPlan
  progress: RunProgress
  clock: StepClock
  fp16: boolean
}

export function stepEvent({ outcome, learningRate, seconds, step, plan, progress, clock, fp16 }: StepFacts): StepEvent {
  return {
    event: 'step',
    step,
    epoch: epochAt(step, plan),
    loss: finiteOrNull(outcome.loss),
    learning_rate: learningRate,
    grad_norm: finiteOrNull(outcome.gradNorm),
    tokens: outcome.tokens,
    supervised_tokens: outcome.supervisedTokens,
    seconds,
    tokens_per_second: seconds > 0 ? outcome.tokens / seconds : 0,
    ...(step >= 3 ? { eta_seconds: clock.eta(plan.maxSteps - step) } : {}),
    ...(outcome.skipped === null ? {} : { skipped: outcome.skipped, skipped_steps: progress.skippedSteps }),
    ...(fp16 ? { loss_scale: outcome.lossScale } : {}),
  }
}

/** Peak resident memory of this process so far. */
export function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
