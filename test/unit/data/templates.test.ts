// Chat templates come with models: they run in a process with limits, the same on every day and machine, from
// source and compiled alike.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { execFileSync, spawn } from 'node:child_process'
import { expect } from 'chai'
import ts from 'typescript'
import { renderChat } from '../../../lib/data/chat.js'
import { ChatRenderer, type RendererOptions } from '../../../lib/data/templates/renderer.js'
import type { ChatJob, RenderedChat } from '../../../lib/data/templates/chat.js'
import { failure, fixture } from './helpers.js'

const hello: ChatJob = { messages: [{ role: 'user', content: 'hello' }] }

async function withRenderer<T>(options: RendererOptions, work: (renderer: ChatRenderer) => Promise<T>): Promise<T> {
  const renderer = new ChatRenderer(options)
  try {
    return await work(renderer)
  } finally {
    await renderer.dispose()
  }
}

/** What `look` finds, asked until it finds something; the test's own time limit ends it. */
async function until<T>(look: () => T | null): Promise<T> {
  for (;;) {
    const found = look()
    if (found !== null) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Processor time of a process outside the kernel, in hundredths of a second. */
function userTicks(pid: string): number {
  return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[11])
}

describe('limits of chat templates', () => {
  it('end a loop that does not, and the event loop goes on meanwhile', async () => {
    const template = "{% for i in range(100000) %}{% for j in range(100000) %}{% for k in range(100000) %}{% endfor %}{% endfor %}{% endfor %}"
    let ticks = 0
    const timer = setInterval(() => ticks++, 10)
    const error = await withRenderer({ template, limits: { milliseconds: 400 } }, (renderer) => failure(() => renderer.render([hello]), 'FT_TEMPLATE'))
    clearInterval(timer)
    expect(error.message).to.include('0.4 s')
    expect(error.details.job).to.equal(0)
    expect(ticks).to.be.greaterThan(5)
  })

  it('hold for memory and output, and a new worker serves what follows', async () => {
    const doubling = (times: number): string => `{% set ns = namespace(x='0123456789') %}{% for i in range(${times}) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}`
    await withRenderer({ template: doubling(18), limits: { characters: 1_000_000 } }, async (renderer) => {
      const [result] = await renderer.render([hello])
      expect(result).to.have.property('problem').that.includes('1000000 characters')
    })
    const hoard = "{% set ns = namespace(x=[]) %}{% for i in range(100000000) %}{% set ns.x = ns.x + [i, i, i, i] %}{% endfor %}"
    await withRenderer({ template: hoard, limits: { megabytes: 32, milliseconds: 20_000 } }, async (renderer) => {
      await failure(() => renderer.render([hello]), 'FT_TEMPLATE')
      await failure(() => renderer.render([hello]), 'FT_TEMPLATE')
    })
  })

  it('hold for one demand beyond all memory, which would abort the process of a thread', async function () {
    this.timeout(60_000)
    for (const template of ['{% for i in range(1000000000) %}{% endfor %}', "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"]) {
      const error = await withRenderer({ template, limits: { megabytes: 64, milliseconds: 60_000 } }, (renderer) => failure(() => renderer.render([hello]), 'FT_TEMPLATE'))
      expect(error.message).to.include('64 MB')
    }
  })

  it('leave no process behind when this one is killed', async function () {
    if (process.platform !== 'linux') this.skip()
    const template = '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}'
    const renderer = JSON.stringify(new URL('../../../lib/data/templates/renderer.ts', import.meta.url).href)
    const script = `const { ChatRenderer } = await import(${renderer}); await new ChatRenderer({ template: ${JSON.stringify(template)}, limits: { milliseconds: 60_000 } }).render([${JSON.stringify(hello)}])`
    const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], { stdio: 'ignore', cwd: fileURLToPath(new URL('../../../', import.meta.url)) })
    const isWorker = (pid: string): boolean => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker.ts')
    const workers = (): string[] => readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8').split(' ').filter((pid) => pid !== '' && isWorker(pid))
    try {
      const [worker = ''] = await until(() => (workers().length > 0 ? workers() : null))
      await until(() => (userTicks(worker) > 100 ? true : null))
      parent.kill('SIGKILL')
      await until(() => (existsSync(`/proc/${worker}`) && readFileSync(`/proc/${worker}/cmdline`, 'utf8') !== '' ? null : true))
    } finally {
      parent.kill('SIGKILL')
    }
  })

  it('name the conversation that broke them, and the rest is rendered by another call', async () => {
    const template = "{% for m in messages %}{% if m.content == 'slow' %}{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{% endif %}{{ m.content }}{% endfor %}"
    await withRenderer({ template, limits: { milliseconds: 500 } }, async (renderer) => {
      const slow: ChatJob = { messages: [{ role: 'user', content: 'slow' }] }
      expect((await failure(() => renderer.render([hello, slow, hello]), 'FT_TEMPLATE')).details.job).to.equal(1)
      expect(((await renderer.render([hello]))[0] as RenderedChat).text).to.equal('hello')
    })
  })
})

describe('rendering conversations', () => {
  it('reports what the template says about a row, and a template that cannot be read', async () => {
    const mistral = readFileSync(fixture('tokenizers/templates/mistral.jinja'), 'utf8')
    await withRenderer({ template: mistral, variables: { bos_token: '<s>', eos_token: '</s>' } }, async (renderer) => {
      const twice = [{ role: 'user', content: 'a' }, { role: 'user', content: 'b' }]
      const [bad, good] = await renderer.render([{ messages: twice }, hello])
      expect(bad).to.deep.equal({ problem: 'the chat template refused it: Conversation roles must alternate user/assistant/user/assistant/...' })
      expect((good as RenderedChat).text).to.equal('<s>[INST] hello [/INST]')
    })
    const error = await withRenderer({ template: '{% if %}' }, (renderer) => failure(() => renderer.render([hello]), 'FT_TEMPLATE'))
    expect(error.message).to.include('cannot be read')
    for (const cut of ['{% for m in messages %}{{ m.content }}', '{% if x %}a', '{% for m in messages %}{% if m %}{{ m.content }}{% endif %}']) {
      const { message } = await withRenderer({ template: cut }, (renderer) => failure(() => renderer.render([hello]), 'FT_TEMPLATE'))
      expect(message).to.include('cannot be read: it ends too early')
    }
  })

  it('is the same on every day and in every language', async () => {
    const template = "{{ strftime_now('%d %B %b %Y %H:%M') }}"
    const now = new Date(2024, 2, 5, 9, 7)
    const environment = process.env.LANG
    process.env.LANG = 'de_DE.UTF-8'
    await withRenderer({ template, now }, async (renderer) => {
      expect(((await renderer.render([hello]))[0] as RenderedChat).text).to.equal('05 March Mar 2024 09:07')
    })
    if (environment === undefined) delete process.env.LANG
    else process.env.LANG = environment
  })

  it('treats texts as Python does', async () => {
    const cases: [string, string, string][] = [
      ["{{ x.lstrip('\\n') }}", '\n\n  indented\n', '  indented\n'],
      ["{{ x.rstrip('\\n') }}", '\n a \n\n', '\n a '],
      ["{{ x.strip('ab👍') }}", 'ab👍xa👍b', 'x'],
      ['{{ x.strip() }}|{{ x | trim }}', '\u001f\u0085 a \u001c', 'a|a'],
      ['{{ x.strip() }}|{{ x | trim }}', '\ufeff a \ufeff', '\ufeff a \ufeff|\ufeff a \ufeff'],
      ['{{ x.capitalize() }}', 'hELLO Wörld', 'Hello wörld'],
      ['{{ x }}\r\n{% if true %}\r\nend{% endif %}\r\n', 'a', 'a\nend'],
    ]
    for (const [source, content, expected] of cases) {
      const template = source.replaceAll(/\bx\b(?=[.| }])/g, 'messages[0].content')
      expect(await renderChat([{ role: 'user', content }], { template }), source).to.equal(expected)
    }
  })

  it('passes tools and named tokens, and uses the template for tools', async () => {
    const template = '{{ bos_token }}{{ tools is none }}'
    const toolTemplate = '{{ tools[0] | tojson }}'
    const tools = [{ type: 'function', function: { name: 'f', parameters: { ü: [1, 2.5, true, null] } } }]
    await withRenderer({ template, toolTemplate, variables: { bos_token: '<s>' } }, async (renderer) => {
      const texts = (await renderer.render([hello, { ...hello, tools }])).map((result) => (result as RenderedChat).text)
      expect(texts[0]).to.match(/^<s>true$/i)
      expect(texts[1]).to.equal('{"type": "function", "function": {"name": "f", "parameters": {"ü": [1, 2.5, true, null]}}}')
    })
  })

  it('marks what the assistant wrote whatever surrounds it', async () => {
    const cases: [string, string, string[]][] = [
      // A template that opens a turn unasked.
      [readFileSync(fixture('tokenizers/templates/llama3-always.jinja'), 'utf8'), '', ['one<|eot_id|>', 'two<|eot_id|>']],
      // No control tokens: the turns end where the next rendering begins.
      ["{% for m in messages %}### {{ m.role }}:\n{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}### assistant:\n{% endif %}", '', ['one\n', 'two\n']],
      // ChatML without add_generation_prompt: the header is not what the assistant writes.
      ["{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}", '', ['one<|im_end|>\n', 'two<|im_end|>\n']],
      // An end of text at the end only.
      ["{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% else %}<|endoftext|>{% endif %}", '', ['one<|end|>', 'two<|end|><|endoftext|>']],
      // Spaces around {% generation %} tags.
      ["{% for m in messages %}\n{%- if m.role == 'assistant' %}\nA: {% generation %} {{ m.content }}!{% endgeneration %}\n{% else %}\nU: {{ m.content }}\n{% endif %}{% endfor %}", '', [' one!', ' two!']],
    ]
    const controlTokens = ['<|eot_id|>', '<|start_header_id|>', '<|end_header_id|>', '<|im_end|>', '<|im_start|>', '<|end|>', '<|user|>', '<|assistant|>', '<|endoftext|>']
    const messages = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'one' }, { role: 'user', content: 'b' }, { role: 'assistant', content: 'two' }]
    for (const [template, , expected] of cases) {
      await withRenderer({ template, controlTokens, variables: { bos_token: '<s>' } }, async (renderer) => {
        const [result] = await renderer.render([{ messages, spans: true }])
        const { text, spans } = result as RenderedChat
        expect(spans.map(([begin, end]) => text.slice(begin, end)), template).to.deep.equal(expected)
      })
    }
  })

  it('learns the blocks of the turns that are learned, however many a turn has', async () => {
    // Thoughts are written and in no block; the end of the turn is a block of its own; a call may be a third.
    const body = (m: string): string => `{% if ${m}.role == 'assistant' %}<think>{{ ${m}.thinking }}</think>{% generation %}{{ ${m}.content }}{% endgeneration %}{% for c in ${m}.calls or [] %}{% generation %}({{ c }}){% endgeneration %}{% endfor %} {% generation %}<|end|>{% endgeneration %}\n{% else %}U: {{ ${m}.content }}<|end|>\n{% endif %}`
    const templates = [
      `{% for m in messages %}${body('m')}{% endfor %}`,
      // Other names, a message that another scope knows, and one that stands beside.
      `{% set first = messages[0] %}{% for each in messages[:] %}{% set next = messages[loop.index] %}${body('each')}{% endfor %}`,
      `{% for i in range(messages | length) %}{% set m = messages[i] %}${body('m')}{% endfor %}`,
      `{% macro turn(m) %}${body('m')}{% endmacro %}{% for one in messages %}{{ turn(one) }}{% endfor %}`,
      `{% macro block(text) %}{% generation %}{{ text }}{% endgeneration %}{% endmacro %}{% for m in messages %}${body('m').replace('{% generation %}{{ m.content }}{% endgeneration %}', '{{ block(m.content) }}')}{% endfor %}`,
      `{% set ns = namespace(out='') %}{% for m in messages %}{% set ns.out %}{{ ns.out }}${body('m')}{% endset %}{% endfor %}{{ ns.out }}`,
      // No variable stands for a message.
      `{% for i in range(messages | length) %}${body('messages[i]')}{% endfor %}{% if add_generation_prompt %}{% endif %}`,
    ]
    const messages = [
      { role: 'user', content: 'a' }, { role: 'assistant', content: 'one', thinking: 'secret', calls: ['x', 'y'] }, { role: 'user', content: 'b' },
      { role: 'assistant', content: 'two', thinking: 'secret' }, { role: 'user', content: 'c' }, { role: 'assistant', content: 'three', thinking: 'secret', calls: ['z'] },
    ]
    const turns = { 1: ['one', '(x)', '(y)', '<|end|>'], 3: ['two', '<|end|>'], 5: ['three', '(z)', '<|end|>'] }
    for (const template of templates) {
      await withRenderer({ template, controlTokens: ['<|end|>'] }, async (renderer) => {
        const choices: (keyof typeof turns)[][] = [[1, 3, 5], [5], [3], [1, 5], []]
        const results = await renderer.render([
          ...choices.map((chosen) => ({ messages, spans: true, learned: messages.map((_, k) => (chosen as number[]).includes(k)) })),
          // A turn of the user has no block.
          { messages, spans: true, learned: messages.map((_, k) => k === 2 || k === 3) },
          { messages, spans: true, learned: messages.map((_, k) => k === 1), withoutEnds: true },
        ])
        const expected = [...choices.map((chosen) => chosen.flatMap((k) => turns[k])), ['b<|end|>', ...turns[3]], ['one', '(x)', '(y)']]
        for (const [i, result] of results.entries()) {
          const { text, spans } = result as RenderedChat
          expect(spans.map(([begin, end]) => text.slice(begin, end).trimEnd()), template).to.deep.equal(expected[i])
        }
      })
    }
  })

  it('says so when it cannot tell what the assistant wrote', async () => {
    const template = "{% if messages | length > 2 %}X{% endif %}{% for m in messages %}{% if m.content not in ['a', 'b', 'one', 'two'] %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
    const messages = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'one' }, { role: 'user', content: 'b' }, { role: 'assistant', content: 'two' }]
    await withRenderer({ template }, async (renderer) => {
      const [result] = await renderer.render([{ messages, spans: true }])
      expect(result).to.have.property('problem').that.includes('does not show which part the assistant wrote')
    })
    await withRenderer({ template: '{% generation %}{% generation %}{% endgeneration %}{% endgeneration %}' }, async (renderer) => {
      expect((await renderer.render([{ messages, spans: true }]))[0]).to.have.property('problem').that.includes('nests')
    })
  })

  it('renderChat takes a template or a tokenizer', async () => {
    expect(await renderChat(hello.messages, { template: '{{ messages[0].content }}' })).to.equal('hello')
    await failure(() => renderChat(hello.messages, {}), 'FT_TEMPLATE')
    await failure(() => renderChat(hello.messages, { template: "{{ raise_exception('no') }}" }), 'FT_TEMPLATE')
  })
})

describe('values in the output', () => {
  it('are written as Python writes them', async () => {
    const cases: [string, string][] = [
      ['{{ none }}|{{ true }}|{{ not true }}|{{ 1.0 }}|{{ nothing }}', 'None|True|False|1.0|'],
      ['{{ messages[0].content if false }}|{{ none if true else 1 }}|{% set x = none %}{% if x %}y{% endif %}{% macro m(a) %}{{ a }}{% endmacro %}{{ m(none) }}', '|None|None'],
      ["{{ [1, 'a', none, true, 2.5] }}", "[1, 'a', None, True, 2.5]"],
      ['{{ messages[1].tool_calls[0].function.arguments }}', `{'a': 1, 'b': 'ü', 'c': ["it's", None, True], 'd': 'two\\nlines', 'e': {}}`],
      ['{{ messages[1].content }}{{ messages[1].absent }}{{ messages[1].tool_calls[0].function.arguments.c | tojson }}', `None["it's", null, true]`],
    ]
    const expressions: [string, string][] = [
      ['-7 % 3', '2'], ['7 % -3', '-2'], ['-7.5 % 2', '0.5'], ['-7 // 2', '-4'], ['1 / 4', '0.25'], ['true + 1', '2'], ['1 == 1', 'True'], ['100000000 * 100000000 * 100', '1000000000000000000'],
      ['10.0 ** 16', '1e+16'], ['0.00001', '1e-05'], ['0.1 + 0.2', '0.30000000000000004'], ['(1,)', '(1,)'], ['[1, (2, 3,)]', '[1, (2, 3)]'], ["'x' in ('x',)", 'True'], ['range(3,) | list', '[0, 1, 2]'],
      ["'%s' % ('x',)", 'x'], ["'%s' % 'x' ~ 'y'", 'xy'], ["'%5d|%-5d|%05d|%+d' % (42, 42, 42, 42)", '   42|42   |00042|+42'], ["'%.1f %.0f %.2e %g %G' % (2.25, 1.5, 1.125, 0.00001, 1234567.0)", '2.2 2 1.12e+00 1e-05 1.23457E+06'],
      ["'%(a)s %(b)r %%' % {'a': 1, 'b': 'x'}", "1 'x' %"], ["'%x %#X %o' % (255, 255, 8)", 'ff 0XFF 10'], ["'%s-%s' | format(1.0, none)", '1.0-None'], ["'%08.3f' % -3.14159", '-003.142'],
      ['3.14159 | round(2)', '3.14'], ['2.5 | round', '2.0'], ['5 | round', '5'], ["3.21 | round(1, 'ceil')", '3.3'],
      ["{'b': 1, 'a': [2.0, {}]} | tojson(indent=2)", '{\n  "b": 1,\n  "a": [\n    2.0,\n    {}\n  ]\n}'], ["{'b': 1, 'a': 'é'} | tojson(sort_keys=true, ensure_ascii=true)", '{"a": "\\u00e9", "b": 1}'],
      ["[1, 2] | tojson(separators=(',', ':'))", '[1,2]'], ['[1] | tojson(true, 1)', '[\n 1\n]'],
    ]
    cases.push(...expressions.map(([expression, value]): [string, string] => [`{{ ${expression} }}`, value]))
    const refused = ['1 / 0', '1 % 0', '1.5 // 0', "'%d' % 'x'", "'%s %s' % (1,)", "'%s' % (1, 2)", "'%(a)s' % {'b': 1}", 'nothing | tojson']
    await withRenderer({ template: refused.map((one, i) => `{% if messages[0].content == '${i}' %}{{ ${one} }}{% endif %}`).join('') }, async (renderer) => {
      const results = await renderer.render(refused.map((_, i) => ({ messages: [{ role: 'user', content: String(i) }] })))
      for (const [i, result] of results.entries()) expect(result, refused[i]).to.have.property('problem')
    })
    const call = { type: 'function', function: { name: 'f', arguments: { a: 1, b: 'ü', c: ["it's", null, true], d: 'two\nlines', e: {} } } }
    const messages = [{ role: 'user', content: 'hello' }, { role: 'assistant', content: null, tool_calls: [call] }]
    const template = cases.map(([one]) => one).join('\u0001')
    const parts = (await renderChat(messages, { template })).split('\u0001')
    for (const [i, [one, expected]] of cases.entries()) expect(parts[i], one).to.equal(expected)
  })
})

describe('the compiled package', () => {
  const root = fileURLToPath(new URL('../../../', import.meta.url))
  let folder: string

  before(() => {
    // Inside the repository, so that packages resolve as they do from dist/.
    mkdirSync(path.join(root, 'build'), { recursive: true })
    folder = mkdtempSync(path.join(root, 'build', 'compiled-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('starts its worker without a loader for TypeScript', () => {
    for (const part of ['data', 'core']) compile(path.join(root, 'lib', part), path.join(folder, part))
    writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
    const script = `
      import { ChatRenderer } from ${JSON.stringify(pathToFileURL(path.join(folder, 'data/templates/renderer.js')).href)}
      const renderer = new ChatRenderer({ template: '{{ messages[0].content }}' })
      console.log(JSON.stringify(await renderer.render([{ messages: [{ role: 'user', content: 'compiled' }] }])))`
    // The renderer is not disposed: an idle worker must not keep the process alive.
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: '/', encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' }, timeout: 15_000 })
    expect((JSON.parse(output) as RenderedChat[])[0]).to.include({ text: 'compiled' })
  })

  function compile(from: string, to: string): void {
    for (const name of readdirSync(from, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))) {
      mkdirSync(path.dirname(path.join(to, name)), { recursive: true })
      const { outputText } = ts.transpileModule(readFileSync(path.join(from, name), 'utf8'), {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
      })
      writeFileSync(path.join(to, name.replace(/\.ts$/, '.js')), outputText)
    }
  }
})
