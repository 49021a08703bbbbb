// Removes secrets from text before it is shown or written: access tokens, Authorization headers, credentials and signatures in
// addresses, and the values of the variables that hold tokens. What is shown is cleaned of all that may be one (redact); what is
// read back, where a path or a column that only looks like one must stay, of what certainly is one (redactNames).

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

interface Rules {
  /** Values of variables that are shorter are no secrets ("1", "true") and would blot out ordinary text. */
  leastValue: number
  patterns: readonly (readonly [RegExp, string])[]
}

const credentials = [/\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#@]{1,512}@/gi, `$1${hidden}@`] as const

const shown: Rules = {
  leastValue: 6,
  patterns: [
    // Hugging Face tokens are hf_ and 34 letters and digits; what was mistyped or cut off is hidden too.
    [/\b(?:hf|api_org)_[A-Za-z0-9]{20,}/g, hidden],
    [/\b(authorization["']?\s*[:=]\s*["']?(?:bearer|basic|token)?\s*)[^\s"',;]+/gi, `$1${hidden}`],
    [/\b(bearer\s+)[A-Za-z0-9._~+/=-]{6,}/gi, `$1${hidden}`],
    credentials,
    [/([?&](?:access_token|token|api_key|key|sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token)=)[^&\s"']+/gi, `$1${hidden}`],
  ],
}

const certain: Rules = { leastValue: 20, patterns: [[/(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{34}(?![A-Za-z0-9])/g, hidden], credentials] }

/** Secrets that come from elsewhere, such as a file. */
const known = new Set<string>()

/** `value` is hidden from now on, as the values of the variables are. */
export function hideSecret(value: string): void {
  known.add(value)
}

/** `text` without secrets, to be shown. */
export function redact(text: string, env: NodeJS.ProcessEnv = process.env): string {
  return clean(text, env, shown)
}

/** `text` without what certainly is a secret: for files whose names and paths are read back. */
export function redactNames(text: string, env: NodeJS.ProcessEnv = process.env): string {
  return clean(text, env, certain)
}

function clean(text: string, env: NodeJS.ProcessEnv, { leastValue, patterns }: Rules): string {
  let result = text
  for (const value of [...secretVariables.map((name) => env[name]?.trim() ?? ''), ...known]) {
    if (value.length >= leastValue) result = result.replaceAll(value, hidden)
  }
  for (const [pattern, replacement] of patterns) result = result.replace(pattern, replacement)
  return result
}

const secretKeys = /^(?:authorization|cookie|password|secret|token|api_?key|access_?token|hf_?token)$/i

/** True for the name of a field that holds a secret, whatever its value looks like. */
export function isSecretKey(key: string): boolean {
  return secretKeys.test(key)
}

/** A copy of plain data with every string redacted and the values of secret-named keys hidden. */
export function redactDeep(value: unknown, env: NodeJS.ProcessEnv = process.env, text: typeof redact = redact): unknown {
  return redactValue(value, (one) => text(one, env), new WeakMap())
}

function redactValue(value: unknown, text: (one: string) => string, seen: WeakMap<object, unknown>): unknown {
  if (typeof value === 'string') return text(value)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  const before = seen.get(value)
  if (before !== undefined) return before
  if (Array.isArray(value)) {
    const copy: unknown[] = []
    seen.set(value, copy)
    for (const item of value) copy.push(redactValue(item, text, seen))
    return copy
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  const copy: Record<string, unknown> = {}
  seen.set(value, copy)
  for (const [key, item] of Object.entries(value)) {
    copy[key] = isSecretKey(key) && typeof item === 'string' ? hidden : redactValue(item, text, seen)
  }
  return copy
}
