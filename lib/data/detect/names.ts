// What columns are called in the data sets people have, as tables: a new name is a word in its list. Names are
// compared in lower case with "_" between words ("userQuestion" is user_question).

/** What a column holds: the columns that the row formats read. */
export const columnRoles = [
  'text', 'prompt', 'completion', 'instruction', 'input', 'output', 'system', 'history', 'messages', 'conversations', 'tools', 'chosen', 'rejected', 'label',
  'completions', 'labels', 'input_ids', 'attention_mask',
] as const
export type ColumnRole = (typeof columnRoles)[number]

/** Prompt and response that are called so together, the surest first. */
export const pairs: readonly (readonly [prompt: string, response: string])[] = [
  ['instruction', 'output'], ['instruction', 'response'], ['instruction', 'completion'], ['instruction', 'answer'], ['instructions', 'outputs'],
  ['prompt', 'completion'], ['prompt', 'response'], ['prompt', 'answer'], ['prompt', 'output'], ['prompt', 'text'],
  ['question', 'answer'], ['question', 'response'], ['question', 'solution'], ['questions', 'answers'], ['q', 'a'], ['query', 'response'], ['query', 'answer'],
  ['query', 'completion'], ['problem', 'solution'], ['problem', 'answer'], ['exercise', 'solution'], ['task', 'solution'], ['request', 'response'], ['user', 'assistant'],
  ['human', 'assistant'], ['human', 'bot'], ['user', 'bot'], ['context', 'response'], ['message', 'reply'], ['message', 'response'], ['comment', 'reply'], ['post', 'reply'],
  ['input', 'output'], ['inputs', 'targets'], ['inputs', 'outputs'], ['input', 'target'], ['input', 'response'], ['input_text', 'target_text'], ['input_text', 'output_text'],
  ['source', 'target'], ['src', 'tgt'], ['src', 'dst'], ['source_text', 'target_text'], ['original', 'translation'], ['text', 'translation'], ['document', 'summary'],
  ['article', 'summary'], ['article', 'highlights'], ['text', 'summary'], ['dialogue', 'summary'], ['abstract', 'title'], ['text', 'title'], ['description', 'code'],
  ['docstring', 'code'], ['func_documentation_string', 'func_code_string'], ['question', 'query'], ['question', 'sql'], ['premise', 'hypothesis'], ['ask', 'reply'],
]

/** One of these alone may stand at the end of a longer name: "user_question", "model_answer", "gpt4_response". */
export const promptWords = ['instruction', 'prompt', 'question', 'query', 'problem', 'request', 'input', 'source'] as const
export const responseWords = ['completion', 'response', 'answer', 'output', 'solution', 'reply', 'target', 'summary', 'translation'] as const

/** What a pair may have besides, where the prompt is not called so itself. */
export const inputNames = ['input', 'context', 'passage', 'background', 'document', 'knowledge', 'schema'] as const
export const systemNames = ['system', 'system_prompt', 'system_message', 'system_instruction'] as const
export const labelNames = ['label', 'is_good', 'desirable', 'thumbs_up', 'is_preferred', 'is_positive'] as const
export const toolNames = ['tools', 'functions', 'available_tools'] as const

export const preferencePairs: readonly (readonly [chosen: string, rejected: string])[] = [
  ['chosen', 'rejected'], ['chosen_response', 'rejected_response'], ['response_chosen', 'response_rejected'], ['preferred', 'dispreferred'],
  ['preferred', 'rejected'], ['accepted', 'rejected'], ['better', 'worse'], ['best', 'worst'], ['winner', 'loser'], ['win', 'lose'], ['good', 'bad'],
  ['positive', 'negative'], ['preferred_output', 'non_preferred_output'], ['chosen_messages', 'rejected_messages'],
]

/** Columns of one running text, the surest first. */
export const textNames = [
  'text', 'content', 'contents', 'body', 'raw_content', 'raw_text', 'page_content', 'full_text', 'plain_text', 'clean_text', 'document', 'article', 'story', 'passage',
  'paragraph', 'sentence', 'markdown', 'code', 'source_code', 'transcript', 'essay', 'poem', 'lyrics', 'review', 'comment', 'tweet', 'post', 'message', 'abstract', 'description',
  'value', 'data', 'line', 'string',
] as const

export const chatNames = ['messages', 'conversations', 'conversation', 'chat', 'dialogue', 'dialog', 'turns', 'thread'] as const
export const idsNames = ['input_ids', 'token_ids', 'tokens', 'ids'] as const
export const lossNames = ['labels', 'target_ids'] as const

/** "userQuestion", "User Question" and "user-question" are user_question. */
export function normalName(name: string): string {
  return name
    .slice(0, 200)
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '_')
    .replaceAll(/^_+|_+$/g, '')
}
