// QLoRA (https://arxiv.org/abs/2305.14314): a LoRA adapter on a base whose linear weights are kept in 4 bits. The method
// `lora` on such a base; the configuration turns load_in_4bit on for it.
import { lora } from './lora.js'
import type { TrainingMethod } from './method.js'

export const qlora: TrainingMethod = { ...lora, name: 'qlora' }
