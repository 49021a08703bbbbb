// Chat templates that are known by a name, for models that come without one: `chat_template: chatml`. Written after the formats that
// the models' own cards and tokenizers publish; they render under transformers as they do here. To add one: a row.

const refuse = "{{ raise_exception('Only the roles ' ~ known ~ ' are supported') }}"

/** System words go before the first words of the user, where a format has no place for them. */
const systemFirst = `{%- set system = '' -%}
{%- set turns = messages -%}
{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0]['content'] -%}{%- set turns = messages[1:] -%}{%- endif -%}
`

const chatml = `{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}`

export const namedTemplates: Readonly<Record<string, string>> = {
  chatml,

  // chatml, with Qwen2's words where there is no system turn.
  qwen: `{%- if messages[0]['role'] != 'system' -%}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif -%}
${chatml}`,

  llama2: `${systemFirst}{%- for message in turns -%}
{%- if message['role'] == 'user' -%}
{{ bos_token + '[INST] ' + ('<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' if loop.first and system else '') + message['content'].strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' -%}
{{ ' ' + message['content'].strip() + ' ' + eos_token }}
{%- else -%}{%- set known = 'system, user, assistant' -%}${refuse}{%- endif -%}
{%- endfor -%}`,

  llama3: `{{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'].strip() + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}`,

  mistral: `${systemFirst}{{- bos_token -}}
{%- for message in turns -%}
{%- if message['role'] == 'user' -%}
{{ '[INST] ' + (system + '\\n\\n' if loop.first and system else '') + message['content'] + ' [/INST]' }}
{%- elif message['role'] == 'assistant' -%}
{{ ' ' + message['content'] + eos_token }}
{%- else -%}{%- set known = 'system, user, assistant' -%}${refuse}{%- endif -%}
{%- endfor -%}`,

  gemma: `${systemFirst}{{- bos_token -}}
{%- for message in turns -%}
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (system + '\\n\\n' if loop.first and system else '') + message['content'].strip() + '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}`,

  phi3: `{%- for message in messages -%}
{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}`,

  phi4: `{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant<|im_sep|>' }}{%- endif -%}`,

  zephyr: `{%- for message in messages -%}
{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}`,

  vicuna: `${systemFirst}{{- bos_token + (system or "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.") -}}
{%- for message in turns -%}
{%- if message['role'] == 'user' -%}{{ ' USER: ' + message['content'] }}
{%- elif message['role'] == 'assistant' -%}{{ ' ASSISTANT: ' + message['content'] + eos_token }}
{%- else -%}{%- set known = 'system, user, assistant' -%}${refuse}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ ' ASSISTANT:' }}{%- endif -%}`,

  alpaca: `${systemFirst}{{- bos_token + (system or 'Below is an instruction that describes a task. Write a response that appropriately completes the request.') + '\\n\\n' -}}
{%- for message in turns -%}
{%- if message['role'] == 'user' -%}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'assistant' -%}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}
{%- else -%}{%- set known = 'system, user, assistant' -%}${refuse}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '### Response:\\n' }}{%- endif -%}`,

  openchat: `{{- bos_token -}}
{%- for message in messages -%}
{{ 'GPT4 Correct ' + message['role'].title() + ': ' + message['content'] + '<|end_of_turn|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'GPT4 Correct Assistant:' }}{%- endif -%}`,

  cohere: `{{- bos_token -}}
{%- set names = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'} -%}
{%- for message in messages -%}
{{ '<|START_OF_TURN_TOKEN|><|' + names[message['role']] + '_TOKEN|>' + message['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{%- endif -%}`,
}
