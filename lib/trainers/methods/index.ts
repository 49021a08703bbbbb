// Training methods. To add one: a file in this folder, a row here, its name in core/registry.ts and its trainer in
// ../factory.ts.
import { full } from './full.js'
import { lora } from './lora.js'
import type { TrainingMethod } from './method.js'
import { qlora } from './qlora.js'

export const methods = { lora, qlora, full } as const satisfies Record<string, TrainingMethod>

export { full, lora, qlora }
export type { MethodContext, PlannedMethod, TrainingMethod } from './method.js'
