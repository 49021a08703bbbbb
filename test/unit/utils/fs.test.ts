// Durable writes: whole files only, no temporaries left, storage errors with a type and a remedy.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import {
  checkWritable, copyFileSynced, makeFolder, pathKind, removePath, renameSynced, sha256File, storageError, writeFileAtomic, writeFileSynced,
} from '../../../lib/utils/fs.js'
import { rejected } from '../support/caught.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-fs-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const inside = (...names: string[]) => path.join(folder, ...names)

describe('writeFileAtomic', () => {
  it('writes text and bytes, replaces, and leaves nothing else', async () => {
    await writeFileAtomic(inside('a.json'), 'old')
    await writeFileAtomic(inside('a.json'), new Uint8Array([110, 101, 119]))
    expect(readFileSync(inside('a.json'), 'utf8')).to.equal('new')
    expect(readdirSync(folder)).to.deep.equal(['a.json'])
  })

  it('where the name is a folder: FT_STORAGE naming the file, no temporary left', async () => {
    mkdirSync(inside('a'))
    const error = await rejected(writeFileAtomic(inside('a'), 'x'))
    expect(error).to.include({ code: 'FT_STORAGE', exitCode: 5 })
    expect(error.message).to.include(inside('a')).and.not.include('.tmp')
    expect(readdirSync(folder)).to.deep.equal(['a'])
  })

  it('into a folder that is not there: FT_STORAGE', async () => {
    const error = await rejected(writeFileAtomic(inside('none', 'a'), 'x'))
    expect(error.code).to.equal('FT_STORAGE')
    expect(error.details).to.include({ path: inside('none', 'a'), errno: 'ENOENT' })
  })

  it('on a full device: FT_STORAGE that says to free space', async function () {
    if (!existsSync('/dev/full')) this.skip()
    const error = await rejected(writeFileSynced('/dev/full', 'x'))
    expect(error).to.include({ code: 'FT_STORAGE', exitCode: 5 })
    expect(error.remedy).to.include('free space')
  })
})

describe('folders', () => {
  it('are made with their parents, and again without complaint', async () => {
    await makeFolder(inside('a', 'b', 'c'))
    await makeFolder(inside('a', 'b', 'c'))
    expect(await pathKind(inside('a', 'b', 'c'))).to.equal('folder')
  })

  it('under a file: FT_STORAGE', async () => {
    writeFileSync(inside('file'), '')
    const error = await rejected(makeFolder(inside('file', 'a')))
    expect(error).to.include({ code: 'FT_STORAGE', exitCode: 5 })
    expect(error.remedy).to.include('part of the path is a file')
  })

  it('that may not be written: FT_STORAGE', async () => {
    // Root may write to any folder of its own, but not to /proc.
    const closed = process.getuid?.() === 0 ? '/proc/self' : folder
    if (closed === folder) chmodSync(folder, 0o500)
    const error = await rejected(checkWritable(closed))
    expect(error).to.include({ code: 'FT_STORAGE', exitCode: 5 })
    expect(error.message).to.include(`cannot write to ${closed}`)
    if (closed === folder) chmodSync(folder, 0o700)
  })

  it('that may be written pass, without a trace', async () => {
    await checkWritable(inside('new'))
    expect(readdirSync(inside('new'))).to.deep.equal([])
  })

  it('are removed with what is in them; nothing there is fine', async () => {
    await makeFolder(inside('a', 'b'))
    await removePath(inside('a'))
    await removePath(inside('a'))
    expect(await pathKind(inside('a'))).to.equal(null)
  })
})

describe('moving and copying', () => {
  it('rename replaces a file and moves a folder', async () => {
    await writeFileSynced(inside('a'), 'a')
    await makeFolder(inside('to'))
    await renameSynced(inside('a'), inside('to', 'b'))
    expect(readFileSync(inside('to', 'b'), 'utf8')).to.equal('a')
    await renameSynced(inside('to'), inside('moved'))
    expect(await pathKind(inside('moved', 'b'))).to.equal('file')
    expect((await rejected(renameSynced(inside('none'), inside('x')))).code).to.equal('FT_STORAGE')
  })

  it('copies bytes', async () => {
    await writeFileSynced(inside('a'), 'hello')
    await copyFileSynced(inside('a'), inside('b'))
    expect(readFileSync(inside('b'), 'utf8')).to.equal('hello')
  })

  it('sha256File is that of the bytes', async () => {
    await writeFileSynced(inside('a'), 'abc')
    expect(await sha256File(inside('a'))).to.equal('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })
})

describe('storageError', () => {
  it('has a remedy for each kind', () => {
    for (const code of ['ENOSPC', 'EROFS', 'EACCES', 'EIO', 'EDQUOT', 'ESOMETHING']) {
      const error = storageError(Object.assign(new Error('no'), { code }), 'write', '/x')
      expect(error).to.include({ code: 'FT_STORAGE', message: 'cannot write /x: no' })
      expect(error.remedy).not.to.equal('')
    }
  })

  it('passes a typed error through', () => {
    const known = storageError(new Error('x'), 'write', '/x')
    expect(storageError(known, 'read', '/y')).to.equal(known)
  })
})
