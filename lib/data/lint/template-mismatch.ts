// template_mismatch: rows whose text was written with a chat template: their markers stay text, as text of rows never becomes
// a control token, so the model would learn to write them out.
import type { LintRule } from './rule.js'

/** Texts that nobody writes by chance, and the templates they come from. */
const markers: readonly (readonly [marker: string, family: string])[] = [
  ['<|im_start|>', 'ChatML'], ['<|im_end|>', 'ChatML'], ['<|im_sep|>', 'phi-4'], ['[INST]', 'Llama 2 or Mistral'], ['[/INST]', 'Llama 2 or Mistral'], ['<<SYS>>', 'Llama 2'],
  ['[SYSTEM_PROMPT]', 'Mistral'], ['[AVAILABLE_TOOLS]', 'Mistral'], ['<|start_header_id|>', 'Llama 3'], ['<|eot_id|>', 'Llama 3'], ['<|header_start|>', 'Llama 4'], ['<|eot|>', 'Llama 4'],
  ['<start_of_turn>', 'Gemma'], ['<end_of_turn>', 'Gemma'], ['<|assistant|>', 'phi-3 or Zephyr'], ['<|user|>', 'phi-3 or Zephyr'], ['<|end_of_role|>', 'Granite'],
  ['<|START_OF_TURN_TOKEN|>', 'Command R'], ['<|end▁of▁sentence|>', 'DeepSeek'], ['<｜User｜>', 'DeepSeek'], ['<｜Assistant｜>', 'DeepSeek'], ['<|channel|>', 'gpt-oss (harmony)'], ['[|assistant|]', 'EXAONE'],
  ['### Instruction:', 'Alpaca'], ['### Response:', 'Alpaca'], ['<reserved_106>', 'Baichuan'], ['USER: ', 'Vicuna'],
]
/** These are words of people too: both must be there. */
const pairs: Readonly<Record<string, string>> = { 'USER: ': 'ASSISTANT:', '### Instruction:': '### Response:', '### Response:': '### Instruction:' }
const needle = new RegExp(markers.map(([marker]) => marker.replaceAll(/[[\]|\\^$.*+?(){}]/g, '\\$&')).join('|'))

export const templateMismatchRule: LintRule = {
  name: 'template_mismatch',
  describe: 'the text of a row was written with a chat template',
  remedy: 'give the conversation as {"messages": [{"role", "content"}]}: the template of the model then writes its own markers',
  severity: 'error',
  rowAlone: true,
  open: () => ({
    row({ source, text }) {
      // Alpaca's own text in a row of that shape is how it is written.
      if (source.row.kind === 'tokens' || !needle.test(text)) return null
      const found = markers.filter(([marker]) => text.includes(marker) && (pairs[marker] === undefined || text.includes(pairs[marker])))
      const [first] = found
      if (first === undefined) return null
      return { message: `holds ${found.slice(0, 3).map(([marker]) => marker.trim()).join(', ')} of the ${first[1]} template as text` }
    },
  }),
}
