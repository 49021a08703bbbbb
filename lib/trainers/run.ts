// One training run, from its first check to its last file. The state machine says what may follow what; the numbers
// live in RunProgress; the engine does the work, one call an optimizer step.
import { appendFileSync } from 'node:fs'
import { describeError, FineTuneError, makeError } from '../core/errors/index.js'
import { redact } from '../core/redact.js'
import { getLogger } from '../utils/logging.js'
import { formatBytes, formatSeconds } from '../utils/terminal.js'
import type { Batch, StepOutcome } from './engine.js'
import { evaluateRows } from './evaluate.js'
import { finiteOrNull, type AutoBatchEvent, type EndEvent, type TrainingEvent, type TrainingObserver } from './events.js'
import { explainOutOfMemory, isOutOfMemory } from './memory.js'
import { prepareRun, sharedWindowOf, type Cleanup, type PreparedRun, type PrepareOptions } from './prepare.js'
import { StepClock, stepEvent } from './reporter.js'
import { dueAfter, epochAt } from './run-plan.js'
import { saveCheckpoint, writeConfig, writeFinal } from './saving.js'
import { isFinal, next, type TrainingMove, type TrainingState } from './state.js'
import { judgeStep, parseOnNan, type NonFinitePolicy } from './step-policy.js'
import { endEvent, microBatches, startEvent, withSummary } from './summary.js'

export interface RunOptions extends Omit<PrepareOptions, 'cleanup' | 'dryRun'>, TrainingObserver {
  /** Evaluate before the first step too. */
  evaluateFirst?: boolean
}

/** Runs to the end, or to the signal. Errors: typed, after the state became `failed` and everything was released. */
export async function runTraining(options: RunOptions): Promise<EndEvent> {
  return await new TrainingRun(options).run()
}

class TrainingRun {
  readonly #options: RunOptions
  readonly #policy: NonFinitePolicy
  #state: TrainingState = 'idle'
  /** Step of the newest checkpoint on disk that this run knows of. */
  #savedStep = 0
  #savedPath: string | null = null
  #logAt = 0
  #logFile: string | null = null

  constructor(options: RunOptions) {
    this.#options = options
    this.#policy = parseOnNan(options.config.training.onNan)
  }

  async run(): Promise<EndEvent> {
    const cleanup: Cleanup = []
    try {
      this.#move('prepare')
      const run = await prepareRun({ ...this.#options, dryRun: false, cleanup, onLogFile: (file) => (this.#logFile = file) })
      if (run.resumed !== null) [this.#savedStep, this.#savedPath] = [run.resumed.checkpoint.step, run.resumed.checkpoint.path]
      await writeConfig(run)
      this.#emit(startEvent(run))
      if (run.memory.batchSize < run.config.training.batchSize && run.resumed === null) this.#tellDivision(run, 'estimate')
      this.#move('train')
      return await this.#train(run)
    } catch (error) {
      const cancelled = error instanceof FineTuneError && error.code === 'FT_CANCELLED' && this.#state === 'preparing'
      if (!isFinal(this.#state)) this.#move(cancelled ? 'interrupt' : 'fail')
      this.#noteFailure(error)
      throw error
    } finally {
      for (const undo of cleanup.reverse()) await undo()
    }
  }

  async #train(run: PreparedRun): Promise<EndEvent> {
    const clock = new StepClock()
    await this.#catchUp(run)
    await this.#steps(run, clock)
    const interrupted = run.progress.globalStep < run.plan.maxSteps
    if (run.progress.globalStep > this.#savedStep) await this.#save(run)
    if (!interrupted) await this.#during('save', 'saved', () => writeFinal(withSummary(run)))
    const end = await endEvent(run, clock, interrupted ? 'interrupted' : 'finished', this.#savedPath)
    this.#move(interrupted ? 'interrupt' : 'finish')
    const loss = end.train_loss === null ? '' : `, training loss ${end.train_loss.toFixed(4)}`
    getLogger().info(interrupted ? `stopped after step ${end.steps}; --resume goes on from ${end.checkpoint ?? 'the start'}` : `finished: ${end.steps} steps${loss}, result in ${run.output}`)
    this.#emit(end)
    return end
  }

  /** What a stopped run still owed to the step it resumes after, or the evaluation before the first. */
  async #catchUp(run: PreparedRun): Promise<void> {
    const { globalStep, lastEvalStep } = run.progress
    const owed = globalStep > 0 && dueAfter(globalStep, run.plan, run.cadence).evaluate
    const first = globalStep === 0 && this.#options.evaluateFirst === true
    if (lastEvalStep >= globalStep || !(owed || first)) return
    if ((await this.#evaluate(run)) !== null && owed) await this.#save(run)
  }

  async #steps(run: PreparedRun, clock: StepClock): Promise<void> {
    const { progress, plan, signal } = run
    let batches: Batch[] | null = null
    while (progress.globalStep < plan.maxSteps && !isAborted(signal)) {
      const step = progress.globalStep
      const learningRate = run.learningRate(step)
      const working = this.#step(run, batches ?? run.batches.at(step), learningRate)
      // The next batch is made while the engine works; a failure here must not leave that work unobserved.
      working.catch(() => undefined)
      batches = step + 1 < plan.maxSteps ? run.batches.at(step + 1) : null
      const size = run.batches.batchSize
      const outcome = await working
      if (batches !== null && run.batches.batchSize !== size) batches = run.batches.at(step + 1)
      const seconds = clock.step()
      progress.trainSeconds += seconds
      await this.#account(run, outcome, { learningRate, seconds, clock })
      const due = dueAfter(progress.globalStep, plan, run.cadence)
      if (due.log) this.#log(run, outcome, learningRate)
      const evaluated = due.evaluate && !isAborted(signal) ? await this.#evaluate(run) : null
      const wanted = evaluated?.best === true && run.config.training.loadBestModelAtEnd
      if (due.save || wanted) await this.#save(run)
    }
  }

  async #step(run: PreparedRun, batches: Batch[], learningRate: number): Promise<StepOutcome> {
    const { maxGradNorm, seed } = run.config.training
    const settings = { learningRate, maxGradNorm, seed, step: run.progress.globalStep, gradientCheckpointing: run.memory.checkpointedLayers }
    for (let parts = batches; ; parts = run.batches.at(settings.step)) {
      try {
        return await run.recipe.objective.step(run.model, run.optimizer, parts, settings)
      } catch (error) {
        if (!isOutOfMemory(error) || !run.config.training.autoBatch || run.batches.batchSize === 1) throw explainOutOfMemory(error, run, parts)
        // Half a step must not leak into the one that is taken again.
        await run.optimizer.zeroGradients()
        run.batches.limitTo(Math.floor(run.batches.batchSize / 2))
        this.#tellDivision(run, 'out_of_memory')
      }
    }
  }

  #tellDivision(run: PreparedRun, reason: AutoBatchEvent['reason']): void {
    const sizes = microBatches(run)
    const [need_bytes, available_bytes] = [run.memory.estimate.neededBytes, run.backend.memoryAvailable(run.source.device)]
    getLogger().warn(`memory is short (${reason === 'estimate' ? 'by the estimate' : 'the step ran out of it'}): micro-batches have ${sizes.batch_size} rows from here on, and a step ${sizes.gradient_accumulation_steps} of them`)
    this.#emit({ event: 'auto_batch', step: run.progress.globalStep + 1, reason, ...sizes, need_bytes, available_bytes })
  }

  /** Counts the step and tells of it; a step that ends the run is not counted, the state before it is kept. */
  async #account(run: PreparedRun, outcome: StepOutcome, facts: { learningRate: number; seconds: number; clock: StepClock }): Promise<void> {
    const { progress, plan } = run
    const before = structuredClone({ ...progress, logHistory: [] })
    if (!outcome.applied) progress.skippedSteps += 1
    progress.overflowStreak = outcome.skipped === 'loss_scale_overflow' ? progress.overflowStreak + 1 : 0
    const verdict = judgeStep(outcome, progress, this.#policy)
    const step = progress.globalStep + 1
    this.#emit(stepEvent({ ...facts, outcome, step, plan, progress, fp16: run.source.dtype === 'fp16' }))
    if (!verdict.goOn) {
      Object.assign(progress, before, { logHistory: progress.logHistory })
      throw await this.#stopAtBadStep(run, outcome, step, verdict.reason)
    }
    if (!outcome.applied) getLogger().warn(`step ${step} was not applied: ${outcome.skipped ?? 'unknown'}`, { skipped_steps: progress.skippedSteps })
    progress.globalStep = step
    progress.tokens += outcome.tokens
    progress.supervisedTokens += outcome.supervisedTokens
    progress.totalFlos += (run.recipe.method.produces === 'model' ? 6 : 4) * run.model.info.numParameters * outcome.tokens
    if (!Number.isFinite(outcome.loss)) return
    progress.lossSum += outcome.loss
    progress.lossSteps += 1
    progress.windowLossSum += outcome.loss
    progress.windowLossSteps += 1
  }

  async #stopAtBadStep(run: PreparedRun, outcome: StepOutcome, step: number, reason: string): Promise<FineTuneError> {
    if (run.progress.globalStep > this.#savedStep) await this.#save(run)
    const kept = this.#savedPath === null ? 'nothing was trained yet' : `the last good state is in ${this.#savedPath}`
    return makeError('FT_NOT_FINITE', `step ${step}: ${reason} (loss ${outcome.loss}, gradient norm ${outcome.gradNorm}); it was not applied, ${kept}`, {
      remedy: 'lower --learning-rate, use --dtype bf16 or fp32, and look at the rows of this step; --on-nan skip:N goes on over single bad steps',
      details: { step, loss: String(outcome.loss), gradNorm: String(outcome.gradNorm), skipped: outcome.skipped, checkpoint: this.#savedPath },
    })
  }

  #log(run: PreparedRun, outcome: StepOutcome, learningRate: number): void {
    const { progress, plan } = run
    const loss = progress.windowLossSteps === 0 ? null : progress.windowLossSum / progress.windowLossSteps
    progress.windowLossSum = 0
    progress.windowLossSteps = 0
    const epoch = epochAt(progress.globalStep, plan)
    progress.logHistory.push({ epoch, grad_norm: finiteOrNull(outcome.gradNorm), learning_rate: learningRate, loss, step: progress.globalStep })
    // log_history has every entry; the log itself gets one now and then.
    const edge = progress.globalStep === 1 || progress.globalStep === plan.maxSteps
    if (!edge && performance.now() - this.#logAt < 10_000) return
    this.#logAt = performance.now()
    getLogger().info(`step ${progress.globalStep}/${plan.maxSteps}: loss ${loss === null ? 'not finite' : loss.toFixed(4)}`, {
      epoch: Number(epoch.toFixed(3)), learning_rate: learningRate, grad_norm: outcome.gradNorm,
    })
  }

  /** null: there is nothing to evaluate on, or the signal ended it. */
  async #evaluate(run: PreparedRun): Promise<{ best: boolean } | null> {
    const { config, data, progress, plan, signal } = run
    if (data.validation.length === 0) return null
    const batchSize = config.evaluation.batchSize ?? run.batches.batchSize
    const result = await this.#during('evaluate', 'evaluated', () => evaluateRows(run.backend, run.model, data.validation, { batchSize, window: sharedWindowOf(config), signal }))
    if (result === null) return null
    const { loss, seconds } = result
    const epoch = epochAt(progress.globalStep, plan)
    const best = Number.isFinite(loss) && (progress.bestMetric === null || loss < progress.bestMetric)
    if (best && progress.globalStep > 0) [progress.bestMetric, progress.bestGlobalStep] = [loss, progress.globalStep]
    progress.firstEvalLoss ??= finiteOrNull(loss)
    progress.lastEvalLoss = finiteOrNull(loss)
    progress.lastEvalStep = progress.globalStep
    progress.logHistory.push({
      epoch, eval_loss: finiteOrNull(loss), eval_runtime: seconds, eval_samples_per_second: result.rows / seconds, eval_steps_per_second: result.batches / seconds, step: progress.globalStep,
    })
    getLogger().info(`evaluation after step ${progress.globalStep}: loss ${loss.toFixed(4)}${best ? ', the best so far' : ''}`, { rows: result.rows, seconds })
    this.#emit({
      event: 'eval', step: progress.globalStep, epoch, eval_loss: loss, eval_perplexity: Math.exp(loss), eval_rows: result.rows,
      eval_supervised_tokens: result.supervisedTokens, seconds, best,
    })
    return { best: best && progress.globalStep > 0 }
  }

  async #save(run: PreparedRun): Promise<void> {
    const { folder } = run
    if (folder === null) return
    const saved = await this.#during('save', 'saved', () => saveCheckpoint(run, folder.store))
    this.#savedStep = run.progress.globalStep
    this.#savedPath = saved.path
    getLogger().info(`saved ${saved.path} (${formatBytes(saved.bytes)} in ${formatSeconds(saved.seconds)})`)
    this.#emit({ event: 'checkpoint', path: saved.path, step: this.#savedStep, bytes: saved.bytes, seconds: saved.seconds })
  }

  /** In the run's log only: whoever called is told by the error itself. */
  #noteFailure(error: unknown): void {
    if (this.#logFile === null) return
    try {
      appendFileSync(this.#logFile, `${new Date().toISOString()} error ${redact(describeError(error))}\n`)
    } catch {
      // A disk that is full is what most likely brought us here.
    }
  }

  async #during<T>(begin: TrainingMove, end: TrainingMove, work: () => Promise<T>): Promise<T> {
    this.#move(begin)
    const result = await work()
    this.#move(end)
    return result
  }

  #move(move: TrainingMove): void {
    this.#state = next(this.#state, move)
    this.#options.onState?.(this.#state)
  }

  #emit(event: TrainingEvent): void {
    this.#options.onEvent?.(event)
  }
}

/** A function, because the answer changes while the caller looks. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
