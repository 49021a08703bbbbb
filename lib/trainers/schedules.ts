// Learning-rate schedules by name: a factor of the base rate for each optimizer step, counted from 0. The same
// numbers as transformers' get_*_schedule_with_warmup. To add one: a function here and a row in `builtIn`.
import { names, Registry } from '../core/registry.js'

export interface ScheduleShape {
  warmupSteps: number
  maxSteps: number
}

/** step: optimizer steps done before this one. Returns the factor of the base learning rate. */
export type Schedule = (step: number, shape: ScheduleShape) => number

/** Rises from 0 in equal parts; `after` from there on. Step 0 of a warmup has rate 0, as in transformers. */
function warmedUp(after: Schedule): Schedule {
  return (step, shape) => (step < shape.warmupSteps ? step / Math.max(1, shape.warmupSteps) : after(step, shape))
}

/** Of the steps after the warmup, the part that is done. */
function progress(step: number, { warmupSteps, maxSteps }: ScheduleShape): number {
  return (step - warmupSteps) / Math.max(1, maxSteps - warmupSteps)
}

const builtIn = {
  constant: () => 1,
  constant_with_warmup: warmedUp(() => 1),
  linear: warmedUp((step, { warmupSteps, maxSteps }) => Math.max(0, (maxSteps - step) / Math.max(1, maxSteps - warmupSteps))),
  cosine: warmedUp((step, shape) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress(step, shape))))),
} satisfies Record<string, Schedule>

export const schedules = new Registry<Schedule>(names.schedules)
for (const [name, schedule] of Object.entries(builtIn)) schedules.register(name, schedule)

/** A count (0 too) wins over a ratio; a ratio is rounded up, as transformers does. */
export function warmupStepsOf(maxSteps: number, options: { warmupSteps?: number; warmupRatio: number }): number {
  if (options.warmupSteps !== undefined) return options.warmupSteps
  return Math.ceil(maxSteps * options.warmupRatio)
}
