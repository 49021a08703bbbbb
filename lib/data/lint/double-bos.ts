// double_bos: a beginning-of-sequence token twice, as an id or as text that the tokenizer puts a real one before.
import type { LintRule } from './rule.js'

export const doubleBosRule: LintRule = {
  name: 'double_bos',
  describe: 'a row begins with two beginning-of-sequence tokens',
  remedy: 'remove the token from the text, the ids or the chat template: the tokenizer adds its own',
  severity: 'error',
  needsTokens: true,
  open({ tokenizer }) {
    const id = tokenizer?.bosTokenId ?? null
    const text = tokenizer?.namedTokens.bos_token
    return {
      row({ encoded, source }) {
        if (encoded !== null && id !== null && encoded.inputIds[0] === id && encoded.inputIds[1] === id) return { message: 'the ids begin with it twice' }
        const start = source.row.kind === 'text' ? source.row.text : source.row.kind === 'pair' ? source.row.prompt : ''
        return text !== undefined && text !== '' && start.startsWith(text) ? { message: 'its text begins with it; as text it is spelled out after the real one' } : null
      },
    }
  },
}
