// Secrets never reach output: the patterns, the variables, and nested data.
import { expect } from 'chai'
import { redact, redactDeep, redactNames } from '../../../lib/core/redact.js'

const token = 'hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567'

describe('redact', () => {
  const leaks: [string, string][] = [
    ['a token', `download with ${token} failed`],
    ['a token that was cut off', 'hf_AbCdEfGhIjKlMnOpQrStUv is no good'],
    ['an Authorization header', `Authorization: Bearer ${token}`],
    ['a header of another kind', '{"authorization":"Basic dXNlcjpodW50ZXIy"}'],
    ['a bearer alone', 'sent bearer abcdef.ghijkl-mnop'],
    ['credentials in an address', 'https://user:hunter2@example.org/path'],
    ['a token as user of an address', 'https://hunter2secret@example.org/path'],
    ['a signed address', 'https://cdn/x?X-Amz-Signature=hunter2&y=1'],
    ['a token parameter', 'https://h/x?token=hunter2#end'],
  ]
  const secrets = [token, 'hf_AbCdEf', 'dXNlcjpodW50ZXIy', 'abcdef.ghijkl', 'hunter2']
  for (const [what, text] of leaks) {
    it(`hides ${what}`, () => {
      const clean = redact(text, {})
      for (const secret of secrets) expect(clean).not.to.include(secret)
      expect(clean).to.include('[redacted]')
    })
  }

  it('hides the values of token variables wherever they stand, whatever they look like', () => {
    expect(redact('a=plainsecret;b', { HF_TOKEN: 'plainsecret' })).to.equal('a=[redacted];b')
    expect(redact('value 1 of 1', { HF_TOKEN: '1' })).to.equal('value 1 of 1')
  })

  it('leaves ordinary text alone', () => {
    for (const text of ['hf_checkpoint/model', './hf_smollm135m', 'hf_dataset2024.jsonl', 'models/hf_llama', 'https://example.org/a@b', '12 tokens per second', 'C:\\a', 'user@example.org', 'see docs?page=1&key2=x']) {
      expect(redact(text, {})).to.equal(text)
    }
  })

  it('does not hang on long hostile text', () => {
    redact(`${'a'.repeat(200_000)}://${'b'.repeat(200_000)}`, {})
    redact('hf_'.repeat(100_000), {})
    redact('authorization'.repeat(20_000), {})
    redact('https://'.repeat(40_000), {})
  }).timeout(5000)
})

describe('redactNames', () => {
  it('leaves what only looks like a secret, so that it can be read back', () => {
    const sha = '0123456789abcdef0123456789abcdef01234567'
    for (const text of ['./hf_smollm135m', '/data/hf_dataset2024.jsonl', 'hf_SmolLM2InstructFinetunedOnAll', `hf_${sha}`, './bearer abcdefgh/x', 'authorization: my notes.txt', 'a?key=12*.txt', 'work/dummy1/x']) {
      expect(redactNames(text, { HF_TOKEN: 'dummy1' })).to.equal(text)
    }
  })

  it('hides tokens, credentials and the values of token variables', () => {
    const named = 'a-token-of-another-kind-0123'
    for (const text of [token, `./${token}/x`, `x_${token}.y`, `https://user:hunter2@example.org/path`, `a/${named}/b`]) {
      expect(redactNames(text, { HF_TOKEN: named })).to.include('[redacted]').and.not.match(/AbCdEf|hunter2|another-kind/)
    }
  })
})

describe('redactDeep', () => {
  it('copies plain data, hides strings and secret fields, keeps the rest', () => {
    const data = { list: [token, 1], token: 'anything', tokens: 12, nested: { password: 'pw', path: './x' }, bytes: new Uint8Array(2) }
    const clean = redactDeep(data, {})
    expect(clean).to.deep.equal({ list: ['[redacted]', 1], token: '[redacted]', tokens: 12, nested: { password: '[redacted]', path: './x' }, bytes: new Uint8Array(2) })
    expect(data.token).to.equal('anything')
  })

  it('survives data that contains itself', () => {
    const loop: Record<string, unknown> = { a: token }
    loop.self = loop
    const clean = redactDeep(loop, {}) as typeof loop
    expect(clean.self).to.equal(clean)
    expect(clean.a).to.equal('[redacted]')
  })
})
