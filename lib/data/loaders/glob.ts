// Globs of data files: * and ? within a name, ** over folders, [abc] and {a,b}. Matched by hand, in linear
// steps per name; names that begin with a dot match only a pattern that does.
import { readdir } from 'node:fs/promises'
import path from 'node:path'

export function isGlob(pattern: string): boolean {
  return /[*?[{]/.test(pattern)
}

/** Matching files, sorted; folders are not returned. */
export async function expandGlob(pattern: string): Promise<string[]> {
  const found = new Set<string>()
  for (const one of expandBraces(pattern)) {
    const absolute = path.isAbsolute(one)
    const parts = one.split('/').filter((part) => part !== '' && part !== '.')
    await walk(absolute ? '/' : '', parts, found)
  }
  return [...found].sort()
}

async function walk(folder: string, parts: readonly string[], found: Set<string>): Promise<void> {
  const [part, ...rest] = parts
  if (part === undefined) return
  if (part === '..') return walk(path.join(folder, '..'), rest, found)
  if (part === '**') await walk(folder, rest, found)
  for (const entry of await list(folder)) {
    const target = folder === '' ? entry.name : path.join(folder, entry.name)
    if (part === '**') {
      if (entry.isDirectory() && !entry.name.startsWith('.')) await walk(target, parts, found)
    } else if (matchName(part, entry.name)) {
      if (rest.length > 0) await walk(target, rest, found)
      else if (entry.isFile() || entry.isSymbolicLink()) found.add(target)
    }
  }
}

async function list(folder: string): Promise<{ name: string; isDirectory(): boolean; isFile(): boolean; isSymbolicLink(): boolean }[]> {
  try {
    return await readdir(folder === '' ? '.' : folder, { withFileTypes: true })
  } catch {
    return []
  }
}

/** A relative path with "/" against a glob; ** stands for any folders, also none, and at the end for whatever is below. */
export function matchPath(pattern: string, file: string): boolean {
  const names = file.split('/')
  return expandBraces(pattern).some((one) => {
    const parts = one.split('/').filter((part) => part !== '' && part !== '.')
    /** Of the names before the current one: does the pattern up to part p match them? */
    let reached = new Array<boolean>(parts.length + 1).fill(false)
    reached[0] = true
    const passFolders = (): void => parts.forEach((part, p) => { if (part === '**' && reached[p]) reached[p + 1] = true })
    passFolders()
    names.forEach((name, n) => {
      const next = new Array<boolean>(parts.length + 1).fill(false)
      parts.forEach((part, p) => {
        if (!reached[p]) return
        if (part === '**') next[p] = next[p + 1] = true
        else if (matchName(part, name)) next[p + 1] = true
      })
      reached = next
      // A pattern that ends with ** names files below a folder, not the folder's name itself.
      if (n < names.length - 1) passFolders()
    })
    return reached[parts.length] === true
  })
}

/** Greedy with one point to return to: the last "*". */
export function matchName(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false
  let p = 0
  let n = 0
  let star = -1
  let starName = 0
  while (n < name.length) {
    const step = matchOne(pattern, p, name[n] as string)
    if (pattern[p] === '*') {
      star = p++
      starName = n
    } else if (step > 0) {
      p += step
      n++
    } else if (star >= 0) {
      p = star + 1
      n = ++starName
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** Length of the pattern element at p when it matches the character, else 0. */
function matchOne(pattern: string, p: number, character: string): number {
  const element = pattern[p]
  if (element === undefined || element === '*') return 0
  if (element === '?') return 1
  const close = element === '[' ? pattern.indexOf(']', p + 2) : -1
  if (close < 0) return element === character ? 1 : 0
  const inverted = pattern[p + 1] === '!' || pattern[p + 1] === '^'
  const members = pattern.slice(inverted ? p + 2 : p + 1, close)
  return inClass(members, character) !== inverted ? close - p + 1 : 0
}

function inClass(members: string, character: string): boolean {
  for (let i = 0; i < members.length; i++) {
    const from = members[i] as string
    const to = members[i + 1] === '-' ? members[i + 2] : undefined
    if (to === undefined ? from === character : from <= character && character <= to) return true
    if (to !== undefined) i += 2
  }
  return false
}

/** "a{b,c}d" → "abd", "acd"; at most 1024 patterns. */
function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{')
  const close = pattern.indexOf('}', open)
  if (open < 0 || close < 0) return [pattern]
  const options = pattern.slice(open + 1, close).split(',')
  const tails = expandBraces(pattern.slice(close + 1))
  const expanded: string[] = []
  for (const option of options) {
    for (const tail of tails) {
      if (expanded.length < 1024) expanded.push(pattern.slice(0, open) + option + tail)
    }
  }
  return expanded
}
