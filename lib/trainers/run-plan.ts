// How long a run is and what is due after each step: arithmetic on step counts, nothing else.

export interface RunPlan {
  stepsPerEpoch: number
  /** Optimizer steps of the whole run. */
  maxSteps: number
  /** Epochs begun by the end of the run. */
  numEpochs: number
}

export interface RunLength {
  stepsPerEpoch: number
  numEpochs: number
  /** Wins over numEpochs. */
  maxSteps?: number
}

export function planRun({ stepsPerEpoch, numEpochs, maxSteps }: RunLength): RunPlan {
  const steps = maxSteps ?? Math.ceil(numEpochs * stepsPerEpoch)
  return { stepsPerEpoch, maxSteps: steps, numEpochs: Math.ceil(steps / stepsPerEpoch) }
}

export interface Cursor {
  epoch: number
  stepInEpoch: number
}

/** Where the next step is after `globalStep` steps. */
export function cursorAt(globalStep: number, plan: Pick<RunPlan, 'stepsPerEpoch'>): Cursor {
  return { epoch: Math.floor(globalStep / plan.stepsPerEpoch), stepInEpoch: globalStep % plan.stepsPerEpoch }
}

/** Epochs done after `globalStep` steps, as a fraction. */
export function epochAt(globalStep: number, plan: RunPlan): number {
  return globalStep / plan.stepsPerEpoch
}

export interface Cadence {
  /** Undefined: at the end of each epoch. */
  saveSteps?: number
  evalSteps?: number
  loggingSteps: number
}

export interface Due {
  log: boolean
  evaluate: boolean
  save: boolean
}

/** What follows step `globalStep` (counted from 1). The last step is logged, evaluated and saved in any case. */
export function dueAfter(globalStep: number, plan: RunPlan, cadence: Cadence): Due {
  const last = globalStep >= plan.maxSteps
  const every = (steps: number | undefined): boolean => last || globalStep % (steps ?? plan.stepsPerEpoch) === 0
  return { log: every(cadence.loggingSteps), evaluate: every(cadence.evalSteps), save: every(cadence.saveSteps) }
}
