// Evaluation during training.
import { optionalKey, type SectionRows } from '../row.js'

export const evaluation = {
  batch_size: optionalKey({
    kind: 'integer', flag: 'eval-batch-size', defaultText: 'training.batch_size', aka: ['per_device_eval_batch_size', 'eval_batch_size'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Rows in a batch of an evaluation; with packing, windows.',
  }),
} satisfies SectionRows
