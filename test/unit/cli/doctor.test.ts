// The checks of doctor that need no engine.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { cacheFolder as setupCacheFolder } from '../../../scripts/setup/paths.mjs'
import { cacheFolder } from '../../../lib/utils/cache-folder.js'
import { hubCheck, nodeCheck, sentencepieceResult, spaceResult } from '../../../lib/cli/doctor-checks.js'

describe('doctor', () => {
  it('knows which Node.js is new enough', () => {
    for (const version of ['20.19.0', '20.20.2', '22.0.0', '24.1.0']) expect(nodeCheck(version).status, version).to.equal('ok')
    for (const version of ['18.20.0', '20.18.9']) expect(nodeCheck(version), version).to.include({ status: 'failed', remedy: 'install Node.js 20.19 or later' })
  })

  it('shows that tokens are set, never their values', () => {
    const result = hubCheck({ HF_TOKEN: 'plain-secret-value', HF_HOME: '/data/hf', HTTPS_PROXY: 'http://user:pw12345@proxy:1' })
    expect(result.detail).to.include('HF_TOKEN is set').and.include('HF_HOME=/data/hf').and.include('proxy')
    expect(JSON.stringify(result)).not.to.include('plain-secret-value').and.not.include('pw12345')
    expect(hubCheck({}).detail).to.equal('no hub variables set')
  })

  it('warns where sentencepiece is absent', () => {
    expect(sentencepieceResult(null)).to.include({ status: 'warning' }).and.have.property('remedy')
    expect(sentencepieceResult('0.2.1')).to.deep.include({ status: 'ok', detail: '0.2.1', remedy: undefined })
  })

  it('finds the cache where setup puts it', () => {
    for (const env of [{}, { FT_NATIVE_CACHE: 'relative' }, { XDG_CACHE_HOME: '/x' }, { XDG_CACHE_HOME: 'x' }, { LOCALAPPDATA: '/l' }]) {
      for (const platform of ['linux', 'darwin', 'win32'] as const) expect(cacheFolder(env, platform, '/home/me')).to.equal(setupCacheFolder(env, platform, '/home/me'))
    }
  })

  it('measures a folder that does not exist yet by its parent, and says when it cannot be written', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'ft-doctor-'))
    try {
      const good = await spaceResult('cache', path.join(folder, 'a', 'b'), 'elsewhere')
      expect(good.facts).to.include({ writable: true })
      expect(good.detail).to.include('free')
      const file = path.join(folder, 'file')
      writeFileSync(file, '')
      expect(await spaceResult('cache', path.join(file, 'a'), 'elsewhere')).to.include({ status: 'warning', remedy: 'elsewhere' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
