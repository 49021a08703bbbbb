// Writes examples/demo/data.jsonl: short definitions from The Devil's Dictionary as {prompt, completion} rows.
//   npx tsx scripts/make-demo-data.ts [devil.dict.dz]
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { devilsDictionaryParagraphs } from './make-demo/text.js'

const target = path.join(import.meta.dirname, '..', 'examples', 'demo', 'data.jsonl')
const defaultSource = '/usr/share/dictd/devil.dict.dz'

const entry = /^([A-Z][A-Z-]+), ((?:n|adj|adv|v)\.(?:pl\.|t\.|i\.)?) (.+)$/
const shortest = 20
const longest = 180
/** Definitions that make fun of groups of people are left out, and so is what needs the book's layout. */
const leftOut = new RegExp(
  [
    'wom[ae]n', 'female', 'wife', 'wives', 'bride', 'girl', 'maid', 'lad(?:y|ies)', 'spinster', 'negro', 'nigger', 'darky', 'mulatto', 'pickaninny', 'white',
    'black', 'race', 'jews?', 'jewish', 'hebrews?', 'mahometans?', 'mohammedans?', 'mussulm[ae]n', 'allah', 'koran', 'heathens?', 'pagans?', 'infidels?', 'savages?',
    'indians?', 'chinese', 'africans?', 'african', 'americans?', 'irish', 'englishm[ae]n', 'frenchm[ae]n', 'slaves?', 'aborigin\\w*', 'orientals?', 'tribes?m[ae]n', 'widows?', 'crusaders?', 'suicide', 'hang(?:ed|man)?', 'murder(?:er|ers|ed)?', 'following',
  ].map((word) => `\\b${word}\\b`).join('|') + '|[_\\[\\]{}|=]|[^\\x20-\\x7e]|:$',
  'i',
)

interface Row {
  prompt: string
  completion: string
}

function rowOf(paragraph: string): Row | null {
  const match = entry.exec(paragraph)
  if (match === null || leftOut.test(paragraph)) return null
  const [, word = '', kind = '', broken = ''] = match
  const definition = broken.replaceAll(/(\w)- (\w)/g, '$1-$2') // a hyphen at the end of a line
  if (definition.length < shortest || definition.length > longest) return null
  return { prompt: `Define ${word.toLowerCase()}:`, completion: ` ${kind} ${definition}` }
}

function main(): void {
  const rows = new Map<string, Row>()
  for (const paragraph of devilsDictionaryParagraphs(process.argv[2] ?? defaultSource)) {
    const row = rowOf(paragraph)
    if (row !== null && !rows.has(row.prompt)) rows.set(row.prompt, row)
  }
  writeFileSync(target, [...rows.values()].map((row) => `${JSON.stringify(row)}\n`).join(''))
  console.log(`${rows.size} rows in ${target}`)
}

main()
