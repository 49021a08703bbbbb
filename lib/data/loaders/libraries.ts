// The libraries of single formats, loaded with the first file that needs one: importing this package loads none.
import { createRequire } from 'node:module'
import type chardet from 'chardet'
import type * as csvParse from 'csv-parse'
import type iconv from 'iconv-lite'
import type yaml from 'yaml'

const load = createRequire(import.meta.url)

export const libraries = {
  chardet: () => load('chardet') as typeof chardet,
  csvParse: () => load('csv-parse') as typeof csvParse,
  yaml: () => load('yaml') as typeof yaml,
  iconv: () => load('iconv-lite') as typeof iconv,
  hyparquet: () => import('hyparquet'),
  compressors: () => import('hyparquet-compressors'),
}
