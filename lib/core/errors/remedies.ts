// What to do about an error whose place had nothing more precise to say.
import type { ErrorCode } from './codes.generated.js'

const remedies: Partial<Record<ErrorCode, string>> = {
  FT_INTERNAL: 'this is a defect: run again with --verbose and report what it prints',
  FT_INVALID_ARGUMENT: 'correct the argument that the message names; docs/api.md says what each call takes',
  FT_HANDLE_MISUSE: 'change the order of the calls, or the object that is passed, as the message says',
  FT_HANDLE_DISPOSED: 'load or create it again, or dispose of it later',
  FT_CANCELLED: 'run it again: what was saved before is still there',
  FT_UNKNOWN_TARGET_MODULE: 'use all-linear, or names that `ft-native inspect <model>` lists',
  FT_ADAPTER_MISMATCH: 'use the base model that the adapter was trained on',
  FT_MISSING_TENSOR: 'copy the weight files again from where they came from',
  FT_TENSOR_SHAPE: 'use the config.json that belongs to these weights',
  FT_TENSOR_DTYPE: 'use the bf16, fp16 or fp32 release of the model',
  FT_TOKENIZER: 'copy the tokenizer files again from where they came from',
  FT_NO_LABELS: 'give rows with an answer, or use --train-on-prompt',
  FT_CHECKPOINT: 'resume from another checkpoint with --resume <folder>, or start again with --overwrite',
}

export function generalRemedy(code: ErrorCode): string {
  return remedies[code] ?? ''
}
