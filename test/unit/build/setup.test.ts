// scripts/setup: what it keeps, what it refuses, how it resumes. No network: a server of its own.
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { download } from '../../../scripts/setup/download.mjs'
import { compareVersions } from '../../../scripts/setup/inspect-libtorch.mjs'
import { installWheels, isWanted } from '../../../scripts/setup/install-wheel.mjs'
import { findLibTorch } from '../../../scripts/setup/libtorch.mjs'
import { cacheFolder } from '../../../scripts/setup/paths.mjs'
import { wantedVariant } from '../../../scripts/setup/variant.mjs'
import { isCudaWheel } from '../../../scripts/setup/wheel.mjs'
import { makeWheel } from './zip.js'

const versionHeader = '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 0\n'
const goodWheel = {
  'torch/version.py': "__version__ = '2.13.0'\ncuda: Optional[str] = None\n",
  'torch/include/ATen/ATen.h': '//\n',
  'torch/include/torch/headeronly/version.h': versionHeader,
  'torch/lib/libtorch_cpu.so': 'cpu',
  'torch/lib/libc10.so': 'c10',
  'torch/lib/libtorch_python.so': 'python',
  'torch/nn/functional.py': 'pass\n',
}

async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('expected a rejection')
}

describe('setup', () => {
  let folder = ''
  let server: http.Server | undefined
  before(() => {
    process.env.FT_SETUP_QUIET = '1'
  })
  after(() => {
    delete process.env.FT_SETUP_QUIET
  })
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ft-setup-'))
  })
  afterEach(() => {
    server?.close()
    server?.closeAllConnections()
    server = undefined
    rmSync(folder, { recursive: true, force: true })
  })

  const serve = async (handler: http.RequestListener): Promise<string> => {
    server = http.createServer(handler)
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.whl`
  }
  const wheelFile = (wheel: Buffer): string => {
    const file = path.join(folder, 'torch-2.13.0.whl')
    writeFileSync(file, wheel)
    return file
  }

  describe('download', () => {
    const content = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i % 251))
    const sum = createHash('sha256').update(content).digest('hex')

    it('resumes where a broken connection ended', async () => {
      const ranges: (string | undefined)[] = []
      const url = await serve((request, response) => {
        ranges.push(request.headers.range)
        const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
        response.writeHead(start > 0 ? 206 : 200, { 'content-length': content.length - start })
        if (start > 0) response.end(content.subarray(start))
        else response.write(content.subarray(0, 20_000), () => setTimeout(() => response.destroy(), 50))
      })
      const target = path.join(folder, 'file.whl')
      await download(url, target, sum)
      expect(readFileSync(target).equals(content)).to.equal(true)
      expect(ranges).to.deep.equal([undefined, 'bytes=20000-'])
    })

    it('never keeps a file with a wrong sum', async () => {
      const url = await serve((_request, response) => response.end('something else'))
      expect(await rejection(download(url, path.join(folder, 'file.whl'), sum))).to.match(/SHA-256 .* expected/)
      expect(readdirSync(folder)).to.deep.equal([])
    })

    it('says which host could not be reached, and what a server answered', async () => {
      expect(await rejection(download('http://127.0.0.1:9/x', path.join(folder, 'x'), sum))).to.match(/127\.0\.0\.1:9 could not be reached/)
      const url = await serve((_request, response) => response.writeHead(404).end())
      expect(await rejection(download(url, path.join(folder, 'x'), sum))).to.match(/answered 404/)
    })
  })

  describe('wheels', () => {
    it('become a LibTorch of headers and linked libraries', async () => {
      const target = path.join(folder, 'cache', 'libtorch')
      const found = await installWheels([{ path: wheelFile(makeWheel(goodWheel)) }], target)
      expect(found).to.deep.equal({ folder: path.join(target, 'torch'), version: '2.13.0', cuda: false })
      expect(readdirSync(path.join(target, 'torch', 'lib')).sort()).to.deep.equal(['libc10.so', 'libtorch_cpu.so'])
      expect(existsSync(path.join(target, 'torch', 'nn'))).to.equal(false)
      expect(readdirSync(path.join(folder, 'cache'))).to.deep.equal(['libtorch'])
    })

    it('are refused when a file does not have the sum of RECORD, and leave nothing behind', async () => {
      const wheel = wheelFile(makeWheel(goodWheel, { 'torch/lib/libc10.so': 'other' }))
      expect(await rejection(installWheels([{ path: wheel }], path.join(folder, 'cache', 'libtorch')))).to.match(/libc10\.so does not have the SHA-256/)
      expect(readdirSync(path.join(folder, 'cache'))).to.deep.equal([])
    })

    it('are refused when incomplete or not zip files', async () => {
      const { 'torch/lib/libc10.so': _left, ...rest } = goodWheel
      expect(await rejection(installWheels([{ path: wheelFile(makeWheel(rest)) }], path.join(folder, 'a')))).to.match(/no library c10/)
      expect(await rejection(installWheels([{ path: wheelFile(Buffer.from('no zip')) }], path.join(folder, 'a')))).to.match(/not a zip file/)
    })

    it('name their CUDA', async () => {
      expect(await isCudaWheel(wheelFile(makeWheel(goodWheel)))).to.equal(false)
      expect(await isCudaWheel(wheelFile(makeWheel({ ...goodWheel, 'torch/version.py': "cuda: Optional[str] = '13.0'\n" })))).to.equal(true)
    })

    it('give only what a C++ program needs', () => {
      const wanted = ['torch/include/c10/x.h', 'torch/share/cmake/Torch/TorchConfig.cmake', 'torch/lib/libgomp.so.1', 'torch/lib/libtorch_cuda.so',
        'torch/lib/c10.lib', 'torch/lib/libomp.dylib', 'nvidia/cu13/lib/libcublas.so.13', 'nvidia/cu13/include/cuda_runtime_api.h']
      const unwanted = ['torch/lib/libtorch_python.so', 'torch/lib/libshm.so', 'torch/lib/libtorchbind_test.so', 'torch/lib/libshm/x.h', 'torch/nn/a.py',
        'torch/include/pybind11/cast.h', 'nvidia/cudnn/include/cudnn.h', 'functorch/x.so']
      expect(wanted.filter((name) => !isWanted(name))).to.deep.equal([])
      expect(unwanted.filter(isWanted)).to.deep.equal([])
    })
  })

  describe('LIBTORCH', () => {
    it('must be a usable folder of a known version', async () => {
      expect(await rejection(findLibTorch({ LIBTORCH: path.join(folder, 'none') }))).to.match(/does not exist/)
      expect(await rejection(findLibTorch({ LIBTORCH: folder }))).to.match(/no include\/ATen/)
      const old = { ...goodWheel, 'torch/include/torch/headeronly/version.h': versionHeader.replace('MINOR 13', 'MINOR 10') }
      await installWheels([{ path: wheelFile(makeWheel(old)) }], path.join(folder, 'old'))
      expect(await rejection(findLibTorch({ LIBTORCH: path.join(folder, 'old', 'torch') }))).to.match(/is version 2\.10\.0/)
    })

    it('may be 2.11', async () => {
      const older = { ...goodWheel, 'torch/include/torch/headeronly/version.h': versionHeader.replace('MINOR 13', 'MINOR 11') }
      await installWheels([{ path: wheelFile(makeWheel(older)) }], path.join(folder, 'older'))
      expect((await findLibTorch({ LIBTORCH: path.join(folder, 'older', 'torch') })).version).to.equal('2.11.0')
    })
  })

  it('compares versions by number', () => {
    expect(compareVersions('2.9.0', '2.11.0')).to.be.lessThan(0)
    expect(compareVersions('2.13.0', '2.13.0')).to.equal(0)
    expect(compareVersions('3.0.0', '2.13.5')).to.be.greaterThan(0)
  })

  it('caches where each platform keeps caches', () => {
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' }, 'linux', '/h')).to.equal('/x/ft-native')
    expect(cacheFolder({ XDG_CACHE_HOME: 'relative' }, 'linux', '/h')).to.equal('/h/.cache/ft-native')
    expect(cacheFolder({}, 'darwin', '/h')).to.equal('/h/Library/Caches/ft-native')
    expect(cacheFolder({ FT_NATIVE_CACHE: '/y' }, 'linux', '/h')).to.equal('/y')
  })

  it('picks the build by the driver', function () {
    if (process.platform === 'darwin') this.skip()
    expect(wantedVariant({}, () => undefined)).to.deep.equal({ variant: 'cpu', chosenBy: 'default' })
    expect(wantedVariant({}, () => 13.1)).to.deep.equal({ variant: 'cu130', chosenBy: 'driver' })
    expect(wantedVariant({}, () => 12.8)).to.deep.equal({ variant: 'cu126', chosenBy: 'driver' })
    expect(wantedVariant({}, () => 11.4).variant).to.equal('cpu')
    expect(wantedVariant({ FT_LIBTORCH_VARIANT: 'cpu' }, () => 13)).to.deep.equal({ variant: 'cpu', chosenBy: 'environment' })
    expect(() => wantedVariant({ FT_LIBTORCH_VARIANT: 'rocm' }, () => 13)).to.throw(/not known/)
  })
})
