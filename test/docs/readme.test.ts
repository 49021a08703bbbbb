// Every command block and every program of README.md and docs/ runs as it stands, in the order of its page, in a folder that looks
// like a reader's. Blocks that install the package are checked against package.json: running them is what
// continuous integration does around this test.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { blocksOf, makeSandbox, root, type Sandbox } from './blocks.js'

const pages = ['README.md', ...readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]
const scripts = (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }).scripts
const commandLanguages = new Set(['sh', 'bash', 'shell', 'console'])
const programLanguages = new Set(['js', 'mjs', 'ts'])

describe('the command blocks of', function () {
  this.timeout(300_000)
  for (const page of pages) {
    const blocks = blocksOf(page).filter(({ language }) => commandLanguages.has(language) || programLanguages.has(language))
    if (blocks.length === 0) continue
    describe(page, () => {
      let sandbox: Sandbox
      before(() => {
        sandbox = makeSandbox()
      })
      after(() => sandbox.remove())
      for (const block of blocks) {
        const [first = ''] = block.text.split('\n')
        it(`line ${block.line}: ${first}`, () => {
          if (programLanguages.has(block.language)) return runProgram(sandbox, block.text, block.language)
          if (/\bnpm (install|ci)\b/.test(block.text)) return checkScripts(block.text)
          const { status, stderr } = sandbox.shell(block.text)
          expect(status, stderr).to.equal(0)
        })
      }
    })
  }
})

function runProgram(sandbox: Sandbox, text: string, language: string): void {
  const file = path.join(sandbox.folder, language === 'ts' ? 'program.ts' : 'program.mjs')
  writeFileSync(file, text)
  const loader = language === 'ts' ? ['--import', path.join(root, 'node_modules', 'tsx', 'dist', 'esm', 'index.mjs')] : []
  const { status, stderr } = sandbox.node(...loader, file)
  expect(status, stderr).to.equal(0)
}

/** "npm install && npm run demo": only npm's own words and scripts that exist. */
function checkScripts(text: string): void {
  for (const command of text.split(/&&|\n/).map((part) => part.trim()).filter((part) => part !== '')) {
    const script = /^npm (?:run )?(\S+)$/.exec(command)?.[1]
    expect(script, command).to.be.a('string')
    expect(scripts, command).to.have.property(script ?? '')
  }
}

describe('the rows and configurations shown in', function () {
  this.timeout(120_000)
  for (const page of pages) {
    const shown = blocksOf(page).filter(({ language }) => language === 'json' || language === 'yaml')
    for (const { language, line, text } of shown) {
      it(`${page}, line ${line}, are valid`, () => {
        const sandbox = makeSandbox()
        try {
          const file = path.join(sandbox.folder, language === 'json' ? 'shown.jsonl' : 'shown.yaml')
          writeFileSync(file, `${text}\n`)
          const { status, stderr } = sandbox.shell(language === 'json' ? `npx ft-native inspect data ${file} --model ./model` : `npx ft-native config validate ${file}`)
          expect(status, stderr).to.equal(0)
        } finally {
          sandbox.remove()
        }
      })
    }
  }
})

describe('the links of', () => {
  for (const page of [...pages, 'CONTRIBUTING.md', 'examples/README.md', 'examples/demo/README.md']) {
    it(`${page} point at files and headings that exist`, () => {
      const text = readFileSync(path.join(root, page), 'utf8')
      for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue
        const [file = '', heading] = target.split('#')
        const absolute = file === '' ? path.join(root, page) : path.resolve(root, path.dirname(page), file)
        expect(existsSync(absolute), `${page}: ${target}`).to.equal(true)
        if (heading !== undefined) expect(headingsOf(absolute), `${page}: ${target}`).to.include(heading)
      }
    })
  }
})

/** As GitHub makes anchors. */
function headingsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}

describe('README.md', () => {
  it('has the two commands', () => {
    const texts = blocksOf('README.md').map((block) => block.text)
    expect(texts).to.include('npm install && npm run demo')
    expect(texts).to.include('npm install && npm test')
  })

  it('names files in its table that exist', () => {
    const table = /## To add X, edit Y\n([\s\S]*?)\n## /.exec(readFileSync(path.join(root, 'README.md'), 'utf8'))?.[1] ?? ''
    const files = [...table.matchAll(/`((?:native|lib)\/[^`<]*)[^`]*`/g)].map(([, file = '']) => file)
    expect(files.length).to.be.greaterThan(10)
    for (const file of files) expect(existsSync(path.join(root, file)), file).to.equal(true)
  })
})
