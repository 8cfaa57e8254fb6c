'use strict'
// That the program runs as if the runner had started it, and that nothing is left behind.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const test = require('node:test')
const { Runner, script } = require('./world.js')

const REAL = process.env.NIXPY_CI
const TOKEN = 'ghs_0123456789secret'

/** A runner whose tool cache has this program. */
function runnerWith(t, ...lines) {
  const runner = new Runner(t)
  runner.lists(script(...lines))
  runner.hasCached(script(...lines))
  return runner
}

test('exit code, output and inputs are passed on', async (t) => {
  const runner = runnerWith(t, 'echo "called $# $1"', 'tr "\\0" "\\n" </proc/$$/environ', 'echo complaint >&2', 'exit 42')
  const ended = await runner.run('main.js', { 'INPUT_MAX-LAYERS': '7' })
  assert.equal(ended.code, 42)
  for (const said of ['called 1 action', 'INPUT_MAX-LAYERS=7', 'complaint']) assert.match(ended.output, new RegExp(said))
})

test('no secret is among the arguments, nor in what is said or left in files', async (t) => {
  const runner = runnerWith(t, 'tr "\\0" " " </proc/$$/cmdline', 'tr "\\0" " " </proc/$PPID/cmdline')
  const ended = await runner.run('main.js', { 'INPUT_GITHUB-TOKEN': TOKEN, INPUT_PASSWORD: TOKEN })
  assert.equal(ended.code, 0)
  assert.match(ended.output, /main\.js/)
  assert.ok(!ended.output.includes(TOKEN), ended.output)
  assert.ok(!fs.readFileSync(runner.env.GITHUB_STATE, 'utf8').includes(TOKEN))
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  test(`${signal} reaches the program, and its exit code is the step's`, async (t) => {
    const runner = new Runner(t)
    // No shell: one that was started where SIGINT is ignored could not heed it.
    const program = Buffer.from([
      `#!${process.execPath}`,
      `process.on('${signal}', () => process.exit(130))`,
      'setInterval(() => {}, 1000)',
      "console.log('ready')"
    ].join('\n'))
    runner.lists(program)
    runner.hasCached(program)
    const child = runner.start('main.js')
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill(signal)
    const ended = await child.ended
    assert.equal(ended.code, 130)
  })
}

test('a program that a signal has ended is a failure of the step', async (t) => {
  const runner = runnerWith(t, 'kill -9 $$')
  assert.equal((await runner.run('main.js')).code, 137)
})

test('a program that is refused is an error of the step, in a line that the runner shows', async (t) => {
  const runner = runnerWith(t, 'exit 0')
  runner.lists('another')
  const ended = await runner.run('main.js')
  assert.equal(ended.code, 3)
  assert.match(ended.output, /^::error::.* was refused/m)
  assert.deepEqual(fs.readdirSync(runner.at('temp')), [])
})

test('what a killed run leaves is taken away by post', async (t) => {
  assert.ok(REAL, 'NIXPY_CI names the program under test')
  const runner = runnerWith(
    t,
    `[ "$1" = action ] || exec ${REAL} "$@"`,
    'mkdir -p "$TMPDIR/nixpy-smoke-x/root"; echo key > "$TMPDIR/key"; chmod 0 "$TMPDIR/nixpy-smoke-x"; kill -9 $$')
  assert.equal((await runner.run('main.js')).code, 137)
  const { STATE_folder: folder } = runner.state()
  assert.ok(fs.existsSync(`${folder}/key`))
  const ended = await runner.run('post.js', runner.state())
  assert.deepEqual([ended.code, fs.existsSync(folder)], [0, false])
  assert.match(ended.output, /removed what the run has left: key, nixpy-smoke-x/)
  assert.deepEqual(await runner.run('post.js', runner.state()), { code: 0, signal: null, output: '' }, 'once more')
})

test('post knows whether the run has come to its own end', async (t) => {
  const told = ['[ "$1" = action ] || { echo "told: $*"; exit; }']
  for (const [end, said] of [['exit 1', 'action-post'], ['exit 130', 'action-post --was-ended'], ['kill -9 $$', 'action-post --was-ended']]) {
    const runner = runnerWith(t, ...told, end)
    await runner.run('main.js')
    const ended = await runner.run('post.js', runner.state())
    assert.equal(ended.output, `told: ${said}\n`, end)
  }
})

test('post never fails the job', async (t) => {
  const runner = new Runner(t)
  assert.equal((await runner.run('post.js')).code, 0, 'main has found no program')
  const folder = runner.at('temp')
  const ended = await runner.run('post.js', { STATE_program: runner.at('gone'), STATE_folder: folder })
  assert.equal(ended.code, 0)
  assert.match(ended.output, /^::warning::/m)
  assert.ok(fs.existsSync(folder))
})

test('post starts no other program than the step has', async (t) => {
  const runner = runnerWith(t, 'exit 0')
  assert.equal((await runner.run('main.js')).code, 0)
  const state = runner.state()
  fs.writeFileSync(state.STATE_program, script('echo owned'))
  const ended = await runner.run('post.js', state)
  assert.equal(ended.code, 0)
  assert.match(ended.output, /^::warning::.* is not what the step has started/m)
  assert.ok(!ended.output.includes('owned'))
})
