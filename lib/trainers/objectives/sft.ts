// Supervised fine-tuning: cross-entropy over the labels, fused with the output layer, in one native call a step.
import type { Objective } from './objective.js'

export const sft: Objective = {
  name: 'sft',
  step: (_model, optimizer, batches, settings) => optimizer.step(batches, settings),
}
