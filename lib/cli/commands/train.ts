// ft-native train: a fine-tuning run. Events go to stdout with --json; people get a bar on a terminal, the log, and a
// summary at the end.
import { configFlags, type ResolvedConfig } from '../../core/config/index.js'
import type { TrainingEvent } from '../../trainers/events.js'
import type { TrainingResult } from '../../trainers/factory.js'
import type { Command } from '../command.js'
import { configPositional, readConfig } from '../config-input.js'
import type { CliContext } from '../context.js'
import { withSavedConfig } from '../saved-config.js'
import { dataProgress } from '../data-progress.js'
import { trainingBar, trainingSummary } from '../training-view.js'

export const train = {
  positionals: [configPositional],
  flags: () => ({
    ...configFlags(),
    'dry-run': { kind: 'boolean', group: 'The run', describe: 'Rehearse: the longest batch forward, backward, step, save and resume; then stop, leaving nothing.' },
  }),
  examples: [
    'ft-native train --model ./model --data ./data.jsonl --output ./my-adapter',
    'ft-native train config.yaml --learning-rate 1e-4 --epochs 1',
    'ft-native train --resume ./my-adapter',
    'ft-native train --model ./model --data ./data.jsonl --dry-run',
  ],
  handlesSignals: true,
  async run(input, context) {
    const { config } = readConfig(withSavedConfig(input))
    context.configureLogging(config.logging)
    const result = await runTraining(config, context, { dryRun: input.flags.boolean('dry-run') ?? false })
    for (const line of trainingSummary(config, result)) context.print(line)
    // A signal that came too late to stop anything.
    return result.status === 'finished' ? 0 : undefined
  },
} satisfies Command

export interface RunView {
  dryRun?: boolean
  evaluateFirst?: boolean
  /** Progress also where there is no terminal, as a line now and then. */
  alwaysProgress?: boolean
  /** Sees every event, besides stdout and the bar. */
  onEvent?: (event: TrainingEvent) => void
}

/** Trains and shows how it goes. */
export async function runTraining(config: ResolvedConfig, context: CliContext, { onEvent, alwaysProgress, ...options }: RunView = {}): Promise<TrainingResult> {
  const { train: runTrainer } = await import('../../trainers/index.js')
  surviveFileSizeLimits()
  const bar = trainingBar(context, alwaysProgress)
  const reading = dataProgress(context, 'preparing data')
  try {
    return await runTrainer(config, {
      ...options,
      signal: context.signal,
      onDataProgress: (state) => reading.update(state),
      onEvent(event) {
        reading.stop()
        context.emit({ ...event })
        bar.show(event)
        onEvent?.(event)
      },
    })
  } finally {
    reading.stop()
    bar.stop()
  }
}

/** Beyond `ulimit -f` a write fails with EFBIG, which is reported; the signal that comes with it would end the process. */
function surviveFileSizeLimits(): void {
  if (process.platform !== 'win32' && process.listenerCount('SIGXFSZ') === 0) process.on('SIGXFSZ', () => undefined)
}
