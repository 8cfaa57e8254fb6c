'use strict'
// The action's first half: finds the program, starts it, ends as it ends.
//
// Everything else is the program's: it reads the inputs from its environment, where the runner
// has put them. No argument is passed on, because other users of a machine can see arguments.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { Trouble, findProgram } = require('./program.js')

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP']
// With 130 and above a program says that a signal has ended it.
const CANCELLED = 130

async function main() {
  const { program, sum } = await findProgram()
  const folder = temporaryFolder()
  // What runs until then could put another in its place: post compares.
  remember({ program, folder, sum })
  const child = spawn(program, ['action'], { stdio: 'inherit', env: { ...process.env, TMPDIR: folder } })
  // The program ends in order when it is interrupted, and so does this one, after it.
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  const code = await new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Trouble(`${program} cannot be started: ${error.message}`)))
    child.on('close', (code, signal) => resolve(code ?? 128 + os.constants.signals[signal]))
  })
  // One that was ended by others has left something to be done.
  if (code < CANCELLED) remember({ over: 'yes' })
  process.exitCode = code
}

/** What a run leaves that is killed lies in here, and nothing else does: post removes it whole. */
function temporaryFolder() {
  const within = process.env.TMPDIR || process.env.RUNNER_TEMP || os.tmpdir()
  const folder = fs.mkdtempSync(path.join(within, 'nixpy-ci-'))
  // Nix builds as other users, who have to get through.
  fs.chmodSync(folder, 0o711)
  return folder
}

/** For post.js, which finds it as STATE_NAME. No other step can write there. */
function remember(state) {
  const file = process.env.GITHUB_STATE
  if (!file) return
  const lines = Object.entries(state).map(([name, value]) => `${name}=${value}\n`)
  fs.appendFileSync(file, lines.join(''))
}

main().catch((error) => {
  const told = error instanceof Trouble ? error.message : error.stack
  console.log(`::error::${told.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')}`)
  process.exitCode = 3
})
