// What a run has done so far: the numbers that a checkpoint keeps beside weights and optimizer, so that a resumed run
// continues its counts, means and log as if it had never stopped. Plain data; the trainer alone writes to it.

/** One entry of trainer_state.json's log_history, with the names transformers uses. */
export type LogEntry = Record<string, number | null>

export interface RunProgress {
  /** Optimizer steps done. */
  globalStep: number
  /** Sum and number of the step losses that were finite: their mean is train_loss. */
  lossSum: number
  lossSteps: number
  /** The same since the last log entry. */
  windowLossSum: number
  windowLossSteps: number
  tokens: number
  supervisedTokens: number
  totalFlos: number
  /** Wall time of the training loop, in all processes that took part. */
  trainSeconds: number
  /** Steps whose loss or gradient was not finite and that were not applied. */
  skippedSteps: number
  /** fp16: overflows in a row. */
  overflowStreak: number
  /** Step of the last evaluation; -1: none yet. */
  lastEvalStep: number
  lastEvalLoss: number | null
  firstEvalLoss: number | null
  bestMetric: number | null
  bestGlobalStep: number | null
  logHistory: LogEntry[]
}

export function newProgress(): RunProgress {
  return {
    globalStep: 0,
    lossSum: 0,
    lossSteps: 0,
    windowLossSum: 0,
    windowLossSteps: 0,
    tokens: 0,
    supervisedTokens: 0,
    totalFlos: 0,
    trainSeconds: 0,
    skippedSteps: 0,
    overflowStreak: 0,
    lastEvalStep: -1,
    lastEvalLoss: null,
    firstEvalLoss: null,
    bestMetric: null,
    bestGlobalStep: null,
    logHistory: [],
  }
}

/** Mean of the step losses, as transformers reports train_loss; null before the first one. */
export function trainLossOf(progress: RunProgress): number | null {
  return progress.lossSteps === 0 ? null : progress.lossSum / progress.lossSteps
}
