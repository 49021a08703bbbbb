// Floors of native/: includes between folders, no JavaScript in the engine, no LibTorch in what reads files,
// no model family outside arch/.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { floorNumbers, listFiles } from './files.mjs'
import { nativeFloors, torchFreeFolders } from './rules.mjs'

const includePattern = /^\s*#\s*include\s+(?:<([^>]+)>|"([^"]+)")/
const torchHeader = /^(ATen|c10|torch|caffe2)\//
const nodeHeader = /^(napi\.h|node_api\.h|js_native_api\.h|node\.h|v8\.h|uv\.h|napi-inl\.h)$/

/** Folder that a path below native/ belongs to: "nn" for core/nn/x.h, "binding" for binding/x.h. */
function folderOf(file) {
  const parts = file.split('/')
  return parts[0] === 'core' ? parts[1] : parts[0]
}

/** → {violations: [{file, line, message}], files} */
export function checkNative(root) {
  const base = path.join(root, 'native')
  const files = listFiles(base, /\.(h|cpp|cc|cu|cuh|mm|def)$/)
  const sources = new Map(files.map((file) => [file, readSource(path.join(base, file))]))
  const families = familyPattern(base)
  const violations = []
  for (const [file, source] of sources) {
    const add = (line, message) => violations.push({ file: `native/${file}`, line, message })
    checkIncludes(file, source, add)
    if (torchFreeFolders.includes(folderOf(file))) checkTorchFree(file, sources, add)
    if (families && file.startsWith('core/') && folderOf(file) !== 'arch') checkFamilies(source, families, add)
  }
  return { violations, files: files.length }
}

function readSource(file) {
  const lines = readFileSync(file, 'utf8').split('\n')
  const includes = lines.flatMap((text, index) => {
    const match = includePattern.exec(text)
    return match ? [{ line: index + 1, system: match[1], own: match[2] }] : []
  })
  return { lines, includes }
}

function checkIncludes(file, { includes }, add) {
  const floors = floorNumbers(nativeFloors)
  const folder = folderOf(file)
  const floor = floors.get(folder)
  if (floor === undefined) {
    add(1, `native/${file} is in no known folder: name ${folder} in scripts/floors/rules.mjs`)
    return
  }
  for (const { line, system, own } of includes) {
    if (system !== undefined) {
      if (folder !== 'binding' && nodeHeader.test(system)) add(line, `<${system}>: the engine knows no JavaScript; that belongs in native/binding`)
      continue
    }
    if (nodeHeader.test(own)) {
      if (folder !== 'binding') add(line, `"${own}": the engine knows no JavaScript; that belongs in native/binding`)
      continue
    }
    if (!own.startsWith('core/') && !own.startsWith('binding/')) {
      add(line, `"${own}": write includes from native/, for example "core/base/error.h"`)
      continue
    }
    const target = folderOf(own)
    const targetFloor = floors.get(target)
    if (target === folder) continue
    if (targetFloor === undefined) add(line, `"${own}": ${target} is in no known folder`)
    else if (targetFloor >= floor) add(line, `"${own}": ${folder} must not include from ${target}, which is ${targetFloor === floor ? 'on the same floor' : 'above'}`)
  }
}

/** Follows own includes: what reads files must not reach a LibTorch header by any path. */
function checkTorchFree(file, sources, add) {
  for (const include of sources.get(file).includes) {
    const chain = torchChain(include, sources, new Set())
    if (chain) add(include.line, `${folderOf(file)} must compile without LibTorch, but this leads to <${chain}>`)
  }
}

function torchChain({ system, own }, sources, seen) {
  if (system !== undefined) return torchHeader.test(system) ? system : undefined
  if (seen.has(own) || !sources.has(own)) return undefined
  seen.add(own)
  for (const include of sources.get(own).includes) {
    const found = torchChain(include, sources, seen)
    if (found) return found
  }
  return undefined
}

/** Matches the model types that arch_table.cpp names, as words; undefined while there is no table. */
function familyPattern(base) {
  const table = path.join(base, 'core', 'arch', 'arch_table.cpp')
  if (!existsSync(table)) return undefined
  const code = readFileSync(table, 'utf8').split('\n').filter((line) => !includePattern.test(line)).join('\n')
  const names = [...code.matchAll(/\{\s*"([a-z0-9_]+)"/g)].map((match) => match[1])
  return names.length > 0 ? new RegExp(`\\b(${names.join('|')})\\b`, 'i') : undefined
}

function checkFamilies({ lines }, families, add) {
  for (const [index, line] of lines.entries()) {
    const code = line.replace(/\/\/.*$/, '')
    const match = families.exec(code)
    if (match) add(index + 1, `names the family ${match[1]}: ask a fact of DecoderSpec instead`)
  }
}
