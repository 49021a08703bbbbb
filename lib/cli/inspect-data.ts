// `inspect` of data: what is there, how it is read and why, lengths, duplicates, what truncation would take, rows as the model
// gets them, faults. The same options as training, and the same code that makes its batches.
import type { DatasetConfig, TokenizationConfig } from '../core/config/index.js'
import { camelCase } from '../core/config/row.js'
import { fail } from '../core/errors/index.js'
import { DatasetAnalyzer, dataOptions, loadTokenizer, type DatasetAnalysis } from '../data/index.js'
import { resolveModelFolder } from '../models/resolve.js'
import { writeFileAtomic } from '../utils/fs.js'
import { readConfigEntries } from './config-input.js'
import type { CliContext } from './context.js'
import { dataProgress } from './data-progress.js'
import { documentOf } from './inspect-data-document.js'
import { pageOf } from './inspect-data-html.js'
import { textOf } from './inspect-data-text.js'
import type { ParsedFlags } from './parsed-flags.js'

/** Rows of a page, where nobody says how many. */
const pageRows = 50

/** What is to be shown, beside the numbers. */
interface Wanted {
  /** One row, from 1; 0: none. */
  example: number
  /** The first so many. */
  preview: number
  html: string | undefined
  lint: boolean
}

/** Resolves to 3 when lint finds something serious. */
export async function showData(target: string, flags: ParsedFlags, context: CliContext): Promise<number> {
  const model = flags.text('model')
  const wanted = wantedOf(flags, model)
  const tokenizer = model === undefined ? undefined : await loadTokenizer(await resolveModelFolder(model, process.env, { need: 'tokenizer', signal: context.signal }), { optional: true })
  const progress = dataProgress(context, 'reading data')
  try {
    const analysis = await new DatasetAnalyzer({
      ...configured(target, flags), tokenizer, lint: wanted.lint, filterExcerpts: flags.boolean('show-removed') ?? false, preview: rowsOf(wanted), signal: context.signal, onProgress: (state) => progress.update(state),
    }).run()
    progress.stop()
    refuseMissing(analysis, wanted)
    if (wanted.html !== undefined) await writeFileAtomic(wanted.html, pageOf(target, model, analysis))
    context.document({ kind: 'data', ...(model === undefined ? {} : { model }), ...documentOf(analysis, wanted) })
    context.print(textOf(analysis, { ...wanted, color: context.color, hint: model === undefined }))
    if (wanted.html !== undefined) context.print(`\nThe page is ${wanted.html}`)
    return analysis.lint !== null && analysis.lint.errors > 0 ? 3 : 0
  } finally {
    progress.stop()
    tokenizer?.dispose()
  }
}

function wantedOf(flags: ParsedFlags, model: string | undefined): Wanted {
  const html = flags.text('html')
  const given = flags.integer('preview', { min: 0 })
  const lint = flags.boolean('lint') ?? false
  if (model === undefined && (given ?? 0) > 0) fail('FT_USAGE', '--preview shows tokens, and there is no tokenizer', { remedy: 'name a model with --model' })
  const preview = model === undefined ? 0 : (given ?? (html === undefined ? 0 : pageRows))
  const shown = flags.integer('example', { min: 0 })
  return { html, lint, preview, example: model === undefined ? 0 : (shown ?? (preview > 0 || lint ? 0 : 1)) }
}

function rowsOf({ example, preview }: Wanted): number[] {
  const rows = Array.from({ length: preview }, (_, i) => i + 1)
  return example === 0 || example <= preview ? rows : [...rows, example]
}

function refuseMissing({ statistics }: DatasetAnalysis, { example, lint }: Wanted): void {
  if (statistics.rows >= example || lint) return
  fail('FT_USAGE', `--example ${example}: there are ${statistics.rows} rows`, { remedy: 'name one that is there' })
}

/** What training would be given. */
function configured(target: string, flags: ParsedFlags): Omit<ReturnType<typeof dataOptions>, 'allowTruncation'> & { seed: number } {
  const entries = readConfigEntries({ positionals: {}, flags })
  const section = (name: string): object => Object.fromEntries(entries.filter(({ key }) => key.section === name).map(({ key, value }) => [camelCase(key.name), value]))
  const options = dataOptions({ ...section('dataset'), path: target } as DatasetConfig, section('tokenization') as TokenizationConfig)
  const ratio = entries.find(({ key }) => key.dotted === 'dataset.validation_ratio')
  const seed = entries.find(({ key }) => key.dotted === 'training.seed')?.value as number
  return { ...options, seed, validationRatio: ratio?.origin === 'default' ? undefined : options.validationRatio }
}
