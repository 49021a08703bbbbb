// Which chat template a data set uses: the file or the well-known one that was named, else the model's own.
import { readFile } from 'node:fs/promises'
import { fail } from '../../core/errors/index.js'
import { errnoOf } from '../../utils/fs.js'
import type { TextTokenizer } from '../tokenizer/index.js'
import { namedTemplates } from './named.js'
import { ChatRenderer } from './renderer.js'

const maxTemplateBytes = 1 << 20

export interface ChosenTemplate {
  template: string
  toolTemplate: string | null
}

/** @param named a Jinja file, or a name of named.ts. null: there is none. Errors: FT_TEMPLATE. */
export async function chooseTemplate(tokenizer: TextTokenizer, named: string | undefined): Promise<ChosenTemplate | null> {
  if (named !== undefined) return { template: await readTemplate(named), toolTemplate: null }
  const { default: plain, toolUse } = tokenizer.chatTemplates
  const template = plain ?? toolUse
  return template === undefined ? null : { template, toolTemplate: toolUse ?? null }
}

async function readTemplate(file: string): Promise<string> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (error) {
    // A file of that name comes first: it is what a person sees.
    if (errnoOf(error) === 'ENOENT' && Object.hasOwn(namedTemplates, file)) return namedTemplates[file] as string
    const reason = error instanceof Error ? error.message : String(error)
    return fail('FT_TEMPLATE', `cannot read the chat template ${file}: ${reason}`, { remedy: `--chat-template names a Jinja file, or one of ${Object.keys(namedTemplates).join(', ')}`, details: { path: file }, cause: error })
  }
  if (bytes.length > maxTemplateBytes || bytes.includes(0)) {
    fail('FT_TEMPLATE', `${file} is no chat template: it ${bytes.includes(0) ? 'is not text' : 'is too large'}`, { remedy: '--chat-template names a Jinja file', details: { path: file } })
  }
  return bytes.toString('utf8')
}

export function openRenderer(tokenizer: TextTokenizer, chosen: ChosenTemplate, now?: Date): ChatRenderer {
  const variables = Object.fromEntries(Object.entries(tokenizer.namedTokens).filter((entry): entry is [string, string] => entry[1] !== undefined))
  return new ChatRenderer({ ...chosen, variables, controlTokens: tokenizer.controlTokens, now })
}

/** Its output changes with the date. */
export function usesClock({ template, toolTemplate }: ChosenTemplate): boolean {
  return template.includes('strftime_now') || (toolTemplate?.includes('strftime_now') ?? false)
}
