'use strict'
// Which program is started: from the tool cache, from a release, or by its path; and that another
// than the listed one never is.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const { spawn } = require('node:child_process')
const test = require('node:test')
const { ACTION, Runner, bytes, cut, script, server, status, sum } = require('./world.js')
const { Trouble, findProgram, readList } = require(path.join(ACTION, 'program.js'))

const PROGRAM = script('echo "$@"')
const TIMES = { pause: 5, silence: 5000, whole: 5000 }

/** Nobody is there in github.com's place, unless it is said. */
function find(runner, env = {}, times = {}, elsewhere = env.GITHUB_SERVER_URL) {
  return findProgram({ ...runner.env, ...env }, runner.at('action', 'checksums.txt'), { ...TIMES, ...times }, elsewhere)
}

test('what is in the tool cache is started, and nothing is asked of anybody', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const cached = runner.hasCached(PROGRAM)
  assert.deepEqual(await find(runner), { program: cached, sum: sum(PROGRAM) })
})

test('what is in the tool cache and is another is refused', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const cached = runner.hasCached(script('echo owned'))
  await assert.rejects(find(runner), (error) => {
    assert.ok(error instanceof Trouble)
    assert.match(error.message, new RegExp(`${cached} was refused: .* has to be ${sum(PROGRAM)}: remove it`))
    return true
  })
})

test('what is not complete in the tool cache is fetched again', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const cached = runner.hasCached(PROGRAM)
  fs.rmSync(runner.at('tools', 'nixpy-ci', '1.2.3', 'x64.complete'))
  const releases = await server(t, bytes(PROGRAM))
  assert.equal((await find(runner, { GITHUB_SERVER_URL: releases.url })).program, cached)
  assert.equal(releases.asked.length, 1)
})

test('the release of its own version is fetched once, and is there for the next job', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const releases = await server(t, bytes(PROGRAM))
  const env = { GITHUB_SERVER_URL: releases.url }
  const found = await find(runner, env)
  assert.deepEqual(await find(runner, env), found)
  assert.deepEqual(releases.asked, ['/acme/nixpy-action/releases/download/v1.2.3/nixpy-ci-x86_64-linux'])
  assert.deepEqual(fs.readFileSync(found.program), PROGRAM)
  assert.equal(fs.statSync(found.program).mode & 0o777, 0o755)
})

test('a machine with ARM64 gets a program of its own', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM, 'aarch64-linux')
  const releases = await server(t, bytes(PROGRAM))
  const found = await find(runner, { GITHUB_SERVER_URL: releases.url, RUNNER_ARCH: 'ARM64' })
  assert.match(found.program, /\/1\.2\.3\/arm64\/nixpy-ci$/)
  assert.match(releases.asked[0], /nixpy-ci-aarch64-linux$/)
})

test('a download with another hash is refused, and nothing of it is left', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const releases = await server(t, bytes(script('echo owned')))
  await assert.rejects(find(runner, { GITHUB_SERVER_URL: releases.url }), /was refused: its SHA-256 is/)
  assert.deepEqual(runner.tools(), [])
  assert.equal(releases.asked.length, 1, 'it would be no other the second time')
})

test('a download that is slow is waited for, and one that is silent or has no end is given up', async (t) => {
  const drops = (response) => {
    const chunks = [PROGRAM.subarray(0, 4), PROGRAM.subarray(4, 9), PROGRAM.subarray(9)]
    chunks.forEach((chunk, at) => setTimeout(() => response.write(chunk), 1000 * at))
    setTimeout(() => response.end(), 1000 * chunks.length)
  }
  const silent = (response) => response.write(PROGRAM.subarray(0, 4))
  const endless = (response) => {
    const writing = setInterval(() => response.write('x'), 20)
    response.on('close', () => clearInterval(writing))
  }
  const fetched = async (answer, times) => {
    const runner = new Runner(t)
    runner.lists(PROGRAM)
    const releases = await server(t, answer)
    return (await find(runner, { GITHUB_SERVER_URL: releases.url }, times)).program
  }
  assert.deepEqual(fs.readFileSync(await fetched(drops, { silence: 2500 })), PROGRAM)
  await assert.rejects(fetched(silent, { silence: 100 }), /nothing came for 0.1 s/)
  await assert.rejects(fetched(endless, { silence: 5000, whole: 500 }), /it took more than 0.5 s/)
})

test('a proxy that the runner has is asked', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const releases = await server(t, bytes(PROGRAM))
  const wanted = []
  const proxy = http.createServer().on('connect', (request, socket) => {
    wanted.push(request.url)
    const through = net.connect(new URL(releases.url).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      through.pipe(socket).pipe(through)
    })
    for (const end of [through, socket]) end.on('error', () => {})
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => proxy.close())
  const env = { ...runner.env, GITHUB_SERVER_URL: 'http://releases.example', HTTP_PROXY: `http://127.0.0.1:${proxy.address().port}` }
  const script = `require(${JSON.stringify(runner.at('action', 'program.js'))}).findProgram()`
  const asked = spawn(process.execPath, ['-e', script], { env, stdio: 'inherit' })
  await new Promise((resolve) => asked.on('close', resolve))
  assert.deepEqual(wanted, ['releases.example:80'])
  assert.deepEqual(runner.tools(), ['nixpy-ci', 'x64.complete'])
})

test('a server in trouble is asked again', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const releases = await server(t, status(503), cut(PROGRAM), bytes(PROGRAM))
  await find(runner, { GITHUB_SERVER_URL: releases.url })
  assert.equal(releases.asked.length, 3)
  assert.deepEqual(runner.tools(), ['nixpy-ci', 'x64.complete'])
})

test('a server of one\'s own that has no such release leads to the one that the action came from', async (t) => {
  // As a server in private mode that does not know who asks.
  const login = (response) => { response.writeHead(302, { location: '/login' }); response.end() }
  const page = (response) => { response.setHeader('content-type', 'text/html'); response.end('<html>Sign in</html>') }
  for (const answers of [[status(404)], [login, page], [bytes(script('echo owned'))]]) {
    const runner = new Runner(t)
    runner.lists(PROGRAM)
    const [own, origin] = [await server(t, ...answers), await server(t, bytes(PROGRAM))]
    const found = await find(runner, { GITHUB_SERVER_URL: own.url }, {}, origin.url)
    assert.deepEqual(fs.readFileSync(found.program), PROGRAM)
    assert.equal(own.asked.length, answers.length, 'it would answer no other the second time')
    assert.deepEqual(origin.asked, ['/acme/nixpy-action/releases/download/v1.2.3/nixpy-ci-x86_64-linux'])
  }
})

test('what no server has as it is listed is never started, and both are named', async (t) => {
  const other = bytes(script('echo owned'))
  const cases = [
    [[other], /http:\S+ was refused: .*; http:\S+ was refused: .*: nothing of it was kept$/],
    [[status(404)], /http:\S+ was refused: .*; http:\S+: the answer is 404 .*: download it yourself/]
  ]
  for (const [answers, told] of cases) {
    const runner = new Runner(t)
    runner.lists(PROGRAM)
    const [own, origin] = [await server(t, other), await server(t, ...answers)]
    await assert.rejects(find(runner, { GITHUB_SERVER_URL: own.url }, {}, origin.url), told)
    assert.deepEqual(runner.tools(), [])
  }
})

test('a server in trouble is no reason to ask another', async (t) => {
  const runner = new Runner(t)
  runner.lists(PROGRAM)
  const [own, origin] = [await server(t, status(503)), await server(t, bytes(PROGRAM))]
  await assert.rejects(find(runner, { GITHUB_SERVER_URL: own.url }, {}, origin.url), /the answer is 503/)
  assert.deepEqual([own.asked.length, origin.asked.length], [4, 0])
})

test('an unknown machine is told which ones there are', async (t) => {
  const runner = new Runner(t)
  for (const env of [{ RUNNER_OS: 'macOS', RUNNER_ARCH: 'ARM64' }, { RUNNER_ARCH: 'X86' }, { RUNNER_OS: 'Windows' }]) {
    await assert.rejects(find(runner, env), /there is no nixpy-ci for .*ubuntu-24\.04-arm/)
  }
})

test('a commit between releases says so', async (t) => {
  const runner = new Runner(t)
  fs.writeFileSync(runner.at('action', 'checksums.txt'), '# nixpy-ci 1.2.3\n')
  await assert.rejects(find(runner), /no released program for x86_64-linux: use the action at a release/)
})

test('the list of this commit can be read', () => {
  const { version } = readList(fs.readFileSync(path.join(ACTION, 'checksums.txt'), 'utf8'))
  assert.match(version, /^\d+\.\d+\.\d+/)
  assert.throws(() => readList('nonsense\n'), Trouble)
})

test('a program that is given by its path is started as it is', async (t) => {
  const runner = new Runner(t)
  const file = runner.at('mine')
  fs.writeFileSync(file, PROGRAM, { mode: 0o755 })
  assert.deepEqual(await find(runner, { INPUT_BINARY: file }), { program: file, sum: sum(PROGRAM) })
  assert.equal((await find(runner, { INPUT_BINARY: file, 'INPUT_BINARY-SHA256': sum(PROGRAM).toUpperCase() })).program, file)
  const wrong = { INPUT_BINARY: file, 'INPUT_BINARY-SHA256': sum('other') }
  await assert.rejects(find(runner, wrong), /was refused/)
  await assert.rejects(find(runner, { INPUT_BINARY: runner.at('nowhere') }), /is not there, or no program/)
})
