// The run: method, steps, optimizer, schedule, batches, checkpoints.
import { names } from '../../registry.js'
import { key, optionalKey, type SectionRows } from '../row.js'

export const training = {
  method: key({
    kind: 'choice', flag: 'method', table: names.trainers, default: 'lora', aka: ['finetuning_type', 'training_method', 'stage'],
    schema: (z) => z.string().min(1), expects: 'the name of a training method',
    describe: 'What is trained: a LoRA adapter (qlora: on weights in 4 bits), or all weights.',
  }),
  output_dir: key({
    kind: 'string', flag: 'output', path: 'always', valueName: '<folder>', default: './output', aka: ['output', 'output_path', 'save_dir'],
    schema: (z) => z.string().min(1), expects: 'the path of a folder',
    describe: 'Where the adapter or model, checkpoints and logs go.',
  }),
  num_epochs: key({
    kind: 'integer', flag: 'epochs', default: 3, aka: ['epochs', 'num_train_epochs'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Passes over the training rows.',
  }),
  max_steps: optionalKey({
    kind: 'integer', flag: 'max-steps', aka: ['iters', 'steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Stop after this many optimizer steps, whatever num_epochs says.',
  }),
  batch_size: key({
    kind: 'integer', flag: 'batch-size', default: 4, aka: ['per_device_train_batch_size', 'micro_batch_size', 'train_batch_size'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Rows in a micro-batch; with packing, windows.',
  }),
  gradient_accumulation_steps: key({
    kind: 'integer', flag: 'gradient-accumulation-steps', default: 1, aka: ['grad_accum', 'gradient_accumulation', 'accumulation_steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Micro-batches in an optimizer step.',
  }),
  group_by_length: optionalKey({
    kind: 'boolean', flag: 'group-by-length', defaultText: 'false',
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Rows of like length meet in a step.',
  }),
  learning_rate: key({
    kind: 'number', flag: 'learning-rate', defaultText: '2e-4 (full: 2e-5)', aka: ['lr'],
    default: (read) => (read('training.method') === 'full' ? 2e-5 : 2e-4),
    schema: (z) => z.number().positive().max(1000), expects: 'a number above 0, at most 1000',
    describe: 'Highest learning rate of the schedule.',
  }),
  scheduler: key({
    kind: 'choice', flag: 'scheduler', table: names.schedules, default: 'cosine', aka: ['lr_scheduler', 'lr_scheduler_type', 'schedule'],
    schema: (z) => z.string().min(1), expects: 'the name of a schedule',
    describe: 'How the learning rate goes on after the warmup.',
  }),
  warmup_ratio: key({
    kind: 'number', flag: 'warmup-ratio', defaultText: '0.03 (0 when warmup_steps is set)',
    default: (read) => (read('training.warmup_steps') === undefined ? 0.03 : 0),
    schema: (z) => z.number().min(0).max(1), expects: 'a number from 0 to 1',
    describe: 'Share of the steps over which the learning rate rises from 0.',
  }),
  warmup_steps: optionalKey({
    kind: 'integer', flag: 'warmup-steps', aka: ['num_warmup_steps'],
    schema: (z) => z.int().min(0), expects: 'an integer of at least 0',
    describe: 'Steps of the warmup, instead of warmup_ratio.',
  }),
  weight_decay: key({
    kind: 'number', flag: 'weight-decay', default: 0, aka: ['decay'],
    schema: (z) => z.number().min(0).max(100), expects: 'a number of at least 0, at most 100',
    describe: 'Decoupled weight decay; biases and norm weights are exempt.',
  }),
  max_grad_norm: key({
    kind: 'number', flag: 'max-grad-norm', default: 1, defaultText: '1.0', aka: ['grad_clip', 'gradient_clipping', 'clip_grad_norm'],
    schema: (z) => z.number().min(0), expects: 'a number of at least 0',
    describe: 'Gradients are scaled down to this L2 norm; 0: never.',
  }),
  optimizer: key({
    kind: 'choice', flag: 'optimizer', table: names.optimizers, default: 'adamw', aka: ['optim'],
    schema: (z) => z.string().min(1), expects: 'the name of an optimizer',
    describe: 'The update rule. adamw_8bit keeps its two moments in 8 bits instead of 32; paged_adamw_8bit keeps them also where the system may write them to disk.',
  }),
  adam_beta1: key({
    kind: 'number', flag: 'adam-beta1', default: 0.9, aka: ['beta1'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: 'Decay of the first moment.',
  }),
  adam_beta2: key({
    kind: 'number', flag: 'adam-beta2', default: 0.999, aka: ['beta2'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: 'Decay of the second moment.',
  }),
  adam_epsilon: key({
    kind: 'number', flag: 'adam-epsilon', default: 1e-8, aka: ['epsilon', 'eps'],
    schema: (z) => z.number().positive().max(1), expects: 'a number above 0, at most 1',
    describe: 'Added to the root of the second moment.',
  }),
  gradient_checkpointing: key({
    kind: 'toggle', flag: 'gradient-checkpointing', default: 'auto', aka: ['grad_checkpoint', 'use_gradient_checkpointing'],
    schema: (z) => z.union([z.boolean(), z.literal('auto'), z.int().min(0).max(100_000)]), expects: 'true, false, auto or a number of layers',
    describe: 'Recompute layers in backward to save memory: all, none, or so many of the first. auto: as many as memory needs. The numbers stay the same.',
  }),
  auto_batch: key({
    kind: 'boolean', flag: 'auto-batch', default: false, aka: ['auto_find_batch_size', 'auto_batch_size'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Where memory is short, halve the micro-batches and take as many more of them, instead of failing.',
  }),
  seed: key({
    kind: 'integer', flag: 'seed', default: 42, aka: ['random_seed', 'data_seed'],
    schema: (z) => z.int().min(0), expects: 'an integer of at least 0',
    describe: 'Key of every random choice: initialisation, split, shuffling, dropout.',
  }),
  save_steps: optionalKey({
    kind: 'integer', flag: 'save-steps', defaultText: 'each epoch', aka: ['save_every', 'checkpoint_steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Steps between checkpoints.',
  }),
  save_total_limit: key({
    kind: 'integer', flag: 'save-total-limit', default: 3,
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'How many checkpoints are kept, the newest and the best.',
  }),
  eval_steps: optionalKey({
    kind: 'integer', flag: 'eval-steps', defaultText: 'each epoch', aka: ['eval_every', 'steps_per_eval'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Steps between evaluations.',
  }),
  load_best_model_at_end: key({
    kind: 'boolean', flag: 'load-best-model-at-end', default: false, aka: ['load_best_model', 'load_best', 'restore_best'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'End with the weights of the checkpoint that has the lowest evaluation loss; save_steps must then be a multiple of eval_steps.',
  }),
  logging_steps: key({
    kind: 'integer', flag: 'logging-steps', default: 1, aka: ['log_every', 'steps_per_report', 'log_steps'],
    schema: (z) => z.int().min(1), expects: 'an integer of at least 1',
    describe: 'Steps between entries of log_history.',
  }),
  adapter: optionalKey({
    kind: 'string', flag: 'adapter', path: 'or hub name', valueName: '<folder|name>', aka: ['adapter_name_or_path', 'lora_model_dir', 'resume_adapter_file'],
    schema: (z) => z.string().min(1), expects: 'a PEFT adapter folder or the name of an adapter',
    describe: 'Start from this adapter, a PEFT folder or a name on the Hugging Face hub; r, alpha and targets come from its configuration.',
  }),
  resume: key({
    kind: 'optional', flag: 'resume', valueName: '[folder]', default: false, transient: true, aka: ['resume_from_checkpoint'],
    schema: (z) => z.union([z.boolean(), z.string().min(1)]), expects: 'true, false or the path of a checkpoint',
    describe: 'Go on from the newest checkpoint of the output folder, or from this run or checkpoint. Nothing else need be given: the run has its configuration.',
  }),
  overwrite: key({
    kind: 'boolean', flag: 'overwrite', default: false, transient: true, aka: ['overwrite_output_dir'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Replace the run that the output folder holds.',
  }),
  force: key({
    kind: 'boolean', flag: 'force', default: false, transient: true,
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Resume although inputs have changed, or from a checkpoint that others follow (they are deleted); train although memory seems too small.',
  }),
  on_nan: key({
    kind: 'string', flag: 'on-nan', valueName: 'stop|skip:<n>', default: 'stop',
    schema: (z) => z.string().regex(/^(?:stop|skip:[1-9]\d{0,5})$/), expects: 'stop or skip:<n>',
    describe: 'A loss or gradient that is not finite is never applied: stop, or skip up to n steps.',
  }),
  threads: optionalKey({
    kind: 'integer', flag: 'threads', defaultText: 'the physical cores', aka: ['num_threads'],
    schema: (z) => z.int().min(1).max(4096), expects: 'an integer from 1 to 4096',
    describe: 'CPU threads of the engine.',
  }),
} satisfies SectionRows
