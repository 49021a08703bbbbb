// Removes secrets from text before it is shown or written: access tokens, Authorization headers,
// credentials and signatures in addresses, and the values of the variables that hold tokens.

/** Variables whose values never appear in output. */
export const secretVariables = [
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HUGGINGFACE_TOKEN',
  'HUGGINGFACE_HUB_TOKEN',
  'HF_API_TOKEN',
  'WANDB_API_KEY',
  'GITHUB_TOKEN',
  'NPM_TOKEN',
] as const

const hidden = '[redacted]'

/** Shorter values are not secrets ("1", "true") and would blot out ordinary text. */
const minSecretLength = 6

const patterns: readonly (readonly [RegExp, string])[] = [
  // Hugging Face tokens: hf_ and 34 letters and digits; shorter ones with a digit are taken for tokens too.
  [/\b(?:hf|api_org)_(?:[A-Za-z0-9]{20,}|(?=[A-Za-z]{0,64}\d)[A-Za-z0-9]{8,})/g, hidden],
  [/\b(authorization["']?\s*[:=]\s*["']?(?:bearer|basic|token)?\s*)[^\s"',;]+/gi, `$1${hidden}`],
  [/\b(bearer\s+)[A-Za-z0-9._~+/=-]{6,}/gi, `$1${hidden}`],
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#@]{1,512}@/gi, `$1${hidden}@`],
  [/([?&](?:access_token|token|api_key|key|sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token)=)[^&\s"']+/gi, `$1${hidden}`],
]

/** `text` without secrets. */
export function redact(text: string, env: NodeJS.ProcessEnv = process.env): string {
  let clean = text
  for (const name of secretVariables) {
    const value = env[name]?.trim()
    if (value !== undefined && value.length >= minSecretLength) clean = clean.replaceAll(value, hidden)
  }
  for (const [pattern, replacement] of patterns) clean = clean.replace(pattern, replacement)
  return clean
}

const secretKeys = /^(?:authorization|cookie|password|secret|token|api_?key|access_?token|hf_?token)$/i

/** True for the name of a field that holds a secret, whatever its value looks like. */
export function isSecretKey(key: string): boolean {
  return secretKeys.test(key)
}

/** A copy of plain data with every string redacted and the values of secret-named keys hidden. */
export function redactDeep(value: unknown, env: NodeJS.ProcessEnv = process.env): unknown {
  return redactValue(value, env, new WeakMap())
}

function redactValue(value: unknown, env: NodeJS.ProcessEnv, seen: WeakMap<object, unknown>): unknown {
  if (typeof value === 'string') return redact(value, env)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  const known = seen.get(value)
  if (known !== undefined) return known
  if (Array.isArray(value)) {
    const copy: unknown[] = []
    seen.set(value, copy)
    for (const item of value) copy.push(redactValue(item, env, seen))
    return copy
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  const copy: Record<string, unknown> = {}
  seen.set(value, copy)
  for (const [key, item] of Object.entries(value)) {
    copy[key] = isSecretKey(key) && typeof item === 'string' ? hidden : redactValue(item, env, seen)
  }
  return copy
}
