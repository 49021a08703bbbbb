// How rows become tokens: templates, loss masks, overflow, packing.
import { key, optionalKey, type SectionRows } from '../row.js'

const trainOn = ['answers', 'last', 'all'] as const
const overflows = ['truncate', 'truncate_left', 'keep_answer', 'drop', 'split'] as const
const packings = ['best_fit', 'wrapped'] as const

export const tokenization = {
  max_seq_length: key({
    kind: 'integer', flag: 'max-seq-length', default: 1024, aka: ['max_length', 'sequence_len', 'cutoff_len', 'block_size'],
    schema: (z) => z.int().min(2).max(16_777_216), expects: 'an integer of at least 2, at most 16777216',
    describe: 'Longest row in tokens; what becomes of a longer one is said by overflow.',
  }),
  packing: key({
    kind: 'boolean', flag: 'packing', default: false, aka: ['sample_packing', 'pack_sequences'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Rows share windows of max_seq_length tokens, each attending to itself alone; batch_size counts windows.',
  }),
  packing_strategy: optionalKey({
    kind: 'choice', flag: 'packing-strategy', choices: packings, defaultText: 'best_fit',
    schema: (z) => z.enum(packings), expects: 'best_fit or wrapped',
    describe: 'best_fit: whole rows, into the window they fill best. wrapped: rows run across windows, and attention across rows.',
  }),
  train_on_prompt: key({
    kind: 'boolean', flag: 'train-on-prompt', default: false, aka: ['train_on_inputs', 'mask_prompt'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Prompts carry loss too.',
  }),
  train_on: optionalKey({
    kind: 'choice', flag: 'train-on', choices: trainOn, defaultText: 'answers (all with train_on_prompt)',
    aka: ['mask_history', 'roles_to_train', 'assistant_only_loss', 'completion_only_loss', 'train_on_responses_only'],
    schema: (z) => z.enum(trainOn), expects: 'answers, last or all',
    describe: 'What carries loss: completions and every turn of the assistant, the last of them alone, or all tokens.',
  }),
  train_on_end_of_turn: optionalKey({
    kind: 'boolean', flag: 'train-on-end-of-turn', defaultText: 'true', aka: ['train_on_eot', 'train_on_eos', 'train_eos', 'add_eos_token'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'What ends an answer carries loss: the end-of-turn token of a template, the end-of-sequence token after a completion.',
    describeNo: 'Learn answers, and not when they end.',
  }),
  overflow: optionalKey({
    kind: 'choice', flag: 'overflow', choices: overflows, defaultText: 'truncate', aka: ['truncation', 'truncation_side', 'truncation_strategy', 'excess_length_strategy'],
    schema: (z) => z.enum(overflows), expects: 'truncate, truncate_left, keep_answer, drop or split',
    describe: 'Longer rows lose their end, their begin, or what stands before the last answer; are dropped; or are split into several.',
  }),
  stride: optionalKey({
    kind: 'integer', flag: 'stride', defaultText: '0',
    schema: (z) => z.int().min(0), expects: 'an integer of at least 0',
    describe: 'With overflow split: tokens that a part shares with the one before it; they carry loss once.',
  }),
  allow_truncation: key({
    kind: 'boolean', flag: 'allow-truncation', default: false,
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Go on although more than 1 % of the tokens with loss are cut off.',
  }),
  chat_template: optionalKey({
    kind: 'string', flag: 'chat-template', path: 'or name', valueName: '<file|name>',
    schema: (z) => z.string().min(1), expects: 'the path of a template file, or the name of a template',
    describe: "Jinja template for conversations, instead of the model's own: a file, or a name such as chatml, llama3 or mistral.",
  }),
} satisfies SectionRows
