// Regular expressions of users and of adapter files, matched in linear time by RE2: `(a+)+$` cannot hang a run.
// Semantics are those of Python's re.fullmatch and re.match as PEFT uses them, without look-around and backreferences.
import { RE2JS } from 're2js'
import { makeError, type ErrorCode } from '../core/errors/index.js'

/** Names what a pattern is for in its error. */
export interface PatternPlace {
  /** "target_modules", "rank_pattern" … */
  what: string
  code?: ErrorCode
}

const maxPatternLength = 10_000

function compile(pattern: string, source: string, place: PatternPlace): RE2JS {
  const refuse = (reason: string, cause?: unknown): never => {
    throw makeError(place.code ?? 'FT_INVALID_CONFIG', `${place.what}: the pattern ${JSON.stringify(source)} cannot be used: ${reason}`, {
      remedy: 'patterns are regular expressions without look-around (?=…) and backreferences \\1; a list of module names works too',
      details: { what: place.what, pattern: source },
      cause,
    })
  }
  if (source.length > maxPatternLength) refuse(`it is longer than ${maxPatternLength} characters`)
  try {
    return RE2JS.compile(pattern)
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error), error)
  }
}

/** Python spells the end of the text \Z, RE2 \z. */
function fromPython(pattern: string): string {
  return pattern.replaceAll(/\\./gs, (escape) => (escape === '\\Z' ? '\\z' : escape))
}

/** re.fullmatch(pattern, name) */
export function fullMatcher(pattern: string, place: PatternPlace): (name: string) => boolean {
  const expression = compile(`(?:${fromPython(pattern)})`, pattern, place)
  return (name) => expression.matches(name)
}

/** PEFT's get_pattern_key: re.match(rf"(.*\.)?({key})$", name) */
export function suffixMatcher(pattern: string, place: PatternPlace): (name: string) => boolean {
  const expression = compile(`(.*\\.)?(${fromPython(pattern)})`, pattern, place)
  return (name) => expression.matches(name)
}

/** The number behind `<pattern>.` in a module path, as PEFT finds it for layers_to_transform; null where there is none. */
export function layerIndexMatcher(patterns: readonly string[], place: PatternPlace): (name: string) => number | null {
  const expressions =
    patterns.length === 0
      ? [RE2JS.compile('^.*?\\.[^.]*\\.(\\d+)\\.')]
      : patterns.map((pattern) => compile(`^(?:|.*?\\.)(?:${fromPython(pattern)})\\.(\\d+)\\.`, pattern, place))
  return (name) => {
    for (const expression of expressions) {
      const matcher = expression.matcher(name)
      if (matcher.find()) return Number(matcher.group(matcher.groupCount()))
    }
    return null
  }
}

/** re.match(pattern, name): at the beginning, to any end. */
export function patternMatcher(pattern: string, place: PatternPlace): (name: string) => boolean {
  const expression = compile(`(?:${fromPython(pattern)})`, pattern, place)
  return (name) => expression.matcher(name).lookingAt()
}
