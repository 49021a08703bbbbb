// Objectives. To add one: a file in this folder and a row here.
import type { Objective } from './objective.js'
import { sft } from './sft.js'

export const objectives = { sft } as const satisfies Record<string, Objective>

export { countSupervised, fromLogprobs, type LogprobContext, type LogprobLoss, type Objective } from './objective.js'
export { sft }
