// Conversations are rendered with the numbers and names that their file has, as json, Jinja2 and transformers of Python render them,
// whatever JavaScript's values lose. Expected texts are transformers'.
import { expect } from 'chai'
import fc from 'fast-check'
import { exactNotes, parseExact } from '../../../lib/data/exact.js'
import { prepareDataset, type PrepareDatasetOptions } from '../../../lib/data/index.js'
import { temporaryFolder, tokenizers } from './helpers.js'

describe('numbers and names of JSON', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  const tokenizer = tokenizers('qwen')

  const render = async (lines: readonly string[], template: string, options: Partial<PrepareDatasetOptions> = {}, name = 'rows.jsonl'): Promise<string[]> => {
    const chatTemplate = folder.write('template.jinja', template)
    const { train } = await prepareDataset({ paths: folder.write(name, lines.join('\n')), seed: 1, tokenizer: tokenizer.qwen, maxSeqLength: 4096, validationRatio: 0, chatTemplate, ...options })
    return Promise.all(train.map((row) => tokenizer.qwen.decode(row.inputIds)))
  }
  const calls = "{% for m in messages %}{{ m.role }}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% for k, v in c.function.arguments.items() %}|{{ k }}={{ v }}{% endfor %}{% endfor %}{% endfor %}"
  const call = (given: string, extra = ''): string => `[{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"get","arguments":${given}}}]${extra}}]`
  const given = '{"zeta":1.0,"id":12345678901234567890,"10":"a","2":[1e-7,1E5,-0.0,0.00001,1e16,{"1":-0,"0":0.99999999999999999}]}'
  const expected = 'userassistant{"zeta": 1.0, "id": 12345678901234567890, "10": "a", "2": [1e-07, 100000.0, -0.0, 1e-05, 1e+16, {"1": 0, "0": 1.0}]}'
    + `|zeta=1.0|id=12345678901234567890|10=a|2=[1e-07, 100000.0, -0.0, 1e-05, 1e+16, {'1': 0, '0': 1.0}]`

  it('reach the template from every shape of row and by every way', async () => {
    const rows = [
      `{"messages":${call(given)}}`,
      // What says something about loss is taken out of a message.
      `{"messages":${call(given, ',"weight":1,"name":null')}}`,
      `{"prompt":[{"role":"user","content":"hi"}],"completion":${call(given).replace('{"role":"user","content":"hi"},', '')}}`,
      `{"conversations":[{"from":"human","value":"hi"},{"from":"function_call","value":${JSON.stringify(`{"name":"get","arguments":${given}}`)}}]}`,
    ]
    for (const threads of [1, 2]) expect(await render(rows, calls, { threads })).to.deep.equal(rows.map(() => expected))
    expect(await render([rows.map((row) => row.replace(/,"weight.*null/, '')).join('\n')], calls, {}, 'rows.json')).to.deep.equal(rows.map(() => expected))
    expect(await render([`{"data":[${rows.join(',')}],"version":1}`], calls, {}, 'data.json')).to.deep.equal(rows.map(() => expected))
    expect(await render([`{"chat":${call(given)}}`], calls, { columns: { messages: 'chat' } })).to.deep.equal([expected])
  })

  it('of tools too, as a list and as text, with marks and without', async () => {
    const tools = `[{"type":"function","function":{"name":"f","parameters":{"9":{"minimum":1.0},"3":18446744073709551616}}}]`
    const template = "{{ tools | tojson }}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    const messages = '[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]'
    const text = '[{"type": "function", "function": {"name": "f", "parameters": {"9": {"minimum": 1.0}, "3": 18446744073709551616}}}]qa'
    for (const one of [template, template.replaceAll(/\{% (?:end)?generation %\}/g, '')]) {
      expect(await render([`{"messages":${messages},"tools":${tools}}`, `{"messages":${messages},"tools":${JSON.stringify(tools)}}`], one)).to.deep.equal([text, text])
    }
  })

  it('are computed with as Python does', async () => {
    const row = `{"messages":[{"role":"user","content":"q","n":12345678901234567890,"x":1e22,"h":2.0},{"role":"assistant","content":"a"}]}`
    const template = "{% set m = messages[0] %}{{ m.n + 1 }} {{ m.n % 7 }} {{ m.n // 1000 }} {{ m.n == 12345678901234567000 }} {{ m.n > m.x }} {{ m.x }} {{ m.h * 2 }} {{ m.h == 2 }} {{ '%d %s' % (m.n, m.h) }}{{ messages[1].content }}"
    expect(await render([row], template)).to.deep.equal(['12345678901234567891 1 12345678901234567 False False 1e+22 4.0 True 12345678901234567890 2.0a'])
  })

  it('leave the values as JSON.parse makes them', () => {
    fc.assert(fc.property(fc.jsonValue(), fc.constantFrom('', '1.0', '[1e5]', '{"2":1,"1":[2.0]}', '{"a":1.0,"a":{"a":1,"a":2},"__proto__":3}'), (value, odd) => {
      const text = odd === '' ? JSON.stringify(value) : `{"odd": ${odd}, "list": [[${odd}, {"b": ${odd}}]], "value":\n${JSON.stringify(value, null, 1)} }`
      expect(parseExact(text)).to.deep.equal(JSON.parse(text))
    }), { numRuns: 500, seed: 3 })
    let deep = parseExact(`${'['.repeat(100_000)}1.0${']'.repeat(100_000)}`)
    while (Array.isArray(deep)) [deep] = deep as unknown[]
    expect(deep).to.equal(1)
  })

  it('are remembered only where they say something else, and hold only while the value does', () => {
    expect(exactNotes(parseExact('{"a":[{"x":1,"y":1.5,"text":"[1.0, 2.0]"}],"b":{"1":2}}'))).to.deep.equal([])
    const value = parseExact('{"a":{"x":1.0,"y":2.0,"x":3}}') as { a: Record<string, number> }
    expect(exactNotes(value)).to.deep.equal([{ path: ['a'], numbers: [['y', '2.0']] }])
    value.a.y = 5
    expect(exactNotes(value)).to.deep.equal([])
  })
})
