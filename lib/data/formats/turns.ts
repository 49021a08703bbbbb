// Lists of turns as data sets write them: {role, content} as OpenAI has it, or {from, value} as ShareGPT has it. Both
// become messages as chat templates take them, and what each turn says about its own loss: `train`, or a `weight` of 0 or 1.
import type { z } from 'zod'
import { lazily, type Zod } from '../../core/zod.js'
import { keepExact, parseExact } from '../exact.js'
import { kindOf } from '../loaders/parse-row.js'
import type { Message } from '../templates/chat.js'
import { describeIssue, findBrokenText, isDeeperThan, type ChatRow } from './format.js'

const maxDepth = 64

/** Who speaks in ShareGPT data → the role that templates know. */
const speakers: Readonly<Record<string, string>> = {
  system: 'system', developer: 'developer',
  human: 'user', user: 'user', prompter: 'user', customer: 'user',
  gpt: 'assistant', assistant: 'assistant', bard: 'assistant', bing: 'assistant', chatgpt: 'assistant', claude: 'assistant', model: 'assistant',
  bot: 'assistant', chatbot: 'assistant', ai: 'assistant',
  function_call: 'assistant', tool_call: 'assistant',
  tool: 'tool', function: 'tool', observation: 'tool', tool_response: 'tool', function_response: 'tool', tool_output: 'tool', ipython: 'tool',
}
const callers = new Set(['function_call', 'tool_call'])

export interface Turns {
  messages: readonly Message[]
  trained?: ChatRow['trained']
}

export type TurnsResult = Turns | { problem: string }

/** The schema of {role, content} turns, for the formats that hold some. */
export function turnSchema(z: Zod) {
  const part = z.looseObject({ type: z.literal('text', 'only parts of type "text" can be trained on'), text: z.string('expected a text') })
  const content = z.union([z.string(), z.array(part), z.null()], {
    error: (issue) => deepestMessage(issue) ?? 'expected a text, a list of {type: "text", text} or null',
  })
  return z.looseObject({
    role: z.string('expected a text').min(1, 'expected a role, this is empty'),
    content: content.optional(),
    tool_calls: z.array(z.looseObject({}, 'expected an object'), 'expected a list').nullish(),
    ...lossFields(z),
  }, 'expected {role, content}').superRefine((value, context) => {
    const says = typeof value.content === 'string' || Array.isArray(value.content) || (value.tool_calls?.length ?? 0) > 0 || 'function_call' in value
    if (!says) context.addIssue({ code: 'custom', path: ['content'], message: 'expected a text, this is missing or null' })
  })
}

/** The schema of {from, value} turns. */
export function speakerSchema(z: Zod) {
  return z.looseObject({
    from: z.string('expected a text').refine((name) => speakerOf(name) !== undefined, `expected who speaks: ${Object.keys(speakers).join(', ')}`),
    value: z.string('expected a text'),
    ...lossFields(z),
  }, 'expected {from, value}')
}

function lossFields(z: Zod) {
  return {
    train: z.boolean('expected true or false').nullish(),
    weight: z.union([z.literal(0), z.literal(1)], 'expected 0 or 1').nullish(),
  }
}

/** A list of turns in either writing. */
export function turnsSchema(z: Zod) {
  return z.union([turnList(z, turnSchema(z)), turnList(z, speakerSchema(z))])
}

function turnList<S extends z.ZodType>(z: Zod, turn: S, keys = '{role, content}') {
  return z.array(turn, `expected a list of ${keys}`).min(1, 'expected at least one message, this is empty')
}

const schemas = lazily((z) => ({
  roles: z.object({ turns: turnList(z, turnSchema(z)) }),
  speakers: z.object({ turns: turnList(z, speakerSchema(z), '{from, value}') }),
  tools: z.array(z.looseObject({}, 'expected an object'), 'expected a list'),
}))

/** @param path the column, for messages */
export function readTurns(value: unknown, path: string): TurnsResult {
  if (isDeeperThan(value, maxDepth)) return { problem: `${path}: nested more than ${maxDepth} deep` }
  const bySpeaker = Array.isArray(value) && value.length > 0 && value.every((turn) => isObject(turn) && !('role' in turn) && 'from' in turn)
  const given = { turns: value }
  const result = bySpeaker ? schemas().speakers.safeParse(given) : schemas().roles.safeParse(given)
  if (!result.success) return { problem: describeIssue(result.error, given).replace(/^turns/, path) }
  // As they came: what was read beside them belongs to these.
  const turns = value as readonly Record<string, unknown>[]
  const broken = findBrokenText(turns, path)
  if (broken !== null) return { problem: broken }
  const trained = turns.map(lossOf)
  const messages = turns.map((turn) => (bySpeaker ? messageOf(turn) : clean(turn)))
  return trained.some((one) => one !== null) ? { messages, trained } : { messages }
}

/** null: it does not say. */
function lossOf({ train, weight }: Record<string, unknown>): boolean | null {
  if (typeof train === 'boolean') return train
  return typeof weight === 'number' ? weight === 1 : null
}

/** Without what says something about loss, and without the nulls that tables put where other rows have a field. */
function clean(turn: Record<string, unknown>): Message {
  const needless = (key: string, value: unknown): boolean => key === 'train' || key === 'weight' || (value === null && key !== 'content')
  if (!Object.entries(turn).some(([key, value]) => needless(key, value))) return turn as Message
  return keepExact(Object.fromEntries(Object.entries(turn).filter(([key, value]) => !needless(key, value))) as Message, turn)
}

function messageOf(turn: Record<string, unknown>): Message {
  const { from, value, ...rest } = turn as { from: string; value: string }
  const name = normalized(from)
  const role = speakers[name] as string
  const calls = callers.has(name) ? readCalls(value) : null
  return clean(keepExact(calls === null ? { role, content: value, ...rest } : { role, content: '', tool_calls: calls, ...rest }, turn))
}

function speakerOf(name: string): string | undefined {
  const key = normalized(name)
  return Object.hasOwn(speakers, key) ? speakers[key] : undefined
}

function normalized(name: string): string {
  return name.trim().toLowerCase().replaceAll(/[\s-]+/g, '_')
}

/** A call is JSON, {name, arguments} or a list of them; null: the assistant wrote it in words of its own. */
function readCalls(text: string): unknown[] | null {
  let value: unknown
  try {
    value = parseExact(text)
  } catch {
    return null
  }
  const calls: unknown[] = Array.isArray(value) ? value : [value]
  if (calls.length === 0 || isDeeperThan(calls, maxDepth) || !calls.every((call) => isObject(call) && typeof call.name === 'string')) return null
  return calls.map((call) => ({ type: 'function', function: { name: (call as { name: string }).name, arguments: (call as { arguments?: unknown }).arguments ?? {} } }))
}

export type ToolsResult = { tools: readonly unknown[] | null } | { problem: string }

/** Some data sets hold the tools as JSON in a text. No tools and an empty list are the same. */
export function readTools(given: unknown): ToolsResult {
  if (given === null || given === undefined) return { tools: null }
  let tools: unknown = given
  if (typeof given === 'string') {
    if (given.trim() === '') return { tools: null }
    try {
      tools = parseExact(given)
    } catch {
      return { problem: 'tools: expected a list of objects, this text is not one in JSON' }
    }
    if (tools === null) return { tools: null }
  }
  if (isDeeperThan(tools, maxDepth)) return { problem: `tools: nested more than ${maxDepth} deep` }
  if (!schemas().tools.safeParse(tools).success) {
    return { problem: typeof given === 'string' ? 'tools: expected a list of objects, this text is not one in JSON' : `tools: expected a list of objects, got ${Array.isArray(tools) ? 'something else in it' : kindOf(tools)}` }
  }
  const broken = findBrokenText(tools, 'tools')
  if (broken !== null) return { problem: broken }
  const list = tools as readonly unknown[]
  return { tools: list.length > 0 ? list : null }
}

export function toolsSchema(z: Zod) {
  return z.union([z.array(z.looseObject({})), z.string()]).nullish()
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Of the branches of a union, the message about a part of a list says most. */
function deepestMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== 'invalid_union' || !Array.isArray(issue.input)) return undefined
  const inner = issue.errors.flat().find((one) => one.path.length > 0)
  return inner === undefined ? undefined : `part ${inner.path.map(String).join('.')}: ${inner.message}`
}
