// A trainer of one's own, in one file: LoRA with the focal loss (Lin et al. 2017, arXiv 1708.02002), which gives tokens
// that the model already predicts well less weight. Data, checkpoints and resume work as in the built-in trainers.
//
//   ft-native train --plugin ./custom-trainer.mjs --method focal_lora --model ./model --data ./data.jsonl

const gamma = 2

/**
 * Per token, with l = log p: loss = -(1 - p)^γ · l. Its derivative by l follows from dp/dl = p.
 * Tokens without a label have l = 0, so p = 1: neither loss nor gradient.
 */
export function focalLoss(logprobs, _batch, { supervisedTokens }) {
  const gradient = new Float32Array(logprobs.length)
  let loss = 0
  for (let token = 0; token < logprobs.length; token++) {
    const l = logprobs[token]
    const p = Math.exp(l)
    const q = 1 - p
    loss -= q ** gamma * l
    gradient[token] = (gamma * q ** (gamma - 1) * p * l - q ** gamma) / supervisedTokens
  }
  return { loss: loss / supervisedTokens, gradient }
}

/** Called with the package's exports before the configuration is read. */
export function register({ TrainerFactory, defineTrainer, fromLogprobs }) {
  TrainerFactory.register('focal_lora', defineTrainer({ name: 'focal_lora', objective: fromLogprobs('focal', focalLoss) }))
}
