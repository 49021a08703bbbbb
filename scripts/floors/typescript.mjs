// Floors of lib/: relative imports between folders, and who may call the addon.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { floorNumbers, listFiles } from './files.mjs'
import { nativeCallers, typescriptFloors } from './rules.mjs'

// import … from 'x' · export … from 'x' · import 'x' · import('x') · require('x'), over several lines too
const importPattern = /(?:^|[\s;}])(?:(import|export)\s+(type\s+)?(?:[\w*{}\s,$]*?from\s+)?|(?:import|require)\s*\(\s*)['"]([^'"]+)['"]/g

/** → {violations: [{file, line, message}], files} */
export function checkTypeScript(root) {
  const base = path.join(root, 'lib')
  const files = listFiles(base, /\.(ts|mts|cts|tsx)$/)
  const violations = []
  for (const file of files) {
    for (const found of importsOf(readFileSync(path.join(base, file), 'utf8'))) {
      const message = problemOf(file, found)
      if (message) violations.push({ file: `lib/${file}`, line: found.line, message })
    }
  }
  return { violations, files: files.length }
}

function importsOf(text) {
  return [...withoutComments(text).matchAll(importPattern)].map((match) => ({
    specifier: match[3],
    typeOnly: match[2] !== undefined,
    line: text.slice(0, match.index + match[0].length).split('\n').length,
  }))
}

/** Comments become spaces, so that positions stay; strings with // in them (URLs) are kept. */
function withoutComments(text) {
  return text.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (part) =>
    part.startsWith('/') ? part.replace(/[^\n]/g, ' ') : part)
}

function problemOf(file, { specifier, typeOnly }) {
  if (specifier === 'ft-native' || specifier.startsWith('ft-native/')) return `'${specifier}': import the file itself, not the package`
  if (!specifier.startsWith('.')) return undefined
  const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier))
  if (target.startsWith('..')) return undefined // package.json and the like
  const floors = floorNumbers(typescriptFloors)
  const [from, to] = [file, target].map((name) => (name.includes('/') ? name.split('/')[0] : ''))
  if (from === to) return undefined
  if (from === '') return to === 'cli' ? `'${specifier}': the library must not load the command line` : undefined
  if (to === '') return from === 'cli' ? undefined : `'${specifier}': ${from} must not import the public surface above it`
  if (!floors.has(from)) return `${from} is in no known folder: name it in scripts/floors/rules.mjs`
  if (!floors.has(to)) return `'${specifier}': ${to} is in no known folder`
  if (floors.get(to) > floors.get(from)) return `'${specifier}': ${from} must not import from ${to}, which is above`
  if (to === 'native' && !typeOnly && !nativeCallers.some((allowed) => allowed.test(file))) {
    return `'${specifier}': only models/ and data/tokenizer call the addon; others import its types`
  }
  return undefined
}
