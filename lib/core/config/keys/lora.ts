// The adapter.
import { key, type SectionRows } from '../row.js'

export const lora = {
  r: key({
    kind: 'integer', flag: 'lora-r', default: 16, aka: ['lora_r', 'lora_rank', 'rank'],
    schema: (z) => z.int().min(1).max(65_536), expects: 'an integer of at least 1, at most 65536',
    describe: 'Rank of the adapter.',
  }),
  lora_alpha: key({
    kind: 'number', flag: 'lora-alpha', default: 32, aka: ['alpha'],
    schema: (z) => z.number().positive().max(1e6), expects: 'a number above 0, at most 1000000',
    describe: 'The adapter is scaled by alpha / r.',
  }),
  lora_dropout: key({
    kind: 'number', flag: 'lora-dropout', default: 0, aka: ['dropout'],
    schema: (z) => z.number().min(0).lt(1), expects: 'a number from 0 to below 1',
    describe: "Dropout of the adapter's input.",
  }),
  target_modules: key({
    kind: 'names', flag: 'target-modules', valueName: 'all-linear|<names>|<pattern>', default: 'all-linear', aka: ['lora_target', 'lora_target_modules', 'modules'],
    schema: (z) => z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]), expects: 'all-linear, a list of module names or a regular expression',
    describe: 'Which linear layers get an adapter: all-linear, names (q_proj,v_proj), or a regular expression for the whole module path.',
  }),
  target_parameters: key({
    kind: 'names', flag: 'target-parameters', valueName: '<names>', default: [],
    schema: (z) => z.array(z.string().min(1)), expects: 'a list of parameter names',
    describe: 'Weights that get an adapter by their names, beside the modules: mlp.experts.gate_up_proj, mlp.experts.down_proj (fused experts), mlp.gate.weight (router).',
  }),
  rank_pattern: key({
    kind: 'record', default: {},
    schema: (z) => z.record(z.string().min(1), z.int().min(1).max(65_536)), expects: 'a map from module names or patterns to ranks',
    describe: 'Ranks that differ from r, by module name or pattern.',
  }),
  alpha_pattern: key({
    kind: 'record', default: {},
    schema: (z) => z.record(z.string().min(1), z.number().positive().max(1e6)), expects: 'a map from module names or patterns to alphas',
    describe: 'Alphas that differ from lora_alpha, by module name or pattern.',
  }),
  bias: key({
    kind: 'choice', flag: 'lora-bias', choices: ['none'], default: 'none', aka: ['lora_bias'],
    schema: (z) => z.enum(['none']), expects: 'none',
    describe: 'Which biases are trained.',
  }),
  use_rslora: key({
    kind: 'boolean', flag: 'use-rslora', default: false, aka: ['rslora', 'rs_lora'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Scale by alpha / √r instead of alpha / r.',
  }),
  ensure_weight_tying: key({
    kind: 'boolean', flag: 'ensure-weight-tying', default: false,
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: "Where target modules name the embedding or an output head that shares its weight: one adapter for both. The head's matrices are the embedding's, transposed.",
  }),
} satisfies SectionRows
